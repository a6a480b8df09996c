//! `docker ps`: from the views of all containers, without waiting for any of them.

use super::config::ImagePin;
use super::health::Health;
use super::inspect;
use super::listed::Listed;
use super::live::View;
use super::options::ListOptions;
use super::state::State;
use crate::event;
use crate::filter::Filters;
use crate::network::ports;
use crate::open::{Engine, Shared};
use api_types::inspect::{Port, Summary, SummaryHostConfig, SummaryNetworkSettings};
use images::Image;
use spec::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A call that takes longer than this makes a container shown as stuck.
pub(super) const STUCK: Duration = Duration::from_secs(5);

const FILTERS: [&str; 16] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "isolation",
    "is-task",
    "label",
    "label!",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

/// The filters with what has to be looked up for them.
struct Query<'a> {
    filters: &'a Filters,
    exited: Vec<i32>,
    before: Option<i64>,
    since: Option<i64>,
    ancestors: Option<Vec<Image>>,
    ports: Vec<String>,
    published: Vec<(u16, String)>,
}

impl Engine {
    /// Lists containers, newest first.
    pub async fn list(&self, options: ListOptions) -> Result<Vec<Listed>, Failure> {
        let query = self.query(&options.filters)?;
        let limited = options.limit.filter(|limit| *limit > 0);
        let all = options.all
            || limited.is_some()
            || options.filters.has("status")
            || options.filters.has("exited");
        let mut views = self.0.containers.views();
        views
            .retain(|view| !view.removed && (all || view.state.is_active()) && query.matches(view));
        views.sort_unstable_by(|a, b| {
            b.config.created.cmp(&a.config.created).then_with(|| b.config.id.cmp(&a.config.id))
        });
        views.truncate(limited.unwrap_or(usize::MAX));
        let images = self.images_by_name(&views);
        let now = event::now();
        let line = |view: Arc<View>| {
            let status = status(&view, now);
            Listed::new(view, status, |view| summary(&self.0, view))
        };
        let mut listed: Vec<Listed> = views.into_iter().map(line).collect();
        for shown in &mut listed {
            let image = &shown.view().config.image.id;
            let named = images.get(shown.view().config.config.image.as_str());
            // A name that stands for another image by now would mislead.
            if named.and_then(Option::as_ref) != Some(image) {
                let image = image.clone();
                shown.change(|summary| summary.image = image);
            }
        }
        if options.size {
            for shown in &mut listed {
                let view = Arc::clone(shown.view());
                // A size that cannot be had must not hide the others.
                if let Ok((own, with_image)) = self.sizes(&view.config).await {
                    shown.change(|summary| {
                        (summary.size_rw, summary.size_root_fs) = (own, with_image);
                    });
                }
            }
        }
        Ok(listed)
    }

    fn query<'a>(&self, filters: &'a Filters) -> Result<Query<'a>, Failure> {
        filters.only(&FILTERS)?;
        let mut exited = Vec::new();
        for code in filters.get("exited") {
            exited.push(code.parse::<i32>().map_err(|_| no_number("strconv.Atoi", code))?);
        }
        for status in filters.get("status") {
            let known =
                ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
            if !known.contains(&status.as_str()) {
                return Err(Failure::invalid(format!(
                    "Invalid filter 'status={status}': invalid value for state ({status}): must be one of {}",
                    known.join(", ")
                )));
            }
        }
        for health in filters.get("health") {
            if !matches!(health.as_str(), "none" | "starting" | "healthy" | "unhealthy") {
                return Err(Failure::invalid(format!(
                    "Unrecognised filter value for health: {health}"
                )));
            }
        }
        filters.flag("is-task")?;
        let created = |name: Option<&String>| -> Result<Option<i64>, Failure> {
            let missing = |name: &str| Failure::not_found(format!("no such container {name}"));
            let of = |name: &String| self.0.containers.find(name).map_err(|_| missing(name));
            name.map(|name| Ok(of(name)?.view().config.created)).transpose()
        };
        let (mut ports, mut published) = (Vec::new(), Vec::new());
        for key in ["expose", "publish"] {
            for value in filters.get(key) {
                let (number, protocol) = value.split_once('/').unwrap_or((value, "tcp"));
                let number = number.split('-').next().unwrap_or_default();
                let number: u16 = number.parse().map_err(|_| {
                    let cause = no_number("strconv.ParseUint", number);
                    Failure::invalid(format!("error while looking up for {key} {value}: {cause}"))
                })?;
                if key == "expose" {
                    ports.push(format!("{number}/{protocol}"));
                } else {
                    published.push((number, protocol.to_owned()));
                }
            }
        }
        Ok(Query {
            filters,
            exited,
            before: created(filters.get("before").first())?,
            since: created(filters.get("since").first())?,
            ancestors: filters.has("ancestor").then(|| self.ancestors(filters.get("ancestor"))),
            ports,
            published,
        })
    }

    /// The images that are meant, as far as they exist.
    fn ancestors(&self, names: &[String]) -> Vec<Image> {
        names.iter().filter_map(|name| self.0.images.resolve(name).ok()).collect()
    }

    /// What each name that a container was made from stands for now.
    fn images_by_name(&self, views: &[Arc<View>]) -> BTreeMap<String, Option<String>> {
        let names: BTreeSet<&str> =
            views.iter().map(|view| view.config.config.image.as_str()).collect();
        let id = |name: &str| self.0.images.resolve(name).ok().map(|image| image.id.to_string());
        names.into_iter().map(|name| (name.to_owned(), id(name))).collect()
    }
}

/// Whether an image is another or was made from it: it begins with the other's layers.
fn descends(image: &ImagePin, from: &Image) -> bool {
    let below = from.snapshots();
    image.id == from.id.as_str() || !below.is_empty() && image.layers.starts_with(&below)
}

impl Query<'_> {
    fn matches(&self, view: &View) -> bool {
        let (config, filters) = (&view.config, self.filters);
        if filters.is_empty() {
            return true;
        }
        let created = config.created;
        let network = config.network_name().unwrap_or_default();
        let networks = config.networks();
        let in_network = |wanted: &String| {
            wanted == network
                || networks.contains(&wanted.as_str())
                || view
                    .outcome
                    .endpoints
                    .iter()
                    .any(|own| own.network_id.starts_with(wanted.as_str()))
                || crate::network::PREDEFINED
                    .iter()
                    .any(|(name, _, id)| *name == network && id.starts_with(wanted.as_str()))
        };
        let exited = |code| view.state == State::Exited && code == view.outcome.exit_code;
        let volume = |wanted: &String| {
            config.mounts.iter().any(|mount| {
                mount.name == *wanted || mount.destination == *wanted || mount.source == *wanted
            })
        };
        self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since)
            && filters.any("id", |id| config.id.as_str().starts_with(id.as_str()))
            && (filters.regex("name", &format!("/{}", config.name))
                || filters.regex("name", &config.name))
            && filters.labels(&config.config.labels)
            && filters.exact("status", view.state.word())
            && (self.exited.is_empty() || self.exited.iter().any(|code| exited(*code)))
            && self
                .ancestors
                .as_ref()
                .is_none_or(|all| all.iter().any(|from| descends(&config.image, from)))
            && (self.ports.is_empty()
                || self.ports.iter().any(|port| config.config.exposed_ports.contains_key(port)))
            && (self.published.is_empty()
                || self.published.iter().any(|wanted| is_published(view, wanted)))
            && filters.any("volume", volume)
            && filters.any("network", in_network)
            && filters.any("isolation", |wanted| wanted == "default")
            && filters
                .exact("health", view.health.as_ref().map_or("none", |health| health.status.word()))
            && filters.flag("is-task").is_ok_and(|wanted| wanted != Some(true))
    }
}

/// What a list says of a container, but for its status.
fn summary(shared: &Shared, view: &View) -> Summary {
    let config = &view.config;
    Summary {
        id: config.id.to_string(),
        names: vec![format!("/{}", config.name)],
        image: config.config.image.clone(),
        image_id: config.image.id.clone(),
        command: command(&config.path, &config.args),
        created: config.created.div_euclid(1_000_000_000),
        ports: ports(view),
        labels: config.config.labels.clone().into_inner().into(),
        state: view.state.word().into(),
        host_config: SummaryHostConfig {
            network_mode: config.host.network_mode.clone(),
            annotations: config.host.annotations.clone(),
        },
        network_settings: SummaryNetworkSettings { networks: inspect::networks(shared, view) },
        mounts: inspect::mounts(shared, config),
        health: view.health.as_deref().map(Health::summary),
        ..Summary::default()
    }
}

fn ports(view: &View) -> Vec<Port> {
    if !view.state.has_process() || view.config.network_mode() != super::config::Mode::Own {
        return Vec::new();
    }
    ports::listed(&view.config, &view.outcome.ports)
}

/// Whether a port of the host leads to the container.
fn is_published(view: &View, (number, protocol): &(u16, String)) -> bool {
    view.outcome.ports.iter().any(|port| {
        port.host.is_some_and(|(_, host_port)| host_port == *number)
            && ports::word(port.protocol) == protocol
    })
}

/// The program with its arguments; those with white space are quoted.
fn command(path: &str, args: &[String]) -> String {
    let mut words = vec![path.to_owned()];
    for arg in args {
        words.push(if arg.contains(' ') { format!("'{arg}'") } else { arg.clone() });
    }
    words.join(" ")
}

/// The text of the STATUS column.
pub(crate) fn status(view: &View, now: i64) -> String {
    let since = |at: Option<i64>| {
        human(Duration::from_nanos(now.saturating_sub(at.unwrap_or(now)).max(0).unsigned_abs()))
    };
    let outcome = &view.outcome;
    let text = match view.state {
        State::Running => match &view.health {
            Some(health) => format!("Up {} ({})", since(outcome.started_at), health.words()),
            None => format!("Up {}", since(outcome.started_at)),
        },
        State::Paused => format!("Up {} (Paused)", since(outcome.started_at)),
        State::Restarting => {
            format!("Restarting ({}) {} ago", outcome.exit_code, since(outcome.finished_at))
        }
        State::Removing => "Removal In Progress".to_owned(),
        State::Dead => "Dead".to_owned(),
        State::Created => "Created".to_owned(),
        State::Starting if outcome.started_at.is_none() => "Created".to_owned(),
        State::Starting | State::Exited => {
            format!("Exited ({}) {} ago", outcome.exit_code, since(outcome.finished_at))
        }
    };
    match view.busy.filter(|busy| busy.since.elapsed() > STUCK) {
        Some(busy) => format!(
            "{text} (stuck: {} for {})",
            busy.verb,
            human(busy.since.elapsed()).to_lowercase()
        ),
        None => text,
    }
}

/// A duration as Docker words it.
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// Docker passes on what Go's reader of numbers says.
fn no_number(reader: &str, text: &str) -> Failure {
    Failure::invalid(format!("{reader}: parsing {text:?}: invalid syntax"))
}

#[cfg(test)]
mod tests {
    use super::super::live::{Busy, Outcome};
    use super::*;

    #[test]
    fn durations_read_as_dockers() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (46 * 60, "46 minutes"),
            (61 * 60, "About an hour"),
            (3 * 3600, "3 hours"),
            (3 * 86_400, "3 days"),
            (21 * 86_400, "3 weeks"),
            (100 * 86_400, "3 months"),
            (800 * 86_400, "2 years"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_container_that_waits_for_long_is_shown_as_stuck() {
        let config = serde_json::json!({"id": "ab".repeat(32), "name": "web", "created": 0, "path": "sh", "args": [],
            "image": {"id": "", "layers": [], "platform": spec::Platform::host()}, "config": {}, "host": {},
            "endpoints": {}, "mounts": []});
        let config = Arc::new(serde_json::from_value(config).unwrap());
        let outcome = Outcome { started_at: Some(0), ..Outcome::default() };
        let mut view = View::idle(config, State::Running, outcome);
        let minute = 60_000_000_000;
        assert_eq!(status(&view, minute), "Up About a minute");
        let since = std::time::Instant::now().checked_sub(Duration::from_secs(8)).unwrap();
        view.busy = Some(Busy { verb: "kill container", since });
        assert_eq!(
            status(&view, minute),
            "Up About a minute (stuck: kill container for 8 seconds)"
        );
    }

    #[test]
    fn commands_quote_arguments_with_spaces() {
        assert_eq!(command("sh", &["-c".into(), "echo hi".into()]), "sh -c 'echo hi'");
    }
}

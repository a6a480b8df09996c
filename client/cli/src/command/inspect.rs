//! `inspect`, of one kind or of any.

use crate::arg::{Flags, switch, value};
use crate::command::Invocation;
use crate::command::image_files::image_path;
use crate::command::lifecycle::container_path;
use crate::failure::Failure;
use crate::format::json;
use crate::format::template::{Template, unescaped};
use crate::output;
use clap::Arg;
use client_http::{Client, Query, Request, escape_path};
use serde_json::Value;

fn format() -> Arg {
    value("format", 'f', "string", "Format output: 'json' or a Go template")
}

pub(crate) fn container_flags() -> Vec<Arg> {
    vec![format(), switch("size", 's', "Display total file sizes")]
}

pub(crate) fn image_flags() -> Vec<Arg> {
    vec![
        format(),
        value(
            "platform",
            None,
            "string",
            "Inspect a specific platform of the multi-platform image",
        ),
    ]
}

pub(crate) fn network_flags() -> Vec<Arg> {
    vec![format(), switch("verbose", 'v', "Verbose output for diagnostics")]
}

pub(crate) fn volume_flags() -> Vec<Arg> {
    vec![format()]
}

pub(crate) fn any_flags() -> Vec<Arg> {
    vec![
        format(),
        switch("size", 's', "Display total file sizes if the type is container"),
        value("type", None, "string", "Only inspect objects of the given type"),
    ]
}

/// What can be inspected, in the order in which a name is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Container,
    Image,
    Network,
    Volume,
    Plugin,
}

impl Kind {
    const ALL: [(&'static str, Self); 5] = [
        ("container", Self::Container),
        ("image", Self::Image),
        ("network", Self::Network),
        ("volume", Self::Volume),
        ("plugin", Self::Plugin),
    ];

    fn request(self, name: &str, flags: &Flags) -> Request {
        let named = |folder: &str, rest: &str| format!("/{folder}/{}{rest}", escape_path(name));
        match self {
            Self::Container => Request::get(container_path(name, "/json"))
                .query(Query::new().with_switch("size", flags.on("size"))),
            Self::Image => Request::get(image_path(name, "/json")),
            Self::Network => {
                let query = if flags.on("verbose") {
                    Query::new().with("verbose", "true")
                } else {
                    Query::new()
                };
                Request::get(named("networks", "")).query(query)
            }
            Self::Volume => Request::get(named("volumes", "")),
            Self::Plugin => Request::get(named("plugins", "/json")),
        }
    }
}

pub(crate) async fn container(invocation: Invocation) -> Result<(), Failure> {
    several(invocation, &[Kind::Container]).await
}

pub(crate) async fn image(invocation: Invocation) -> Result<(), Failure> {
    several(invocation, &[Kind::Image]).await
}

pub(crate) async fn network(invocation: Invocation) -> Result<(), Failure> {
    several(invocation, &[Kind::Network]).await
}

pub(crate) async fn volume(invocation: Invocation) -> Result<(), Failure> {
    several(invocation, &[Kind::Volume]).await
}

pub(crate) async fn any(invocation: Invocation) -> Result<(), Failure> {
    let wanted = invocation.flags.text("type");
    if invocation.flags.given("type") && wanted.is_empty() {
        return Err(Failure::Plain("type is empty: must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\"".into()));
    }
    if wanted.is_empty() {
        return several(invocation, &Kind::ALL.map(|(_, kind)| kind)).await;
    }
    match Kind::ALL.iter().find(|(name, _)| *name == wanted) {
        Some((_, kind)) => several(invocation, &[*kind]).await,
        None => Err(Failure::Plain(format!(
            "unknown type: {wanted:?}: must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\""
        ))),
    }
}

async fn several(invocation: Invocation, kinds: &[Kind]) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let client = session.client().await?;
    let mut show = Show::new(&flags.text("format"))?;
    let mut errors = Vec::new();
    for name in &args {
        match find(&client, name, kinds, &flags).await {
            Ok(text) => {
                if let Err(text) = show.object(&text)? {
                    errors.push(text);
                    break;
                }
            }
            Err(failure) => errors.push(failure.to_string()),
        }
    }
    show.finish()?;
    Failure::unless_empty(errors)
}

async fn find(
    client: &Client,
    name: &str,
    kinds: &[Kind],
    flags: &Flags,
) -> Result<String, Failure> {
    for kind in kinds {
        match client.send(kind.request(name, flags)).await {
            Ok(response) => {
                if *kind == Kind::Image && kinds.len() > 1 && flags.on("size") {
                    output::complain("WARNING: --size ignored for image");
                }
                return Ok(String::from_utf8_lossy(&response.bytes().await?).into_owned());
            }
            Err(error) if error.is_not_found() && kinds.len() > 1 => {}
            // A plugin is looked for last; an engine without plugins or with a strange name has none.
            Err(error) if *kind == Kind::Plugin && kinds.len() > 1 && error.status().is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::Plain(format!("Error: No such object: {name}")))
}

/// How objects are shown: all together as an indented list, or each by a template.
pub(crate) struct Show {
    template: Option<(Template, String)>,
    lines: bool,
    texts: Vec<String>,
}

impl Show {
    pub(crate) fn new(format: &str) -> Result<Self, Failure> {
        let template = match format {
            "" | "json" => None,
            text => Some((Template::parse(&unescaped(text))?, text.to_owned())),
        };
        Ok(Self { template, lines: format == "json", texts: Vec::new() })
    }

    /// Takes one object. The inner error is a template that does not fit it.
    pub(crate) fn object(&mut self, text: &str) -> Result<Result<(), String>, Failure> {
        let text = text.trim();
        let Some((template, source)) = &self.template else {
            self.texts.push(text.to_owned());
            return Ok(Ok(()));
        };
        if let Some(raw) = json_path(source).and_then(|path| json::raw_at(text, &path)) {
            output::line(raw)?;
            return Ok(Ok(()));
        }
        let mut value: Value = serde_json::from_str(text)?;
        fill(&mut value);
        match template.render(&value) {
            Ok(rendered) => {
                output::line(rendered)?;
                Ok(Ok(()))
            }
            Err(error) => {
                output::line("")?;
                Ok(Err(format!("template parsing error: {}", error.in_map())))
            }
        }
    }

    pub(crate) fn finish(self) -> Result<(), Failure> {
        if self.template.is_some() {
            return Ok(());
        }
        let text = format!("[{}]", self.texts.join(","));
        Ok(output::line(if self.lines { text } else { json::pretty(&text, "    ") })?)
    }
}

/// Fields that the engine leaves out when they are empty, and their values: a template may ask for them.
const LEFT_OUT: [(&str, &str, &str); 12] = [
    ("", "SizeRw", "null"),
    ("", "SizeRootFs", "null"),
    ("State", "Health", "null"),
    ("Config", "OnBuild", "null"),
    ("Config", "Healthcheck", "null"),
    ("Config", "Shell", "null"),
    ("Config", "StopTimeout", "null"),
    ("Config", "StopSignal", "\"\""),
    ("Config", "ExposedPorts", "null"),
    ("Config", "Volumes", "null"),
    ("Config", "ArgsEscaped", "false"),
    ("Config", "NetworkDisabled", "false"),
];

/// Adds what was left out of a container's or an image's description.
fn fill(value: &mut Value) {
    let container = value.get("State").is_some();
    for (part, name, default) in LEFT_OUT {
        let part = match part {
            "" if container => Some(&mut *value),
            "" => None,
            part => value.get_mut(part),
        };
        if let Some(Value::Object(fields)) = part {
            let default = serde_json::from_str(default).unwrap_or_default();
            fields.entry(name).or_insert(default);
        }
    }
}

/// The path of `{{json .A.B}}`, whose order of keys is kept this way.
fn json_path(text: &str) -> Option<Vec<&str>> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let path = inner.strip_prefix("json ")?.trim();
    let names = path.strip_prefix('.')?;
    let plain = |symbol: char| symbol.is_ascii_alphanumeric() || ['.', '_'].contains(&symbol);
    if !names.chars().all(plain) {
        return None;
    }
    Some(if names.is_empty() { Vec::new() } else { names.split('.').collect() })
}

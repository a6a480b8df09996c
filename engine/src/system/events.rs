//! Events as a client asks for them: a range of time, and filters.

use crate::event::{Heard, Subscription, now};
use crate::{Engine, Filters};
use api_types::event::Event;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A range of time: seconds since 1970 and nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventRange {
    /// Kept events from here on; without it no past ones.
    pub since: Option<(i64, u32)>,
    /// The stream ends here; without it never.
    pub until: Option<(i64, u32)>,
}

/// Events that match, in their order.
#[derive(Debug)]
pub struct EventStream {
    past: VecDeque<Arc<Event>>,
    subscription: Subscription,
    filters: Filters,
    /// Nanoseconds since 1970.
    until: Option<i64>,
}

impl Engine {
    /// The events of a range that match. Unknown filters are ignored, as ever.
    pub fn event_stream(&self, range: EventRange, filters: Filters) -> EventStream {
        let (past, subscription) = self.events().subscribe();
        EventStream::new(past, subscription, range, filters)
    }
}

fn nanos((seconds, nanoseconds): (i64, u32)) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(nanoseconds))
}

impl EventStream {
    fn new(
        past: Vec<Arc<Event>>,
        subscription: Subscription,
        range: EventRange,
        filters: Filters,
    ) -> Self {
        let until = range.until.map(nanos);
        // With an end alone all kept events before it are meant.
        let since = match (range.since, until) {
            (Some(since), _) => nanos(since),
            (None, Some(_)) => i64::MIN,
            (None, None) => i64::MAX,
        };
        let in_range = |event: &Arc<Event>| {
            event.time_nano >= since && until.is_none_or(|until| event.time_nano <= until)
        };
        let past = past.into_iter().filter(in_range).collect();
        Self { past, subscription, filters, until }
    }

    /// The next event; `None` at the end of the range. Safe to be cancelled.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            let event = match self.past.pop_front() {
                Some(event) => event,
                None => self.future().await?,
            };
            if matches(&self.filters, &event) {
                return Some(event);
            }
        }
    }

    async fn future(&self) -> Option<Arc<Event>> {
        loop {
            let heard = match self.until {
                None => self.subscription.next().await,
                Some(until) => {
                    let left = u64::try_from(until.saturating_sub(now())).ok()?;
                    let next = self.subscription.next();
                    tokio::time::timeout(Duration::from_nanos(left), next).await.ok()?
                }
            };
            match heard {
                Heard::Event(event) => return Some(event),
                Heard::Lost(count) => tracing::warn!(count, "a client reads events too slowly"),
            }
        }
    }
}

/// Whether an event matches all filters.
fn matches(filters: &Filters, event: &Event) -> bool {
    let attribute = |key: &str| event.actor.attributes.get(key).map_or("", String::as_str);
    let name = attribute("name");
    // What stands after a colon belongs to the single event: `exec_create: sh`, `health_status: healthy`.
    let action = event.action.split(':').next().unwrap_or_default();
    let of_kind = |kind: &str| {
        filters.any(kind, |wanted| {
            event.kind == kind
                && (wanted == &event.actor.id
                    || wanted == name
                    || (kind == "container" && event.actor.id.starts_with(wanted.as_str())))
        })
    };
    // Without the tag, a name means all tags.
    let untagged = |text: &str| match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name.to_owned(),
        _ => text.to_owned(),
    };
    let image = match event.kind.as_str() {
        "image" => Some((event.actor.id.as_str(), name)),
        "container" => Some(("", attribute("image"))),
        _ => None,
    };
    let of_image = filters.any("image", |wanted| {
        image.is_some_and(|(id, name)| wanted == id || wanted == name || *wanted == untagged(name))
    });
    filters.any("event", |wanted| wanted == &event.action || wanted == action)
        && filters.exact("type", &event.kind)
        && filters.exact("scope", &event.scope)
        && filters.labels(&event.actor.attributes)
        && ["container", "daemon", "network", "plugin", "volume"].iter().all(|kind| of_kind(kind))
        && of_image
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Bus;
    use std::collections::BTreeMap;

    fn filters(entries: &[(&str, &str)]) -> Filters {
        Filters::new(entries.iter().map(|(k, v)| ((*k).to_owned(), vec![(*v).to_owned()])))
    }

    fn attributes(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn bus() -> Bus {
        let bus = Bus::new(10, Vec::new());
        let container = attributes(&[("name", "web"), ("image", "nginx:1"), ("team", "a")]);
        bus.publish("container", "exec_create: sh", "abc123", container);
        bus.publish("image", "tag", "sha256:1", attributes(&[("name", "nginx:1")]));
        bus.publish("volume", "create", "data", attributes(&[]));
        bus
    }

    /// The kept events of a range that match.
    fn actions(range: EventRange, wanted: &[(&str, &str)]) -> Vec<String> {
        let (past, subscription) = bus().subscribe();
        let stream = EventStream::new(past, subscription, range, filters(wanted));
        let kept = stream.past.iter().filter(|event| matches(&stream.filters, event));
        kept.map(|event| event.action.clone()).collect()
    }

    #[test]
    fn past_events_are_filtered_by_object_label_and_action() {
        let all = EventRange { since: Some((0, 0)), until: None };
        type Row = (&'static [(&'static str, &'static str)], &'static [&'static str]);
        let table: [Row; 9] = [
            (&[], &["exec_create: sh", "tag", "create"]),
            (&[("container", "web")], &["exec_create: sh"]),
            (&[("container", "abc")], &["exec_create: sh"]),
            (&[("image", "nginx")], &["exec_create: sh", "tag"]),
            (&[("event", "exec_create")], &["exec_create: sh"]),
            (&[("type", "volume")], &["create"]),
            (&[("label", "team=a")], &["exec_create: sh"]),
            (&[("label", "team=b")], &[]),
            (&[("unknown", "x")], &["exec_create: sh", "tag", "create"]),
        ];
        for (wanted, expected) in table {
            assert_eq!(actions(all, wanted), expected, "{wanted:?}");
        }
    }

    #[tokio::test]
    async fn a_range_that_is_over_gives_only_what_was_kept_in_it() {
        let (past, subscription) = bus().subscribe();
        let range = EventRange { since: None, until: Some((1, 0)) };
        let mut stream = EventStream::new(past, subscription, range, Filters::default());
        assert_eq!(stream.next().await, None);
    }

    #[test]
    fn without_a_range_no_past_events_are_given() {
        assert!(actions(EventRange::default(), &[]).is_empty());
        let until = EventRange { since: None, until: Some((i64::MAX, 0)) };
        assert_eq!(actions(until, &[]).len(), 3);
    }
}

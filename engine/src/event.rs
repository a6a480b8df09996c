//! Events: what happened to which object, told to every client that listens.
//!
//! Publishing never waits. Each listener has a ring of its own; one that does not read loses its oldest events and is
//! told how many. The last events are kept for listeners that ask for past ones, also over a restart of the engine
//! ([`crate::store`] holds them; a task writes them in batches).

use api_types::event::{Actor, Event};
use api_types::{Map, time};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Events that wait for one listener.
const RING: usize = 1024;

/// Now: nanoseconds since 1970.
pub fn now() -> i64 {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// Go's text of a time in nanoseconds since 1970; the zero time for none.
pub fn time_text(nanos: Option<i64>) -> String {
    match nanos {
        Some(nanos) => {
            let rest = u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default();
            time::rfc3339_nano(nanos.div_euclid(1_000_000_000), rest)
        }
        None => time::ZERO.to_owned(),
    }
}

/// What a listener gets.
#[derive(Debug, Clone)]
pub enum Heard {
    /// An event.
    Event(Arc<Event>),
    /// This many events were dropped because the listener did not read.
    Lost(u64),
}

#[derive(Debug, Default)]
struct Ring {
    waiting: VecDeque<Arc<Event>>,
    lost: u64,
}

#[derive(Debug, Default)]
struct Listener {
    ring: Mutex<Ring>,
    wake: Notify,
}

#[derive(Debug)]
struct Shared {
    kept: VecDeque<(u64, Arc<Event>)>,
    most: usize,
    next: u64,
    listeners: Vec<std::sync::Weak<Listener>>,
}

/// Where events go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    shared: Arc<Mutex<Shared>>,
    changed: Arc<Notify>,
}

impl Bus {
    /// A bus that keeps the last `most` events; `kept` are those of earlier, with their numbers, oldest first.
    pub fn new(most: usize, kept: Vec<(u64, Event)>) -> Self {
        let next = kept.last().map_or(0, |(number, _)| number + 1);
        let kept = kept.into_iter().map(|(number, event)| (number, Arc::new(event))).collect();
        let shared = Shared { kept, most: most.max(1), next, listeners: Vec::new() };
        Self { shared: Arc::new(Mutex::new(shared)), changed: Arc::new(Notify::new()) }
    }

    /// Tells every listener that `action` happened to the object `id` of type `kind`, just now.
    pub fn publish(
        &self,
        kind: &str,
        action: &str,
        id: &str,
        attributes: BTreeMap<String, String>,
    ) {
        let at = now();
        let event = Arc::new(Event {
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), attributes: Map::from(attributes) },
            scope: "local".into(),
            time: at.div_euclid(1_000_000_000),
            time_nano: at,
        });
        let mut shared = self.lock();
        let number = shared.next;
        shared.next += 1;
        shared.kept.push_back((number, Arc::clone(&event)));
        while shared.kept.len() > shared.most {
            shared.kept.pop_front();
        }
        shared.listeners.retain(|listener| {
            let Some(listener) = listener.upgrade() else { return false };
            let mut ring = listener.ring.lock().unwrap_or_else(PoisonError::into_inner);
            if ring.waiting.len() >= RING {
                ring.waiting.pop_front();
                ring.lost += 1;
            }
            ring.waiting.push_back(Arc::clone(&event));
            listener.wake.notify_one();
            true
        });
        drop(shared);
        self.changed.notify_one();
    }

    /// The events that are kept, oldest first, and a listener that misses none after them.
    pub fn subscribe(&self) -> (Vec<Arc<Event>>, Subscription) {
        let listener = Arc::new(Listener::default());
        let mut shared = self.lock();
        shared.listeners.push(Arc::downgrade(&listener));
        let past = shared.kept.iter().map(|(_, event)| Arc::clone(event)).collect();
        (past, Subscription { listener })
    }

    /// The kept events from number `from` on, and the lowest number that is kept.
    pub(crate) fn since(&self, from: u64) -> (Vec<(u64, Arc<Event>)>, u64) {
        let shared = self.lock();
        let lowest = shared.kept.front().map_or(shared.next, |(number, _)| *number);
        let newer = shared.kept.iter().filter(|(number, _)| *number >= from).cloned().collect();
        (newer, lowest)
    }

    /// Returns after the next event.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener's end of the bus.
#[derive(Debug)]
pub struct Subscription {
    listener: Arc<Listener>,
}

impl Subscription {
    /// The next event, or how many were lost before it. Safe to be cancelled.
    pub async fn next(&self) -> Heard {
        loop {
            let wake = self.listener.wake.notified();
            {
                let mut ring = self.listener.ring.lock().unwrap_or_else(PoisonError::into_inner);
                if ring.lost > 0 {
                    return Heard::Lost(std::mem::take(&mut ring.lost));
                }
                if let Some(event) = ring.waiting.pop_front() {
                    return Heard::Event(event);
                }
            }
            wake.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(bus: &Bus, count: usize) {
        for number in 0..count {
            bus.publish("container", "create", &number.to_string(), BTreeMap::new());
        }
    }

    #[tokio::test]
    async fn a_listener_that_does_not_read_loses_the_oldest_and_is_told() {
        let bus = Bus::new(4, Vec::new());
        let (past, slow) = bus.subscribe();
        assert!(past.is_empty());
        publish(&bus, RING + 3);
        assert!(matches!(slow.next().await, Heard::Lost(3)));
        let Heard::Event(event) = slow.next().await else { panic!("an event") };
        assert_eq!(event.actor.id, "3");
    }

    #[tokio::test]
    async fn only_the_last_events_are_kept_and_numbers_go_on_after_a_restart() {
        let bus = Bus::new(3, vec![(7, Event::default())]);
        publish(&bus, 4);
        let (past, _) = bus.subscribe();
        let ids: Vec<_> = past.iter().map(|event| event.actor.id.as_str()).collect();
        assert_eq!(ids, ["1", "2", "3"]);
        let (newer, lowest) = bus.since(10);
        assert_eq!((newer.len(), newer[0].0, lowest), (2, 10, 9));
    }

    #[tokio::test]
    async fn a_listener_wakes_for_an_event_that_comes_later() {
        let bus = Bus::new(3, Vec::new());
        let (_, listener) = bus.subscribe();
        let heard = tokio::spawn(async move { listener.next().await });
        tokio::task::yield_now().await;
        publish(&bus, 1);
        assert!(matches!(heard.await.unwrap(), Heard::Event(_)));
    }
}

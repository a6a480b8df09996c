//! The owner's part: when is asked, and what the answers change.

use super::check::Check;
use super::monitor::{Monitor, ran};
use super::state::{Health, Outcome, Status};
use crate::container::actor::Actor;
use crate::container::state::State;
use crate::store;
use spec::Failure;
use std::sync::Arc;

impl Actor {
    /// The container has been started: what was before does not count.
    pub(crate) fn begin_health(&mut self) {
        let check = Check::of(&self.view.config.config);
        if check.is_none() && self.view.health.is_none() {
            return;
        }
        self.view.health = check.map(|_| Arc::new(Health::started(self.view.health.as_deref())));
        self.save_health();
        self.ask_for_health();
    }

    /// Asks a container that runs from now on, whatever was known before: after a pause, or a restart of the engine.
    pub(crate) fn ask_for_health(&mut self) {
        self.monitor = None;
        let (Some(check), Some(health)) = (Check::of(&self.view.config.config), &self.view.health)
        else {
            return;
        };
        self.monitors += 1;
        let started_at = self.view.outcome.started_at.unwrap_or_default();
        let now = (self.monitors, started_at, health.status);
        self.monitor = Some(Monitor::start(&self.shared, self.id().clone(), check, now));
    }

    /// Asks no more. As with dockerd a container that nobody asks is unhealthy, which is no event.
    pub(crate) fn end_health(&mut self) {
        self.monitor = None;
        if let Some(health) = self.view.health.as_mut().filter(|h| h.status != Status::Unhealthy) {
            Arc::make_mut(health).status = Status::Unhealthy;
            self.save_health();
        }
    }

    /// Takes an answer; answers how the container is now. One that belongs to an earlier run changes nothing.
    pub(crate) fn probed(&mut self, number: u64, outcome: Outcome) -> Result<Status, Failure> {
        let late = || Failure::conflict(format!("container {} is not asked any more", self.id()));
        let current = self.monitor.as_ref().is_some_and(|monitor| monitor.number == number);
        if !current || self.view.state != State::Running {
            return Err(late());
        }
        let check = Check::of(&self.view.config.config).ok_or_else(late)?;
        let ran = ran(self.view.outcome.started_at.unwrap_or_default(), outcome.start);
        let health = self.view.health.get_or_insert_with(|| Arc::new(Health::started(None)));
        let before = health.status;
        let health = Arc::make_mut(health);
        health.take(outcome, ran, &check);
        let now = health.status;
        self.publish();
        if now != before {
            self.save_health();
            self.tell(&format!("health_status: {}", now.word()), &[]);
        }
        Ok(now)
    }

    /// Writes it down, for the next engine.
    fn save_health(&self) {
        let id = self.id();
        let saved = store::change(&self.shared.store, |writer| match &self.view.health {
            Some(health) => writer.put(store::HEALTH, id, health.as_ref()),
            None => writer.remove(store::HEALTH, id).map(|_| ()),
        });
        if let Err(failure) = saved {
            tracing::warn!(container = id.as_str(), "health was not written down: {failure}");
        }
    }
}

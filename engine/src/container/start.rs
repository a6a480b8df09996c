//! Starting: by hand, by policy, and taking over a container that runs already when the engine starts.

use super::actor::Actor;
use super::launch::{self, Launched};
use super::live::Plugged;
use super::restart::Ended;
use super::state::{State, Step};
use super::volume_events;
use crate::event;
use crate::network::endpoint;
use spec::{Class, Failure};
use std::time::Duration;
use tokio::time::Instant;
use transport::Channel;

/// Docker's exit codes of a program that could not be started.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;
const OTHER_FAILURE: i32 = 128;

impl Actor {
    pub(super) async fn start_by_hand(&mut self) -> Result<(), Failure> {
        match self.view.state {
            State::Running | State::Starting => {
                return Err(Failure::new(Class::NotModified, "container is already running"));
            }
            State::Paused => {
                return Err(Failure::conflict(
                    "cannot start a paused container, try unpause instead",
                ));
            }
            State::Removing | State::Dead => {
                return Err(Failure::conflict(
                    "container is marked for removal and cannot be started",
                ));
            }
            State::Created | State::Exited | State::Restarting => {}
        }
        self.due = None;
        self.restarts = Default::default();
        self.view.outcome.restarts = 0;
        self.view.outcome.stopped_by_hand = false;
        let started = self.start(false).await;
        if started.is_err() && self.view.config.host.auto_remove {
            // The client hears why the start failed, not how the clean-up went.
            self.remove(true).await.ok();
        }
        started
    }

    pub(super) async fn start_by_policy(&mut self) {
        if let Err(failure) = self.start(true).await {
            tracing::warn!(container = self.id().as_str(), "restart failed: {failure}");
        }
    }

    async fn start(&mut self, by_policy: bool) -> Result<(), Failure> {
        self.step(Step::Start)?;
        (self.by_hand, self.stopping) = (false, false);
        let taken = endpoint::plug_all(&self.shared.networks, &self.view.config);
        let started = match taken {
            Ok(plugged) => self.launch(plugged).await,
            Err(failure) => Err(failure),
        };
        match started {
            Ok(launched) => self.running(launched),
            Err(failure) => {
                self.start_failed(&failure, by_policy).await;
                Err(failure)
            }
        }
    }

    async fn launch(&mut self, plugged: Vec<Plugged>) -> Result<Launched, Failure> {
        let outcome = &mut self.view.outcome;
        (outcome.running, outcome.oom_killed, outcome.exit_code) = (true, false, 0);
        outcome.error.clear();
        outcome.endpoints = plugged;
        outcome.ports.clear();
        self.busy("start container");
        if self.task_left {
            // What an earlier run, or a start that was cut, has left and could not be removed then.
            self.shared.workers.delete_task(self.id().clone(), None).await?;
        }
        self.task_left = true;
        // Written before the process exists, so that a process without a record cannot be.
        self.save_outcome()?;
        let attaches = std::mem::take(&mut self.pending);
        let config = std::sync::Arc::clone(&self.view.config);
        let plugged = self.view.outcome.endpoints.clone();
        let pristine = self.pristine;
        let shared = std::sync::Arc::clone(&self.shared);
        let launched =
            Box::pin(launch::launch(&shared, &config, &plugged, pristine, attaches)).await;
        if launched.is_err() {
            // A launch of which nobody knows how it ended must leave nothing behind.
            self.task_left = shared.workers.delete_task(config.id.clone(), None).await.is_err();
        }
        launched
    }

    fn running(&mut self, launched: Launched) -> Result<(), Failure> {
        self.step(Step::Started)?;
        self.pristine = false;
        self.channel = Some(launched.channel);
        self.view.pid = launched.pid;
        self.view.outcome.started_at = Some(launched.at);
        self.view.outcome.ports = launched.ports;
        self.begin_health();
        self.publish();
        for warning in launched.warnings {
            tracing::warn!(container = self.id().as_str(), "{warning}");
        }
        self.tell_network("connect");
        volume_events(&self.shared, &self.view.config, "mount");
        self.tell("start", &[]);
        // Behind everything that somebody waits for; without it only the time of the start would be lost in a crash.
        if let Err(failure) = self.save_outcome() {
            tracing::warn!(
                container = self.id().as_str(),
                "the start was not written down: {failure}"
            );
        }
        Ok(())
    }

    async fn start_failed(&mut self, failure: &Failure, by_policy: bool) {
        self.leave_networks().await;
        let outcome = &mut self.view.outcome;
        outcome.exit_code = match failure.class {
            Class::CommandNotFound => NOT_FOUND,
            Class::CommandNotExecutable => NOT_EXECUTABLE,
            _ => OTHER_FAILURE,
        };
        outcome.error.clone_from(&failure.message);
        let ended = Ended { code: outcome.exit_code, by_hand: false, ran: Duration::ZERO };
        let policy = self.policy();
        let pause = if by_policy { self.restarts.next(policy, ended) } else { None };
        let ran_before = self.view.outcome.started_at.is_some();
        self.view.outcome.running = pause.is_some();
        self.view.outcome.restarts = self.restarts.count;
        self.due = pause.map(|pause| Instant::now() + pause);
        // Starting always has this step.
        self.step(Step::StartFailed { ran_before, again: pause.is_some() }).ok();
        if let Err(error) = self.save_outcome() {
            tracing::error!(
                container = self.id().as_str(),
                "a failed start was not written down: {error}"
            );
        }
        self.publish();
    }

    /// Takes over a process that ran before this engine was started.
    pub(crate) fn adopt(&mut self, channel: Channel, pid: i32, started_at: i64, frozen: bool) {
        for plugged in &self.view.outcome.endpoints {
            if !endpoint::adopt(&self.shared.networks, plugged) {
                tracing::error!(
                    container = self.id().as_str(),
                    network = plugged.network,
                    "its address there is another's, or its network is gone"
                );
            }
        }
        self.shared.networks.publish(self.id(), self.view.outcome.ports.clone());
        self.channel = Some(channel);
        self.pristine = false;
        self.view.state = if frozen { State::Paused } else { State::Running };
        self.view.pid = pid;
        self.view.outcome.started_at = Some(started_at);
        if !frozen {
            self.ask_for_health();
        }
        self.publish();
    }

    /// Takes over a process of which only the end is known.
    pub(crate) fn adopt_without_shim(&mut self, started_at: i64) {
        self.view.state = State::Running;
        self.pristine = false;
        self.view.outcome.started_at = Some(started_at);
        // Addresses and ports are free already: nobody has taken them in this engine.
        self.view.outcome.endpoints.clear();
        self.view.outcome.ports.clear();
    }

    /// Takes over an end that this engine did not hear of.
    pub(crate) async fn take_exit(&mut self, exit: messages::shim::Exit) {
        self.ended(exit).await;
    }

    /// Removes it as soon as the actor runs.
    pub(crate) fn reap_soon(&mut self) {
        self.due = Some(Instant::now());
        self.remove_volumes |= self.view.config.host.auto_remove;
        self.publish();
    }

    /// Starts it as soon as the actor runs; for the restart policy when the engine starts.
    pub(crate) fn start_soon(&mut self) {
        self.view.state = State::Restarting;
        self.view.outcome.running = true;
        self.due = Some(Instant::now());
        self.publish();
    }
}

/// How long a run lasted that began at `started` and ended at `ended`.
pub(super) fn ran(started: Option<i64>, ended: i64) -> Duration {
    let nanos = ended.saturating_sub(started.unwrap_or(ended)).max(0);
    Duration::from_nanos(nanos.unsigned_abs())
}

/// Now, for ends that nobody reported.
pub(super) fn now() -> i64 {
    event::now()
}

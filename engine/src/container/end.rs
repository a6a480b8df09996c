//! The end of a run: the exit is written down, the address given back, and the restart policy asked.

use super::actor::Actor;
use super::restart::Ended;
use super::start::{now, ran};
use super::state::{State, Step};
use super::volume_events;
use messages::shim::{self, Exit};
use spec::Failure;
use std::time::Duration;
use tokio::time::Instant;

/// The exit code of a process that SIGKILL ended, and of one whose end nobody saw.
const KILLED: i32 = 137;

/// How long a container that has lost its shim waits before it asks for it once more.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Actor {
    /// The shim has reported the end.
    pub(super) async fn ended(&mut self, exit: Exit) {
        if !self.view.state.has_process() {
            return self.acknowledge().await;
        }
        // Whoever hears of the end may start another container with the same ports.
        self.take_ports().await;
        let took = ran(self.view.outcome.started_at, exit.at);
        let by_hand = self.by_hand || self.view.outcome.stopped_by_hand;
        let policy = self.policy();
        let pause = self.restarts.next(policy, Ended { code: exit.code, by_hand, ran: took });
        (self.view.pid, self.view.busy) = (0, None);
        self.end_health();
        self.view.ends += 1;
        let outcome = &mut self.view.outcome;
        outcome.exit_code = exit.code;
        outcome.oom_killed |= exit.oom_killed;
        outcome.finished_at = Some(exit.at);
        outcome.restarts = self.restarts.count;
        outcome.running = pause.is_some();
        self.due = pause.map(|pause| Instant::now() + pause);
        // Running and Paused always have this step.
        self.step(Step::End { again: pause.is_some() }).ok();
        let saved = self.save_outcome();
        self.tell(
            "die",
            &[("execDuration", took.as_secs().to_string()), ("exitCode", exit.code.to_string())],
        );
        if std::mem::take(&mut self.stopping) {
            self.tell("stop", &[]);
        }
        self.publish();
        match saved {
            // Only what is written down may be forgotten by the shim.
            Ok(()) => self.acknowledge().await,
            Err(failure) => {
                tracing::error!(
                    container = self.id().as_str(),
                    "an exit was not written down: {failure}"
                );
            }
        }
        self.clean_up().await;
        self.tell_network("disconnect");
        self.leave_networks().await;
        volume_events(&self.shared, &self.view.config, "unmount");
        if self.view.config.host.auto_remove
            && self.view.state == State::Exited
            && let Err(failure) = self.remove(true).await
        {
            tracing::error!(container = self.id().as_str(), "automatic removal failed: {failure}");
        }
    }

    async fn acknowledge(&mut self) {
        if let Some(channel) = self.channel.take() {
            // A shim that is gone needs none.
            channel.send(&shim::Request::Acknowledge, Vec::new()).await.ok();
        }
    }

    /// Removes what the task left: its cgroup and state. A failure is repaired by the next start or the next engine.
    async fn clean_up(&mut self) {
        self.channel = None;
        match self.shared.workers.delete_task(self.id().clone(), None).await {
            Ok(()) => self.task_left = false,
            Err(failure) => {
                tracing::warn!(container = self.id().as_str(), "clean up after the end: {failure}")
            }
        }
    }

    /// The connection to the shim ended without an exit: ask whether it is written down, else the shim was killed, and
    /// its process with it.
    pub(super) async fn channel_ended(&mut self) {
        self.channel = None;
        if !self.view.state.has_process() {
            return;
        }
        let info = self.task_info().await;
        match info {
            Ok(Some(info)) if info.exit.is_none() && info.shim_alive => self.reconnect().await,
            Ok(Some(info)) => {
                let unseen = Exit { code: KILLED, oom_killed: false, at: now() };
                self.ended(info.exit.unwrap_or(unseen)).await;
            }
            Ok(None) => self.ended(Exit { code: KILLED, oom_killed: false, at: now() }).await,
            Err(failure) => {
                tracing::warn!(container = self.id().as_str(), "look for the task: {failure}");
                self.look_later();
            }
        }
    }

    /// A container without a shim that answers must not be shown as running for longer than it takes to find out.
    fn look_later(&mut self) {
        self.due = Some(Instant::now() + LOOK_AGAIN);
    }

    async fn task_info(&self) -> Result<Option<messages::task::TaskInfo>, Failure> {
        let tasks = self.shared.workers.tasks().await?;
        Ok(tasks.into_iter().find(|task| task.id == *self.id() && task.exec.is_none()))
    }

    async fn reconnect(&mut self) {
        let connected = self.shared.workers.connect_task(self.id().clone(), None).await;
        let channel = connected.and_then(|socket| {
            transport::Channel::new(socket)
                .map_err(|error| Failure::internal(format!("connect to shim: {error}")))
        });
        match channel {
            Ok(channel) => self.channel = Some(channel),
            Err(failure) => {
                tracing::warn!(container = self.id().as_str(), "connect to shim again: {failure}");
                self.look_later();
            }
        }
    }

    /// The task worker was restarted, or did not answer before: look whether the container is still what it is shown as.
    pub(super) async fn vanished(&mut self) {
        if self.channel.is_none() {
            self.channel_ended().await;
        }
    }
}

//! Short commands to a container: signals, freezing, clients, its terminal, its configuration.

use super::actor::{Actor, Change};
use super::signal::KILL;
use super::state::{State, Step};
use crate::calls::ask_shim;
use crate::store;
use messages::Fd;
use messages::shim::{Attach, Request};
use spec::{Class, Failure};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Clients that may wait for a start; the oldest goes when one more comes.
const MOST_PENDING: usize = 32;

impl Actor {
    fn not_running(&self) -> Failure {
        Failure::conflict(format!("Container {} is not running", self.id()))
    }

    pub(super) async fn signal(&mut self, signal: i32, ends: bool) -> Result<(), Failure> {
        if !self.view.state.has_process() {
            return Err(self.not_running());
        }
        if ends {
            self.by_hand = true;
            self.set_stopped_by_hand()?;
        }
        let sent = self.shared.workers.signal(self.id().clone(), None, signal).await;
        if sent.is_ok() {
            self.tell("kill", &[("signal", signal.to_string())]);
            if signal == KILL {
                self.dying("kill container");
            }
        }
        if ends && self.view.state == State::Paused {
            // A frozen process does not die on cgroup v1 before it is thawed. On v2 it does, and may be gone by now.
            match self.shared.workers.thaw(self.id().clone()).await {
                Err(failure) if matches!(failure.class, Class::Conflict | Class::NotFound) => {}
                other => other?,
            }
            self.step(Step::Unpause)?;
            self.ask_for_health();
            self.publish();
        }
        match sent {
            // It has ended; its exit is on the way.
            Err(failure) if failure.class == Class::Conflict => Ok(()),
            other => other,
        }
    }

    fn set_stopped_by_hand(&mut self) -> Result<(), Failure> {
        if self.view.outcome.stopped_by_hand {
            return Ok(());
        }
        self.view.outcome.stopped_by_hand = true;
        self.save_outcome()
    }

    pub(super) async fn disarm(&mut self) -> Result<bool, Failure> {
        match self.view.state {
            State::Running | State::Paused => {
                (self.by_hand, self.stopping) = (true, true);
                self.set_stopped_by_hand()?;
                Ok(true)
            }
            State::Restarting => {
                self.due = None;
                self.step(Step::Cancel)?;
                (self.view.outcome.running, self.view.outcome.stopped_by_hand) = (false, true);
                self.save_outcome()?;
                self.publish();
                self.tell("stop", &[]);
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    pub(super) async fn pause(&mut self, lasting: bool) -> Result<(), Failure> {
        let id = self.id().clone();
        match self.view.state {
            State::Running => {}
            State::Paused => {
                return Err(Failure::conflict(format!("Container {id} is already paused")));
            }
            State::Restarting => return Err(restarting(id.as_str())),
            _ => return Err(self.not_running()),
        }
        if self.view.outcome.paused != lasting {
            self.view.outcome.paused = lasting;
            self.save_outcome()?;
        }
        let frozen = self.shared.workers.freeze(id.clone()).await;
        frozen.map_err(|failure| {
            Failure::new(failure.class, format!("Cannot pause container {id}: {failure}"))
        })?;
        self.step(Step::Pause)?;
        self.end_health();
        self.publish();
        self.tell("pause", &[]);
        Ok(())
    }

    pub(super) async fn unpause(&mut self) -> Result<(), Failure> {
        let id = self.id().clone();
        if self.view.state != State::Paused {
            // Docker answers 500 here.
            return Err(Failure::internal(format!("Container {id} is not paused")));
        }
        let thawed = self.shared.workers.thaw(id.clone()).await;
        thawed.map_err(|failure| {
            Failure::new(failure.class, format!("Cannot unpause container {id}: {failure}"))
        })?;
        self.step(Step::Unpause)?;
        self.ask_for_health();
        self.publish();
        self.tell("unpause", &[]);
        Ok(())
    }

    pub(super) async fn attach(&mut self, attach: Attach, stream: OwnedFd) -> Result<(), Failure> {
        match self.view.state {
            State::Paused => return Err(paused_for_attach(self.id().as_str())),
            State::Restarting => {
                return Err(Failure::conflict(format!(
                    "container {} is restarting, wait until the container is running",
                    self.id()
                )));
            }
            State::Removing | State::Dead => {
                return Err(Failure::conflict(format!(
                    "container {} is marked for removal",
                    self.id()
                )));
            }
            _ => {}
        }
        match &self.channel {
            Some(channel) => {
                ask_shim(channel, Request::Attach { attach, stream: Fd(0) }, vec![stream]).await?
            }
            None => {
                if self.pending.len() >= MOST_PENDING {
                    self.pending.remove(0);
                }
                self.pending.push((attach, stream));
            }
        }
        self.tell("attach", &[]);
        Ok(())
    }

    pub(super) async fn resize(&mut self, width: u16, height: u16) -> Result<(), Failure> {
        let Some(channel) = self.channel.as_ref().filter(|_| self.view.state.has_process()) else {
            return Err(self.not_running());
        };
        ask_shim(channel, Request::Resize { width, height }, Vec::new()).await?;
        self.tell("resize", &[("height", height.to_string()), ("width", width.to_string())]);
        Ok(())
    }

    pub(super) async fn configure(
        &mut self,
        change: Change,
        live: Option<Box<spec::oci::Resources>>,
    ) -> Result<(), Failure> {
        if matches!(self.view.state, State::Removing | State::Dead) {
            return Err(Failure::conflict(format!(
                "container {} is marked for removal",
                self.id()
            )));
        }
        let mut config = (*self.view.config).clone();
        (change.0)(&mut config)?;
        if let Some(resources) = live.filter(|_| self.view.state.has_process()) {
            self.shared.workers.update_task(self.id().clone(), resources).await?;
        }
        store::change(&self.shared.store, |writer| {
            writer.put(store::CONTAINERS, &config.id, &config)
        })?;
        let renamed = self.view.config.name != config.name;
        self.view.config = Arc::new(config);
        if renamed && self.view.state.has_process() {
            self.name_endpoints(&self.view.config);
        }
        self.publish();
        Ok(())
    }
}

pub(crate) fn restarting(id: &str) -> Failure {
    Failure::conflict(format!("Container {id} is restarting, wait until the container is running"))
}

fn paused_for_attach(id: &str) -> Failure {
    Failure::conflict(format!("container {id} is paused, unpause the container before attach"))
}

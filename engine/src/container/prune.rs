//! `docker container prune`: removing all that do not run.

use super::actor::Command;
use super::state::State;
use crate::event;
use crate::filter::{Filters, until};
use crate::open::Engine;
use api_types::container::PruneReply;
use spec::{Failure, SnapshotKey};
use std::sync::atomic::Ordering;

impl Engine {
    /// Removes the containers that do not run and match. A second one meanwhile is a conflict.
    pub async fn prune(&self, filters: &Filters) -> Result<PruneReply, Failure> {
        filters.only(&["label", "label!", "until"])?;
        let before = until(filters, event::now())?;
        if self.0.pruning.swap(true, Ordering::AcqRel) {
            return Err(Failure::conflict("a prune operation is already running"));
        }
        let running = Pruning(self);
        let mut reply = PruneReply::default();
        for handle in self.0.containers.all() {
            let view = handle.view();
            let idle = matches!(view.state, State::Created | State::Exited | State::Dead);
            let old = before.is_none_or(|before| view.config.created <= before);
            if !idle || !old || !filters.labels(&view.config.config.labels) {
                continue;
            }
            let size = self.0.workers.usage(SnapshotKey::from(&handle.id)).await.unwrap_or(0);
            match handle.ask(|reply| Command::Remove { volumes: false, reply }).await {
                Ok(()) => {
                    reply.containers_deleted.push(handle.id.to_string());
                    reply.space_reclaimed += size;
                }
                // One that was started meanwhile, or that the reaper will get, must not keep the others.
                Err(failure) => tracing::warn!(container = handle.id.as_str(), "prune: {failure}"),
            }
        }
        drop(running);
        let attributes = [("reclaimed".to_owned(), reply.space_reclaimed.to_string())];
        self.0.events.publish("container", "prune", "", attributes.into());
        Ok(reply)
    }
}

/// Lets the next prune begin, also when this one is given up.
struct Pruning<'a>(&'a Engine);

impl Drop for Pruning<'_> {
    fn drop(&mut self) {
        self.0.0.pruning.store(false, Ordering::Release);
    }
}

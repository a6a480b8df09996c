//! Removing a container: the name is free first, then everything it has is taken away, then it is forgotten. What fails
//! is tried again in the background and at the next start.

use super::actor::{Actor, Command};
use super::directory::Directory;
use super::live::View;
use super::options::RemoveOptions;
use super::state::{State, Step};
use crate::open::{Engine, Shared};
use crate::store::{self, Intent};
use crate::system::claims::Removal;
use spec::{Class, ContainerId, Failure, SnapshotKey, VolumeName};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The pause before the reaper tries again; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Engine {
    /// Removes a container. Fails with [`Class::Conflict`] when it runs and `force` is not set, or when it is being
    /// removed already.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<(), Failure> {
        let handle = self.0.containers.find(name)?;
        let view = handle.view();
        if options.link {
            return Err(Failure::internal(
                "Conflict, cannot remove the default link name of the container",
            ));
        }
        if view.state == State::Removing {
            let text = format!("removal of container {name} is already in progress");
            return Err(Failure::conflict(text));
        }
        let wrap = |failure: Failure| {
            Failure::new(failure.class, format!("cannot remove container {name:?}: {failure}"))
        };
        if view.state.is_active() {
            if !options.force {
                return Err(running(&view));
            }
            let killed = self.kill_and_wait(&handle).await;
            killed.map_err(|failure| {
                wrap(Failure::new(failure.class, format!("could not kill container: {failure}")))
            })?;
        }
        let volumes = options.volumes;
        match handle.ask(|reply| Command::Remove { volumes, reply }).await {
            // An automatic removal was faster.
            Err(failure) if failure.class == Class::NotFound => Ok(()),
            // Started meanwhile, or something that the client has to read as it is.
            removed => removed.map_err(|failure| match failure.class {
                Class::Conflict => failure,
                _ => wrap(failure),
            }),
        }
    }
}

fn running(view: &View) -> Failure {
    let (id, word) = (&view.config.id, view.state.word());
    let advice = match view.state {
        State::Paused => "Unpause and then stop the container before attempting removal",
        _ => "Stop the container before attempting removal",
    };
    Failure::conflict(format!(
        "You cannot remove a {word} container {id}. {advice} or force remove"
    ))
}

impl Actor {
    pub(super) async fn remove(&mut self, volumes: bool) -> Result<(), Failure> {
        if self.view.state.is_active() {
            return Err(running(&self.view));
        }
        self.step(Step::Remove)?;
        self.remove_volumes |= volumes;
        self.due = None;
        self.busy("remove container");
        match self.remove_all().await {
            Ok(()) => {
                self.view.removed = true;
                self.shared.containers.remove(self.id());
                self.tell("destroy", &[]);
                self.publish();
                Ok(())
            }
            Err(failure) => {
                self.removal_failed(&failure);
                Err(failure)
            }
        }
    }

    fn removal_failed(&mut self, failure: &Failure) {
        // Removing always has this step.
        self.step(Step::RemoveFailed).ok();
        self.view.removal_error = Some(failure.message.as_str().into());
        self.view.removal_failures += 1;
        let pause = FIRST_PAUSE.saturating_mul(1 << self.removal_tries.min(16)).min(LONGEST_PAUSE);
        self.removal_tries += 1;
        self.due = Some(Instant::now() + pause);
        self.publish();
    }

    async fn remove_all(&mut self) -> Result<(), Failure> {
        // The second is held until they are gone.
        let (volumes, _removals) = if self.remove_volumes {
            anonymous(&self.shared, self.id())
        } else {
            Default::default()
        };
        let intent = Intent::Remove { volumes };
        let id = self.id().clone();
        store::change(&self.shared.store, |writer| writer.put(store::INTENTS, &id, &intent))?;
        self.shared.containers.release(&self.view.config.name, &id);
        self.pending.clear();
        self.channel = None;
        let shared = Arc::clone(&self.shared);
        finish_removal(&shared, &id, intent, self.task_left).await
    }
}

/// The anonymous volumes of a container that no other container uses, and which none can begin to use now.
fn anonymous(shared: &Shared, id: &ContainerId) -> (Vec<VolumeName>, Vec<Removal>) {
    let Some(own) = shared.containers.get(id).map(|handle| handle.view()) else {
        return Default::default();
    };
    let names = own.config.mounts.iter().filter(|mount| mount.anonymous);
    let names = names.filter_map(|mount| VolumeName::parse(&mount.name).ok());
    // One that is being removed already, or that a create has claimed, is left to those.
    let begun: Vec<_> =
        names.filter_map(|name| Some((shared.volumes.remove(&name).ok()?, name))).collect();
    let all = shared.containers.all();
    let used_elsewhere = |name: &str| {
        let others = all.iter().filter(|handle| handle.id != *id);
        others
            .map(|handle| handle.view())
            .any(|view| view.config.mounts.iter().any(|mount| mount.name == name))
    };
    let unused = begun.into_iter().filter(|(_, name)| !used_elsewhere(name.as_str()));
    unused.map(|(removal, name)| (name, removal)).unzip()
}

/// Takes away all that a container has, in an order in which each step can be done again, and forgets it. Also finishes
/// what an engine that died left unfinished.
pub(crate) async fn finish_removal(
    shared: &Shared,
    id: &ContainerId,
    intent: Intent,
    task_may_exist: bool,
) -> Result<(), Failure> {
    let (Intent::Remove { volumes } | Intent::Create { volumes }) = intent;
    if task_may_exist {
        shared.workers.delete_task(id.clone(), None).await?;
    }
    shared.workers.remove_snapshot(SnapshotKey::from(id)).await?;
    let directory = Directory::of(&shared.config, id);
    match tokio::task::spawn_blocking(move || directory.remove()).await {
        Ok(removed) => removed?,
        Err(_) => {
            return Err(Failure::internal(
                "remove the directory of a container: the engine is ending",
            ));
        }
    }
    for volume in &volumes {
        shared.workers.remove_volume(volume.clone()).await?;
    }
    store::change(&shared.store, |writer| {
        writer.remove(store::CONTAINERS, id)?;
        writer.remove(store::OUTCOMES, id)?;
        writer.remove(store::HEALTH, id)?;
        for volume in &volumes {
            writer.remove(store::VOLUMES, volume)?;
        }
        writer.remove(store::INTENTS, id).map(|_| ())
    })?;
    for volume in &volumes {
        let driver = [("driver".to_owned(), "local".to_owned())];
        shared.events.publish("volume", "destroy", volume.as_str(), driver.into());
    }
    Ok(())
}

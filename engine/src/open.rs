//! Opening the engine: the database says what shall be, the workers say what is, and this brings the two together.
//!
//! In this order, each step harmless when it is done again after a crash in the middle:
//! 1. intents: a create that was not finished is undone, a removal is finished;
//! 2. tasks: each container's owner is made, with the process that runs, the exit that happened meanwhile, or neither;
//! 3. tasks without a container are killed and removed, then snapshots and directories that belong to nobody;
//! 4. the bridges of all networks, and no other of ours; the ports of containers that run, and no other;
//! 5. containers that their restart policy wants are started.

mod networks;
mod reconcile;
mod sweep;

pub(crate) use networks::Forgotten;
use networks::forget;

use crate::config::Config;
use crate::container::facts::Facts;
use crate::container::registry::Registry;
use crate::container::user::UserCache;
use crate::event::Bus;
use crate::image::layers::WorkerLayers;
use crate::network::names::Names;
use crate::network::registry::Networks;
use crate::system::claims::Claims;
use crate::workers::Workers;
use crate::{exec, store};
use messages::control::Role;
use metadata::Read;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Why the engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database could not be opened or read.
    #[error("open database")]
    Database(#[from] metadata::Error),
    /// The content store could not be opened.
    #[error("open content store")]
    Content(#[from] content::Error),
    /// A directory could not be made.
    #[error("make directory {path}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The settings of the default bridge are wrong.
    #[error("default bridge")]
    Bridge(#[from] ipam::IpamError),
    /// A worker did not do what the start needs.
    #[error("start: {0}")]
    Worker(#[from] spec::Failure),
}

/// The engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine(pub(crate) Arc<Shared>);

/// What all verbs share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) facts: Facts,
    pub(crate) workers: Workers,
    pub(crate) store: metadata::Store,
    pub(crate) images: images::Store,
    pub(crate) downloads: crate::image::pull::download::Downloads,
    pub(crate) unpacks: crate::image::pull::layer::Unpacks,
    pub(crate) events: Bus,
    pub(crate) containers: Registry,
    pub(crate) execs: exec::Registry,
    pub(crate) users: UserCache,
    pub(crate) networks: Networks,
    pub(crate) names: Names,
    /// Addresses whose connections are to be forgotten.
    pub(crate) forgotten: Forgotten,
    pub(crate) pruning: AtomicBool,
    pub(crate) volumes: Claims,
}

impl Engine {
    /// Opens the database and brings it together with what the workers have. When this returns, every container is
    /// shown as what it is; starts by restart policies may still be under way.
    pub async fn open(config: Config, workers: Workers) -> Result<Self, OpenError> {
        let directories = config.clone();
        let opened = tokio::task::spawn_blocking(move || open_stores(&directories)).await;
        let (store, content) = opened
            .map_err(|_| spec::Failure::internal("open database: the engine is ending"))??;
        let kept = store.read()?.list(store::EVENTS)?;
        let images = images::Store::new(
            store.clone(),
            content,
            Arc::new(WorkerLayers::new(workers.storage.clone())),
        );
        let engine = Self(Arc::new(Shared {
            facts: Facts::probe(),
            networks: Networks::new(&config)?,
            names: Names::default(),
            forgotten: Forgotten::default(),
            downloads: crate::image::pull::download::Downloads::new(config.max_downloads),
            unpacks: crate::image::pull::layer::Unpacks::new(),
            events: Bus::new(config.kept_events, kept),
            config,
            workers,
            store,
            images,
            containers: Registry::default(),
            execs: exec::Registry::default(),
            users: UserCache::default(),
            pruning: AtomicBool::new(false),
            volumes: Claims::default(),
        }));
        tokio::spawn(keep_events(Arc::clone(&engine.0)));
        tokio::spawn(forget(Arc::clone(&engine.0)));
        Box::pin(reconcile::reconcile(&engine)).await?;
        Ok(engine)
    }

    /// Where events go.
    pub fn events(&self) -> &Bus {
        &self.0.events
    }

    /// What the host's kernel can do.
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// The engine's settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The supervisor has connected a restarted worker: what it must know is told again, and what died with it is
    /// looked for.
    pub async fn peer_replaced(&self, role: Role) {
        let done = match role {
            Role::Network => networks::tell(&self.0, false).await,
            Role::Task => reconcile::look_again(self).await,
            Role::Storage | Role::Api => Ok(()),
        };
        if let Err(failure) = done {
            tracing::warn!("after the {} worker was restarted: {failure}", role.name());
        }
    }

    /// Ends all owners of containers, which go on without an engine, and writes everything to the disk.
    pub fn close(&self) -> Result<(), OpenError> {
        self.0.containers.clear();
        save_events(&self.0, 0);
        Ok(self.0.store.close()?)
    }
}

fn open_stores(config: &Config) -> Result<(metadata::Store, content::Store), OpenError> {
    for path in [config.meta(), config.content(), config.containers()] {
        std::fs::create_dir_all(&path).map_err(|source| OpenError::Directory { path, source })?;
    }
    Ok((metadata::Store::open(&config.meta())?, content::Store::open(&config.content())?))
}

/// Writes kept events down, several at a time.
async fn keep_events(shared: Arc<Shared>) {
    let bus = shared.events.clone();
    let weak = Arc::downgrade(&shared);
    drop(shared);
    let mut next = bus.since(0).0.last().map_or(0, |(number, _)| number + 1);
    loop {
        bus.changed().await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let Some(shared) = weak.upgrade() else { return };
        next = save_events(&shared, next);
    }
}

/// Writes the events from number `from` on, and forgets those that are not kept; the number after the last.
fn save_events(shared: &Shared, from: u64) -> u64 {
    let (newer, lowest) = shared.events.since(from);
    let Some((last, _)) = newer.last() else { return from };
    let next = last + 1;
    let saved = store::change(&shared.store, |writer| {
        for (number, event) in &newer {
            writer.put(store::EVENTS, number, event)?;
        }
        use std::ops::Bound::{Excluded, Unbounded};
        writer.remove_range(store::EVENTS, Unbounded, Excluded(&lowest)).map(|_| ())
    });
    if let Err(failure) = saved {
        tracing::warn!("events were not written down: {failure}");
    }
    next
}

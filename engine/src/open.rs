//! Opening the engine.

use crate::config::Config;
use crate::event::Bus;
use crate::workers::Workers;
use std::sync::Arc;

/// Why the engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database could not be opened.
    #[error("open database")]
    Database(#[from] metadata::Error),
    /// A directory could not be made.
    #[error("make directory {path}")]
    Directory {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine(pub(crate) Arc<Shared>);

/// What all verbs share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) workers: Workers,
    pub(crate) store: metadata::Store,
    pub(crate) events: Bus,
}

impl Engine {
    /// Opens the engine.
    pub async fn open(config: Config, workers: Workers) -> Result<Self, OpenError> {
        let store = metadata::Store::open(&config.meta())?;
        let events = Bus::new(config.kept_events, Vec::new());
        Ok(Self(Arc::new(Shared { config, workers, store, events })))
    }

    /// Where events go.
    pub fn events(&self) -> &Bus {
        &self.0.events
    }
}

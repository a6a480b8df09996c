//! The one process of the engine that stays root with all rights: it prepares directories, opens sockets, starts the
//! workers, connects them with each other, and starts again what dies.
//!
//! It parses nothing that comes from a network or an image, answers no request, and holds no state: kill -9 of it ends
//! the workers (their control socket closes) and leaves containers, shims and data as they are. Containers are never
//! its children.
//!
//! Reading order: [`Plan`] (what to run), [`directories`] (the data root, and whose it is), [`listen`] (sockets for
//! clients), [`Supervisor`] (the loop). `worker` has one worker process.
//!
//! On disk (`<data-root>`): `coffer.json` says that this engine wrote the directory and in which format; `lock` is held
//! while it runs; `meta/`, `content/` and `containers/` belong to the api worker's user, all else to root.
//!
//! ```text
//!   signals ─▶ ┌────────────┐ control socket (stdin) of each worker
//!   pidfds  ─▶ │ supervisor │ ──Settings, Listener, Peer, Ready, Stop──▶ api, storage, network, task
//!              └────────────┘
//! ```

#![forbid(unsafe_code)]

pub mod directories;
pub mod listen;
mod supervise;
mod worker;

pub use supervise::{Plan, Supervisor, SupervisorError};
pub use worker::{Program, WorkerError};

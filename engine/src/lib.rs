//! The engine's verbs on its objects: what each route of the API calls, inside a process without any privilege.
//!
//! Whatever needs a right is asked of a worker ([`Workers`]); this crate opens no path of a container and makes no
//! mount, namespace or cgroup. It knows no HTTP and no old API version: its bodies are the newest of `api-types`.
//!
//! Reading order: [`Config`] and [`Workers`] (what it is given), [`Engine`] ([`Engine::open`] brings the database and
//! the kernel's truth together), [`container`] (one owner per container: state, actor, one file per verb),
//! [`exec`], [`spec`](mod@spec) (from a container's configuration to the OCI specification, pure), [`network`]
//! (addresses, legacy links), [`logs`], [`image`], [`system`], [`event`], [`store`].
//!
//! # On disk
//!
//! ```text
//! <data root>/meta/              the database: desired state, see `store`
//! <data root>/content/           blobs
//! <data root>/containers/<id>/   hostname, hosts, resolv.conf, <id>-json.log
//! ```
//!
//! # Tasks and locks
//!
//! One task per container owns it: it takes commands from an inbox, reads the shim's events, and publishes what it is
//! as one immutable value, from which all reads answer without waiting. One task per exec that runs. One task writes
//! kept events. Locks (container table, names, exec table, addresses, events) are held for a look-up, never over a
//! call or an await, and never two at a time.

#![forbid(unsafe_code)]

mod calls;
pub mod config;
pub mod container;
pub mod event;
pub mod exec;
pub mod filter;
mod ids;
pub mod image;
pub mod logs;
pub mod network;
pub mod open;
pub mod spec;
pub mod store;
pub mod system;
mod wording;
pub mod workers;

pub use config::Config;
pub use container::listed::Listed;
pub use container::options::{
    ArchivePutOptions, AttachOptions, Attached, CommitOptions, ListOptions, LogOptions,
    RemoveOptions, TarStream, WaitCondition,
};
pub use container::stats::{StatsMode, StatsStream};
pub use container::wait::WaitHandle;
pub use filter::Filters;
pub use logs::LogStream;
pub use open::{Engine, OpenError};
/// For who serves streams: whether a client has read what was sent to it.
pub use transport::unread;
pub use workers::Workers;

#[cfg(test)]
mod tests;

//! The commands of an OCI runtime (runtime.md of the specification, and what runc adds), as calls on [`Runtime`].
//!
//! What an engine's shim launches and what these commands launch goes through the same `plan` and `launch`. This crate
//! adds what a runtime without a daemon needs: records on disk, bundles, and commands that know nothing of each other.
//! It never trusts a record for what a container is doing: that is asked of the kernel, each time. It never keeps a
//! process of its own running beside a container.
//!
//! Reading order: [`Runtime`] (one for each call of the program), `create` (the order in which things are made, and so
//! what a kill can leave), `start`, `run`, `exec`, `delete`; then what they use: `root` and [`Record`] (the files),
//! `bundle`, `place` (cgroups), `filter` (compiled filters), `foreground` and `terminal` (staying with a process);
//! then the commands that only look or poke: `kill`, `pause`, `update`, `list`, `processes`, `events`; [`Error`].
//!
//! ```text
//! <root>/                     0700
//!   @seccomp/<hash>           compiled filters, any of which may vanish at any time
//!   <id>/
//!     lock                    locked (fcntl) while the container is made or deleted
//!     state.json              [`Record`]: first the intent, then with the process; removed last
//!     config.json             the bundle's specification as it was
//!     seccomp.bpf             flags and program of the filter; empty if there is none
//!     start                   the socket at which the process waits; gone once it was started
//! ```
//!
//! There are no tasks. Locks: that of a container's directory, taken by `create`, `run` (until the program runs) and
//! `delete`; no command takes two.

#![forbid(unsafe_code)]

mod bundle;
mod class;
mod create;
mod delete;
mod error;
mod events;
mod exec;
mod features;
mod field;
mod figures;
mod filter;
mod foreground;
mod home;
mod id;
mod kill;
mod list;
mod ownership;
mod pause;
mod place;
mod process;
mod processes;
mod record;
mod root;
mod run;
mod runtime;
mod scope;
mod stages;
mod start;
mod status;
mod streams;
mod template;
mod terminal;
mod time;
mod update;
mod view;

pub use create::CreateOptions;
pub use error::Error;
pub use exec::ExecOptions;
pub use features::features;
pub use id::Id;
pub use list::table;
pub use process::Process;
pub use record::{CgroupPlace, ClassPlace, OCI_VERSION, Record, State};
pub use root::{Root, read_file};
pub use run::RunOptions;
pub use runtime::{Level, Note, Options, Rootless, Runtime, default_root};
pub use spec::oci::{BlockIo, Cpu, Memory, Pids, Resources};
pub use status::Status;
pub use template::write_template;
pub use time::format as format_time;
pub use update::{parse_resources, parse_size};

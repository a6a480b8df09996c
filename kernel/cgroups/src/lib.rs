//! Control groups: v1, hybrid and v2 behind one interface.
//!
//! A group is made and all its limits are written before any process exists in it, so that nothing ever runs without
//! them. This crate never starts a process and never moves one of somebody else's into a container's group: a process
//! joins by [`Join`], at its birth or by itself. It keeps no state besides open directories; what is in a group is
//! always read from the kernel.
//!
//! In reading order: [`Layout`] (which hierarchies this host has, and where we may make groups), [`Parent`] (the group
//! above all containers, prepared once), [`Group`] (one container: limits, processes, freezing, killing, statistics,
//! removal), [`Join`], [`Stats`], [`OomWatch`]. Inside: `settings` turns limits into writes and is pure; [`devices`]
//! has the rules on devices and the program that cgroup v2 needs for them; `places` knows where a controller is.
//! [`rdt`] stands beside all this: classes of service for caches and memory bandwidth are no control groups, but are
//! limited in the same way.
//!
//! ```text
//! v2       <mount>/<base>/docker/<id>
//! v1       <mount of each controller>/<base>/docker/<id>
//! hybrid   as v1, and the same path in the v2 mount
//! ```
//!
//! *Joining.* Writing a pid into `cgroup.procs` from outside waits for an RCU grace period of 6 to 9 ms. On v2 a child
//! is born in its group (`CLONE_INTO_CGROUP`, Linux 5.7). On v1 the child writes `0` into `tasks` of each hierarchy
//! while it has one thread, which costs 0.05 ms for all of them.
//!
//! All files are reached from open directories; names are single path components that were checked. There are no tasks
//! and no locks; calls with a deadline block the calling thread.

#![forbid(unsafe_code)]

mod delegate;
pub mod devices;
mod dir;
mod error;
mod freezer;
mod group;
mod kill;
mod layout;
mod limits;
mod mountinfo;
mod oom;
mod parent;
mod places;
mod program;
pub mod rdt;
mod settings;
mod stats;
#[cfg(test)]
mod unified_tests;

pub use error::CgroupError;
pub use group::{Group, Join};
pub use layout::{Base, Layout, Mode};
pub use oom::OomWatch;
pub use parent::{Features, Parent};
pub use settings::weight_of_shares;
pub use spec::oci::Resources;
pub use stats::{
    CpuStats, CpusetStats, HugetlbStats, IoDetails, IoEntry, MemoryPart, MemoryStats, MiscStats,
    PidsStats, Pressure, RdmaStats, Stall, Stats,
};

//! From an OCI specification to a flat list of what a new process has to do.
//!
//! A [`Plan`] holds no decision any more: strings end with a zero byte, names are numbers, options are bits, everything
//! that could be wrong with the specification was refused by [`Plan::new`] with one sentence that names the field, the
//! value and what is allowed. `launch` executes it without allocating.
//!
//! This crate does no I/O, opens nothing and asks the kernel nothing. What others opened is described to it by
//! [`Given`], and a plan names it by index.
//!
//! Reading order: [`Given`], [`Plan`], [`ProcessPlan`], [`MountPlan`], [`DevicePlan`], [`HooksPlan`], [`StepKind`] and [`Failure`] (the
//! steps of the child, and the sentence for a failed one). There are no tasks and no locks.

#![forbid(unsafe_code)]

mod access;
mod build;
mod devices;
mod error;
mod given;
mod hooks;
mod mounts;
mod namespaces;
mod network;
mod options;
mod process;
mod schedule;
mod step;
mod sysctl;
mod text;

pub use access::with_default_devices;
pub use devices::{DeviceKind, DevicePlan, LinkPlan};
pub use error::PlanError;
pub use given::{CgroupView, Filter, Given, Hierarchy, SourceKind};
pub use hooks::{HookPlan, HooksPlan};
pub use mounts::{
    BindPlan, CgroupsPlan, ClassicPlan, HostPlan, IdmapPlan, MountKind, MountPlan, RemountPlan,
    TargetKind, TypedPlan,
};
pub use namespaces::{IdMap, NamespacePlan};
pub use network::NetDevicePlan;
pub use options::AttrChange;
pub use process::{CapsPlan, Label, ProcessPlan, Search, Terminal};
pub use schedule::{MemoryPolicyPlan, SchedulePlan};
pub use step::{Failure, Record, StepKind};
pub use sysctl::SysctlPlan;

use std::ffi::CString;
use sys::mount::Propagation;

/// Everything that the first process of a container does before it runs the program.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Which namespaces are new and which are joined.
    pub namespaces: NamespacePlan,
    /// Whether the root ends up read-only.
    pub root_readonly: bool,
    /// How mounts below the root propagate in the end; private if nothing is said.
    pub root_propagation: Option<Propagation>,
    /// Mounts in their order.
    pub mounts: Vec<MountPlan>,
    /// Device nodes; empty if `/dev` comes from the host.
    pub devices: Vec<DevicePlan>,
    /// Symbolic links in `/dev`.
    pub links: Vec<LinkPlan>,
    /// Paths that get nothing or an empty directory over them, if they exist.
    pub masked: Vec<CString>,
    /// Paths that become read-only, if they exist.
    pub readonly: Vec<CString>,
    /// The host name.
    pub hostname: Option<CString>,
    /// The NIS domain name.
    pub domainname: Option<CString>,
    /// Kernel parameters.
    pub sysctls: Vec<SysctlPlan>,
    /// Interfaces of the host that move in.
    pub net_devices: Vec<NetDevicePlan>,
    /// Programs of the host.
    pub hooks: HooksPlan,
    /// The process.
    pub process: ProcessPlan,
}

//! A new time namespace.

use super::Job;
use super::report::{At, Step};
use ::core::prelude::rust_2024::*;
use ::plan::StepKind;
use ::rustix::fs::OFlags;
use ::safepath::ProcHandle;
use ::sys::clone::{Namespaces, unshare};

/// Makes a time namespace for this process's children, and for itself from execve on (6.1). Its clocks can be set until
/// something is in it.
pub(super) fn enter(job: &Job<'_>) -> Step<()> {
    let Some(layout) = job.layout else { return Ok(()) };
    let namespaces = &layout.plan.namespaces;
    if !namespaces.new.contains(Namespaces::TIME) {
        return Ok(());
    }
    unshare(Namespaces::TIME).at(StepKind::TimeNamespace, 0)?;
    let Some(offsets) = &namespaces.time_offsets else { return Ok(()) };
    // What lies at `/proc` is the host's: the root has not changed yet.
    let proc = ProcHandle::present().at(StepKind::TimeNamespace, 1)?;
    let file = proc.open(c"self/timens_offsets", OFlags::WRONLY).at(StepKind::TimeNamespace, 1)?;
    ::rustix::io::write(&file, offsets.to_bytes()).at(StepKind::TimeNamespace, 1).map(drop)
}

//! The two functions that a clone starts with.

use super::report::{At, Step, leave_starter, ready, record, report, wait};
use super::{FAILED, Job, clock, console, gate, identity, inherited, layout, program, time};
use ::core::prelude::rust_2024::*;
use ::plan::{Record, StepKind};
use ::rustix::io::Errno;
use ::rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use ::std::os::fd::{AsFd, AsRawFd};
use ::sys::clone::{CloneArgs, Cloned, Namespaces, clone3, setns, unshare};

/// A panic must not unwind into a copy of the parent's callers.
struct NoUnwinding;

impl Drop for NoUnwinding {
    fn drop(&mut self) {
        ::sys::process::exit(i32::from(FAILED));
    }
}

/// The container's first process, or the process that joins it.
pub(crate) fn first(job: &Job<'_>) -> ! {
    let _guard = NoUnwinding;
    let passed = set_up(job).and_then(|()| gate::pass(job));
    match passed {
        Ok(connection) => {
            let Err(record) = program::run(job);
            report(connection.as_ref().map_or(job.channel, AsFd::as_fd), record);
        }
        Err(record) => report(job.channel, record),
    }
    ::sys::process::exit(i32::from(FAILED))
}

/// The process that joins cgroup and namespaces, makes the real one as its own sibling and ends.
pub(crate) fn intermediate(job: &Job<'_>, last: &CloneArgs<'_>) -> ! {
    let _guard = NoUnwinding;
    let made = make_sibling(job, last);
    let code = if made.is_ok() { 0 } else { FAILED };
    let (Ok(record) | Err(record)) = made;
    report(job.channel, record);
    ::sys::process::exit(i32::from(code))
}

fn make_sibling(job: &Job<'_>, last: &CloneArgs<'_>) -> Step<Record> {
    // CVE-2016-9962: while it joins, nothing inside may trace it and use its descriptors. Its starter must be able to
    // write its maps, though, which without privilege it may only for what is dumpable; nobody is inside then.
    let hides = !job.user_first || !job.joins.is_empty();
    if hides {
        ::sys::process::set_dumpable(false).at(StepKind::JoinNamespace, 0)?;
    }
    join_cgroups(job)?;
    join_namespaces(job)?;
    if job.user_first {
        unshare(Namespaces::USER).at(StepKind::WaitForMaps, 0)?;
        report(job.channel, Record { step: StepKind::NeedsMaps, index: 0, errno: 0 });
        wait(job, StepKind::WaitForMaps)?;
    }
    time::enter(job)?;
    ::sys::process::set_dumpable(false).at(StepKind::JoinNamespace, 0)?;
    // Its child is seen inside as soon as it is made, so this comes before.
    inherited::keep_only_needed(job)?;
    // SAFETY: this process has one thread, and the child goes on in this module, which allocates nothing.
    match unsafe { clone3(last) }.at(StepKind::Clone, 0)? {
        Cloned::Child => first(job),
        Cloned::Parent { pid, .. } => {
            Ok(Record { step: StepKind::Spawned, index: pid as u32, errno: 0 })
        }
    }
}

/// Everything before the gate.
fn set_up(job: &Job<'_>) -> Step<()> {
    if !job.joined_outside {
        leave_starter(job);
    }
    if job.waits_for_go {
        wait(job, StepKind::WaitForMaps)?;
    }
    clock::mark(job, StepKind::WaitForMaps);
    if !job.joined_outside {
        time::enter(job)?;
    }
    if job.becomes_root {
        become_root(job)?;
    }
    ::sys::process::set_dumpable(false).at(StepKind::Session, 0)?;
    if !job.joined_outside {
        join_cgroups(job)?;
        join_namespaces(job)?;
    }
    clock::mark(job, StepKind::JoinNamespace);
    ::sys::signals::reset_dispositions();
    ::rustix::process::setsid().at(StepKind::Session, 0)?;
    if let Some(streams) = job.stdio {
        put_streams(streams)?;
    }
    let terminal = match job.layout {
        Some(layout) => {
            if layout.plan.namespaces.new.contains(Namespaces::CGROUP) {
                unshare(Namespaces::CGROUP).at(StepKind::UnshareCgroup, 0)?;
            }
            layout::set_up(job, layout)?
        }
        None => console::join(job)?,
    };
    identity::set_up(job)?;
    clock::mark(job, StepKind::Label);
    // Descriptors that the starter got from elsewhere without CLOEXEC end here too (CVE-2024-21626).
    ::sys::fds::set_cloexec_from(3).at(StepKind::CloseDescriptors, 0)?;
    ready(job, terminal.as_ref().map(AsFd::as_fd))
}

/// Becomes root of its user namespace, or if that has none, who the program will be: only an id that has a place there
/// can own what is made.
fn become_root(job: &Job<'_>) -> Step<()> {
    match ::sys::ids::set_gid(0) {
        Err(error) if error.errno() == Errno::INVAL => ::sys::ids::set_gid(job.process.gid),
        other => other,
    }
    .at(StepKind::BecomeRoot, 0)?;
    match ::sys::ids::set_uid(0) {
        Err(error) if error.errno() == Errno::INVAL => ::sys::ids::set_uid(job.process.uid),
        other => other,
    }
    .at(StepKind::BecomeRoot, 1)
}

/// Moves itself, the only thread, into each hierarchy. The right to do so is that of who opened the file.
fn join_cgroups(job: &Job<'_>) -> Step<()> {
    for (index, tasks) in job.tasks.iter().enumerate() {
        match ::rustix::io::write(tasks, b"0").at(StepKind::JoinCgroup, index)? {
            1 => {}
            _ => return Err(record(StepKind::JoinCgroup, index, Errno::IO)),
        }
    }
    Ok(())
}

/// Joins the given namespaces. Some can be joined only with the rights that their user namespace gives, and others only
/// with those that are lost in it: so first what can be joined, then the user namespace, then the rest.
fn join_namespaces(job: &Job<'_>) -> Step<()> {
    let has_user = job.joins.iter().any(|(which, _)| which.contains(Namespaces::USER));
    let mut refused = Namespaces::empty();
    for (index, (which, fd)) in job.joins.iter().enumerate() {
        if which.contains(Namespaces::USER) {
            continue;
        }
        match setns(fd, *which) {
            Err(error) if has_user && error.errno() == Errno::PERM => refused |= *which,
            other => other.at(StepKind::JoinNamespace, index)?,
        }
    }
    for (index, (which, fd)) in job.joins.iter().enumerate() {
        if which.contains(Namespaces::USER) {
            setns(fd, *which).at(StepKind::JoinNamespace, index)?;
        }
    }
    for (index, (which, fd)) in job.joins.iter().enumerate() {
        if refused.contains(*which) {
            setns(fd, *which).at(StepKind::JoinNamespace, index)?;
        }
    }
    Ok(())
}

/// Puts the streams to 0, 1 and 2. The given ones have higher numbers.
fn put_streams(streams: [::std::os::fd::BorrowedFd<'_>; 3]) -> Step<()> {
    let [input, output, error] = streams;
    ::core::debug_assert!(input.as_raw_fd() > 2 && output.as_raw_fd() > 2 && error.as_raw_fd() > 2);
    dup2_stdin(input).at(StepKind::Stdio, 0)?;
    dup2_stdout(output).at(StepKind::Stdio, 1)?;
    dup2_stderr(error).at(StepKind::Stdio, 2)
}

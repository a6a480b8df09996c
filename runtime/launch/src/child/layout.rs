//! The root, its mounts and its namespaces' names, in the order that keeps each step safe.

use super::report::{At, Step, record};
use super::typed::{self, Attached};
use super::{Job, Layout, attributes, console, devices, protect};
use ::core::prelude::rust_2024::*;
use ::mounts::{Attr, Detached, Extent, Propagation};
use ::plan::{BindPlan, MountKind, MountPlan, StepKind, TargetKind};
use ::rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstatfs, openat};
use ::rustix::io::Errno;
use ::rustix::mount::{MoveMountFlags, UnmountFlags, mount_change, move_mount, unmount};
use ::rustix::process::{chdir, fchdir, pivot_root};
use ::safepath::ProcHandle;
use ::safepath::walk::{self, Last};
use ::std::ffi::CStr;
use ::std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Sets the container up and makes its root the process's. Answers the other side of its terminal.
pub(super) fn set_up(job: &Job<'_>, layout: &Layout<'_>) -> Step<Option<OwnedFd>> {
    let plan = layout.plan;
    let root = layout.rootfs;
    ::rustix::process::umask(Mode::empty());
    attach_root(layout)?;
    // Before anything of the image is mounted: the procfs through which kernel parameters are written. Giving a mount up
    // that was never attached waits for a grace period, so there is none unless something is to be written.
    let proc = match plan.sysctls.is_empty() {
        true => None,
        false => Some(ProcHandle::detached().at(StepKind::OpenProc, 0)?),
    };
    let attached = attach_mounts(layout)?;
    devices::make(layout)?;
    make_working_directory(job, root)?;
    let terminal = console::first(job, root, attached.devpts.as_ref().map(AsFd::as_fd))?;
    protect::readonly(layout)?;
    protect::mask(layout)?;
    finish_dev(layout, &attached)?;
    if plan.root_readonly {
        attributes::add(layout, root, Extent::Mount, Attr::RDONLY).at(StepKind::RootReadonly, 0)?;
    }
    pivot(root)?;
    if let Some(propagation) = plan.root_propagation {
        let flag = attributes::propagation_flag(propagation, Extent::Mount);
        mount_change(c"/", flag).at(StepKind::RootPropagation, 0)?;
    }
    name_and_tune(layout, proc.as_ref())?;
    Ok(terminal)
}

/// Makes the copied table private, so that nothing here reaches the host, and puts the root over it.
fn attach_root(layout: &Layout<'_>) -> Step<()> {
    let private = attributes::propagation_flag(Propagation::Private, Extent::Tree);
    mount_change(c"/", private).at(StepKind::PrivateMounts, 0)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let host = openat(CWD, c"/", flags, Mode::empty()).at(StepKind::AttachRoot, 0)?;
    attach(layout.rootfs, host.as_fd()).at(StepKind::AttachRoot, 0)?;
    if layout.sets_attributes {
        return Ok(());
    }
    attributes::propagate(layout.rootfs, Propagation::Private, Extent::Tree)
        .at(StepKind::AttachRoot, 1)
}

/// Attaches a mount to a file, by descriptors only.
pub(super) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}

fn attach_mounts(layout: &Layout<'_>) -> Step<Attached> {
    let mut attached = Attached::default();
    for (index, mount) in layout.plan.mounts.iter().enumerate() {
        let target = target(layout.rootfs, mount).at(StepKind::MountTarget, index)?;
        // A link of the image may have led into procfs (CVE-2019-16884, CVE-2025-52881).
        let over = fstatfs(&target).at(StepKind::MountTarget, index)?;
        if over.f_type == PROC_SUPER_MAGIC && !mount.may_cover_proc {
            return Err(record(StepKind::MountInsideProc, index, Errno::PERM));
        }
        match &mount.kind {
            MountKind::Bind(bind) => attach_bind(layout, index, bind, target.as_fd())?,
            MountKind::Typed(plan) => {
                typed::attach_typed(index, mount, plan, target.as_fd(), &mut attached)?;
            }
            MountKind::Cgroups(plan) => {
                typed::attach_cgroups(layout, index, plan, target.as_fd())?;
            }
        }
    }
    Ok(attached)
}

fn attach_bind(
    layout: &Layout<'_>,
    index: usize,
    bind: &BindPlan,
    target: BorrowedFd<'_>,
) -> Step<()> {
    let source = layout.sources.get(index).copied().flatten();
    let source = source.ok_or(Errno::BADF).at(StepKind::MountMake, index)?;
    attach(source, target).at(StepKind::MountAttach, index)?;
    if layout.sets_attributes {
        return Ok(());
    }
    let (propagation, extent) = bind.propagation;
    attributes::propagate(source, propagation, extent).at(StepKind::MountMake, index)?;
    attributes::remount(source, bind.own.set, bind.own.clear).at(StepKind::MountMake, index)
}

/// The descriptor that a mount goes to: resolved in the root once, and made there if it is missing.
fn target(root: BorrowedFd<'_>, mount: &MountPlan) -> Result<OwnedFd, Errno> {
    let (last, mode) = match mount.target_kind {
        TargetKind::Directory => (Last::Directory, 0o755),
        TargetKind::File => (Last::File, 0o755),
    };
    match mount.no_links {
        true => ensure_without_links(root, &mount.target, last, mode),
        false => walk::ensure(root, &mount.target, last, mode),
    }
}

/// As [`walk::ensure`], but a symbolic link anywhere on the way is ELOOP.
pub(super) fn ensure_without_links(
    root: BorrowedFd<'_>,
    path: &CStr,
    last: Last,
    mode: u32,
) -> Result<OwnedFd, Errno> {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let find = || {
        let flags = match last {
            Last::Directory => OFlags::PATH | OFlags::DIRECTORY,
            Last::File => OFlags::PATH,
        };
        walk::resolve_with(root, path, flags, how)
    };
    match find() {
        Err(Errno::NOENT) => {
            walk::ensure(root, path, last, mode)?;
            find()
        }
        other => other,
    }
}

/// runc and Docker make the working directory of an image that lacks it. A read-only root keeps it missing, which
/// changing to it then says.
fn make_working_directory(job: &Job<'_>, root: BorrowedFd<'_>) -> Step<()> {
    match walk::ensure(root, &job.process.cwd, Last::Directory, 0o755) {
        Ok(_) | Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) => Ok(()),
        Err(errno) => Err(record(StepKind::MakeDirectory, 0, errno)),
    }
}

/// `/dev` becomes read-only only when it is complete.
fn finish_dev(layout: &Layout<'_>, attached: &Attached) -> Step<()> {
    let Some((index, dev)) = &attached.readonly_dev else { return Ok(()) };
    attributes::add(layout, dev.as_fd(), Extent::Mount, Attr::RDONLY)
        .at(StepKind::MountMake, *index)
}

/// Swaps the roots and drops the old one with all that is mounted below it.
fn pivot(root: BorrowedFd<'_>) -> Step<()> {
    fchdir(root).at(StepKind::PivotRoot, 0)?;
    // With both paths the same the old root ends up on top of the new one, where `.` still is (pivot_root(2)).
    pivot_root(c".", c".").at(StepKind::PivotRoot, 1)?;
    unmount(c".", UnmountFlags::DETACH).at(StepKind::PivotRoot, 2)?;
    chdir(c"/").at(StepKind::PivotRoot, 3)
}

fn name_and_tune(layout: &Layout<'_>, proc: Option<&ProcHandle>) -> Step<()> {
    let plan = layout.plan;
    if let Some(name) = &plan.hostname {
        ::rustix::system::sethostname(name.to_bytes()).at(StepKind::Hostname, 0)?;
    }
    if let Some(name) = &plan.domainname {
        ::rustix::system::setdomainname(name.to_bytes()).at(StepKind::Domainname, 0)?;
    }
    let Some(proc) = proc else { return Ok(()) };
    for (index, sysctl) in plan.sysctls.iter().enumerate() {
        proc.write(&sysctl.path, sysctl.value.to_bytes()).at(StepKind::Sysctl, index)?;
    }
    Ok(())
}

/// A copy of the mount at `at`, which is in this process's own table.
pub(super) fn copy(at: BorrowedFd<'_>, extent: Extent) -> Result<OwnedFd, Errno> {
    Detached::clone_of(at, extent).map(Detached::into_fd)
}

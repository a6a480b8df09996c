//! The root, its mounts and its namespaces' names, in the order that keeps each step safe.

use super::origin::{self, Mounted};
use super::report::{At, Step, record, report, wait};
use super::typed::{self, Attached};
use super::{Job, Layout, attributes, clock, console, devices, hook, protect};
use ::core::prelude::rust_2024::*;
use ::mounts::{Attr, Change, Detached, Extent, Propagation};
use ::plan::{
    AttrChange, BindPlan, HostPlan, MountKind, MountPlan, Record, RemountPlan, StepKind, TargetKind,
};
use ::rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstatfs, openat};
use ::rustix::io::Errno;
use ::rustix::mount::{MoveMountFlags, UnmountFlags, mount_change, move_mount, unmount};
use ::rustix::process::{chdir, chroot, fchdir, pivot_root};
use ::safepath::ProcHandle;
use ::safepath::walk::{self, Last};
use ::std::ffi::CStr;
use ::std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use ::sys::mount::set_attr;

/// Sets the container up and makes its root the process's. Answers the other side of its terminal.
pub(super) fn set_up(job: &Job<'_>, layout: &Layout<'_>) -> Step<Option<OwnedFd>> {
    let plan = layout.plan;
    ::rustix::process::umask(Mode::empty());
    let root = attach_root(layout)?;
    let root = root.as_fd();
    clock::mark(job, StepKind::AttachRoot);
    // Before anything of the image is mounted: the procfs through which kernel parameters are written. Giving a mount up
    // that was never attached waits for a grace period, so there is none unless something is to be written.
    let proc = match plan.sysctls.is_empty() {
        true => None,
        false => Some(ProcHandle::detached().at(StepKind::OpenProc, 0)?),
    };
    let attached = attach_mounts(layout, root)?;
    clock::mark(job, StepKind::MountAttach);
    devices::make(layout, root)?;
    clock::mark(job, StepKind::Device);
    make_working_directory(job, root)?;
    let terminal = console::first(job, root, attached.devpts.as_ref().map(AsFd::as_fd))?;
    clock::mark(job, StepKind::Console);
    protect::readonly(layout, root)?;
    clock::mark(job, StepKind::Readonly);
    protect::mask(layout, root)?;
    clock::mark(job, StepKind::Masked);
    call_hooks(job)?;
    finish_dev(layout, &attached)?;
    if plan.root_readonly {
        attributes::add(layout, root, Extent::Mount, Attr::RDONLY).at(StepKind::RootReadonly, 0)?;
    }
    match layout.no_pivot {
        true => change_root(root)?,
        false => pivot(root)?,
    }
    if let Some(propagation) = plan.root_propagation {
        let flag = attributes::propagation_flag(propagation, Extent::Mount);
        mount_change(c"/", flag).at(StepKind::RootPropagation, 0)?;
    }
    clock::mark(job, StepKind::PivotRoot);
    name_and_tune(layout, proc.as_ref())?;
    clock::mark(job, StepKind::Sysctl);
    Ok(terminal)
}

/// Hooks that are called while the host's files still can be reached: those of the parent, then those in here.
fn call_hooks(job: &Job<'_>) -> Step<()> {
    let Some(hooks) = job.hooks else { return Ok(()) };
    if hooks.waits {
        report(job.channel, Record { step: StepKind::HostHooks, index: 0, errno: 0 });
        wait(job, StepKind::HostHooks)?;
    }
    hook::before_root(job)?;
    clock::mark(job, StepKind::CreateContainerHook);
    Ok(())
}

/// Makes the copied table private, so that nothing here reaches the host, and puts the root over it, or where hooks look
/// for it.
fn attach_root<'a>(layout: &Layout<'a>) -> Step<Mounted<'a>> {
    let private = attributes::propagation_flag(Propagation::Private, Extent::Tree);
    mount_change(c"/", private).at(StepKind::PrivateMounts, 0)?;
    let place = match layout.root_place {
        Some(place) => place.open().at(StepKind::AttachRoot, 2)?,
        None => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            openat(CWD, c"/", flags, Mode::empty()).at(StepKind::AttachRoot, 0)?
        }
    };
    let root = layout.rootfs.mount(Extent::Tree).at(StepKind::AttachRoot, 3)?;
    attach(root.as_fd(), place.as_fd()).at(StepKind::AttachRoot, 0)?;
    if !layout.sets_attributes {
        attributes::propagate(root.as_fd(), Propagation::Private, Extent::Tree)
            .at(StepKind::AttachRoot, 1)?;
    }
    Ok(root)
}

/// Attaches a mount to a file, by descriptors only.
pub(super) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}

fn attach_mounts(layout: &Layout<'_>, root: BorrowedFd<'_>) -> Step<Attached> {
    let mut attached = Attached::default();
    for (index, mount) in layout.plan.mounts.iter().enumerate() {
        let target = match &mount.kind {
            MountKind::Remount(_) => walk::resolve(root, &mount.target),
            _ => target(root, mount),
        }
        .at(StepKind::MountTarget, index)?;
        // A link of the image may have led into procfs (CVE-2019-16884, CVE-2025-52881).
        let over = fstatfs(&target).at(StepKind::MountTarget, index)?;
        let is_proc = mount.target.as_c_str() == c"/proc";
        let changes = ::core::matches!(mount.kind, MountKind::Remount(_));
        let may = mount.may_cover_proc || (changes && is_proc);
        if over.f_type == PROC_SUPER_MAGIC && !may {
            return Err(record(StepKind::MountInsideProc, index, Errno::PERM));
        }
        let target = target.as_fd();
        match &mount.kind {
            MountKind::Bind(bind) => attach_bind(layout, index, bind, target)?,
            MountKind::Typed(plan) => {
                typed::attach_typed(layout, index, mount, plan, target, &mut attached)?;
            }
            MountKind::Cgroups(plan) => typed::attach_cgroups(layout, index, plan, target)?,
            MountKind::Host(plan) => {
                attach_host(layout, plan, target).at(StepKind::MountAttach, index)?
            }
            MountKind::Classic(plan) => typed::mount_classic(index, plan, target)?,
            MountKind::Remount(plan) => {
                remount(layout, plan, target).at(StepKind::MountMake, index)?
            }
        }
    }
    Ok(attached)
}

pub(super) fn attach_host(
    layout: &Layout<'_>,
    plan: &HostPlan,
    target: BorrowedFd<'_>,
) -> Result<(), Errno> {
    let attach = |mount: BorrowedFd<'_>| attach(mount, target);
    origin::host_tree(layout.sets_attributes, &plan.path, plan.attributes, attach)
}

/// Changes what is mounted at the target; EINVAL if nothing is.
fn remount(layout: &Layout<'_>, plan: &RemountPlan, target: BorrowedFd<'_>) -> Result<(), Errno> {
    if !layout.sets_attributes {
        return attributes::remount(target, plan.own.set, plan.own.clear);
    }
    let change = |attributes: AttrChange| Change {
        set: attributes.set,
        clear: attributes.clear,
        ..Change::default()
    };
    if plan.tree != AttrChange::default() {
        set_attr(target, Extent::Tree, &change(plan.tree)).map_err(Errno::from)?;
    }
    set_attr(target, Extent::Mount, &change(plan.own)).map_err(Errno::from)?;
    let Some((propagation, extent)) = plan.propagation else { return Ok(()) };
    let change = Change { propagation: Some(propagation), ..Change::default() };
    set_attr(target, extent, &change).map_err(Errno::from)
}

fn attach_bind(
    layout: &Layout<'_>,
    index: usize,
    bind: &BindPlan,
    target: BorrowedFd<'_>,
) -> Step<()> {
    let source = layout.sources.get(index).copied().flatten();
    let source = source.ok_or(Errno::BADF).at(StepKind::MountMake, index)?;
    let source = source.mount(bind.extent).at(StepKind::MountMake, index)?;
    if let (Mounted::Copied(copied), true) = (&source, layout.sets_attributes) {
        origin::set_attributes(bind, copied.as_fd()).at(StepKind::MountMake, index)?;
    }
    let source = source.as_fd();
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

/// Makes the topmost root this process's by chroot(2). The host's own stays mounted below, out of reach; what shows its
/// processes and devices whole is taken away, so that a user namespace made inside is not allowed the same.
fn change_root(root: BorrowedFd<'_>) -> Step<()> {
    for path in [c"/proc", c"/sys"] {
        match unmount(path, UnmountFlags::DETACH) {
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(errno) => return Err(record(StepKind::PivotRoot, 4, errno)),
        }
    }
    fchdir(root).at(StepKind::PivotRoot, 0)?;
    chroot(c".").at(StepKind::PivotRoot, 5)?;
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

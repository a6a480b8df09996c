//! File systems that the kernel makes: in the child, since they belong to its namespaces.

use super::layout::{self, attach};
use super::report::{At, Step};
use super::{Layout, attributes, tree};
use ::core::prelude::rust_2024::*;
use ::mounts::{Attr, Change, Extent, Propagation};
use ::plan::{CgroupsPlan, ClassicPlan, MountPlan, StepKind, TypedPlan};
use ::rustix::fs::{Mode, OFlags, mkdirat, openat, symlinkat};
use ::rustix::io::Errno;
use ::rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use ::std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use ::sys::clone::{Namespaces, setns, unshare};
use ::sys::mount::set_attr;

/// Mounts that later steps need.
#[derive(Default)]
pub(super) struct Attached {
    /// The container's terminals.
    pub(super) devpts: Option<OwnedFd>,
    /// A `/dev` that becomes read-only in the end, with its index.
    pub(super) readonly_dev: Option<(usize, OwnedFd)>,
}

/// Makes the file system, attached nowhere.
fn make(plan: &TypedPlan, attributes: Attr) -> Result<OwnedFd, Errno> {
    let context = fsopen(plan.fs.as_c_str(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in &plan.options {
        match value {
            Some(value) => fsconfig_set_string(&context, key.as_c_str(), value.as_c_str())?,
            None => fsconfig_set_flag(&context, key.as_c_str())?,
        }
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::from_bits_retain(attributes.bits() as u32);
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

pub(super) fn attach_typed(
    layout: &Layout<'_>,
    index: usize,
    mount: &MountPlan,
    plan: &TypedPlan,
    target: BorrowedFd<'_>,
    attached: &mut Attached,
) -> Step<()> {
    let waits = mount.target.as_c_str() == c"/dev" && plan.attributes.contains(Attr::RDONLY);
    let attributes = if waits { plan.attributes.difference(Attr::RDONLY) } else { plan.attributes };
    let made = match (make(plan, attributes), &plan.fallback) {
        // Nothing has happened yet.
        (Err(Errno::PERM), Some(host)) => {
            let attached = match layout::attach_host(layout, host, target) {
                // The host has no such file system either.
                Err(Errno::NOENT) => Err(Errno::PERM),
                other => other,
            };
            return attached.at(StepKind::MountMake, index);
        }
        (made, _) => made.at(StepKind::MountMake, index)?,
    };
    if plan.copy_up {
        tree::copy(target, made.as_fd()).at(StepKind::MountCopy, index)?;
    }
    attach(made.as_fd(), target).at(StepKind::MountAttach, index)?;
    if let Some((propagation, extent)) = plan.propagation {
        propagate(layout, made.as_fd(), propagation, extent).at(StepKind::MountMake, index)?;
    }
    if waits {
        attached.readonly_dev = Some((index, made));
    } else if plan.fs.as_c_str() == c"devpts" && mount.target.as_c_str() == c"/dev/pts" {
        attached.devpts = Some(made);
    }
    Ok(())
}

fn propagate(
    layout: &Layout<'_>,
    mount: BorrowedFd<'_>,
    propagation: Propagation,
    extent: Extent,
) -> Result<(), Errno> {
    if layout.sets_attributes {
        let change = Change { propagation: Some(propagation), ..Change::default() };
        return set_attr(mount, extent, &change).map_err(Errno::from);
    }
    attributes::propagate(mount, propagation, extent)
}

/// Mounts a file system of any type by mount(2), which takes all its options at once.
pub(super) fn mount_classic(index: usize, plan: &ClassicPlan, target: BorrowedFd<'_>) -> Step<()> {
    let flags = MountFlags::from_bits_retain(plan.flags as u32);
    let (source, fs) = (plan.source.as_c_str(), plan.fs.as_c_str());
    let data = Some(plan.data.as_c_str()).filter(|data| !data.is_empty());
    // The name of the descriptor is a magic link to the target that was resolved, in the host's procfs.
    attributes::with_path(target, |path| ::rustix::mount::mount(source, path, fs, flags, data))
        .at(StepKind::MountMake, index)
}

/// A tmpfs with a mount of each hierarchy, and links for controllers that share one. In a cgroup namespace each shows
/// the container's own group as its root.
pub(super) fn attach_cgroups(
    layout: &Layout<'_>,
    index: usize,
    plan: &CgroupsPlan,
    target: BorrowedFd<'_>,
) -> Step<()> {
    let tmpfs = directory(MountAttrFlags::empty()).at(StepKind::MountMake, index)?;
    attach(tmpfs.as_fd(), target).at(StepKind::MountAttach, index)?;
    // A mount shows the hierarchy from the root of the namespace that makes it. In the starter's namespace that would
    // be all of the host, so each is made in a namespace of the container's own, which is left again afterwards.
    let namespaces = &layout.plan.namespaces.new;
    let visits = !namespaces.contains(Namespaces::CGROUP) && !namespaces.contains(Namespaces::USER);
    if visits {
        unshare(Namespaces::CGROUP).at(StepKind::UnshareCgroup, 0)?;
    }
    for (name, hierarchy) in &plan.hierarchies {
        let made = make(hierarchy, hierarchy.attributes).at(StepKind::MountMake, index)?;
        let mode = Mode::from_raw_mode(0o755);
        mkdirat(&tmpfs, name.as_c_str(), mode).at(StepKind::MountTarget, index)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let at = openat(&tmpfs, name.as_c_str(), flags, Mode::empty())
            .at(StepKind::MountTarget, index)?;
        attach(made.as_fd(), at.as_fd()).at(StepKind::MountAttach, index)?;
    }
    if visits {
        setns(layout.cgroup_namespace, Namespaces::CGROUP).at(StepKind::UnshareCgroup, 1)?;
    }
    for (name, hierarchy) in &plan.links {
        symlinkat(hierarchy.as_c_str(), &tmpfs, name.as_c_str())
            .at(StepKind::MountTarget, index)?;
    }
    attributes::add(layout, tmpfs.as_fd(), Extent::Mount, plan.attributes)
        .at(StepKind::MountMake, index)
}

/// An empty directory of its own with further attributes, attached nowhere.
pub(super) fn directory(more: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, c"source", c"tmpfs")?;
    fsconfig_set_string(&context, c"mode", c"0755")?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | more;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

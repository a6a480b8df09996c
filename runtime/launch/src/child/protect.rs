//! Paths of the kernel's file systems that a container may not read or write.

use super::Layout;
use super::layout::{attach, copy};
use super::origin::Mounted;
use super::report::{At, Step};
use super::{attributes, typed};
use ::core::prelude::rust_2024::*;
use ::mounts::{Attr, Extent, Propagation};
use ::plan::StepKind;
use ::rustix::fs::{FileType, fstat, makedev};
use ::rustix::io::Errno;
use ::rustix::mount::MountAttrFlags;
use ::safepath::walk;
use ::std::ffi::CStr;
use ::std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The file at a path that need not exist.
fn find(root: BorrowedFd<'_>, path: &CStr) -> Result<Option<OwnedFd>, Errno> {
    match walk::resolve(root, path) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Binds each path to itself read-only; the copy is read-only before it is attached, where the kernel can do that.
pub(super) fn readonly(layout: &Layout<'_>, root: BorrowedFd<'_>) -> Step<()> {
    for (index, path) in layout.plan.readonly.iter().enumerate() {
        let Some(target) = find(root, path).at(StepKind::Readonly, index)? else {
            continue;
        };
        let made = copy(target.as_fd(), Extent::Tree).at(StepKind::Readonly, index)?;
        if layout.sets_attributes {
            attributes::add(layout, made.as_fd(), Extent::Tree, Attr::RDONLY)
                .at(StepKind::Readonly, index)?;
        }
        attach(made.as_fd(), target.as_fd()).at(StepKind::Readonly, index)?;
        if !layout.sets_attributes {
            attributes::remount(made.as_fd(), Attr::RDONLY, Attr::empty())
                .at(StepKind::Readonly, index)?;
        }
    }
    Ok(())
}

/// What covers the masked paths: one mount, attached the first time and copied from there afterwards, since a mount that
/// is attached nowhere can be copied from kernel 6.15 on only.
struct Cover<'a> {
    mount: BorrowedFd<'a>,
    attached: bool,
    readonly: bool,
}

/// The attributes of a cover.
const COVER: Attr = Attr::RDONLY.union(Attr::NOSUID).union(Attr::NOEXEC);

impl Cover<'_> {
    fn put_over(&mut self, target: BorrowedFd<'_>) -> Result<(), Errno> {
        if self.attached {
            let again = copy(self.mount, Extent::Mount)?;
            return attach(again.as_fd(), target);
        }
        attach(self.mount, target)?;
        self.attached = true;
        match self.readonly {
            true => Ok(()),
            false => {
                attributes::propagate(self.mount, Propagation::Private, Extent::Mount)?;
                attributes::remount(self.mount, COVER, Attr::empty())
            }
        }
    }
}

/// The null device, attached nowhere and read-only; copied here, it must be the device still.
fn null<'a>(layout: &Layout<'a>) -> Result<Mounted<'a>, Errno> {
    let mount = layout.null.mount(Extent::Mount)?;
    if let (Mounted::Copied(copied), true) = (&mount, layout.sets_attributes) {
        let stat = fstat(copied)?;
        let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
        if !is_device || stat.st_rdev != makedev(1, 3) {
            return Err(Errno::NODEV);
        }
        attributes::add(layout, copied.as_fd(), Extent::Mount, COVER)?;
    }
    Ok(mount)
}

/// Covers each path: a directory with an empty one, anything else with the null device, both read-only
/// (CVE-2025-31133: both are ours, by descriptor, and no name in the container leads to them).
pub(super) fn mask(layout: &Layout<'_>, root: BorrowedFd<'_>) -> Step<()> {
    if layout.plan.masked.is_empty() {
        return Ok(());
    }
    let readonly = layout.sets_attributes;
    let source = null(layout).at(StepKind::Masked, 0)?;
    let mut null = Cover { mount: source.as_fd(), attached: false, readonly };
    let directory = typed::directory(MountAttrFlags::MOUNT_ATTR_RDONLY).at(StepKind::Masked, 0)?;
    let mut empty = Cover { mount: directory.as_fd(), attached: false, readonly: true };
    for (index, path) in layout.plan.masked.iter().enumerate() {
        let Some(target) = find(root, path).at(StepKind::Masked, index)? else { continue };
        let stat = fstat(&target).at(StepKind::Masked, index)?;
        let cover = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => &mut empty,
            _ => &mut null,
        };
        cover.put_over(target.as_fd()).at(StepKind::Masked, index)?;
    }
    Ok(())
}

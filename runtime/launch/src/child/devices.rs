//! Nodes and links in `/dev`.

use super::Layout;
use super::layout::{attach, ensure_without_links};
use super::report::{At, Step, record};
use ::core::prelude::rust_2024::*;
use ::mounts::Extent;
use ::plan::{DeviceKind, DevicePlan, LinkPlan, StepKind};
use ::rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, makedev, mknodat, openat, symlinkat,
};
use ::rustix::io::Errno;
use ::safepath::walk::{self, Last};
use ::std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Makes all nodes and links of the plan.
pub(super) fn make(layout: &Layout<'_>, root: BorrowedFd<'_>) -> Step<()> {
    for (index, device) in layout.plan.devices.iter().enumerate() {
        // A link in the place of the directory would put nodes elsewhere (CVE-2026-41579, CVE-2026-47766).
        let parent = ensure_without_links(root, &device.parent, Last::Directory, 0o755)
            .at(StepKind::Device, index)?;
        match layout.devices.get(index).copied().flatten() {
            Some(node) => {
                let node = node.mount(Extent::Mount).at(StepKind::Device, index)?;
                bind(node.as_fd(), parent.as_fd(), device).at(StepKind::Device, index)?;
            }
            None => make_node(index, parent.as_fd(), device)?,
        }
    }
    for (index, link) in layout.plan.links.iter().enumerate() {
        make_link(root, link).at(StepKind::Link, index)?;
    }
    Ok(())
}

/// Makes one node, and verifies by descriptor that it is what lies there now.
fn make_node(index: usize, parent: BorrowedFd<'_>, device: &DevicePlan) -> Step<()> {
    let kind = match device.kind {
        DeviceKind::Character => FileType::CharacterDevice,
        DeviceKind::Block => FileType::BlockDevice,
        DeviceKind::Fifo => FileType::Fifo,
    };
    let number = makedev(device.major, device.minor);
    let name = device.name.as_c_str();
    match mknodat(parent, name, kind, Mode::from_raw_mode(device.mode), number) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(record(StepKind::Device, index, errno)),
    }
    let node = open_entry(parent, device).at(StepKind::Device, index)?;
    let stat = fstat(&node).at(StepKind::Device, index)?;
    let is_number = kind == FileType::Fifo || stat.st_rdev == number;
    if FileType::from_raw_mode(stat.st_mode) != kind || !is_number {
        return Err(record(StepKind::DeviceReplaced, index, Errno::EXIST));
    }
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    if (stat.st_uid, stat.st_gid) != (device.uid, device.gid) {
        chownat(&node, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
            .at(StepKind::Device, index)?;
    }
    Ok(())
}

fn open_entry(parent: BorrowedFd<'_>, device: &DevicePlan) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, device.name.as_c_str(), flags, Mode::empty())
}

/// Attaches the host's node to a file made for it.
fn bind(node: BorrowedFd<'_>, parent: BorrowedFd<'_>, device: &DevicePlan) -> Result<(), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(parent, device.name.as_c_str(), flags, Mode::from_raw_mode(0o666)) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let target = open_entry(parent, device)?;
    match FileType::from_raw_mode(fstat(&target)?.st_mode) {
        FileType::Symlink => Err(Errno::LOOP),
        _ => attach(node, target.as_fd()),
    }
}

fn make_link(root: BorrowedFd<'_>, link: &LinkPlan) -> Result<(), Errno> {
    if let Some(required) = &link.requires {
        match walk::resolve(root, required) {
            Ok(_) => {}
            Err(_) => return Ok(()),
        }
    }
    let parent = ensure_without_links(root, &link.parent, Last::Directory, 0o755)?;
    match symlinkat(link.target.as_c_str(), &parent, link.name.as_c_str()) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

//! Where the descriptors of a launch come from.
//!
//! The asker can open nearly every path of the host by itself: O_PATH needs no right on the file. Whatever this worker
//! mounts, enters or writes to by its own rights must therefore show that another worker opened it, or lie where the
//! policy lets containers look. The kernel says where a descriptor is (`/proc/self/fd/N`); that the same file is seen at
//! that path in this worker's own mount table shows that the answer is about this table and not another.

use crate::host::Host;
use crate::received::{Ends, Launched};
use messages::task::Launch;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxAttributes, StatxFlags, statx};
use rustix::io::Errno;
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;
use spec::oci::Mount;
use spec::{Class, ContainerId, Failure};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The file system of namespaces (`NSFS_MAGIC`, linux/magic.h).
const NSFS: u64 = 0x6e73_6673;

/// The files that the engine writes for each container.
const OWN_FILES: [&str; 3] = ["hostname", "hosts", "resolv.conf"];

/// Checks all descriptors of a launch, before anything is done with them.
pub(crate) fn check_launch(
    host: &Host,
    launch: &Launch,
    received: &Launched,
) -> Result<(), Failure> {
    check_ends(&received.ends)?;
    check_rootfs(&received.rootfs)?;
    for (mount, source) in launch.spec.mounts.iter().zip(&received.sources) {
        if let Some(source) = source {
            check_bind(host, mount, source)?;
        }
    }
    received.netns.iter().try_for_each(|netns| check_netns(host, netns))?;
    received.log.iter().try_for_each(|log| check_log(host, &launch.id, log))
}

/// Clients are written to by root: a datagram socket would show that to who receives.
pub(crate) fn check_ends(ends: &Ends) -> Result<(), Failure> {
    let is = |fd: &OwnedFd, wanted| socket_type(fd).is_ok_and(|found| found == wanted);
    if ends.clients.iter().any(|(_, fd)| !is(fd, SocketType::STREAM)) {
        return Err(Failure::invalid("the descriptor of a client is no stream socket"));
    }
    if !is(&ends.channel, SocketType::SEQPACKET) {
        return Err(Failure::invalid("the descriptor of the channel is no packet socket"));
    }
    Ok(())
}

/// Only who may mount can make a mount that is attached nowhere: the storage worker, of a snapshot.
fn check_rootfs(rootfs: &OwnedFd) -> Result<(), Failure> {
    let refused = || {
        Failure::invalid(
            "the descriptor of the root file system is no mount that is attached nowhere",
        )
    };
    let path = shown_path(rootfs).map_err(|_| refused())?;
    let found = statx(rootfs, "", AtFlags::EMPTY_PATH, wanted()).map_err(|_| refused())?;
    let attached = statx(CWD, "/", AtFlags::empty(), wanted()).map_err(|_| refused())?;
    let is_top = found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    if path == Path::new("/") && is_top && found.stx_mnt_id != attached.stx_mnt_id {
        return Ok(());
    }
    Err(refused())
}

fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::MNT_ID
}

/// The path at which the kernel sees the file.
fn shown_path(file: &OwnedFd) -> Result<PathBuf, Errno> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let path = rustix::fs::readlink(link, Vec::new())?.into_bytes();
    Ok(PathBuf::from(OsStr::from_bytes(&path)))
}

/// The path without links in it, as the kernel shows it. Where nothing is, nothing can come from.
pub(crate) fn resolved(directory: &Path) -> PathBuf {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty());
    opened.and_then(|opened| shown_path(&opened)).unwrap_or_else(|_| directory.to_owned())
}

/// The path, if this very file is at it; what is deleted, covered or elsewhere is not.
fn place(file: &OwnedFd) -> Option<PathBuf> {
    let path = shown_path(file).ok().filter(|path| path.is_absolute())?;
    let identity = |directory: std::os::fd::BorrowedFd<'_>, path: &Path, flags| {
        let found = statx(directory, path, flags, wanted()).ok()?;
        Some((found.stx_dev_major, found.stx_dev_minor, found.stx_ino, found.stx_mnt_id))
    };
    let own = identity(file.as_fd(), Path::new(""), AtFlags::EMPTY_PATH)?;
    (identity(CWD, &path, AtFlags::SYMLINK_NOFOLLOW)? == own).then_some(path)
}

/// A volume, one of the files that the engine writes for containers, or what the policy allows.
fn check_bind(host: &Host, mount: &Mount, source: &OwnedFd) -> Result<(), Failure> {
    let shown: String = mount.destination.chars().take(200).collect();
    let place = place(source).ok_or_else(|| {
        Failure::invalid(format!(
            "the descriptor of the source of {shown:?} is no place of the host"
        ))
    })?;
    if is_volume(host, &place) || is_own_file(host, &place, source) {
        return Ok(());
    }
    host.policy.check_bind(place.as_os_str().as_bytes(), is_read_only(&mount.options))
}

fn is_volume(host: &Host, place: &Path) -> bool {
    let Ok(inside) = place.strip_prefix(host.data_root.join("volumes")) else { return false };
    inside.iter().nth(1).is_some_and(|name| name == "_data")
}

/// The directory belongs to the asker, so the file could be another that was linked into it.
fn is_own_file(host: &Host, place: &Path, source: &OwnedFd) -> bool {
    let Ok(inside) = place.strip_prefix(host.data_root.join("containers")) else { return false };
    let parts: Vec<_> = inside.iter().filter_map(OsStr::to_str).collect();
    let [id, name] = parts[..] else { return false };
    let plain = rustix::fs::fstat(source).is_ok_and(|status| {
        FileType::from_raw_mode(status.st_mode) == FileType::RegularFile && status.st_nlink == 1
    });
    plain && ContainerId::parse(id).is_ok() && OWN_FILES.contains(&name)
}

/// The last word about it counts.
fn is_read_only(options: &[String]) -> bool {
    let last = options.iter().rev().find_map(|option| match option.as_str() {
        "ro" | "rro" => Some(true),
        "rw" | "rrw" => Some(false),
        _ => None,
    });
    last.unwrap_or(false)
}

/// A network namespace by its own file; by a pidfd, which setns(2) takes too, it would be that of any process.
fn check_netns(host: &Host, netns: &OwnedFd) -> Result<(), Failure> {
    let is_namespace = rustix::fs::fstatfs(netns)
        .is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| kind == NSFS));
    let name = shown_path(netns).unwrap_or_default();
    if !is_namespace || !name.as_os_str().as_bytes().starts_with(b"net:[") {
        return Err(Failure::invalid("the descriptor of the network namespace is none"));
    }
    let own = rustix::fs::stat("/proc/self/ns/net");
    let given = rustix::fs::fstat(netns);
    let is_hosts = match (own, given) {
        (Ok(own), Ok(given)) => (own.st_dev, own.st_ino) == (given.st_dev, given.st_ino),
        // Nobody knows, so it may be.
        _ => true,
    };
    if is_hosts { host.policy.check_host_namespace("network") } else { Ok(()) }
}

/// Files are made in it by root, by a name that the asker chose.
fn check_log(host: &Host, id: &ContainerId, directory: &OwnedFd) -> Result<(), Failure> {
    let own = host.data_root.join("containers").join(id.as_str());
    if place(directory).is_some_and(|place| place == own) {
        return Ok(());
    }
    let message =
        format!("the descriptor of the log's directory is not that of container {}", id.short());
    Err(Failure::new(Class::Forbidden, message))
}

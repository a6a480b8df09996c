//! What of the host is mounted in a container, as the parent prepares it.

use crate::child::{Origin, Place};
use crate::host::open_device;
use crate::prepare::id_range;
use crate::spawn::above;
use crate::{Extras, Host, LaunchError, Rootfs, Source};
use mounts::userns::{self, IdRange};
use mounts::{Change, Detached, Extent, Propagation};
use plan::{
    AttrChange, BindPlan, DeviceKind, DevicePlan, IdMap, IdmapPlan, MountKind, MountPlan, Plan,
};
use rustix::fs::{FileType, PROC_SUPER_MAGIC, fstat, fstatfs, stat};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Something of the host that is mounted.
#[derive(Debug)]
pub(crate) enum Held {
    /// A mount that is attached nowhere.
    Mount(OwnedFd),
    /// What the child opens and copies itself.
    Place(HeldPlace),
}

/// A path and the identity of what is there.
#[derive(Debug)]
pub(crate) struct HeldPlace {
    path: CString,
    device: u64,
    inode: u64,
}

impl HeldPlace {
    fn of(path: CString, file: &OwnedFd) -> Result<Self, Errno> {
        let stat = fstat(file)?;
        Ok(Self { path, device: stat.st_dev, inode: stat.st_ino })
    }

    pub(crate) fn borrow(&self) -> Place<'_> {
        Place { path: &self.path, device: self.device, inode: self.inode }
    }
}

impl Held {
    fn mount(mount: Detached, lowest: i32) -> Result<Self, LaunchError> {
        above(mount.into_fd(), lowest).map(Self::Mount)
    }

    pub(crate) fn borrow(&self) -> Origin<'_> {
        match self {
            Self::Mount(fd) => Origin::Detached(fd.as_fd()),
            Self::Place(place) => Origin::Path(place.borrow()),
        }
    }
}

/// Borrowed entries of a list.
pub(crate) fn borrow_all(list: &[Option<Held>]) -> Vec<Option<Origin<'_>>> {
    list.iter().map(|held| held.as_ref().map(Held::borrow)).collect()
}

/// Whoever cannot copy mounts needs paths.
fn needs_path(object: &str) -> LaunchError {
    let reason = "without the right to copy mounts its path must be given";
    LaunchError::Mismatch { object: object.to_owned(), reason }
}

/// The null device.
pub(crate) fn null(host: &Host, lowest: i32) -> Result<Held, LaunchError> {
    match host.null()? {
        Ok(mount) => Held::mount(mount, lowest),
        Err(file) => HeldPlace::of(c"/dev/null".to_owned(), &file)
            .map(Held::Place)
            .map_err(|errno| LaunchError::new("look at", "/dev/null", errno)),
    }
}

/// The root as a mount of its own that propagates nothing, and where it is on the host if hooks look for it there.
pub(crate) fn root(
    host: &Host,
    plan: &Plan,
    rootfs: Rootfs,
    extras: &Extras,
) -> Result<(Held, Option<HeldPlace>), LaunchError> {
    let failed = |errno| LaunchError::new("bind", "root file system", errno);
    let looked_for = plan.hooks.before_root() || !plan.hooks.create_container.is_empty();
    let (mount, place) = match rootfs {
        Rootfs::Detached(fd) => (Detached::from_fd(fd), None),
        Rootfs::Directory(_) if !host.copies_mounts => return Err(needs_path("root file system")),
        Rootfs::Directory(fd) => {
            refuse_own_root(&fd)?;
            (Detached::clone_of(fd, Extent::Tree).map_err(failed)?, None)
        }
        Rootfs::Path { path, directory } => {
            refuse_own_root(&directory)?;
            let place = HeldPlace::of(path, &directory).map_err(failed)?;
            if !host.copies_mounts {
                // An idmapped mount needs the rights of who mounted its file system.
                if extras.rootfs_idmap.is_some() {
                    return Err(LaunchError::new("map ids of", "root file system", Errno::PERM));
                }
                let place_of_root = looked_for.then(|| HeldPlace {
                    path: place.path.clone(),
                    device: place.device,
                    inode: place.inode,
                });
                return Ok((Held::Place(place), place_of_root));
            }
            let mount = Detached::clone_of(directory, Extent::Tree).map_err(failed)?;
            (mount, looked_for.then_some(place))
        }
    };
    if host.sets_attributes {
        let change = Change { propagation: Some(Propagation::Private), ..Change::default() };
        mount.set(Extent::Tree, &change).map_err(failed)?;
    }
    if let Some(idmap) = &extras.rootfs_idmap {
        idmap_mount(host, idmap, &mount, &mut Vec::new(), "root file system")?;
    }
    Ok((Held::mount(mount, extras.lowest())?, place))
}

/// The root of the host itself is none for a container: changing to it would take the host's own mounts away.
fn refuse_own_root(directory: &OwnedFd) -> Result<(), LaunchError> {
    let failed = |errno| LaunchError::new("look at", "root file system", errno);
    let (found, own) = (fstat(directory).map_err(failed)?, stat(c"/").map_err(failed)?);
    match (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino) {
        false => Ok(()),
        true => {
            let reason = "it is the root of the host";
            Err(LaunchError::Mismatch { object: "root file system".to_owned(), reason })
        }
    }
}

/// The source of each bind mount.
pub(crate) fn sources(
    host: &Host,
    mounts: &[MountPlan],
    sources: Vec<Option<Source>>,
    lowest: i32,
) -> Result<Vec<Option<Held>>, LaunchError> {
    let mut sources = sources.into_iter();
    let mut user_namespaces = Vec::new();
    let mut prepare = |mount: &MountPlan| {
        let source = sources.next().flatten();
        let object = || format!("mount {:?}", mount.target.to_string_lossy());
        match (&mount.kind, source) {
            (MountKind::Bind(bind), Some(source)) => {
                if mount.proc_source {
                    must_be_proc(&source, &object())?;
                }
                let held = bind_source(host, bind, source, &mut user_namespaces, &object(), lowest);
                held.map(Some)
            }
            (MountKind::Bind(_), None) => {
                let reason = "its source was not given";
                Err(LaunchError::Mismatch { object: object(), reason })
            }
            // The source of a change, or of a file system by mount(2), is not looked at.
            (MountKind::Remount(_) | MountKind::Classic(_), _) | (_, None) => Ok(None),
            (_, Some(_)) => {
                let reason = "a source was given for a file system that the kernel makes";
                Err(LaunchError::Mismatch { object: object(), reason })
            }
        }
    };
    mounts.iter().map(&mut prepare).collect()
}

/// Only a procfs may lie at `/proc` (CVE-2019-16884).
fn must_be_proc(source: &Source, object: &str) -> Result<(), LaunchError> {
    let (Source::File(fd) | Source::Detached(fd) | Source::Path { file: fd, .. }) = source;
    let found = fstatfs(fd).map_err(|errno| LaunchError::new("look at", object, errno))?;
    match found.f_type == PROC_SUPER_MAGIC {
        true => Ok(()),
        false => {
            let reason = "what covers /proc must be a procfs";
            Err(LaunchError::Mismatch { object: object.to_owned(), reason })
        }
    }
}

/// The namespace files of id maps that were made already, since several mounts often have the same maps.
type UserNamespaces = Vec<(IdmapPlan, OwnedFd)>;

fn bind_source(
    host: &Host,
    bind: &BindPlan,
    source: Source,
    user_namespaces: &mut UserNamespaces,
    object: &str,
    lowest: i32,
) -> Result<Held, LaunchError> {
    let failed = |errno: Errno| LaunchError::new("prepare", object, errno);
    let mount = match source {
        Source::Detached(fd) => Detached::from_fd(fd),
        Source::File(_) if !host.copies_mounts => return Err(needs_path(object)),
        Source::Path { path, file } if !host.copies_mounts => {
            if bind.idmap.is_some() {
                return Err(failed(Errno::PERM));
            }
            return HeldPlace::of(path, &file).map(Held::Place).map_err(failed);
        }
        Source::File(fd) | Source::Path { file: fd, .. } => {
            Detached::clone_of(fd, bind.extent).map_err(failed)?
        }
    };
    if !host.sets_attributes {
        // The child sets what it can once the mount is attached.
        check_old_kernel(bind, object)?;
        return Held::mount(mount, lowest);
    }
    if let Some(idmap) = &bind.idmap {
        idmap_mount(host, idmap, &mount, user_namespaces, object)?;
    }
    crate::child::origin::set_attributes(bind, mount.as_fd()).map_err(failed)?;
    Held::mount(mount, lowest)
}

fn idmap_mount(
    host: &Host,
    idmap: &IdmapPlan,
    mount: &Detached,
    user_namespaces: &mut UserNamespaces,
    object: &str,
) -> Result<(), LaunchError> {
    if !host.sets_attributes {
        let feature = "an idmapped mount";
        return Err(LaunchError::OldKernel { object: object.to_owned(), feature });
    }
    let namespace = user_namespace(idmap, user_namespaces, object)?;
    let change = Change { idmap: Some(namespace), ..Change::default() };
    mount.set(idmap.extent, &change).map_err(|errno| LaunchError::new("map ids of", object, errno))
}

/// What cannot be had without mount_setattr.
fn check_old_kernel(bind: &BindPlan, object: &str) -> Result<(), LaunchError> {
    let feature = match (&bind.idmap, bind.tree == AttrChange::default()) {
        (None, true) => return Ok(()),
        (Some(_), _) => "an idmapped mount",
        (None, false) => "a recursively changed mount",
    };
    Err(LaunchError::OldKernel { object: object.to_owned(), feature })
}

fn user_namespace<'n>(
    idmap: &IdmapPlan,
    known: &'n mut UserNamespaces,
    object: &str,
) -> Result<BorrowedFd<'n>, LaunchError> {
    let same = |maps: &IdmapPlan| maps.uids == idmap.uids && maps.gids == idmap.gids;
    let at = match known.iter().position(|(maps, _)| same(maps)) {
        Some(at) => at,
        None => {
            let ranges = |maps: &[IdMap]| maps.iter().map(id_range).collect::<Vec<IdRange>>();
            let made = userns::with_maps(&ranges(&idmap.uids), &ranges(&idmap.gids));
            let failed = |e: mounts::Error| {
                LaunchError::new("map ids of", object, e.errno().unwrap_or(Errno::IO))
            };
            known.push((idmap.clone(), made.map_err(failed)?));
            known.len() - 1
        }
    };
    Ok(known[at].1.as_fd())
}

/// The host's node of the same path, for a container that cannot make nodes; it must be the device that is meant.
pub(crate) fn device(
    host: &Host,
    device: &DevicePlan,
    lowest: i32,
) -> Result<Option<Held>, LaunchError> {
    if !device.bind {
        return Ok(None);
    }
    let path = device.path.to_string_lossy();
    let failed = |errno| LaunchError::new("bind device", path.clone(), errno);
    let kind = match device.kind {
        DeviceKind::Character => FileType::CharacterDevice,
        DeviceKind::Block => FileType::BlockDevice,
        DeviceKind::Fifo => FileType::Fifo,
    };
    let path: &CStr = &device.path;
    let node = open_device(path, kind, (device.major, device.minor)).map_err(failed)?;
    if !host.copies_mounts {
        let place = HeldPlace::of(path.to_owned(), &node).map_err(failed)?;
        return Ok(Some(Held::Place(place)));
    }
    // Nothing can be mounted below a node, so its propagation does not matter.
    let mount = Detached::clone_of(node, Extent::Mount).map_err(failed)?;
    Held::mount(mount, lowest).map(Some)
}

//! What containers may get of the host: bind sources and device nodes.

use crate::layers::Answer;
use crate::rootfs::real_path;
use messages::Fd;
use messages::storage::{Device, Passes, Reply};
use policy::Policy;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, StatxFlags};
use rustix::io::Errno;
use spec::{Class, Failure};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Directories below `/dev` whose nodes belong to others, as runC leaves them out.
const SKIPPED: [&[u8]; 6] = [b"pts", b"shm", b"fd", b"mqueue", b".lxc", b".udev"];

/// Most nodes in one answer, and how deep a directory is searched.
const DEVICES_MAX: usize = 4096;
const DEPTH_MAX: usize = 8;

fn open_at(directory: impl AsFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    // Links of /proc lead to what a process has open; nobody binds those.
    let resolve = ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::io::retry_on_intr(|| {
        rustix::fs::openat2(&directory, path, flags, Mode::empty(), resolve)
    })
}

fn failure(what: &str, path: &[u8], errno: Errno) -> Failure {
    let shown = String::from_utf8_lossy(path).escape_debug().to_string();
    // Docker's clients look for this sentence.
    if errno == Errno::NOENT && what == "bind" {
        return Failure::invalid(format!("bind source path does not exist: {shown}"));
    }
    let class = match errno {
        Errno::NOENT => Class::NotFound,
        Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::ROFS => Class::InvalidArgument,
        _ => Class::Internal,
    };
    let cause = Failure::from_error(class, &errno);
    Failure::new(class, format!("{what} {shown}: {cause}"))
}

/// Opens a bind source. The policy is asked for the path as it was named, and again for where the opened file is.
pub(crate) fn open_path(
    policy: &Policy,
    path: &[u8],
    create_directory: bool,
    read_only: bool,
    passes: Passes,
) -> Answer {
    policy.check_bind(path, read_only)?;
    let opened = match open_at(CWD, path) {
        Err(Errno::NOENT) if create_directory => create(policy, path, read_only)?,
        opened => opened.map_err(|errno| failure("bind", path, errno))?,
    };
    check_place(policy, &opened, path, read_only)?;
    check_propagation(&opened, path, passes)?;
    let stat = rustix::fs::fstat(&opened).map_err(|errno| failure("bind", path, errno))?;
    let directory = FileType::from_raw_mode(stat.st_mode).is_dir();
    Ok((Reply::Opened { file: Fd(0), directory }, vec![opened]))
}

fn check_place(
    policy: &Policy,
    opened: &OwnedFd,
    path: &[u8],
    read_only: bool,
) -> Result<(), Failure> {
    let place = real_path(opened).map_err(|errno| failure("bind", path, errno))?;
    policy.check_bind(&place, read_only)
}

/// A container can pass mounts on to the host, or get them from there, only if the mount of the source does (mount
/// namespaces(7)); otherwise the option would be taken and do nothing.
fn check_propagation(opened: &OwnedFd, path: &[u8], passes: Passes) -> Result<(), Failure> {
    let wanted = match passes {
        Passes::Anything => return Ok(()),
        Passes::ToContainers => "shared or slave",
        Passes::BothWays => "shared",
    };
    let failed = |errno| failure("look at mount of", path, errno);
    let id = rustix::fs::statx(opened, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
        .map_err(failed)?
        .stx_mnt_id;
    let table = mounts::mountinfo::read("/proc/self/mountinfo")
        .map_err(|error| Failure::from_error(Class::Internal, &error))?;
    let mount = table.iter().find(|mount| u64::from(mount.id) == id);
    let mount = mount.ok_or_else(|| failed(Errno::NOENT))?;
    let slave = passes == Passes::ToContainers && mount.master.is_some();
    if mount.shared.is_some() || slave {
        return Ok(());
    }
    let shown = |text: &[u8]| String::from_utf8_lossy(text).escape_debug().to_string();
    Err(Failure::invalid(format!(
        "path {} is mounted on {} but it is not a {wanted} mount",
        shown(path),
        shown(&mount.mount_point)
    )))
}

/// Makes a directory and those above it, mode 0755 as Docker does. Each is looked up from the one before, so that the
/// policy can be asked where the first new one would be.
fn create(policy: &Policy, path: &[u8], read_only: bool) -> Result<OwnedFd, Failure> {
    let failed = |errno| failure("make directory", path, errno);
    let mut at = open_at(CWD, b"/").map_err(failed)?;
    let mut checked = false;
    for component in path.split(|b| *b == b'/').filter(|component| !component.is_empty()) {
        at = match open_at(&at, component) {
            Ok(next) => next,
            Err(Errno::NOENT) => {
                if !checked {
                    let mut place = real_path(&at).map_err(failed)?;
                    if place != b"/" {
                        place.push(b'/');
                    }
                    place.extend_from_slice(component);
                    policy.check_bind(&place, read_only)?;
                    checked = true;
                }
                match rustix::fs::mkdirat(&at, component, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed(errno)),
                }
                open_at(&at, component).map_err(failed)?
            }
            Err(errno) => return Err(failed(errno)),
        };
    }
    Ok(at)
}

/// The device node at a path, or those in a directory and below it.
pub(crate) fn devices(policy: &Policy, path: &[u8]) -> Answer {
    policy.check_device_path(path)?;
    let opened = open_at(CWD, path).map_err(|errno| failure("look up device", path, errno))?;
    let place = real_path(&opened).map_err(|errno| failure("look up device", path, errno))?;
    policy.check_device_path(&place)?;
    let stat = rustix::fs::fstat(&opened).map_err(|e| failure("look up device", path, e))?;
    let mut found = Vec::new();
    if FileType::from_raw_mode(stat.st_mode).is_dir() {
        collect(opened.as_fd(), path, 0, &mut found)
            .map_err(|errno| failure("look up devices in", path, errno))?;
    } else {
        found.extend(device(path, &stat));
        if found.is_empty() {
            let shown = String::from_utf8_lossy(path).escape_debug().to_string();
            return Err(Failure::invalid(format!("look up device {shown}: not a device node")));
        }
    }
    Ok((Reply::Devices(found), vec![]))
}

fn device(path: &[u8], stat: &Stat) -> Option<Device> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    if !kind.is_block_device() && !kind.is_char_device() {
        return None;
    }
    Some(Device {
        path: path.to_vec(),
        block: kind.is_block_device(),
        major: rustix::fs::major(stat.st_rdev),
        minor: rustix::fs::minor(stat.st_rdev),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
    })
}

fn collect(
    directory: BorrowedFd<'_>,
    path: &[u8],
    depth: usize,
    found: &mut Vec<Device>,
) -> Result<(), Errno> {
    let mut names = Vec::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    for item in Dir::read_from(rustix::fs::openat(directory, ".", flags, Mode::empty())?)? {
        names.push(item?.file_name().to_bytes().to_vec());
    }
    names.sort_unstable();
    for name in names.iter().filter(|name| !matches!(&name[..], b"." | b"..")) {
        let full = [path, b"/", name].concat();
        let Ok(stat) = rustix::fs::statat(directory, &**name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if FileType::from_raw_mode(stat.st_mode).is_dir() {
            if depth < DEPTH_MAX && !SKIPPED.contains(&&name[..]) {
                let flags = flags | OFlags::NOFOLLOW;
                let inner = rustix::fs::openat(directory, &**name, flags, Mode::empty())?;
                collect(inner.as_fd(), &full, depth + 1, found)?;
            }
            continue;
        }
        // /dev/console would take the host's console away; runC leaves it out too.
        if found.len() < DEVICES_MAX && &name[..] != b"console" {
            found.extend(device(&full, &stat));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    fn policy(directory: &Path, text: &str) -> Policy {
        let path = directory.join("policy.toml");
        std::fs::write(&path, text).unwrap();
        Policy::load(&path).unwrap()
    }

    fn bytes(path: &Path) -> &[u8] {
        path.as_os_str().as_bytes()
    }

    #[test]
    fn a_link_out_of_an_allowed_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        std::fs::create_dir_all(root.join("allowed/dir")).unwrap();
        std::fs::create_dir(root.join("secret")).unwrap();
        std::os::unix::fs::symlink(root.join("secret"), root.join("allowed/out")).unwrap();
        let text = format!("host-paths = [{:?}]", root.join("allowed"));
        let policy = policy(&root, &text);
        assert!(
            open_path(&policy, bytes(&root.join("allowed/dir")), false, false, Passes::Anything)
                .is_ok()
        );
        for path in ["allowed/out", "allowed/out/new", "secret"] {
            let failure =
                open_path(&policy, bytes(&root.join(path)), true, false, Passes::Anything)
                    .unwrap_err();
            assert_eq!(failure.class, Class::Forbidden, "{path}: {failure}");
        }
        assert!(!root.join("secret/new").exists());
    }

    #[test]
    fn a_missing_source_is_made_or_told_as_docker_tells_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let failure = open_path(&Policy::default(), bytes(&path), false, false, Passes::Anything)
            .unwrap_err();
        let expected = format!("bind source path does not exist: {}", path.display());
        assert_eq!(failure, Failure::invalid(expected));
        let (reply, fds) =
            open_path(&Policy::default(), bytes(&path), true, false, Passes::Anything).unwrap();
        assert_eq!(reply, Reply::Opened { file: Fd(0), directory: true });
        assert_eq!((fds.len(), path.is_dir()), (1, true));
    }

    #[test]
    fn devices_are_told_by_number_and_other_files_are_refused() {
        let (reply, _) = devices(&Policy::default(), b"/dev/null").unwrap();
        let Reply::Devices(found) = reply else { panic!("{reply:?}") };
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].block, found[0].major, found[0].minor), (false, 1, 3));
        let (reply, _) = devices(&Policy::default(), b"/dev").unwrap();
        let Reply::Devices(found) = reply else { panic!("{reply:?}") };
        assert!(found.iter().any(|device| device.path == b"/dev/zero"));
        assert!(!found.iter().any(|device| device.path.starts_with(b"/dev/pts/")));
        assert!(devices(&Policy::default(), b"/dev/nothing-here").is_err());
        let failure = devices(&Policy::default(), b"/etc/passwd").unwrap_err();
        assert_eq!(failure.class, Class::Forbidden);
    }
}

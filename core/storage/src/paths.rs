//! Paths inside a root file system.

use crate::layers::Answer;
use crate::rootfs::{self, Use};
use crate::worker::Storage;
use messages::Fd;
use messages::storage::{PathStat, Reply, Root};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, StatVfsMountFlags};
use rustix::io::Errno;
use spec::{Class, Failure};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use transport::Descriptors;

/// Longest path in bytes (PATH_MAX without its zero byte).
const PATH_MAX: usize = 4095;

/// How many symbolic links one path may have, as in the kernel.
const LINKS_MAX: usize = 40;

/// How often a lookup is tried again that a concurrent rename disturbed (openat2(2), EAGAIN).
const LOOKUPS: usize = 128;

/// A path as a client names it, cleaned by its text as Docker does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// From the root, without a slash at either end; empty for the root itself.
    path: Vec<u8>,
    /// It ended with `/`, `/.` or is the root: a link in the last place is followed.
    follow: bool,
    /// It ended with `/.`: the content of the directory is meant.
    content: bool,
}

/// What a path leads to, as far as verbs differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    Directory,
    File,
    Link,
    Other,
}

impl Last {
    pub(crate) fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Self::Directory,
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Link,
            _ => Self::Other,
        }
    }
}

/// Takes away `.`, `..` and doubled slashes by the text alone; `..` stops at the root.
fn clean(path: &[u8]) -> Vec<u8> {
    let mut components: Vec<&[u8]> = Vec::new();
    for component in path.split(|b| *b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                components.pop();
            }
            component => components.push(component),
        }
    }
    components.join(&b'/')
}

impl Request {
    /// Reads a path; refuses what no path can be.
    pub(crate) fn parse(path: &[u8]) -> Result<Self, Failure> {
        let shown = archive::escape(path);
        if path.is_empty() || path.len() > PATH_MAX || path.contains(&0) {
            return Err(Failure::invalid(format!(
                "invalid path {shown}: it must have 1 to {PATH_MAX} bytes and no zero byte"
            )));
        }
        let cleaned = clean(path);
        let content = path.ends_with(b"/.") || path == b".";
        let follow = content || path.ends_with(b"/") || cleaned.is_empty();
        Ok(Self { path: cleaned, follow, content })
    }

    /// The same path with a link in the last place followed.
    pub(crate) fn following(self) -> Self {
        Self { follow: true, ..self }
    }

    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// The absolute path for people.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&[b"/", &self.path[..]].concat()).escape_debug().to_string()
    }

    fn split(&self) -> (&[u8], &[u8]) {
        match self.path.iter().rposition(|b| *b == b'/') {
            Some(slash) => (&self.path[..slash], &self.path[slash + 1..]),
            None => (b"", &self.path),
        }
    }

    /// The last component; `/` for the root.
    fn name(&self) -> Vec<u8> {
        match self.split().1 {
            b"" => b"/".to_vec(),
            name => name.to_vec(),
        }
    }

    /// The directory to open and the name in it to archive.
    pub(crate) fn place(&self) -> (Vec<u8>, Vec<u8>) {
        if self.follow {
            return (self.path.clone(), b".".to_vec());
        }
        let (directory, name) = self.split();
        (directory.to_vec(), name.to_vec())
    }

    /// The first name in an archive of it.
    pub(crate) fn entry_name(&self) -> Vec<u8> {
        match self.split().1 {
            name if !self.content && !name.is_empty() => name.to_vec(),
            _ => b".".to_vec(),
        }
    }

    /// Opens what lies there (O_PATH).
    pub(crate) fn open(&self, root: BorrowedFd<'_>) -> Result<(OwnedFd, Stat), Failure> {
        let last = if self.follow { OFlags::empty() } else { OFlags::NOFOLLOW };
        let opened = lookup(root, &self.path, OFlags::PATH | last)
            .map_err(|errno| self.failure("open path", errno))?;
        let stat = rustix::fs::fstat(&opened).map_err(|e| self.failure("look at path", e))?;
        if self.follow && self.content && Last::of(&stat) != Last::Directory {
            return Err(self.failure("open path", Errno::NOTDIR));
        }
        Ok((opened, stat))
    }

    fn failure(&self, what: &str, errno: Errno) -> Failure {
        let class = match errno {
            Errno::NOENT => Class::NotFound,
            Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG => Class::InvalidArgument,
            _ => Class::Internal,
        };
        let cause = Failure::from_error(class, &errno);
        Failure::new(class, format!("{what} {}: {cause}", self.shown()))
    }
}

/// Looks a path up as if `root` were the root of the file system.
fn lookup(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..LOOKUPS {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens a directory in a root, links followed inside it.
pub(crate) fn open_directory(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Failure> {
    lookup(root, path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(|errno| {
        let class = if errno == Errno::NOENT { Class::NotFound } else { Class::InvalidArgument };
        let cause = Failure::from_error(class, &errno);
        Failure::new(class, format!("open directory {}: {cause}", archive::escape(path)))
    })
}

/// Whether nothing can be written there.
pub(crate) fn is_read_only(file: impl AsFd) -> bool {
    rustix::fs::fstatvfs(file).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Whether a container could not write there. A stopped one is looked at through a mount that is read-only as a whole,
/// which says nothing; what is mounted in it does.
fn container_cannot_write(root: &Root, view: BorrowedFd<'_>, file: BorrowedFd<'_>) -> bool {
    let mount = |file| {
        let wanted = rustix::fs::StatxFlags::MNT_ID;
        rustix::fs::statx(file, "", rustix::fs::AtFlags::EMPTY_PATH, wanted)
            .map_or(0, |found| found.stx_mnt_id)
    };
    let own = matches!(root, Root::Stopped { .. }) && mount(view) == mount(file);
    !own && is_read_only(file)
}

/// Where a symbolic link leads in the root, as an absolute path; where nothing lies, the rest of the text stands as it
/// is.
fn resolve_link(root: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut done: Vec<u8> = Vec::new();
    let mut rest: Vec<Vec<u8>> = path.rsplit(|b| *b == b'/').map(<[u8]>::to_vec).collect();
    let mut links = 0;
    while let Some(component) = rest.pop() {
        match &component[..] {
            b"" | b"." => continue,
            b".." => {
                let slash = done.iter().rposition(|b| *b == b'/').unwrap_or(0);
                done.truncate(slash);
                continue;
            }
            _ => {}
        }
        let next = [&done[..], b"/", &component].concat();
        let target = lookup(root, &done, OFlags::PATH | OFlags::DIRECTORY)
            .and_then(|directory| rustix::fs::readlinkat(directory, &component[..], Vec::new()));
        let target = match target {
            Ok(target) => target.into_bytes(),
            // No link, or nothing.
            Err(_) => {
                done = next;
                continue;
            }
        };
        links += 1;
        if links > LINKS_MAX || target.len() + rest.len() > PATH_MAX {
            return Err(Errno::LOOP);
        }
        if target.starts_with(b"/") {
            done.clear();
        }
        rest.extend(target.rsplit(|b| *b == b'/').map(<[u8]>::to_vec));
    }
    Ok(if done.is_empty() { b"/".to_vec() } else { done })
}

/// What lies at a path.
pub(crate) fn stat(storage: &Storage, root: &Root, fds: &mut Descriptors, path: &[u8]) -> Answer {
    let view = rootfs::open(storage, root, fds, Use::Read)?;
    let request = Request::parse(path)?;
    let (opened, found) = request.open(view.as_fd())?;
    let link_target = if Last::of(&found) == Last::Link {
        resolve_link(view.as_fd(), &request.path).unwrap_or_default()
    } else {
        Vec::new()
    };
    let seconds = found.st_mtime.saturating_mul(1_000_000_000);
    let stat = PathStat {
        name: if request.content { b".".to_vec() } else { request.name() },
        size: u64::try_from(found.st_size).unwrap_or(0),
        mode: found.st_mode,
        modified: seconds.saturating_add(i64::try_from(found.st_mtime_nsec).unwrap_or(0)),
        link_target,
        read_only: container_cannot_write(root, view.as_fd(), opened.as_fd()),
    };
    Ok((Reply::Stat(stat), vec![]))
}

/// Opens a regular file for reading. Symbolic links are followed inside the root: some images have `/etc/passwd` as one.
pub(crate) fn open_file(
    storage: &Storage,
    root: &Root,
    fds: &mut Descriptors,
    path: &[u8],
    limit: u64,
) -> Answer {
    // Closed by the end of this job, which follows the answer: giving up a mount waits for a grace period of the kernel.
    let view = ManuallyDrop::new(rootfs::open(storage, root, fds, Use::Read)?);
    let request = Request::parse(path)?.following();
    let (_, found) = request.open(view.as_fd())?;
    let refuse =
        |cause: String| Failure::invalid(format!("open file {}: {cause}", request.shown()));
    let check = |stat: &Stat| match Last::of(stat) {
        Last::File if u64::try_from(stat.st_size).unwrap_or(u64::MAX) > limit => {
            Err(refuse(format!("it has {} bytes, more than {limit}", stat.st_size)))
        }
        Last::File => Ok(()),
        _ => Err(refuse("it is not a regular file".to_owned())),
    };
    // Looked at before it is opened, since opening a pipe waits and opening a device may act; and again afterwards,
    // since another file may have taken its place.
    check(&found)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = lookup(view.as_fd(), &request.path, flags)
        .map_err(|errno| request.failure("open file", errno))?;
    check(&rustix::fs::fstat(&file).map_err(|errno| request.failure("open file", errno))?)?;
    Ok((Reply::Opened { file: Fd(0), directory: false }, vec![file]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_cleaned_and_cannot_leave_the_root() {
        for (text, path, follow, entry) in [
            (&b"/etc/passwd"[..], &b"etc/passwd"[..], false, &b"passwd"[..]),
            (b"etc//./x", b"etc/x", false, b"x"),
            (b"/../../etc", b"etc", false, b"etc"),
            (b"/dir/", b"dir", true, b"dir"),
            (b"/dir/.", b"dir", true, b"."),
            (b"/", b"", true, b"."),
            (b".", b"", true, b"."),
        ] {
            let request = Request::parse(text).unwrap();
            assert_eq!((request.path(), request.follow), (path, follow), "{text:?}");
            assert_eq!(request.entry_name(), entry, "{text:?}");
        }
        for bad in [&b""[..], b"a\0b", &[b'x'; 4096]] {
            assert_eq!(Request::parse(bad).unwrap_err().class, Class::InvalidArgument);
        }
    }

    #[test]
    fn links_are_resolved_inside_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::create_dir_all(path.join("usr/bin")).unwrap();
        std::fs::write(path.join("usr/bin/tool"), "x").unwrap();
        for (target, link) in [
            ("usr/bin", "bin"),
            ("/bin/tool", "abs"),
            ("../../../../bin/tool", "up"),
            ("/nowhere/at/all", "dangling"),
            ("loop", "loop"),
        ] {
            std::os::unix::fs::symlink(target, path.join(link)).unwrap();
        }
        let root = std::fs::File::open(path).unwrap();
        let resolve = |link: &str| resolve_link(root.as_fd(), link.as_bytes());
        assert_eq!(resolve("abs").unwrap(), b"/usr/bin/tool");
        assert_eq!(resolve("up").unwrap(), b"/usr/bin/tool");
        assert_eq!(resolve("bin").unwrap(), b"/usr/bin");
        assert_eq!(resolve("dangling").unwrap(), b"/nowhere/at/all");
        assert_eq!(resolve("loop").unwrap_err(), Errno::LOOP);
    }
}

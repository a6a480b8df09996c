//! Overlay mounts.

use crate::{Attr, Detached, Error, Extent, Features, FsContext};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most lower directories that the kernel takes (OVL_MAX_STACK).
const MOST_LAYERS: usize = 500;

/// The lower directories of an overlay, the topmost first.
#[derive(Debug, Clone, Copy)]
pub enum Layers<'a> {
    /// As descriptors of directories, which need not be reachable by a path (6.13).
    Descriptors(&'a [BorrowedFd<'a>]),
    /// As paths relative to [`Overlay::base`], without colons, commas and backslashes.
    Paths(&'a [&'a CStr]),
}

/// An overlay to mount.
#[derive(Debug, Clone, Copy)]
pub struct Overlay<'a> {
    /// The directory that paths are relative to.
    pub base: BorrowedFd<'a>,
    /// What lies below, the topmost first.
    pub lower: Layers<'a>,
    /// The writable directory and the work directory, relative to `base`; none for a read-only overlay.
    pub upper: Option<(&'a CStr, &'a CStr)>,
    /// Further options and their values, such as `metacopy` `off`; an empty value for a flag like `volatile`.
    pub options: &'a [(&'a CStr, &'a CStr)],
}

impl Overlay<'_> {
    /// Mounts the overlay nowhere, in the way that `features` allow.
    pub fn mount(&self, features: &Features) -> Result<Detached, Error> {
        let count = match self.lower {
            Layers::Descriptors(fds) => fds.len(),
            Layers::Paths(paths) => paths.len(),
        };
        if count > MOST_LAYERS {
            return Err(Error::TooManyLayers { count, limit: MOST_LAYERS });
        }
        match self.lower {
            Layers::Descriptors(fds) => self.by_descriptors(fds),
            Layers::Paths(paths) if features.overlay_layer_fds => {
                let open = |path: &&CStr| self.open(path);
                let fds = paths.iter().map(open).collect::<Result<Vec<_>, _>>()?;
                let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                self.by_descriptors(&borrowed)
            }
            Layers::Paths(paths) => self.by_text(paths),
        }
    }

    fn open(&self, path: &CStr) -> Result<OwnedFd, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(self.base, path, flags, Mode::empty())
            .map_err(|errno| Error::new("open layer", path.to_string_lossy(), errno))
    }

    fn by_descriptors(&self, lower: &[BorrowedFd<'_>]) -> Result<Detached, Error> {
        let context = FsContext::open(c"overlay")?;
        context.set_string(c"source", c"overlay")?;
        for fd in lower {
            context.set_fd(c"lowerdir+", fd)?;
        }
        if let Some((upper, work)) = self.upper {
            context.set_fd(c"upperdir", self.open(upper)?)?;
            context.set_fd(c"workdir", self.open(work)?)?;
        }
        for (key, value) in self.options {
            match value.is_empty() {
                true => context.set_flag(key)?,
                false => context.set_string(key, value)?,
            }
        }
        let attributes = if self.upper.is_some() { Attr::empty() } else { Attr::RDONLY };
        context.mount(attributes)
    }

    /// mount(2), for kernels before 6.13. Its option text is limited to a page, so the paths are relative to the working
    /// directory of a thread that has one of its own, and the mount table too.
    fn by_text(&self, lower: &[&CStr]) -> Result<Detached, Error> {
        let options = self.text(lower)?;
        let read_only = self.upper.is_none();
        let base = self.base;
        std::thread::scope(|scope| {
            let worker = scope.spawn(move || mount_in_own_directory(base, &options, read_only));
            worker.join().unwrap_or(Err(Errno::IO))
        })
        .map_err(|errno| Error::new("mount", "overlay", errno))
    }

    fn text(&self, lower: &[&CStr]) -> Result<CString, Error> {
        let invalid = || Error::new("mount", "overlay", Errno::INVAL);
        let mut text = b"lowerdir=".to_vec();
        for (index, path) in lower.iter().enumerate() {
            if index > 0 {
                text.push(b':');
            }
            if path.to_bytes().iter().any(|b| matches!(b, b':' | b',' | b'\\')) {
                return Err(invalid());
            }
            text.extend_from_slice(path.to_bytes());
        }
        let mut add = |key: &CStr, value: &CStr| {
            text.push(b',');
            text.extend_from_slice(key.to_bytes());
            if !value.is_empty() {
                text.push(b'=');
                text.extend_from_slice(value.to_bytes());
            }
        };
        if let Some((upper, work)) = self.upper {
            add(c"upperdir", upper);
            add(c"workdir", work);
        }
        self.options.iter().for_each(|(key, value)| add(key, value));
        if text.len() >= rustix::param::page_size() {
            let length = text.len();
            let limit = rustix::param::page_size() - 1;
            return Err(Error::Explained {
                object: "overlay".to_owned(),
                message: format!("option text of {length} bytes, at most {limit} are possible"),
                errno: Errno::INVAL,
            });
        }
        CString::new(text).map_err(|_| invalid())
    }
}

/// Mounts over `base` itself as seen by a mount namespace of this thread only, so that no other process ever sees it.
fn mount_in_own_directory(
    base: BorrowedFd<'_>,
    options: &CStr,
    read_only: bool,
) -> Result<Detached, Errno> {
    use rustix::mount::{MountFlags, mount};
    use sys::clone::{Namespaces, unshare};
    use sys::mount::{Change, Propagation, set_attr_path};
    rustix::process::fchdir(base)?;
    // Unsharing the mount namespace gives the thread a directory of its own too, and moves its working directory to the
    // copied mount.
    unshare(Namespaces::MOUNT)?;
    let private = Change { propagation: Some(Propagation::Private), ..Change::default() };
    set_attr_path(c"/", Extent::Tree, &private)?;
    let flags = if read_only { MountFlags::RDONLY } else { MountFlags::empty() };
    mount(c"overlay", c".", c"overlay", flags, options)?;
    let top = reenter()?;
    // At the root of all, a lookup by path does not cross: what it finds is the directory below.
    let (found, below) = (rustix::fs::fstat(&top)?, rustix::fs::fstat(base)?);
    if (found.st_dev, found.st_ino) == (below.st_dev, below.st_ino) {
        return Err(Errno::INVAL);
    }
    Detached::clone_of(top, Extent::Mount)
}

/// The root of the mount on top of the working directory. `.` is still the directory below; only a lookup from above
/// crosses into the mount.
fn reenter() -> Result<OwnedFd, Errno> {
    let path = rustix::process::getcwd(Vec::new())?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path.as_c_str(), flags, Mode::empty())
}

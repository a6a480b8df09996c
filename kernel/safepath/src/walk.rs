//! Resolution that makes what is missing, without allocation.
//!
//! openat2 resolves what exists, but cannot make directories. For what is missing the path is walked one component at a
//! time over descriptors: `..` goes back to the descriptor that was walked through, links are read and their text is
//! put in front of what remains, so the walk cannot leave the root whatever is renamed meanwhile.

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2};
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// PATH_MAX: the longest text that remains to be walked.
const LONGEST: usize = 4096;
/// The deepest nesting below the root.
const DEEPEST: usize = 64;
/// How many links are followed, as the kernel does.
const LINKS: usize = 40;
/// Further attempts when something else renames at the same time.
const RETRIES: usize = 64;

/// What the last component must be, and is made as if it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// A directory.
    Directory,
    /// Anything but a directory; made as an empty regular file.
    File,
}

/// The existing file at `path` inside `root`, as an O_PATH descriptor (openat2, IN_ROOT and NO_MAGICLINKS).
pub fn resolve(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    resolve_with(root, path, OFlags::PATH, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// openat2 with CLOEXEC; tried again a limited number of times while something is renamed on the way.
pub fn resolve_with(
    root: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlags,
    how: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut tries = RETRIES;
    loop {
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
            Err(Errno::AGAIN | Errno::INTR) if tries > 0 => tries -= 1,
            other => return other,
        }
    }
}

/// The file at `path` inside `root`, made if it is missing: parents with mode 0755, the last component as `last` says
/// with `mode`. Links are followed inside the root, also where they dangle. ENOTDIR, EISDIR: it is the other kind.
pub fn ensure(root: BorrowedFd<'_>, path: &CStr, last: Last, mode: u32) -> Result<OwnedFd, Errno> {
    let found = match resolve(root, path) {
        Err(Errno::NOENT) => Walk::new(root, path.to_bytes())?.run(last, mode)?,
        other => other?,
    };
    let is_directory = file_type(found.as_fd())? == FileType::Directory;
    match last {
        Last::Directory if !is_directory => Err(Errno::NOTDIR),
        Last::File if is_directory => Err(Errno::ISDIR),
        _ => Ok(found),
    }
}

fn file_type(fd: BorrowedFd<'_>) -> Result<FileType, Errno> {
    fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode))
}

/// A walk in progress: the directories from the root to here, and the text that remains.
struct Walk<'root> {
    root: BorrowedFd<'root>,
    passed: [Option<OwnedFd>; DEEPEST],
    depth: usize,
    /// What remains is `text[start..]`, so that a link's text can be put in front of it.
    text: [u8; LONGEST],
    start: usize,
    links: usize,
}

/// What one step led to.
enum Step {
    Directory(OwnedFd),
    Other(OwnedFd),
    Link,
}

impl<'root> Walk<'root> {
    fn new(root: BorrowedFd<'root>, path: &[u8]) -> Result<Self, Errno> {
        let start = LONGEST.checked_sub(path.len()).ok_or(Errno::NAMETOOLONG)?;
        let mut text = [0; LONGEST];
        text[start..].copy_from_slice(path);
        let passed = [const { None }; DEEPEST];
        Ok(Self { root, passed, depth: 0, text, start, links: 0 })
    }

    fn here(&self) -> BorrowedFd<'_> {
        match self.depth.checked_sub(1).and_then(|top| self.passed[top].as_ref()) {
            Some(fd) => fd.as_fd(),
            None => self.root,
        }
    }

    /// The range of the next component in `text`, and whether nothing follows it.
    fn next(&mut self) -> Option<(usize, usize, bool)> {
        while self.text.get(self.start) == Some(&b'/') {
            self.start += 1;
        }
        let rest = &self.text[self.start..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
        let is_last = rest[length..].iter().all(|b| *b == b'/');
        let begin = self.start;
        self.start += length;
        Some((begin, begin + length, is_last))
    }

    fn run(mut self, last: Last, mode: u32) -> Result<OwnedFd, Errno> {
        while let Some((begin, end, is_last)) = self.next() {
            match &self.text[begin..end] {
                b"." => continue,
                b".." => {
                    self.depth = self.depth.saturating_sub(1);
                    continue;
                }
                name if name.len() > 255 => return Err(Errno::NAMETOOLONG),
                _ => {}
            }
            let kind = if is_last { last } else { Last::Directory };
            let mode = if is_last { mode } else { 0o755 };
            match self.step(begin, end, kind, mode)? {
                Step::Directory(fd) => self.push(fd)?,
                Step::Other(fd) if is_last => return Ok(fd),
                Step::Other(_) => return Err(Errno::NOTDIR),
                Step::Link => {}
            }
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match self.depth.checked_sub(1).and_then(|top| self.passed[top].take()) {
            Some(fd) => Ok(fd),
            None => openat(self.root, c".", flags, Mode::empty()),
        }
    }

    fn push(&mut self, fd: OwnedFd) -> Result<(), Errno> {
        *self.passed.get_mut(self.depth).ok_or(Errno::NAMETOOLONG)? = Some(fd);
        self.depth += 1;
        Ok(())
    }

    /// Opens the component `text[begin..end]`, made as `kind` if it is missing.
    fn step(&mut self, begin: usize, end: usize, kind: Last, mode: u32) -> Result<Step, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..RETRIES {
            let name = &self.text[begin..end];
            match openat(self.here(), name, flags, Mode::empty()) {
                Ok(fd) => return self.classify(fd),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
            let mode = Mode::from_raw_mode(mode);
            let made = match kind {
                Last::Directory => mkdirat(self.here(), name, mode),
                Last::File => {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    openat(self.here(), name, flags | OFlags::WRONLY, mode).map(drop)
                }
            };
            match made {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::AGAIN)
    }

    fn classify(&mut self, fd: OwnedFd) -> Result<Step, Errno> {
        match file_type(fd.as_fd())? {
            FileType::Directory => Ok(Step::Directory(fd)),
            FileType::Symlink => self.follow(fd.as_fd()).map(|()| Step::Link),
            _ => Ok(Step::Other(fd)),
        }
    }

    /// Puts the text of the link before what remains; an absolute one starts at the root again. The text of a magic
    /// link of procfs is only text here.
    fn follow(&mut self, link: BorrowedFd<'_>) -> Result<(), Errno> {
        self.links += 1;
        if self.links > LINKS {
            return Err(Errno::LOOP);
        }
        let mut buffer = [MaybeUninit::<u8>::uninit(); LONGEST];
        let (target, _) = rustix::fs::readlinkat_raw(link, c"", &mut buffer)?;
        if target.is_empty() {
            return Err(Errno::NOENT);
        }
        if target.first() == Some(&b'/') {
            self.depth = 0;
        }
        let begin = self.start.checked_sub(target.len() + 1).ok_or(Errno::NAMETOOLONG)?;
        self.text[begin..begin + target.len()].copy_from_slice(target);
        self.text[self.start - 1] = b'/';
        self.start = begin;
        Ok(())
    }
}

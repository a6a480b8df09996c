//! The terminal of the process, from the container's own devpts.

use super::Job;
use super::layout::{attach, copy};
use super::report::{At, Step, record};
use ::core::prelude::rust_2024::*;
use ::mounts::Extent;
use ::plan::{StepKind, Terminal};
use ::rustix::fs::{
    CWD, FileType, Gid, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, Uid, fchown, fstat, fstatfs,
    makedev, openat,
};
use ::rustix::io::Errno;
use ::rustix::process::ioctl_tiocsctty;
use ::rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use ::rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use ::rustix::termios::{Winsize, tcsetwinsize};
use ::safepath::walk::{self, Last};
use ::std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// DEVPTS_SUPER_MAGIC of linux/magic.h.
const DEVPTS_MAGIC: u64 = 0x1cd1;

/// The terminal of a container's first process, also bound to `/dev/console`.
pub(super) fn first(
    job: &Job<'_>,
    root: BorrowedFd<'_>,
    devpts: Option<BorrowedFd<'_>>,
) -> Step<Option<OwnedFd>> {
    let Some(terminal) = job.process.terminal else { return Ok(None) };
    let devpts = devpts.ok_or(Errno::NOENT).at(StepKind::Console, 0)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let ptmx = openat(devpts, c"ptmx", flags, Mode::empty()).at(StepKind::Console, 1)?;
    let inner = open_inner(ptmx.as_fd()).at(StepKind::Console, 2)?;
    bind_console(root, inner.as_fd()).at(StepKind::Console, 3)?;
    use_terminal(job, terminal, ptmx.as_fd(), inner.as_fd())?;
    Ok(Some(ptmx))
}

/// The terminal of a process that joins a container.
pub(super) fn join(job: &Job<'_>) -> Step<Option<OwnedFd>> {
    let Some(terminal) = job.process.terminal else { return Ok(None) };
    // No link may lead to another devpts, and what is found is verified before it is used.
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let how = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let ptmx = walk::resolve_with(CWD, c"/dev/pts/ptmx", flags, how).at(StepKind::Console, 1)?;
    let inner = open_inner(ptmx.as_fd()).at(StepKind::Console, 2)?;
    use_terminal(job, terminal, ptmx.as_fd(), inner.as_fd())?;
    Ok(Some(ptmx))
}

/// The program's side of the terminal, by the kernel's word and not by a name that could be exchanged
/// (CVE-2025-52565). The node must be the multiplexer, 5:2, of a devpts.
fn open_inner(ptmx: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let stat = fstat(ptmx)?;
    let is_ptmx = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == makedev(5, 2);
    if !is_ptmx || fstatfs(ptmx)?.f_type as u64 != DEVPTS_MAGIC {
        return Err(Errno::NODEV);
    }
    unlockpt(ptmx)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    ioctl_tiocgptpeer(ptmx, flags)
}

fn bind_console(root: BorrowedFd<'_>, inner: BorrowedFd<'_>) -> Result<(), Errno> {
    let target = walk::ensure(root, c"/dev/console", Last::File, 0o600)?;
    // A link of the image may have led into procfs, as with any mount (CVE-2025-52881).
    if fstatfs(&target)?.f_type == PROC_SUPER_MAGIC {
        return Err(Errno::PERM);
    }
    let made = copy(inner, Extent::Mount)?;
    attach(made.as_fd(), target.as_fd())
}

/// Makes the terminal the session's and the standard streams.
fn use_terminal(
    job: &Job<'_>,
    terminal: Terminal,
    ptmx: BorrowedFd<'_>,
    inner: BorrowedFd<'_>,
) -> Step<()> {
    if terminal.rows != 0 && terminal.columns != 0 {
        let size =
            Winsize { ws_row: terminal.rows, ws_col: terminal.columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(ptmx, size).at(StepKind::Console, 4)?;
    }
    ioctl_tiocsctty(inner).at(StepKind::Console, 5)?;
    dup2_stdin(inner).at(StepKind::Stdio, 0)?;
    dup2_stdout(inner).at(StepKind::Stdio, 1)?;
    dup2_stderr(inner).at(StepKind::Stdio, 2)?;
    own(job, inner).at(StepKind::Console, 6)
}

/// Gives a stream to the process's user, who may want to open it again by `/dev/stdout`.
fn own(job: &Job<'_>, stream: BorrowedFd<'_>) -> Result<(), Errno> {
    if job.process.uid == 0 {
        return Ok(());
    }
    fchown(stream, Some(Uid::from_raw(job.process.uid)), None::<Gid>)
}

/// Gives pipes and sockets among the standard streams to the process's user. Devices belong to the host, and files to
/// who opened them.
pub(super) fn own_streams(job: &Job<'_>) -> Step<()> {
    let Some(streams) = job.stdio else { return Ok(()) };
    for (index, stream) in streams.iter().enumerate() {
        let stat = fstat(stream).at(StepKind::Stdio, index)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if ::core::matches!(kind, FileType::Fifo | FileType::Socket) {
            match own(job, stream.as_fd()) {
                // The owner of the stream is not mapped in the user namespace.
                Ok(()) | Err(Errno::PERM | Errno::INVAL | Errno::ROFS) => {}
                Err(errno) => return Err(record(StepKind::Stdio, index, errno)),
            }
        }
    }
    Ok(())
}

//! Processes and namespaces: clone3, unshare, setns.

use crate::raw::check;
use crate::{Arg, Result};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

bitflags::bitflags! {
    /// The kinds of namespace, with the kernel's CLONE_NEW* bits.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Namespaces: u64 {
        /// CLONE_NEWTIME (5.6); only for unshare and setns, in clone3 too since its bit lies in the exit signal.
        const TIME = 0x80;
        /// CLONE_NEWNS: the mount table.
        const MOUNT = 0x0002_0000;
        /// CLONE_NEWCGROUP: the root of the visible cgroup tree.
        const CGROUP = 0x0200_0000;
        /// CLONE_NEWUTS: host and domain name.
        const UTS = 0x0400_0000;
        /// CLONE_NEWIPC: System V IPC and POSIX message queues.
        const IPC = 0x0800_0000;
        /// CLONE_NEWUSER: user and group ids, capabilities.
        const USER = 0x1000_0000;
        /// CLONE_NEWPID: process ids of children.
        const PID = 0x2000_0000;
        /// CLONE_NEWNET: interfaces, routes, sockets.
        const NET = 0x4000_0000;
    }
}

/// Other bits of clone3 (linux/sched.h).
const CLONE_FILES: u64 = 0x400;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_PARENT: u64 = 0x8000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What the new process is like.
#[derive(Debug, Clone, Copy, Default)]
pub struct CloneArgs<'fd> {
    /// The namespaces that it starts in anew.
    pub namespaces: Namespaces,
    /// The cgroup v2 directory that it starts in (5.7). The error EBUSY or EACCES means a bad cgroup.
    pub cgroup: Option<BorrowedFd<'fd>>,
    /// Whether the caller's parent becomes its parent (CLONE_PARENT).
    pub parent: bool,
    /// Whether both use one table of descriptors (CLONE_FILES): what one opens the other has, until execve.
    pub shared_files: bool,
}

/// Which side of a clone the caller is on.
#[derive(Debug)]
pub enum Cloned {
    /// The new process.
    Child,
    /// The caller; the new process by its number here and by a descriptor that is CLOEXEC.
    Parent {
        /// The number in the caller's pid namespace.
        pid: i32,
        /// The process itself.
        pidfd: OwnedFd,
    },
}

/// struct clone_args of linux/sched.h, version 2 (88 bytes, 5.7).
#[repr(C)]
#[derive(Default)]
struct RawArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Makes a process as fork does, with a pidfd, in the namespaces and the cgroup of `args` (clone3, 5.3).
///
/// Where a filter hides clone3 (Docker's default profile does, because it cannot look at the flags), the older clone
/// does the same, as long as no cgroup is asked for.
///
/// # Safety
/// The child has a copy of the caller's memory but only the calling thread: locks of other threads stay locked for
/// ever. Until it calls execve or _exit it may only use what POSIX calls async-signal-safe, so no allocation, unless
/// the process had a single thread. The C library's cached thread id is stale in the child.
pub unsafe fn clone3(args: &CloneArgs<'_>) -> Result<Cloned> {
    let mut pidfd: i32 = -1;
    let mut raw = RawArgs {
        flags: args.namespaces.bits() | CLONE_PIDFD,
        pidfd: (&raw mut pidfd).addr() as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..RawArgs::default()
    };
    if args.parent {
        // With CLONE_PARENT the exit signal is the caller's own, and giving one is EINVAL.
        raw.flags |= CLONE_PARENT;
        raw.exit_signal = 0;
    }
    if args.shared_files {
        raw.flags |= CLONE_FILES;
    }
    if let Some(cgroup) = args.cgroup {
        raw.flags |= CLONE_INTO_CGROUP;
        raw.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `raw` is a valid clone_args of the given size, `pidfd` outlives the call, and the caller keeps the
    // promise above. Without CLONE_VM the child has its own copy of this stack.
    let ret = unsafe { libc::syscall(libc::SYS_clone3, &raw const raw, size_of::<RawArgs>()) };
    let made = match check("clone3", &[Arg::Hex(raw.flags)], ret) {
        Err(error) if error.errno() == Errno::NOSYS && args.cgroup.is_none() => {
            let flags = raw.flags | raw.exit_signal;
            // SAFETY: without CLONE_SETTLS and the CLONE_*_SETTID flags the last two arguments, whose order differs
            // between architectures, are not looked at; `pidfd` outlives the call, the stack is a copy of this one.
            let ret =
                unsafe { libc::syscall(libc::SYS_clone, flags, 0u64, &raw mut pidfd, 0u64, 0u64) };
            check("clone", &[Arg::Hex(flags)], ret)?
        }
        made => made?,
    };
    match made {
        0 => Ok(Cloned::Child),
        pid => {
            // SAFETY: CLONE_PIDFD makes the kernel store a new descriptor, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid: pid as i32, pidfd })
        }
    }
}

/// Moves the calling thread into new namespaces. With USER, or MOUNT while sharing the working directory with another
/// thread, the process must have one thread only.
pub fn unshare(namespaces: Namespaces) -> Result<()> {
    // SAFETY: unshare of namespaces takes a flag word only, and touches no memory of ours.
    let ret = unsafe { libc::syscall(libc::SYS_unshare, namespaces.bits()) };
    check("unshare", &[Arg::Hex(namespaces.bits())], ret).map(drop)
}

/// Gives the calling thread a root, working directory and umask of its own (CLONE_FS), so that changing them does not
/// touch other threads.
pub fn unshare_directories() -> Result<()> {
    const CLONE_FS: u64 = 0x200;
    // SAFETY: the call takes a flag word only; what is copied is kernel state.
    let ret = unsafe { libc::syscall(libc::SYS_unshare, CLONE_FS) };
    check("unshare", &[Arg::Name("CLONE_FS")], ret).map(drop)
}

/// Moves the calling thread into the namespaces `which` of `fd`: either one namespace file, or a pidfd (5.8) for
/// several at once.
pub fn setns(fd: impl AsFd, which: Namespaces) -> Result<()> {
    let fd = fd.as_fd();
    // SAFETY: setns takes a descriptor and a flag word.
    let ret = unsafe { libc::syscall(libc::SYS_setns, fd.as_raw_fd(), which.bits()) };
    check("setns", &[fd.into(), Arg::Hex(which.bits())], ret).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pidfd::{Exit, wait};

    #[test]
    fn a_clone_in_new_namespaces_is_pid_one_and_its_status_is_read_by_pidfd() {
        let args =
            CloneArgs { namespaces: Namespaces::PID | Namespaces::UTS, ..CloneArgs::default() };
        // SAFETY: the child makes two raw calls and ends.
        let cloned = unsafe { clone3(&args) }.unwrap();
        match cloned {
            Cloned::Child => {
                // SAFETY: both calls are async-signal-safe.
                unsafe { libc::_exit(40 + libc::syscall(libc::SYS_getpid) as i32) }
            }
            Cloned::Parent { pid, pidfd } => {
                assert!(pid > 1);
                assert_eq!(wait(&pidfd).unwrap(), Exit::Code(41));
            }
        }
    }

    #[test]
    fn setns_of_a_file_that_is_no_namespace_names_the_call() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let error = setns(&null, Namespaces::NET).unwrap_err();
        assert_eq!(error.errno(), rustix::io::Errno::INVAL);
        assert!(error.to_string().starts_with("setns("), "{error}");
    }
}

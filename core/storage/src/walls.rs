//! The walls around a child that reads or writes archives.

use seccomp::{Action, Arch, Condition, Filter, Operator, Rule};
use sys::caps::{self, Cap, CapSet, ThreadCaps};
use sys::limits::{self, Limit, Resource};
use sys::seccomp::FilterFlags;

/// Why the walls could not be planned.
#[derive(Debug, thiserror::Error)]
pub enum WallError {
    /// The machine's architecture has no filter.
    #[error("no system call filter for this architecture")]
    Architecture,
    /// The list of system calls could not be compiled.
    #[error("compile system call filter")]
    Filter(#[from] seccomp::CompileError),
}

const EPERM: u16 = 1;

/// Reading and setting the immutable flag of a file (linux/fs.h).
const FS_IOC_GETFLAGS: u64 = 0x8008_6601;
const FS_IOC_SETFLAGS: u64 = 0x4008_6602;

/// What an archive's two directions call, and what the standard library and the allocator do.
#[rustfmt::skip]
const CALLS: &[&str] = &[
    "close", "copy_file_range", "dup", "fchmod", "fchmodat", "fchown", "fchownat", "fcntl", "fgetxattr", "flistxattr",
    "fsetxattr", "fstat", "ftruncate", "getdents64", "linkat", "lseek", "mkdirat", "mknodat", "newfstatat", "openat",
    "openat2", "pread64", "pwrite64", "read", "readlinkat", "readv", "renameat2", "sendfile", "splice", "statx",
    "symlinkat", "unlinkat", "utimensat", "write", "writev",
    "brk", "clock_gettime", "exit", "exit_group", "futex", "getpid", "getrandom", "gettid", "madvise", "mmap",
    "mprotect", "mremap", "munmap", "poll", "ppoll", "restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "sched_yield", "sigaltstack", "tgkill",
];

/// Most memory: an xz dictionary of 1.5 GiB, a zstd window of 128 MiB, and the maps of 4,000,000 directories.
const MEMORY: u64 = 4 << 30;

/// Descriptors: a walk keeps 64 directories open, a removal as many.
const DESCRIPTORS: u64 = 512;

/// The list of system calls as the kernel loads it.
pub(crate) fn compile() -> Result<Vec<u8>, WallError> {
    let host = Arch::host().ok_or(WallError::Architecture)?;
    let rule = |names: &[&str], conditions| Rule {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        action: Action::Allow,
        conditions,
    };
    let command =
        |value| vec![Condition { index: 1, operator: Operator::Equal, value, value_two: 0 }];
    let filter = Filter {
        default_action: Action::Errno(EPERM),
        architectures: vec![host],
        flags: vec![],
        rules: vec![
            rule(CALLS, vec![]),
            rule(&["ioctl"], command(FS_IOC_GETFLAGS)),
            rule(&["ioctl"], command(FS_IOC_SETFLAGS)),
        ],
        listener_path: None,
        listener_metadata: None,
    };
    Ok(filter.compile(host)?.bytes())
}

/// Files of any owner and mode, owners, devices, and capabilities of files. Not CAP_SYS_ADMIN: no mounts, no trusted
/// attributes, no namespaces.
fn capabilities() -> CapSet {
    [Cap::CHOWN, Cap::DAC_OVERRIDE, Cap::FOWNER, Cap::FSETID, Cap::MKNOD, Cap::SETFCAP]
        .into_iter()
        .collect()
}

/// Locks the calling process into its working directory for good. It must have one thread, and no descriptor that leads
/// elsewhere.
pub(crate) fn enter(filter: &[u8]) -> Result<(), sys::Error> {
    let failed =
        |call| move |errno| sys::Error::new(call, &[sys::Arg::Name("of an enclosed child")], errno);
    rustix::process::chroot(".").map_err(failed("chroot"))?;
    rustix::process::chdir("/").map_err(failed("chdir"))?;
    // Devices and pipes get their modes when they are made.
    rustix::process::umask(rustix::fs::Mode::empty());
    for (name, most) in [("RLIMIT_CORE", 0), ("RLIMIT_AS", MEMORY), ("RLIMIT_NOFILE", DESCRIPTORS)]
    {
        let Some(resource) = Resource::parse(name) else { continue };
        let hard = limits::get(0, resource)?.hard.min(most);
        limits::set(0, resource, Limit { soft: hard, hard })?;
    }
    sys::process::set_no_new_privs()?;
    let keep = capabilities().and(caps::get()?.permitted);
    caps::limit_bounding(keep)?;
    caps::clear_ambient()?;
    caps::set(ThreadCaps { effective: keep, permitted: keep, inheritable: CapSet::EMPTY })?;
    sys::process::set_dumpable(false)?;
    sys::seccomp::load(filter, FilterFlags::empty())?;
    Ok(())
}

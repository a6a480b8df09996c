//! What system calls the processes may make.
//!
//! The api worker, which reads everything that is hostile, gets a list of what it needs. The storage and network
//! workers have capabilities and do more kinds of things; for them what leads out of their task is taken away.

use seccomp::{Action, Arch, Condition, Filter, Operator, Rule};

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// Everything with CLONE_NEW* in it: a new namespace is a way to new capabilities.
const CLONE_NAMESPACES: u64 = 0x7E02_0080;

/// What tokio, hyper, rustls, redb and the standard library call.
#[rustfmt::skip]
const API: &[&str] = &[
    // Files, all below the directories that Landlock leaves.
    "access", "close", "close_range", "copy_file_range", "dup", "dup2", "dup3", "faccessat",
    "faccessat2", "fadvise64", "fallocate", "fchmod", "fchmodat", "fcntl", "fdatasync", "flock",
    "fstat", "fstatfs", "fsync", "ftruncate", "getcwd", "getdents64", "ioctl", "link", "linkat",
    "lseek", "lstat", "mkdir", "mkdirat", "newfstatat", "open", "openat", "openat2", "pread64",
    "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readlink", "readlinkat",
    "readv", "rename", "renameat", "renameat2", "rmdir", "sendfile", "splice", "stat", "statfs",
    "statx", "symlink", "symlinkat", "sync_file_range", "syncfs", "tee", "truncate", "umask",
    "unlink", "unlinkat", "utimensat", "write", "writev", "inotify_add_watch", "inotify_init1",
    "inotify_rm_watch", "memfd_create",
    // Sockets; it connects and accepts, and never listens on a socket of its own.
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "recvfrom",
    "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown", "socketpair",
    // Waiting.
    "clock_nanosleep", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "eventfd2", "nanosleep", "pipe", "pipe2", "poll", "ppoll", "pselect6", "select", "signalfd4",
    "timerfd_create", "timerfd_gettime", "timerfd_settime",
    // Memory and threads.
    "arch_prctl", "brk", "exit", "exit_group", "futex", "futex_waitv", "get_robust_list", "madvise",
    "membarrier", "mmap", "mprotect", "mremap", "munmap", "restart_syscall", "rseq",
    "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
    "sched_getaffinity", "sched_yield", "set_robust_list", "set_tid_address", "sigaltstack",
    "tgkill",
    // Questions.
    "clock_getres", "clock_gettime", "getegid", "geteuid", "getgid", "getpgrp", "getpid",
    "getppid", "getrandom", "getresgid", "getresuid", "getrusage", "gettid", "gettimeofday",
    "getuid", "prctl", "prlimit64", "sysinfo", "time", "times", "uname",
];

/// Ways around every wall, which no process of the engine needs: kernel code and memory, other processes' memory,
/// clocks, keys, files by handle, asynchronous calls that no filter sees.
#[rustfmt::skip]
const NEVER: &[&str] = &[
    "_sysctl", "acct", "add_key", "adjtimex", "bpf", "clock_adjtime", "clock_settime",
    "create_module", "delete_module", "finit_module", "init_module", "io_uring_enter",
    "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kexec_file_load", "kexec_load",
    "keyctl", "lookup_dcookie", "modify_ldt", "move_pages", "nfsservctl", "open_by_handle_at",
    "perf_event_open", "personality", "process_madvise", "process_vm_readv", "process_vm_writev",
    "ptrace", "quotactl", "quotactl_fd", "reboot", "request_key", "settimeofday", "swapoff",
    "swapon", "syslog", "uselib", "userfaultfd", "vhangup",
];

/// Mounts and roots: the storage worker's business, not the network worker's.
#[rustfmt::skip]
const MOUNTS: &[&str] = &[
    "chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mknod", "mknodat", "mount",
    "mount_setattr", "move_mount", "open_tree", "pivot_root", "umount2",
];

fn rule(names: &[&str], action: Action, conditions: Vec<Condition>) -> Rule {
    Rule { names: names.iter().map(|&name| name.to_owned()).collect(), action, conditions }
}

fn filter(default_action: Action, rules: Vec<Rule>) -> Filter {
    Filter {
        default_action,
        // Only the host's own interface: the engine has no 32-bit code.
        architectures: Arch::host().into_iter().collect(),
        flags: vec![],
        rules,
        listener_path: None,
        listener_metadata: None,
    }
}

pub(crate) fn api() -> Filter {
    let threads = Condition {
        index: 0,
        operator: Operator::MaskedEqual,
        value: CLONE_NAMESPACES,
        value_two: 0,
    };
    let family = |value| Condition { index: 0, operator: Operator::Equal, value, value_two: 0 };
    filter(
        Action::Errno(EPERM),
        vec![
            rule(API, Action::Allow, vec![]),
            rule(&["clone"], Action::Allow, vec![threads]),
            // The flags of clone3 lie in memory, which a filter cannot read; the C library then takes clone.
            rule(&["clone3"], Action::Errno(ENOSYS), vec![]),
            rule(&["socket"], Action::Allow, vec![family(1)]), // AF_UNIX
            rule(&["socket"], Action::Allow, vec![family(2)]), // AF_INET
            rule(&["socket"], Action::Allow, vec![family(10)]), // AF_INET6
        ],
    )
}

pub(crate) fn storage() -> Filter {
    filter(Action::Allow, vec![rule(NEVER, Action::Errno(EPERM), vec![])])
}

pub(crate) fn network() -> Filter {
    filter(
        Action::Allow,
        vec![
            rule(NEVER, Action::Errno(EPERM), vec![]),
            rule(MOUNTS, Action::Errno(EPERM), vec![]),
            rule(&["execve", "execveat"], Action::Errno(EPERM), vec![]),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_compiles_for_this_host() {
        let host = Arch::host().unwrap();
        for filter in [api(), storage(), network()] {
            assert!(!filter.compile(host).unwrap().bytes().is_empty());
        }
    }

    #[test]
    fn no_name_in_the_lists_is_misspelt() {
        let known = |name: &&str| {
            seccomp::syscalls::number(Arch::X86_64, name).is_some()
                || seccomp::syscalls::number(Arch::X86, name).is_some()
        };
        for list in [API, NEVER, MOUNTS] {
            let unknown: Vec<_> = list.iter().filter(|name| !known(name)).collect();
            assert!(unknown.is_empty(), "{unknown:?}");
        }
    }
}

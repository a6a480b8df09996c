//! config-linux.md, "Seccomp", "The Container Process State".

use crate::rig::{Bundle, row};
use serde_json::{Value, json};

fn profile(default: &str, rules: Value) -> Value {
    json!({"linux": {"seccomp": {
        "defaultAction": default, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"],
        "syscalls": rules,
    }}})
}

fn deny(names: &[&str], action: &str, errno: Option<u32>) -> Value {
    let mut rule = json!({"names": names, "action": action});
    if let Some(errno) = errno {
        rule["errnoRet"] = errno.into();
    }
    profile("SCMP_ACT_ALLOW", json!([rule]))
}

#[test]
fn calls_get_what_the_profile_says() {
    let bundle = Bundle::new();
    let mkdir = "mkdir /tmp/d 2>&1; rmdir /tmp/d 2>/dev/null; true";
    let both = &["mkdir", "mkdirat"][..];
    bundle.check(&[
        row("seccomp: no filter", json!({}), "grep Seccomp: /proc/self/status", "Seccomp:\t0"),
        row("seccomp: a filter", deny(both, "SCMP_ACT_ERRNO", None), "grep Seccomp: /proc/self/status", "Seccomp:\t2"),
        row("seccomp: SCMP_ACT_ERRNO", deny(both, "SCMP_ACT_ERRNO", None), mkdir, "mkdir: can't create directory '/tmp/d': Operation not permitted"),
        row("seccomp.syscalls.errnoRet", deny(both, "SCMP_ACT_ERRNO", Some(28)), mkdir, "mkdir: can't create directory '/tmp/d': No space left on device"),
        row("seccomp: SCMP_ACT_KILL_PROCESS", deny(both, "SCMP_ACT_KILL_PROCESS", None), "(mkdir /tmp/d) 2>/dev/null; echo $?", "159"),
        row("seccomp: SCMP_ACT_KILL", deny(both, "SCMP_ACT_KILL", None), "(mkdir /tmp/d) 2>/dev/null; echo $?", "159"),
        row("seccomp: SCMP_ACT_TRAP", deny(both, "SCMP_ACT_TRAP", None), "(mkdir /tmp/d) 2>/dev/null; echo $?", "159"),
        row("seccomp: SCMP_ACT_TRACE without a tracer", deny(both, "SCMP_ACT_TRACE", None), mkdir, "mkdir: can't create directory '/tmp/d': Function not implemented"),
        row("seccomp: SCMP_ACT_LOG", deny(both, "SCMP_ACT_LOG", None), mkdir, ""),
        row("seccomp: names that nobody has are left out", deny(&["no_such_call", "mkdir", "mkdirat"], "SCMP_ACT_ERRNO", None), mkdir, "mkdir: can't create directory '/tmp/d': Operation not permitted"),
        row(
            "seccomp.syscalls.args",
            profile("SCMP_ACT_ALLOW", json!([{"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 3,
                "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]}])),
            "trap 'echo twelve' USR2; kill -USR2 $$; kill -USR1 $$ 2>&1 | grep -o 'No such process'",
            "twelve\nNo such process",
        ),
        row(
            "seccomp.flags",
            json!({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW",
                "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]}}}),
            "grep Seccomp_filters /proc/self/status",
            "Seccomp_filters:\t1",
        ),
        row(
            "seccomp without noNewPrivileges",
            json!({"process": {"noNewPrivileges": false}, "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}}}),
            mkdir,
            "mkdir: can't create directory '/tmp/d': Operation not permitted",
        ),
    ]);
}

#[test]
fn a_call_that_is_newer_than_the_profile_does_not_exist() {
    let bundle = Bundle::new();
    // A list of what is allowed, from which newer calls than its newest are absent: ENOSYS, not EPERM.
    let names = [
        "access",
        "arch_prctl",
        "brk",
        "clone",
        "close",
        "dup2",
        "dup3",
        "execve",
        "exit",
        "exit_group",
        "faccessat",
        "fcntl",
        "fork",
        "fstat",
        "fstatfs",
        "futex",
        "getcwd",
        "getdents64",
        "getegid",
        "geteuid",
        "getgid",
        "getpid",
        "getppid",
        "getrandom",
        "getuid",
        "ioctl",
        "lseek",
        "mmap",
        "mprotect",
        "munmap",
        "newfstatat",
        "openat",
        "open",
        "pipe2",
        "pipe",
        "pread64",
        "prctl",
        "prlimit64",
        "read",
        "readlink",
        "readlinkat",
        "rseq",
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigreturn",
        "set_robust_list",
        "set_tid_address",
        "stat",
        "uname",
        "vfork",
        "wait4",
        "write",
        "writev",
        "chdir",
        "fchdir",
        "setgid",
        "setgroups",
        "setuid",
        "capset",
        "capget",
        "getsockopt",
        "setpgid",
        "getpgid",
        "poll",
        "ppoll",
        "sigaltstack",
        "lstat",
        "statx",
        "sendfile",
        "fadvise64",
        "umask",
        "tgkill",
        "close_range",
    ];
    let allow =
        profile("SCMP_ACT_ERRNO", json!([{"names": names.as_slice(), "action": "SCMP_ACT_ALLOW"}]));
    assert_eq!(bundle.run_with(&allow, "echo runs").ok(), "runs");
}

#[test]
fn a_supervisor_gets_the_descriptor_and_the_state_and_answers_calls() {
    use std::io::Read;
    let bundle = Bundle::new();
    let socket = bundle.path("agent");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let supervisor = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
        let mut bytes = vec![0; 65536];
        let received = rustix::net::recvmsg(
            &stream,
            &mut [std::io::IoSliceMut::new(&mut bytes)],
            &mut control,
            rustix::net::RecvFlags::CMSG_CLOEXEC,
        )
        .unwrap();
        bytes.truncate(received.bytes);
        let descriptors: Vec<_> = control
            .drain()
            .filter_map(|message| match message {
                rustix::net::RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            })
            .flatten()
            .collect();
        stream.read_to_end(&mut bytes).ok();
        let state: Value = serde_json::from_slice(&bytes).unwrap();
        // Nobody answers: with the last descriptor every call that waits fails with ENOSYS.
        let names: Vec<_> = descriptors
            .iter()
            .map(|fd| {
                let number = std::os::fd::AsRawFd::as_raw_fd(fd);
                std::fs::read_link(format!("/proc/self/fd/{number}"))
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        drop(descriptors);
        (state, names)
    });
    let change = json!({"linux": {"seccomp": {
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket, "listenerMetadata": "for the agent",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
    }}});
    let ran = bundle.run_with(&change, "mkdir /tmp/d 2>&1; echo end");
    assert_eq!(ran.ok(), "mkdir: can't create directory '/tmp/d': Function not implemented\nend");
    let (state, names) = supervisor.join().unwrap();
    assert_eq!(state["metadata"], "for the agent");
    assert_eq!(state["state"]["id"].as_str().unwrap(), bundle.id("run"));
    assert_eq!(
        state["state"]["bundle"].as_str().unwrap(),
        bundle.path("").to_str().unwrap().trim_end_matches('/')
    );
    assert!(state["pid"].as_i64().unwrap() > 0);
    let fds: Vec<&str> =
        state["fds"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let at = fds.iter().position(|name| *name == "seccompFd").unwrap();
    assert!(names[at].contains("seccomp"), "{names:?}");
}

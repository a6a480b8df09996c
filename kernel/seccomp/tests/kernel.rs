//! The kernel takes the programs, and answers as they say. A filter binds the thread that loads it, so that each test
//! loads its own in a thread or a process of its own.

#![expect(unsafe_code, reason = "these tests make raw system calls to see what a filter answers")]
#![expect(clippy::unwrap_used, reason = "a test may fail in a function of its own")]

use seccomp::{Arch, Profile, Program};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

fn program(json: &str) -> Program {
    let host = Arch::host().unwrap();
    Profile::parse(json).unwrap().resolve::<&str>(host, &[], (6, 1)).unwrap().compile(host).unwrap()
}

fn load(program: &Program) {
    let bytes = program.bytes();
    let filter = libc::sock_fprog {
        len: u16::try_from(program.instructions.len()).unwrap(),
        filter: bytes.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `filter` points at `len` instructions in `bytes`, which lives on; the kernel only reads them.
    let loaded = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            program.flags,
            &raw const filter,
        )
    };
    assert_eq!(loaded, 0, "{}", std::io::Error::last_os_error());
}

/// Makes a call with one argument and answers its errno, 0 for success.
fn errno(number: libc::c_long, argument: u64) -> i32 {
    // SAFETY: the calls of these tests take a number or a null pointer as their only meaningful argument.
    let result = unsafe { libc::syscall(number, argument, 0, 0, 0, 0, 0) };
    if result >= 0 { 0 } else { std::io::Error::last_os_error().raw_os_error().unwrap() }
}

#[test]
fn default_profile_loads_and_refuses_what_docker_refuses() {
    let host = Arch::host().unwrap();
    let filter = Profile::docker_default().resolve::<&str>(host, &[], (6, 1)).unwrap();
    let program = filter.compile(host).unwrap();
    let answers = std::thread::spawn(move || {
        load(&program);
        [
            errno(libc::SYS_getpid, 0),
            errno(libc::SYS_mount, 0),
            errno(libc::SYS_unshare, libc::CLONE_NEWNS as u64),
            errno(libc::SYS_clone3, 0),
            errno(libc::SYS_socket, 40 | 1 << 32),
            errno(libc::SYS_personality, 0xffff_ffff),
            errno(libc::SYS_io_uring_setup, 0),
            errno(600, 0),
        ]
    });
    assert_eq!(answers.join().unwrap(), [0, 1, 1, 38, 1, 0, 1, 38]);
}

#[test]
fn masked_and_ordered_conditions_hold_in_the_kernel() {
    let program = program(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], "syscalls": [
        {"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7,
         "args": [{"index": 0, "value": 2114060288, "valueTwo": 67108864, "op": "SCMP_CMP_MASKED_EQ"}]},
        {"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9,
         "args": [{"index": 0, "value": 4294967296, "op": "SCMP_CMP_GE"}]}]}"#,
    );
    let answers = std::thread::spawn(move || {
        load(&program);
        [
            errno(libc::SYS_unshare, 0x0400_0000),
            errno(libc::SYS_unshare, 0),
            errno(libc::SYS_getpgid, 0),
            errno(libc::SYS_getpgid, 1 << 32),
        ]
    });
    assert_eq!(answers.join().unwrap(), [7, 0, 0, 9]);
}

#[test]
fn kill_process_ends_the_process_with_sigsys() {
    if std::env::var_os("SECCOMP_TEST_CHILD").is_some() {
        load(&program(
            r#"{"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["getpgid"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#,
        ));
        errno(libc::SYS_getpgid, 0);
        return;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill_process_ends_the_process_with_sigsys"])
        .env("SECCOMP_TEST_CHILD", "1")
        .output()
        .unwrap();
    assert_eq!(child.status.signal(), Some(libc::SIGSYS), "{child:?}");
}

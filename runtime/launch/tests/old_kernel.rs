//! The ways of older kernels, on a thread for which a filter hides newer system calls.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Bundle, exec, finish, joining, kill};
use launch::CgroupJoin;
use plan::Given;
use sys::seccomp::{FilterFlags, load};

/// Runs `test` where mount_setattr (5.12) and close_range (5.9, with CLOEXEC 5.11) answer ENOSYS, as in kernel 5.8.
fn as_if_old(test: impl FnOnce() + Send) {
    let hide = || {
        let calls = [libc::SYS_mount_setattr, libc::SYS_close_range];
        load(&hiding(&calls), FilterFlags::empty()).unwrap();
        test();
    };
    std::thread::scope(|scope| scope.spawn(hide).join().unwrap());
}

/// `A = nr; if A == call return ENOSYS; ...; return ALLOW`.
fn hiding(calls: &[libc::c_long]) -> Vec<u8> {
    let instruction = |code: u16, jt: u8, jf: u8, k: u32| {
        let mut bytes = code.to_ne_bytes().to_vec();
        bytes.extend([jt, jf]);
        bytes.extend(k.to_ne_bytes());
        bytes
    };
    let mut program = instruction(0x20, 0, 0, 0);
    for call in calls {
        program.extend(instruction(0x15, 0, 1, u32::try_from(*call).unwrap()));
        program.extend(instruction(0x06, 0, 0, 0x0005_0000 | libc::ENOSYS as u32));
    }
    program.extend(instruction(0x06, 0, 0, 0x7fff_0000));
    program
}

#[test]
fn a_container_is_as_protected_as_on_a_new_kernel() {
    as_if_old(|| {
        let host = tempfile::tempdir().unwrap();
        let mut bundle = Bundle::new(
            "touch /ro/x /rw/made /x; echo x > /proc/sys/vm/swappiness; cat /proc/keys; \
             mkdir /sys/firmware/x; grep -E ' /(ro|rw|proc/sys) ' /proc/self/mounts | sort; \
             grep -c 'shared:\\|master:' /proc/self/mountinfo; ls /proc/self/fd | grep -c .",
        );
        bundle.bind(host.path(), "/ro", &["ro", "noexec"]);
        bundle.bind(host.path(), "/rw", &["nosuid"]);
        bundle.spec.root.as_mut().unwrap().readonly = true;
        let (running, output, root) = bundle.start().unwrap();
        let text = finish(&running, output).output;
        let has = |part: &str| assert!(text.contains(part), "{part} is not in {text}");
        has("touch: /ro/x: Read-only file system\n");
        has("touch: /x: Read-only file system\n");
        has("can't create /proc/sys/vm/swappiness: Read-only file system\n");
        has("mkdir: can't create directory '/sys/firmware/x': Read-only file system\n");
        let options = |at: &str| {
            let of_mount = |line: &&str| line.split(' ').nth(1) == Some(at);
            text.lines().find(of_mount).and_then(|line| line.split(' ').nth(3)).unwrap().to_owned()
        };
        assert!(options("/ro").starts_with("ro,") && options("/ro").contains("noexec"), "{text}");
        assert!(options("/rw").starts_with("rw,nosuid,"), "{text}");
        assert!(options("/proc/sys").starts_with("ro,nosuid,nodev,noexec,"), "{text}");
        assert!(text.ends_with("\n0\n4\n"), "{text}");
        assert!(host.path().join("made").exists());
        assert!(!common::is_mounted(root.path()) && !common::is_mounted(host.path()));
    });
}

#[test]
fn a_process_joins_and_no_descriptor_leaks() {
    as_if_old(|| {
        let (container, _output, _root) = Bundle::new("exec sleep 600").start().unwrap();
        let process = joining("ls /proc/self/fd | grep -c .", &Given::default(), |_| {});
        let outcome = exec(&container, process, CgroupJoin::None).unwrap();
        assert_eq!(outcome.output, "4\n");
        kill(&container);
    });
}

#[test]
fn what_an_old_kernel_cannot_do_is_said() {
    as_if_old(|| {
        let host = tempfile::tempdir().unwrap();
        let mut bundle = Bundle::new("true");
        bundle.bind(host.path(), "/data", &["rro"]);
        assert_eq!(
            bundle.failure(),
            "prepare mount \"/data\": a recursively changed mount needs kernel 5.12 or newer"
        );
    });
}

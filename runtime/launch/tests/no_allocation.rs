//! Nothing between clone and execve allocates: an allocation in another process than this one ends it with SIGABRT.

#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(unsafe_code, reason = "a global allocator")]

mod common;

use common::{Bundle, exec, joining, kill};
use launch::{CgroupJoin, LaunchError, Stdio};
use plan::Given;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI32, Ordering};
use sys::clone::{CloneArgs, Cloned, clone3};
use sys::pidfd::{Exit, wait};

/// The process that may allocate.
static ALLOWED: AtomicI32 = AtomicI32::new(0);

struct OnlyInOneProcess;

impl OnlyInOneProcess {
    fn check() {
        // SAFETY: getpid and abort are allowed everywhere.
        unsafe {
            let pid = libc::syscall(libc::SYS_getpid) as i32;
            let allowed = ALLOWED.load(Ordering::Relaxed);
            if allowed != 0 && pid != allowed {
                libc::syscall(libc::SYS_kill, pid, libc::SIGKILL);
                libc::abort();
            }
        }
    }
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for OnlyInOneProcess {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::check();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::check();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: OnlyInOneProcess = OnlyInOneProcess;

fn forbid() {
    ALLOWED.store(i32::try_from(std::process::id()).unwrap(), Ordering::Relaxed);
}

#[test]
fn an_allocation_in_a_child_is_noticed() {
    forbid();
    // SAFETY: the child does what is forbidden, on purpose, and ends by it.
    match unsafe { clone3(&CloneArgs::default()) }.unwrap() {
        Cloned::Child => {
            drop(std::hint::black_box(vec![1u8; 100]));
            sys::process::exit(0)
        }
        Cloned::Parent { pidfd, .. } => {
            assert!(matches!(wait(&pidfd).unwrap(), Exit::Signal { .. }));
        }
    }
}

#[test]
fn a_start_with_everything_in_it_does_not_allocate_in_the_child() {
    forbid();
    let host = tempfile::tempdir().unwrap();
    let mut bundle = Bundle::new("exec sleep 600");
    bundle.bind(host.path(), "/missing/parent/data", &["ro"]);
    bundle.given.keyring = Some("coffer-test".to_owned());
    let sysctl = &mut bundle.spec.linux.as_mut().unwrap().sysctl;
    sysctl.insert("net.ipv4.ip_forward".to_owned(), "1".to_owned());
    std::os::unix::fs::symlink("/run/x", bundle.root.path().join("missing")).unwrap();
    bundle.process().user.additional_gids = vec![1, 2, 3];
    bundle.allow_all();
    bundle.process().terminal = true;
    let (created, _root) = bundle.create_with(Stdio::Terminal).unwrap();
    let container = created.start().unwrap();
    let process = joining("exit 3", &Given::default(), |process| process.user.uid = 4);
    let outcome = exec(&container, process, CgroupJoin::None).unwrap();
    assert_eq!(outcome.exit, Exit::Code(3));
    kill(&container);
}

#[test]
fn a_failed_start_does_not_allocate_in_the_child() {
    forbid();
    for args in [["/nope"], ["nope"], ["/etc"]] {
        let error = Bundle::new("").args(&args).run().unwrap_err();
        assert!(matches!(error, LaunchError::Step(_)), "{error}");
    }
    let mut bundle = Bundle::new("true");
    bundle.process().cwd = "/proc/self/fd/3".to_owned();
    assert!(matches!(bundle.run().unwrap_err(), LaunchError::Step(_)));
}

//! Nothing between clone and execve allocates: an allocation in another process than this one ends it with SIGABRT.

#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(unsafe_code, reason = "a global allocator")]

mod common;

use common::{Bundle, exec, joining, kill};
use launch::{CgroupJoin, Extras, LaunchError, StateText, Stdio, Supervisor, gate};
use plan::{Filter, Given, ProcessPlan};
use spec::oci::{Hook, Hooks, IoPriority, Mount, Scheduler};
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

fn hook(path: &str, script: &str) -> Hook {
    let args = ["sh", "-c", script].map(str::to_owned).to_vec();
    Hook { path: path.to_owned(), args, env: vec!["A=b".to_owned()], timeout: Some(60) }
}

fn typed(kind: &str, destination: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: Some(kind.to_owned()),
        source: Some(kind.to_owned()),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..Mount::default()
    }
}

/// A bundle that uses what only a runtime command asks for.
fn with_everything() -> Bundle {
    let mut bundle = Bundle::new("exit 4");
    bundle.given.administrator = true;
    bundle.by_path = true;
    bundle.spec.hooks = Some(Hooks {
        prestart: vec![hook("/bin/busybox", "true")],
        create_runtime: vec![hook("/bin/busybox", "true")],
        create_container: vec![hook("/bin/busybox", "cat")],
        start_container: vec![hook("/bin/sh", "cat")],
        ..Hooks::default()
    });
    std::fs::create_dir(bundle.root.path().join("data/inner")).unwrap();
    std::fs::write(bundle.root.path().join("data/inner/file"), "x").unwrap();
    std::os::unix::fs::symlink("x", bundle.root.path().join("data/link")).unwrap();
    for mount in [
        typed("tmpfs", "/data", &["tmpcopyup", "rshared"]),
        typed("tmpfs", "/data", &["remount", "ro", "rnoexec"]),
        typed("ramfs", "/other", &["noexec", "sync"]),
    ] {
        bundle.spec.mounts.push(mount);
        bundle.sources.push(None);
    }
    let process = bundle.process();
    process.no_new_privileges = true;
    process.scheduler =
        Some(Scheduler { policy: "SCHED_BATCH".to_owned(), ..Scheduler::default() });
    process.io_priority = Some(IoPriority { class: "IOPRIO_CLASS_BE".to_owned(), priority: 3 });
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.push(spec::oci::Namespace { kind: "time".to_owned(), path: None });
    let offset = spec::oci::TimeOffset { secs: 7, nanosecs: 0 };
    linux.time_offsets.insert("boottime".to_owned(), offset);
    bundle
}

fn state() -> StateText {
    StateText::new(|pid, status| format!("{pid} {status}"))
}

#[test]
fn nothing_that_a_runtime_command_asks_for_allocates_in_the_child() {
    forbid();
    for user in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let directory = common::open_path(directory.path());
        let mut bundle = with_everything();
        if user {
            bundle.with_user_namespace();
            // A starter that is nice has no right there to be less so.
            bundle.process().scheduler = None;
            // What the host may mount by mount(2), a user namespace may not.
            bundle.spec.mounts.pop();
            bundle.sources.pop();
        }
        let program = [6u8, 0, 0, 0, 0, 0, 0xff, 0x7f].to_vec();
        let flags = sys::seccomp::FilterFlags::NEW_LISTENER;
        bundle.given.filter = Some(Filter { program, flags });
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let process = ProcessPlan::joining(bundle.process(), &Given::default()).unwrap();
        let extras = Extras {
            gate: Some(gate::bind(&directory, "start").unwrap()),
            preserved: vec![std::fs::File::open("/dev/null").unwrap().into()],
            state: Some(state()),
            supervisor: Some(Supervisor { socket: theirs.into(), state: state() }),
            no_pivot: user,
            times: true,
            ..Extras::default()
        };
        let (stdio, _output) = common::piped();
        let (created, _root) = bundle.create_extra(stdio, extras).unwrap();
        let running = created.leave().unwrap();
        gate::open(&directory, "start", &process).unwrap();
        assert_eq!(wait(&running.pidfd).unwrap(), Exit::Code(4));
        drop(ours);
    }
}

#[test]
fn hooks_that_fail_do_not_allocate_in_the_child() {
    forbid();
    for change in [
        |hooks: &mut Hooks| hooks.create_container[0].path = "/nope".to_owned(),
        |hooks: &mut Hooks| hooks.start_container[0].path = "/nope".to_owned(),
        |hooks: &mut Hooks| hooks.prestart[0].path = "/nope".to_owned(),
        |hooks: &mut Hooks| hooks.start_container[0].args[2] = "exit 3".to_owned(),
    ] {
        let mut bundle = with_everything();
        change(bundle.spec.hooks.as_mut().unwrap());
        let extras = Extras { state: Some(state()), ..Extras::default() };
        let error = bundle.run_extra(extras).unwrap_err();
        assert!(error.to_string().starts_with("run "), "{error}");
    }
}

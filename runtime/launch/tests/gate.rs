//! Containers that one process creates and another one starts.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Bundle, busybox, piped};
use launch::{Created, Extras, LaunchError, Running, gate};
use plan::{Given, ProcessPlan};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use sys::pidfd::{Exit, has_ended, wait};

/// A container at its gate, with the directory of its socket.
struct AtGate {
    created: Created,
    output: File,
    state: tempfile::TempDir,
    process: ProcessPlan,
    _root: tempfile::TempDir,
}

fn create(mut bundle: Bundle, extras: Extras) -> AtGate {
    let state = tempfile::tempdir().unwrap();
    let directory = common::open_path(state.path());
    let process = ProcessPlan::joining(bundle.process(), &Given::default()).unwrap();
    let gate = Some(gate::bind(&directory, "start").unwrap());
    let (stdio, output) = piped();
    let (created, root) = bundle.create_extra(stdio, Extras { gate, ..extras }).unwrap();
    AtGate { created, output, state, process, _root: root }
}

impl AtGate {
    fn leave(self) -> (Running, Left) {
        let Self { created, output, state, process, _root } = self;
        (created.leave().unwrap(), Left { output, state, process, _root })
    }
}

struct Left {
    output: File,
    state: tempfile::TempDir,
    process: ProcessPlan,
    _root: tempfile::TempDir,
}

impl Left {
    fn start(&self) -> Result<(), LaunchError> {
        gate::open(common::open_path(self.state.path()), "start", &self.process)
    }

    fn text(mut self) -> String {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        text
    }
}

#[test]
fn a_container_that_was_left_runs_when_its_socket_is_connected_to() {
    let (running, left) = create(Bundle::new("echo $$; exit 5"), Extras::default()).leave();
    assert!(!has_ended(&running.pidfd).unwrap());
    left.start().unwrap();
    assert_eq!(wait(&running.pidfd).unwrap(), Exit::Code(5));
    assert!(matches!(left.start(), Err(LaunchError::NotAtGate)));
    assert_eq!(left.text(), "1\n");
}

#[test]
fn it_outlives_the_thread_that_created_it() {
    let create = || create(Bundle::new("sleep 0.2; echo end"), Extras::default()).leave();
    let (running, left) = std::thread::scope(|scope| scope.spawn(create).join().unwrap());
    left.start().unwrap();
    assert_eq!(wait(&running.pidfd).unwrap(), Exit::Code(0));
    assert_eq!(left.text(), "end\n");
}

#[test]
fn a_container_whose_creator_goes_without_leaving_it_ends() {
    let AtGate { created, state, process, .. } = create(Bundle::new("true"), Extras::default());
    let pidfd = created.pidfd().try_clone_to_owned().unwrap();
    drop(created);
    assert_eq!(sys::pidfd::send_signal(&pidfd, 0).unwrap_err().errno(), rustix::io::Errno::SRCH);
    let opened = gate::open(common::open_path(state.path()), "start", &process);
    assert!(matches!(opened, Err(LaunchError::NotAtGate)));
}

#[test]
fn a_program_that_cannot_run_is_told_to_who_starts_it() {
    let bundle = Bundle::in_root(busybox(), "").args(&["nope"]);
    let (running, left) = create(bundle, Extras::default()).leave();
    let error = left.start().unwrap_err();
    assert_eq!(error.to_string(), "exec: \"nope\": executable file not found in $PATH");
    assert_eq!(wait(&running.pidfd).unwrap(), Exit::Code(127));
}

#[test]
fn a_container_that_was_killed_at_its_gate_cannot_be_started() {
    let (running, left) = create(Bundle::new("true"), Extras::default()).leave();
    common::kill(&running);
    assert!(matches!(left.start(), Err(LaunchError::NotAtGate)));
}

#[test]
fn of_many_starts_at_once_exactly_one_succeeds() {
    for _ in 0..20 {
        let (running, left) = create(Bundle::new("exec sleep 600"), Extras::default()).leave();
        let successes: usize = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| left.start())).collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .map(|result| match result {
                    Ok(()) => 1,
                    Err(LaunchError::NotAtGate) => 0,
                    Err(error) => panic!("{error}"),
                })
                .sum()
        });
        assert_eq!(successes, 1);
        common::kill(&running);
    }
}

#[test]
fn a_silent_peer_does_not_keep_the_container_from_its_start() {
    let (running, left) = create(Bundle::new("exit 3"), Extras::default()).leave();
    for _ in 0..3 {
        // Connects and says nothing.
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
        let socket = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        let name = left.state.path().join("start");
        connect(&socket, &SocketAddrUnix::new(&name).unwrap()).unwrap();
    }
    left.start().unwrap();
    assert_eq!(wait(&running.pidfd).unwrap(), Exit::Code(3));
}

#[test]
fn kept_descriptors_are_the_next_numbers_and_nothing_else_is_open() {
    let file = |text: &str| -> OwnedFd {
        let bytes = text.as_bytes();
        sys::memfd::sealed(c"kept", bytes).unwrap()
    };
    let preserved = vec![file("three"), file("four"), file("five")];
    let bundle =
        Bundle::new("cat /proc/self/fd/3 /proc/self/fd/4 /proc/self/fd/5; echo; ls /proc/self/fd");
    let (running, left) = create(bundle, Extras { preserved, ..Extras::default() }).leave();
    left.start().unwrap();
    assert_eq!(wait(&running.pidfd).unwrap(), Exit::Code(0));
    // 6 is the listing's own.
    assert_eq!(left.text(), "threefourfive\n0\n1\n2\n3\n4\n5\n6\n");
}

#[test]
fn a_socket_s_name_is_checked_and_its_mode_is_narrow() {
    use std::os::unix::fs::PermissionsExt;
    let state = tempfile::tempdir().unwrap();
    let directory = common::open_path(state.path());
    let _socket = gate::bind(&directory, "start").unwrap();
    let mode = std::fs::metadata(state.path().join("start")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for name in ["", "..", "a/b", "start"] {
        assert!(gate::bind(&directory, name).is_err(), "{name}");
    }
}

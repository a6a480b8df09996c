//! The loop with real processes: output, input, attachment, exit, connections.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure here is a failure of the test")]

use messages::Fd;
use messages::shim::{Attach, Event, Exit, Request};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use shim::{Containment, JsonLog, LogFile, State, Streams, Task, TaskRoot};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use transport::{Connection, Kind, decode, encode};

/// A process that is in no cgroup of its own.
struct Uncontained;

impl Containment for Uncontained {
    fn memory_event(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn killed_for_memory(&mut self) -> bool {
        false
    }
    fn has_killed_for_memory(&self) -> bool {
        false
    }
    fn process_ended(&mut self) {}
}

#[derive(Clone, Copy, Default)]
struct Options {
    stdin: bool,
    stdin_once: bool,
    terminal: bool,
}

/// A shim in a thread, and an engine's connection to it.
struct Rig {
    engine: Connection,
    pid: i32,
    dir: tempfile::TempDir,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    fn start(script: &str, options: Options, clients: Vec<(Attach, OwnedFd)>) -> Self {
        Self::start_logging(script, options, clients, None)
    }

    /// With the log in another directory.
    fn start_logging(
        script: &str,
        options: Options,
        clients: Vec<(Attach, OwnedFd)>,
        logs: Option<OwnedFd>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let open = |path: &std::path::Path| OwnedFd::from(std::fs::File::open(path).unwrap());
        let directory = TaskRoot::open(open(dir.path())).unwrap().create("task").unwrap();
        let log = LogFile::open(logs.unwrap_or_else(|| open(dir.path())), "log", None, 1).unwrap();
        let (child, streams) = spawn(script, options);
        let pid = i32::try_from(child.id()).unwrap();
        let (engine, channel) = transport::pair().unwrap();
        let task = Task {
            pid,
            pidfd: pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap(),
            started_at: 5,
            streams,
            stdin_once: options.stdin_once,
            log: Some(JsonLog::new(log, &[])),
            clients,
            channel: Some(channel),
            listener: Some(directory.listen().unwrap()),
            directory,
            rootfs: None,
        };
        let thread = std::thread::spawn(move || shim::supervise(task, &mut Uncontained));
        let rig = Self { engine: engine.into(), pid, dir, thread: Some(thread) };
        assert_eq!(rig.event(), Event::Status { pid, started_at: 5, exit: None });
        rig
    }

    fn event(&self) -> Event {
        event(&self.engine)
    }

    fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) {
        self.engine.send(Kind::Oneway, 0, &encode(request).unwrap(), fds).unwrap();
    }

    fn attach(&self, attach: Attach) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.send(&Request::Attach { attach, stream: Fd(0) }, &[theirs.as_fd()]);
        ours
    }

    /// Waits for the exit, acknowledges it, waits for the shim's end and answers the code.
    fn exit_code(mut self) -> (i32, String) {
        let Event::Exited(exit) = self.event() else { panic!("another event") };
        self.send(&Request::Acknowledge, &[]);
        self.thread.take().unwrap().join().unwrap();
        (exit.code, self.log())
    }

    /// All logged messages together.
    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log"))
            .unwrap()
            .lines()
            .map(|line| {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                value["log"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    fn kill(&self) {
        rustix::process::kill_process(
            Pid::from_raw(self.pid).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
    }
}

fn event(connection: &Connection) -> Event {
    decode(&connection.receive().unwrap().expect("an open connection").payload).unwrap()
}

fn spawn(script: &str, options: Options) -> (std::process::Child, Streams) {
    if options.terminal {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        unlockpt(&master).unwrap();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        let child = Command::new("busybox")
            .args(["setsid", "-c", "busybox", "sh", "-c", script])
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave.try_clone().unwrap())
            .spawn()
            .unwrap();
        return (
            child,
            Streams::Terminal { master, slave: Some(slave), open_stdin: options.stdin },
        );
    }
    let mut command = Command::new("busybox");
    command.args(["sh", "-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if options.stdin { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take().map(OwnedFd::from);
    let stdout = child.stdout.take().unwrap().into();
    let stderr = child.stderr.take().unwrap().into();
    (child, Streams::Pipes { stdin, stdout, stderr })
}

fn attach(number: u64) -> Attach {
    Attach {
        number,
        stdin: true,
        stdout: true,
        stderr: true,
        raw: false,
        detach_keys: b"\x10\x11".to_vec(),
    }
}

fn client(attach: Attach) -> (UnixStream, Vec<(Attach, OwnedFd)>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ours, vec![(attach, theirs.into())])
}

fn read_all(stream: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

fn read_until(stream: &mut UnixStream, text: &str) -> String {
    let mut got = Vec::new();
    let mut buffer = [0; 1024];
    while !String::from_utf8_lossy(&got).contains(text) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "ended after {:?}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(got).unwrap()
}

/// The pieces of a multiplexed stream: stdout's bytes, stderr's bytes.
fn demultiplex(mut bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some((header, rest)) = bytes.split_at_checked(8) {
        let length = u32::from_be_bytes(header[4..].try_into().unwrap()) as usize;
        let out = if header[0] == 1 { &mut stdout } else { &mut stderr };
        out.extend_from_slice(&rest[..length]);
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty());
    (stdout, stderr)
}

const STDIN: Options = Options { stdin: true, stdin_once: false, terminal: false };
const STDIN_ONCE: Options = Options { stdin: true, stdin_once: true, terminal: false };
const TERMINAL: Options = Options { stdin: true, stdin_once: true, terminal: true };

#[test]
fn a_client_gets_both_streams_with_headers_and_the_log_has_them_too() {
    let (mut stream, clients) = client(attach(1));
    let rig = Rig::start("echo out; echo err >&2; exit 7", Options::default(), clients);
    let (stdout, stderr) = demultiplex(&read_all(&mut stream));
    assert_eq!((&stdout[..], &stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    let (code, log) = rig.exit_code();
    assert_eq!(code, 7);
    assert!(log == "out\nerr\n" || log == "err\nout\n", "{log}");
}

#[test]
fn a_raw_client_gets_only_what_it_asked_for_and_no_headers() {
    let (mut stream, clients) = client(Attach { raw: true, stdout: false, ..attach(1) });
    let rig = Rig::start("echo out; echo err >&2", Options::default(), clients);
    assert_eq!(read_all(&mut stream), b"err\n");
    assert_eq!(rig.exit_code().0, 0);
}

#[test]
fn half_closing_ends_stdin_and_the_rest_of_the_output_still_arrives() {
    let (mut stream, clients) = client(attach(1));
    let rig = Rig::start("cat; echo end", STDIN_ONCE, clients);
    let input = vec![b'x'; 300_000];
    let mut writer = stream.try_clone().unwrap();
    let sent = input.clone();
    let sender = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let (stdout, _) = demultiplex(&read_all(&mut stream));
    sender.join().unwrap();
    assert_eq!(stdout, [&input[..], b"end\n"].concat());
    assert_eq!(rig.exit_code().0, 0);
}

#[test]
fn without_stdin_once_the_client_leaves_and_the_next_one_goes_on() {
    let (mut first, clients) = client(attach(1));
    let rig = Rig::start("while read line; do echo got $line; done", STDIN, clients);
    first.write_all(b"one\n").unwrap();
    read_until(&mut first, "got one\n");
    first.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rig.event(), Event::Detached { number: 1, by_keys: false });
    assert_eq!(read_all(&mut first), b"");

    let mut second = rig.attach(attach(2));
    second.write_all(b"two\n").unwrap();
    read_until(&mut second, "got two\n");
    rig.send(&Request::CloseStdin, &[]);
    assert_eq!(rig.exit_code(), (0, "got one\ngot two\n".to_owned()));
}

#[test]
fn input_that_was_sent_before_the_client_closed_is_not_lost() {
    let (mut stream, clients) = client(attach(1));
    let rig = Rig::start("sleep 0.1; wc -c", STDIN_ONCE, clients);
    stream.write_all(&[b'x'; 200_000]).unwrap();
    drop(stream);
    assert_eq!(rig.event(), Event::Detached { number: 1, by_keys: false });
    assert_eq!(rig.exit_code(), (0, "200000\n".to_owned()));
}

#[test]
fn a_client_that_closes_is_reported_and_the_process_goes_on() {
    let (stream, clients) = client(Attach { stdin: false, ..attach(9) });
    let rig = Rig::start("read line; seq 20000; echo $line", STDIN, clients);
    drop(stream);
    assert_eq!(rig.event(), Event::Detached { number: 9, by_keys: false });
    let mut other = rig.attach(attach(2));
    other.write_all(b"done\n").unwrap();
    read_all(&mut other);
    assert!(rig.exit_code().1.ends_with("\n20000\ndone\n"));
}

#[test]
fn a_client_that_does_not_read_holds_up_the_process_and_loses_nothing() {
    let (mut stream, clients) = client(Attach { raw: true, ..attach(1) });
    let rig = Rig::start("seq 500000; echo after >&2", Options::default(), clients);
    // The whole is far more than all buffers, so that the process cannot have come to its end.
    let wait = rustix::time::Timespec { tv_sec: 0, tv_nsec: 300_000_000 };
    let mut fds = [PollFd::new(&rig.engine, PollFlags::IN)];
    assert_eq!(poll(&mut fds, Some(&wait)).unwrap(), 0);
    let expected: String = (1..=500_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(read_all(&mut stream), format!("{expected}after\n").as_bytes());
    let (code, log) = rig.exit_code();
    assert_eq!(code, 0);
    assert!(log == format!("{expected}after\n"), "{}", log.len());
}

#[test]
fn the_exit_is_reported_although_a_client_does_not_read_and_the_log_is_complete() {
    let (mut stream, clients) = client(Attach { raw: true, ..attach(1) });
    let rig = Rig::start("seq 60000; exit 3", Options::default(), clients);
    let mut expected = String::new();
    for number in 1..=60_000 {
        expected += &format!("{number}\n");
    }
    let Event::Exited(exit) = rig.event() else { panic!("another event") };
    assert_eq!(exit.code, 3);
    assert_eq!(rig.log(), expected);
    // What is queued is still sent, even after the acknowledgement.
    rig.send(&Request::Acknowledge, &[]);
    assert_eq!(read_all(&mut stream), expected.as_bytes());
}

#[test]
fn a_full_disk_does_not_block_the_process_and_the_loss_is_reported() {
    use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    rustix::mount::fsconfig_set_string(context.as_fd(), "size", "64k").unwrap();
    rustix::mount::fsconfig_create(context.as_fd()).unwrap();
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let disk = rustix::mount::fsmount(context.as_fd(), flags, MountAttrFlags::empty()).unwrap();
    let (mut stream, clients) = client(Attach { raw: true, ..attach(1) });
    let rig = Rig::start_logging(
        "seq 50000; exit 8",
        Options::default(),
        clients,
        Some(disk.try_clone().unwrap()),
    );
    let expected: String = (1..=50_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(read_all(&mut stream), expected.as_bytes());
    let mut lost = 0;
    let exit = loop {
        match rig.event() {
            Event::LogLost { bytes } => lost += bytes,
            Event::Exited(exit) => break exit,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(exit.code, 8);
    let flags = rustix::fs::OFlags::RDONLY;
    let log = rustix::fs::openat(&disk, "log", flags, rustix::fs::Mode::empty()).unwrap();
    let kept: usize = std::io::read_to_string(std::fs::File::from(log))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|value| value["log"].as_str().unwrap().len())
        .sum();
    assert_eq!(kept as u64 + lost, expected.len() as u64);
    rig.send(&Request::Acknowledge, &[]);
}

#[test]
fn a_process_that_was_left_behind_does_not_hold_back_the_exit() {
    let rig = Rig::start("sleep 1000 & echo $!; exit 4", Options::default(), Vec::new());
    let (code, log) = rig.exit_code();
    let left = Pid::from_raw(log.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    assert_eq!(code, 4);
}

#[test]
fn a_signal_that_ended_the_process_gives_128_and_its_number() {
    let rig = Rig::start("sleep 1000", Options::default(), Vec::new());
    rig.kill();
    assert_eq!(rig.exit_code().0, 137);
}

#[test]
fn later_connections_are_told_the_state_and_the_shim_stays_until_the_acknowledgement() {
    let mut rig = Rig::start("read line; exit 5", STDIN, Vec::new());
    let root = std::fs::File::open(rig.dir.path()).unwrap();
    let directory = TaskRoot::open(root).unwrap().task("task").unwrap().unwrap();
    let second = Connection::from(directory.connect().unwrap());
    assert_eq!(event(&second), Event::Status { pid: rig.pid, started_at: 5, exit: None });
    second.send(Kind::Oneway, 0, &encode(&Request::CloseStdin).unwrap(), &[]).unwrap();
    let Event::Exited(exit) = rig.event() else { panic!("another event") };
    assert_eq!(exit.code, 5);
    assert_eq!(event(&second), Event::Exited(exit));
    drop(second);
    rig.engine = Connection::from(directory.connect().unwrap());
    assert_eq!(rig.event(), Event::Status { pid: rig.pid, started_at: 5, exit: Some(exit) });
    assert_eq!(directory.exit().unwrap(), Some(exit));
    rig.send(&Request::Acknowledge, &[]);
    rig.thread.take().unwrap().join().unwrap();
    assert!(directory.connect().is_err());
}

#[test]
fn an_engine_that_talks_nonsense_is_cut_off_and_nobody_else() {
    let rig = Rig::start("read line", STDIN, Vec::new());
    let root = std::fs::File::open(rig.dir.path()).unwrap();
    let directory = TaskRoot::open(root).unwrap().task("task").unwrap().unwrap();
    let second = Connection::from(directory.connect().unwrap());
    event(&second);
    second.send(Kind::Oneway, 0, &[0xff; 9], &[]).unwrap();
    assert!(second.receive().unwrap().is_none());
    // A descriptor that is no stream socket cannot be a client.
    let null = std::fs::File::open("/dev/null").unwrap();
    rig.send(&Request::Attach { attach: attach(3), stream: Fd(0) }, &[null.as_fd()]);
    assert_eq!(rig.event(), Event::Detached { number: 3, by_keys: false });
    rig.send(&Request::Attach { attach: attach(4), stream: Fd(0) }, &[]);
    assert_eq!(rig.event(), Event::Detached { number: 4, by_keys: false });
    rig.send(&Request::CloseStdin, &[]);
    assert_eq!(rig.exit_code().0, 1);
}

#[test]
fn a_terminal_has_a_size_echoes_without_headers_and_the_keys_detach() {
    let (mut stream, clients) = client(attach(1));
    // `stty` complains of a terminal that has no size yet.
    let script =
        "until [ \"$(stty size 2>/dev/null)\" = '31 91' ]; do usleep 1000; done; echo sized
        read b; echo b=$b; exit 6";
    let rig = Rig::start(script, TERMINAL, clients);
    rig.send(&Request::Resize { width: 91, height: 31 }, &[]);
    assert_eq!(read_until(&mut stream, "sized"), "sized\r\n");
    stream.write_all(b"tw\x10").unwrap();
    stream.write_all(b"\x11rest").unwrap();
    assert_eq!(rig.event(), Event::Detached { number: 1, by_keys: true });
    read_all(&mut stream);

    let mut second = rig.attach(attach(2));
    second.write_all(b"o\r").unwrap();
    read_until(&mut second, "b=two\r\n");
    assert_eq!(rig.exit_code().0, 6);
}

#[test]
fn output_of_a_terminal_is_complete_when_the_process_has_ended() {
    for _ in 0..20 {
        let (mut stream, clients) = client(attach(1));
        let rig = Rig::start("seq 2000", TERMINAL, clients);
        let expected: String = (1..=2000).map(|number| format!("{number}\r\n")).collect();
        assert_eq!(String::from_utf8(read_all(&mut stream)).unwrap(), expected);
        assert_eq!(rig.exit_code(), (0, expected));
    }
}

#[test]
fn the_record_of_a_task_survives_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let root = TaskRoot::open(std::fs::File::open(dir.path()).unwrap()).unwrap();
    let task = root.create("c").unwrap();
    assert_eq!(root.create("c").unwrap_err().errno(), Some(rustix::io::Errno::EXIST));
    assert_eq!(task.state().unwrap(), None);
    let own = shim::Process::of(i32::try_from(std::process::id()).unwrap()).unwrap();
    assert!(own.is_running());
    assert!(!shim::Process { start: own.start + 1, ..own }.is_running());
    let state = State { process: own, shim: own, started_at: -3, cgroup_parent: "a b/c".into() };
    task.write_state(&state).unwrap();
    let exec = task.create_exec("e").unwrap();
    let exit = Exit { code: 137, oom_killed: true, at: 99 };
    exec.write_exit(&exit).unwrap();
    let found = root.task("c").unwrap().unwrap();
    assert_eq!(found.state().unwrap(), Some(state));
    assert_eq!(found.exec_names().unwrap(), ["e"]);
    assert_eq!(found.exec("e").unwrap().unwrap().exit().unwrap(), Some(exit));
    root.remove("c").unwrap();
    root.remove("c").unwrap();
    assert!(found.is_removed());
    assert!(root.names().unwrap().is_empty());
    assert!(own.open().unwrap().as_raw_fd() > 2);
}

//! A worker as the supervisor starts it, and the api worker's end of its connection, which an attacker has.

use messages::control::{Control, Role};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use spec::{Class, Failure};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use transport::{Connection, Kind, decode, encode};

/// How long an answer may take before the worker counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Directories as the supervisor makes them, and a policy file.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// `policy` may name the place itself as `@`.
    pub(crate) fn new(policy: &str) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        supervisor::directories::prepare(&place.data(), &place.exec(), (60_600, 60_600)).unwrap();
        let path = place.path("").display().to_string();
        let policy = policy.replace('@', path.trim_end_matches('/'));
        std::fs::write(place.path("policy.toml"), policy).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn exec(&self) -> PathBuf {
        self.path("exec")
    }

    /// Every path below the place, with its kind: what an attack must not change.
    pub(crate) fn listing(&self, below: &str) -> Vec<String> {
        let mut find = Command::new("find");
        let out = find.arg(self.path(below)).args(["-printf", "%y %P\n"]).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

/// One worker that runs.
pub(crate) struct Worker<R> {
    child: Child,
    control: Connection,
    pub(crate) peer: Connection,
    sequence: u64,
    request: PhantomData<R>,
}

pub(crate) type Answer<R> = Result<(<R as messages::Request>::Reply, Vec<OwnedFd>), Failure>;

/// `cofferd worker ROLE`, in a network namespace of its own.
pub(crate) fn cofferd(role: &str, place: &Place) -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "-n",
        env!("CARGO_BIN_EXE_cofferd"),
        "worker",
        role,
        "--ids=60600:60600",
        "--bridge=docker0",
    ]);
    command.arg("--data-root").arg(place.data()).arg("--exec-root").arg(place.exec());
    command.arg("--policy").arg(place.path("policy.toml"));
    command
}

impl<R: messages::Request> Worker<R> {
    pub(crate) fn start(mut command: Command) -> Self {
        let (control, theirs) = transport::pair().unwrap();
        let child = command.stdin(Stdio::from(theirs)).spawn().unwrap();
        let control = Connection::from(control);
        let peer = introduce(&control);
        Self { child, control, peer, sequence: 0, request: PhantomData }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new api worker takes the old one's place; the old connection is what is returned.
    pub(crate) fn reconnect(&mut self) -> Connection {
        std::mem::replace(&mut self.peer, introduce(&self.control))
    }

    /// Sends a payload as it is.
    pub(crate) fn send(&mut self, payload: &[u8], fds: &[BorrowedFd<'_>]) -> u64 {
        self.sequence += 1;
        self.peer.send(Kind::Request, self.sequence, payload, fds).unwrap();
        self.sequence
    }

    pub(crate) fn receive(&mut self) -> (u64, Answer<R>) {
        let frame = self.peer.receive().unwrap().expect("the worker keeps the connection");
        let answer = match frame.kind {
            Kind::Success => Ok((decode(&frame.payload).unwrap(), frame.descriptors)),
            _ => Err(decode(&frame.payload).unwrap()),
        };
        (frame.sequence, answer)
    }

    pub(crate) fn ask_raw(&mut self, payload: &[u8], fds: &[BorrowedFd<'_>]) -> Answer<R> {
        let sent = self.send(payload, fds);
        let (sequence, answer) = self.receive();
        assert_eq!(sequence, sent);
        answer
    }

    pub(crate) fn ask(&mut self, request: &R, fds: &[BorrowedFd<'_>]) -> Answer<R> {
        self.ask_raw(&encode(request).unwrap(), fds)
    }

    /// The refusal of a request that must not succeed.
    pub(crate) fn refusal(&mut self, request: &R, fds: &[BorrowedFd<'_>]) -> (Class, String) {
        match self.ask(request, fds) {
            Ok(_) => panic!("{} succeeded", request.verb()),
            Err(failure) => (failure.class, failure.message),
        }
    }

    /// How many descriptors the worker has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }
}

impl<R> Drop for Worker<R> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn introduce(control: &Connection) -> Connection {
    let (ours, theirs) = transport::pair().unwrap();
    let payload = encode(&Control::Peer(Role::Api)).unwrap();
    control.send(Kind::Oneway, 0, &payload, &[theirs.as_fd()]).unwrap();
    set_socket_timeout(&ours, Timeout::Recv, Some(PATIENCE)).unwrap();
    ours.into()
}

/// A request's bytes with one text in it replaced by another, which its type would refuse.
pub(crate) fn forged<R: messages::Request>(request: &R, old: &str, new: &str) -> Vec<u8> {
    let text = |text: &str| encode(&text.to_owned()).unwrap();
    let (bytes, old) = (encode(request).unwrap(), text(old));
    let at = bytes.windows(old.len()).position(|window| window == old).expect("the text is in it");
    [&bytes[..at], &text(new), &bytes[at + old.len()..]].concat()
}

/// A descriptor that needs no right on the file itself: what an attacker can open of nearly everything.
pub(crate) fn opath(path: impl AsRef<Path>) -> OwnedFd {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(path.as_ref(), flags, rustix::fs::Mode::empty()).unwrap()
}

pub(crate) fn pidfd(pid: i32) -> OwnedFd {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap()
}

pub(crate) fn forbidden(sentence: impl Into<String>) -> (Class, String) {
    (Class::Forbidden, sentence.into())
}

pub(crate) fn invalid(sentence: impl Into<String>) -> (Class, String) {
    (Class::InvalidArgument, sentence.into())
}

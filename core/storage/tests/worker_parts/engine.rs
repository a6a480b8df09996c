//! A worker to ask, and archives to give it.

use archive::{Entry, Kind, Writer};
use messages::control::{Control, Role};
use messages::storage::{Reply, Request};
use sandbox::{Confinement, Directories};
use spec::{Digest, Failure, SnapshotKey};
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use storage::Worker;
use transport::{Connection, Kind as FrameKind, decode, encode};

pub(crate) type Answer = Result<(Reply, Vec<OwnedFd>), Failure>;

pub(crate) struct Engine {
    pub(crate) directory: Rc<tempfile::TempDir>,
    control: Connection,
    peer: Connection,
    pub(crate) pid: i32,
    sequence: u64,
}

impl Engine {
    pub(crate) fn start() -> Self {
        Self::start_in(Rc::new(tempfile::tempdir().unwrap()), Duration::MAX)
    }

    pub(crate) fn directory(&self) -> Rc<tempfile::TempDir> {
        Rc::clone(&self.directory)
    }

    pub(crate) fn start_in(directory: Rc<tempfile::TempDir>, longest: Duration) -> Self {
        let (control, theirs) = transport::pair().unwrap();
        let root = directory.path().join("root");
        let pid = sys::fork::fork_child(move || {
            let worker = Worker::open(&root, policy::Policy::default()).unwrap();
            let directories = Directories { data_root: root.clone(), exec_root: root };
            Confinement::of(Role::Storage, &directories, (0, 0)).enter().unwrap();
            worker.with_longest_deadline(longest).run(theirs).unwrap();
            0
        })
        .unwrap();
        let control = Connection::from(control);
        let (ours, theirs) = transport::pair().unwrap();
        let payload = encode(&Control::Peer(Role::Api)).unwrap();
        control.send(FrameKind::Request, 0, &payload, &[theirs.as_fd()]).unwrap();
        Self { directory, control, peer: ours.into(), pid, sequence: 0 }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    pub(crate) fn send(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> u64 {
        self.sequence += 1;
        let payload = encode(request).unwrap();
        self.peer.send(FrameKind::Request, self.sequence, &payload, fds).unwrap();
        self.sequence
    }

    /// The next answer that arrives, with the number of its request.
    pub(crate) fn receive(&mut self) -> (u64, Answer) {
        let frame = self.peer.receive().unwrap().expect("the worker lives");
        let answer = match frame.kind {
            FrameKind::Success => Ok((decode(&frame.payload).unwrap(), frame.descriptors)),
            FrameKind::Failure => Err(decode(&frame.payload).unwrap()),
            other => panic!("{other:?}"),
        };
        (frame.sequence, answer)
    }

    pub(crate) fn ask_with(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> Answer {
        let sent = self.send(request, fds);
        let (sequence, answer) = self.receive();
        assert_eq!(sequence, sent);
        answer
    }

    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        self.ask_with(request, &[])
    }

    pub(crate) fn unpack(&mut self, key: &SnapshotKey, tar: &[u8]) -> Answer {
        let request = unpack_request(key, tar, 1 << 30);
        self.ask_with(&request, &[file_with(tar).as_fd()])
    }

    /// The bytes that a request writes to its descriptor 0.
    pub(crate) fn written(
        &mut self,
        request: &Request,
        more: &[BorrowedFd<'_>],
    ) -> Result<Vec<u8>, Failure> {
        let file = tempfile::tempfile().unwrap();
        let mut fds = vec![file.as_fd()];
        fds.extend_from_slice(more);
        let (reply, _) = self.ask_with(request, &fds)?;
        let mut bytes = Vec::new();
        let mut file = file;
        file.rewind().unwrap();
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        assert_eq!(reply, Reply::Written { bytes: bytes.len() as u64 });
        Ok(bytes)
    }

    pub(crate) fn listed(&mut self) -> Vec<SnapshotKey> {
        match self.ask(&Request::List).unwrap().0 {
            Reply::Snapshots(list) => list.into_iter().map(|info| info.key).collect(),
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let payload = encode(&Control::Stop).unwrap();
        self.control.send(FrameKind::Request, 0, &payload, &[]).ok();
        let pid = rustix::process::Pid::from_raw(self.pid).unwrap();
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).ok();
    }
}

pub(crate) fn unpack_request(key: &SnapshotKey, tar: &[u8], limit: u64) -> Request {
    Request::Unpack { key: key.clone(), blob: messages::Fd(0), diff_id: digest(tar), limit }
}

pub(crate) fn key(digit: &str) -> SnapshotKey {
    SnapshotKey::parse(&digit.repeat(64)).unwrap()
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::from_sha256(&sha2::Sha256::digest(bytes).into())
}

pub(crate) fn file_with(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An archive of entries: a name, and what it is.
pub(crate) enum Item<'a> {
    Dir,
    File(&'a str),
    Link(&'a str),
    Hard(&'a str),
    Fifo,
    Device(u32, u32),
}

pub(crate) fn tar(items: &[(&str, Item<'_>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, item) in items {
        let mut entry = Entry::new(*name, Kind::File, 0o644);
        let mut content = "";
        match item {
            Item::Dir => (entry.kind, entry.mode) = (Kind::Directory, 0o755),
            Item::File(text) => content = text,
            Item::Link(target) => {
                (entry.kind, entry.link) = (Kind::Symlink, target.as_bytes().to_vec());
            }
            Item::Hard(target) => {
                (entry.kind, entry.link) = (Kind::HardLink, target.as_bytes().to_vec());
            }
            Item::Fifo => entry.kind = Kind::Fifo,
            Item::Device(major, minor) => {
                (entry.kind, entry.device) = (Kind::CharDevice, (*major, *minor));
            }
        }
        entry.size = content.len() as u64;
        writer.append_with(&entry, content.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

/// The names in an archive, with the content of files and `-> target` of links.
pub(crate) fn listing(tar: &[u8]) -> Vec<(String, String)> {
    let mut reader = archive::Reader::new(tar, archive::Limits::default());
    let mut list = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut content).unwrap();
        let mut text = String::from_utf8_lossy(&content).into_owned();
        if !entry.link.is_empty() {
            text = format!("-> {}", String::from_utf8_lossy(&entry.link));
        }
        list.push((String::from_utf8_lossy(&entry.name).into_owned(), text));
    }
    list
}

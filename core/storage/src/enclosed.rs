//! The child that reads or writes an archive, and how it is told what to do.
//!
//! ```text
//! job                                              enclosed child
//!   ── Order, in the copied memory ──────────────▶   its working directory: the tree
//!   ── descriptor 0: the archive ────────────────▶   closes all above 2, chroots, drops everything
//!   ◀──────────────── descriptor 1: Outcome ─────    does it, reports, ends with status 0
//! ```

use crate::job::{describe, once_alone};
use archive::{CreateOptions, Decoder, ExtractOptions, HashReader, Layout, Owners, Place, Reader};
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};
use spec::{Class, Digest, Failure};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use sys::enclosure::{Inherited, fork_enclosed};

/// Most bytes of a report: 100,000 opaque directories with long names.
const REPORT_MAX: u64 = 64 << 20;

/// What an enclosed child shall do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Unpack a compressed layer into the tree, and check the digest of the tar.
    Layer { diff_id: Digest, limit: u64 },
    /// Unpack a tar below a directory.
    Extract { base: Vec<u8>, no_overwrite_dir_non_dir: bool, root_owns: bool, limit: u64 },
    /// Write a tar of what lies in a directory, under a name.
    Create {
        /// The directory, from the root of the tree.
        directory: Vec<u8>,
        /// What in it.
        file: Vec<u8>,
        /// The name of the first entry; see [`CreateOptions::name`].
        name: Vec<u8>,
        /// For a layer: the directories that hide those below.
        opaque: Option<BTreeSet<Vec<u8>>>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    task: Task,
    filter: Vec<u8>,
}

/// What an enclosed child did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Bytes of content that were unpacked, or of the tar that was written.
    pub(crate) bytes: u64,
    /// Directories that hide those below.
    pub(crate) opaque: Vec<Vec<u8>>,
}

type Outcome = Result<Done, Failure>;

/// An enclosed child at work.
#[derive(Debug)]
pub(crate) struct Enclosed {
    pidfd: OwnedFd,
    report: File,
    what: &'static str,
}

/// Starts a child that is locked into `tree` and works on `data`, the archive. `what` begins the sentence if it dies.
pub(crate) fn start(
    what: &'static str,
    filter: &[u8],
    tree: impl AsFd,
    data: impl AsFd,
    task: Task,
) -> Result<Enclosed, Failure> {
    let failed = |error: &dyn std::error::Error| {
        let failure = Failure::from_error(Class::Internal, error);
        Failure::internal(format!("{what}: {failure}"))
    };
    let order = Order { task, filter: filter.to_vec() };
    let bytes = transport::encode(&order).map_err(|error| failed(&error))?;
    let flags = rustix::pipe::PipeFlags::CLOEXEC;
    let (report, output) = rustix::pipe::pipe_with(flags).map_err(|errno| failed(&errno))?;
    let inherited = Inherited {
        directory: tree.as_fd(),
        input: data.as_fd(),
        output: output.as_fd(),
        bytes: &bytes,
    };
    let pid = once_alone(|| fork_enclosed(inherited, child)).map_err(|error| failed(&error))?;
    let pid = Pid::from_raw(pid).ok_or_else(|| Failure::internal(format!("{what}: no child")))?;
    let pidfd =
        rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| failed(&errno))?;
    Ok(Enclosed { pidfd, report: report.into(), what })
}

/// Starts a child and waits for it.
pub(crate) fn run(
    what: &'static str,
    filter: &[u8],
    tree: impl AsFd,
    data: impl AsFd,
    task: Task,
) -> Result<Done, Failure> {
    start(what, filter, tree, data, task)?.wait()
}

impl Enclosed {
    /// Waits for the child's report and its end.
    pub(crate) fn wait(self) -> Result<Done, Failure> {
        let mut bytes = Vec::new();
        let read = self.report.take(REPORT_MAX).read_to_end(&mut bytes);
        let exit = sys::pidfd::wait(&self.pidfd)
            .map_err(|error| Failure::from_error(Class::Internal, &error))?;
        if exit != sys::pidfd::Exit::Code(0) || read.is_err() {
            let message = format!("{}: its process {}", self.what, describe(exit));
            return Err(Failure::internal(message));
        }
        let outcome: Outcome = transport::decode(&bytes)
            .map_err(|error| Failure::from_error(Class::Internal, &error))?;
        outcome
    }
}

/// The child's life.
fn child(bytes: &[u8]) -> u8 {
    let outcome = obey(bytes);
    let Ok(bytes) = transport::encode(&outcome) else { return 2 };
    let Ok(report) = rustix::io::dup(rustix::stdio::stdout()) else { return 3 };
    match File::from(report).write_all(&bytes) {
        Ok(()) => 0,
        Err(_) => 4,
    }
}

fn obey(bytes: &[u8]) -> Outcome {
    let internal = |error: &dyn std::error::Error| Failure::from_error(Class::Internal, error);
    let order: Order = transport::decode(bytes).map_err(|error| internal(&error))?;
    crate::walls::enter(&order.filter).map_err(|error| internal(&error))?;
    let root = archive_root().map_err(|errno| internal(&errno))?;
    let data = rustix::io::dup(rustix::stdio::stdin()).map_err(|errno| internal(&errno))?;
    match order.task {
        Task::Layer { diff_id, limit } => unpack_layer(root.as_fd(), data, &diff_id, limit),
        Task::Extract { base, no_overwrite_dir_non_dir, root_owns, limit } => {
            let owners = if root_owns { Owners::Fixed { uid: 0, gid: 0 } } else { Owners::Archive };
            let options = ExtractOptions { layer: false, no_overwrite_dir_non_dir, owners };
            unpack(root.as_fd(), data, &base, options, limit)
        }
        Task::Create { directory, file, name, opaque } => {
            pack(root.as_fd(), data, &directory, &file, &name, opaque.as_ref())
        }
    }
}

fn archive_root() -> Result<OwnedFd, rustix::io::Errno> {
    let flags =
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::openat(rustix::fs::CWD, "/", flags, rustix::fs::Mode::empty())
}

/// Reads a file from its start whatever its position is, since that is shared with whoever opened it; a pipe as it
/// comes.
struct Source {
    file: File,
    position: Option<u64>,
}

impl Source {
    fn new(file: OwnedFd) -> io::Result<Self> {
        let file = File::from(file);
        let kind = file.metadata()?.file_type();
        Ok(Self { file, position: kind.is_file().then_some(0) })
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(position) = &mut self.position else { return self.file.read(buffer) };
        let length = self.file.read_at(buffer, *position)?;
        *position += length as u64;
        Ok(length)
    }
}

fn input_failure(error: &io::Error) -> Failure {
    Failure::from_error(Class::Internal, error)
}

fn extract_failure(error: &archive::ExtractError) -> Failure {
    Failure::from_error(error.class(), error)
}

fn unpack_layer(root: BorrowedFd<'_>, data: OwnedFd, diff_id: &Digest, limit: u64) -> Outcome {
    let source = Source::new(data).map_err(|error| input_failure(&error))?;
    let decoder = Decoder::new(source, limit)
        .map_err(|error| Failure::from_error(Class::InvalidArgument, &error))?;
    let limits = archive::Limits { bytes: limit, ..archive::Limits::default() };
    let mut reader = Reader::new(HashReader::new(decoder), limits);
    let place = Place { root, base: b"" };
    let extracted = archive::extract(&mut reader, place, ExtractOptions::LAYER)
        .map_err(|error| extract_failure(&error))?;
    let hash = reader.drain().map_err(|error| Failure::from_error(error.class(), &error))?;
    let (digest, _) = hash.finish();
    if digest != *diff_id {
        let message = format!("unpack layer: its digest is {digest}, not {diff_id}");
        return Err(Failure::invalid(message));
    }
    Ok(Done { bytes: extracted.bytes, opaque: extracted.opaque })
}

fn unpack(
    root: BorrowedFd<'_>,
    data: OwnedFd,
    base: &[u8],
    options: ExtractOptions,
    limit: u64,
) -> Outcome {
    let source = Source::new(data).map_err(|error| input_failure(&error))?;
    let limits = archive::Limits { bytes: limit, ..archive::Limits::default() };
    let mut reader = Reader::new(source, limits);
    let extracted = archive::extract(&mut reader, Place { root, base }, options)
        .map_err(|error| extract_failure(&error))?;
    // The rest is read so that whoever writes it is not stopped.
    reader.drain().map_err(|error| Failure::from_error(error.class(), &error))?;
    Ok(Done { bytes: extracted.bytes, opaque: vec![] })
}

fn pack(
    root: BorrowedFd<'_>,
    data: OwnedFd,
    directory: &[u8],
    file: &[u8],
    name: &[u8],
    opaque: Option<&BTreeSet<Vec<u8>>>,
) -> Outcome {
    let layout = opaque.map_or(Layout::Plain, Layout::OverlayKnown);
    let options = CreateOptions { layout, whole_seconds: true, name };
    let opened = crate::paths::open_directory(root, directory)?;
    let output = archive::HashWriter::new(BufWriter::with_capacity(256 << 10, File::from(data)));
    let mut writer = archive::Writer::new(output);
    let failed = |error: &dyn std::error::Error| Failure::from_error(Class::Internal, error);
    archive::create(&mut writer, opened.as_fd(), file, options).map_err(|error| failed(&error))?;
    let output = writer.finish().map_err(|error| failed(&error))?;
    Ok(Done { bytes: output.count(), opaque: vec![] })
}

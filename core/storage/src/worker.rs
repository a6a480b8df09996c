//! The worker's loop: who does what.

use crate::job::{self, Jobs};
use crate::layers::{Answer, failure, ready};
use crate::volumes::Volumes;
use crate::{host, layers, paths, tars, walls};
use messages::storage::{Reply, Request};
use mounts::Features;
use snapshots::{Store, StoreError};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use transport::{Descriptors, Handler, Incoming, Server, TransportError};

/// How long the worker waits for its last jobs when it is told to stop; what is not done then is cut off, which leaves
/// nothing half visible.
const LAST_JOBS: Duration = Duration::from_secs(10);

/// Why the worker cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The store of snapshots cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory of the volumes cannot be opened.
    #[error("open volumes")]
    Volumes(#[source] rustix::io::Errno),
    /// The data root cannot be made.
    #[error("make data root {}", path.display())]
    DataRoot {
        /// The data root.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: rustix::io::Errno,
    },
    /// The list of system calls of the inner child cannot be compiled.
    #[error("confine children of the storage worker")]
    Walls(#[from] walls::WallError),
    /// The clock of the deadlines cannot be made.
    #[error("watch children of the storage worker")]
    Watch(#[source] rustix::io::Errno),
    /// The control socket failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// What all verbs work on.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) store: Store,
    pub(crate) volumes: Volumes,
    pub(crate) policy: policy::Policy,
    /// The compiled list of system calls for enclosed children.
    pub(crate) filter: Vec<u8>,
    pub(crate) data_root: PathBuf,
}

/// The storage worker.
#[derive(Debug)]
pub struct Worker {
    storage: Storage,
    jobs: Jobs,
    /// There may be something in the trash.
    trash: bool,
    /// A job died, so there may be something in `tmp` that nobody finishes.
    stale: bool,
    sweeping: bool,
    /// The longest deadline that a request gets.
    longest: Duration,
}

impl Worker {
    /// Opens `snapshots` and `volumes` below the data root, makes what is missing, and puts aside what a crash left.
    ///
    /// # Errors
    /// The directories cannot be made or were written by something else.
    pub fn open(data_root: &Path, policy: policy::Policy) -> Result<Self, WorkerError> {
        let mode = rustix::fs::Mode::from_raw_mode(0o711);
        match rustix::fs::mkdir(data_root, mode) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(source) => {
                return Err(WorkerError::DataRoot { path: data_root.to_owned(), source });
            }
        }
        let storage = Storage {
            store: Store::open(&data_root.join("snapshots"), Features::probe())?,
            volumes: Volumes::open(data_root).map_err(WorkerError::Volumes)?,
            policy,
            filter: walls::compile()?,
            data_root: data_root.to_owned(),
        };
        let jobs = Jobs::new().map_err(WorkerError::Watch)?;
        let longest = Duration::MAX;
        Ok(Self { storage, jobs, trash: true, stale: false, sweeping: false, longest })
    }

    /// The same worker that stops every request after `longest` at the latest.
    #[must_use]
    pub fn with_longest_deadline(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// Serves the control socket until the supervisor ends it. The process must have one thread only, and should be
    /// confined by now.
    ///
    /// # Errors
    /// The control socket failed.
    pub fn run(mut self, control: OwnedFd) -> Result<(), WorkerError> {
        self.sweep();
        let served = Server::<Request>::new(control).run(&mut self);
        self.jobs.finish(LAST_JOBS);
        Ok(served?)
    }

    /// Starts to remove what is in the trash, if nobody does.
    fn sweep(&mut self) {
        // While no job runs, whatever lies in tmp belongs to one that died.
        if self.stale && self.jobs.is_empty() && self.storage.store.clear_tmp().is_ok() {
            (self.stale, self.trash) = (false, true);
        }
        if self.sweeping || !self.trash {
            return;
        }
        self.trash = false;
        let storage = &self.storage;
        let swept = self.jobs.start(None, job::SWEEP, || {
            let snapshots = storage.store.empty_trash().map_err(failure);
            storage.volumes.empty_trash()?;
            snapshots.map(|()| (Reply::Done, vec![]))
        });
        self.sweeping = swept.is_ok();
    }

    /// What is done at once, because it takes microseconds on the worker's own directories.
    fn at_once(&mut self, request: &Request) -> Option<Answer> {
        let Storage { store, volumes, .. } = &self.storage;
        let answer = match request {
            Request::Prepare { key, parents } => ready(store.prepare(key, parents)),
            Request::Mount { key } => layers::mount(&self.storage, key),
            Request::List => layers::list(&self.storage),
            Request::Remove { key } => {
                self.trash = true;
                ready(store.remove(key))
            }
            Request::VolumeCreate { name } => volumes.create(name).map(|()| (Reply::Done, vec![])),
            Request::VolumeRemove { name } => {
                self.trash = true;
                volumes.remove(name).map(|()| (Reply::Done, vec![]))
            }
            Request::VolumeOpen { name, copy_up: None } => volumes.answer_open(name),
            Request::VolumeList => volumes.list().map(|names| (Reply::Volumes(names), vec![])),
            _ => return None,
        };
        Some(answer)
    }
}

/// Does in a job what may take long.
fn perform(storage: &Storage, request: Request, mut descriptors: Descriptors) -> Answer {
    let fds = &mut descriptors;
    match request {
        Request::Unpack { key, blob, diff_id, limit } => {
            layers::unpack(storage, &key, &fds.take(blob)?, &diff_id, limit)
        }
        Request::Usage { key } => {
            let bytes = storage.store.usage(&key).map_err(failure)?;
            Ok((Reply::Usage { bytes }, vec![]))
        }
        Request::Changes { key } => layers::changes(storage, &key),
        Request::DiffTar { key, out } => tars::diff(storage, &key, &fds.take(out)?),
        Request::LayerTar { key, out } => tars::layer(storage, &key, &fds.take(out)?),
        Request::ExportTar { root, out } => tars::export(storage, &root, fds, out),
        Request::Stat { root, path } => paths::stat(storage, &root, fds, &path),
        Request::CopyOut { root, path, out } => tars::copy_out(storage, &root, fds, &path, out),
        Request::CopyIn { root, path, archive, options, limit } => {
            let archive = fds.take(archive)?;
            tars::copy_in(storage, &root, fds, &path, &archive, options, limit)
        }
        Request::OpenFile { root, path, limit } => {
            paths::open_file(storage, &root, fds, &path, limit)
        }
        Request::OpenHostPath { path, create_directory, read_only, passes } => {
            host::open_path(&storage.policy, &path, create_directory, read_only, passes)
        }
        Request::HostDevice { path } => host::devices(&storage.policy, &path),
        Request::VolumeOpen { name, copy_up } => storage.volumes.open_with(storage, &name, copy_up),
        Request::VolumeUsage { name } => storage.volumes.usage(&name),
        Request::Prepare { .. }
        | Request::Mount { .. }
        | Request::Remove { .. }
        | Request::List
        | Request::VolumeCreate { .. }
        | Request::VolumeRemove { .. }
        | Request::VolumeList => Err(spec::Failure::internal("storage request: done at once")),
    }
}

impl Handler<Request> for Worker {
    fn request(&mut self, incoming: Incoming<Request>) {
        let Incoming { request, descriptors, responder } = incoming;
        if let Some(answer) = self.at_once(&request) {
            responder.answer(answer);
            self.sweep();
            return;
        }
        let deadline = job::deadline(&request).min(self.longest);
        let storage = &self.storage;
        let started = self
            .jobs
            .start(Some(responder), deadline, move || perform(storage, request, descriptors));
        if let Err((Some(responder), failure)) = started {
            responder.answer(Err(failure));
        }
    }

    fn watched(&self) -> Vec<BorrowedFd<'_>> {
        self.jobs.watched()
    }

    fn readable(&mut self, position: usize) {
        if position == 0 {
            self.jobs.enforce_deadlines();
        }
        let ended = self.jobs.collect();
        self.stale |= ended.died;
        if ended.swept {
            self.sweeping = false;
        }
        self.sweep();
    }
}

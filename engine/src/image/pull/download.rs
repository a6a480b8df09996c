//! One download of one blob, shared by all pulls that want it at the same time.
//!
//! ```text
//! task    slot ─ request from the position on ─ pieces ─┐   again after a while when the connection breaks
//! thread  what an earlier try has left, hashed ─────────┴─ hash, write ─ check ─ blob
//! readers [`Tape`]: unpacking begins with the first byte
//! ```

use super::tape::Tape;
use bytes::Bytes;
use distribution::Repository;
use images::Lease;
use spec::{Class, Digest, Failure};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

/// Pieces between the network and the disk.
const PIECES: usize = 8;
/// Bytes that count as headway after a failure.
const HEADWAY: u64 = 64 << 10;

/// How far a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is about to begin.
    Starting,
    /// Others are first.
    Waiting,
    /// Bytes come.
    Running,
    /// It broke, and is tried again after this time.
    Retrying(Duration),
    /// All bytes are there and are being checked.
    Verifying,
    /// The blob is in the store.
    Done,
    /// It failed for good.
    Failed(Failure),
}

/// A phase with the bytes that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) phase: Phase,
    pub(crate) received: u64,
}

/// A download; it ends when nobody holds it any more. What was received stays for the next one.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) tape: Arc<Tape>,
    task: AbortHandle,
}

impl Drop for Download {
    fn drop(&mut self) {
        self.task.abort();
        self.tape.finish(false);
    }
}

/// All downloads of the engine.
#[derive(Debug)]
pub(crate) struct Downloads {
    table: Mutex<HashMap<Digest, Weak<Download>>>,
    slots: Arc<Semaphore>,
    most: usize,
}

impl Downloads {
    /// At most so many at the same time.
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { table: Mutex::default(), slots: Arc::new(Semaphore::new(most)), most }
    }

    /// The digests that are being downloaded.
    pub(crate) fn busy(&self) -> HashSet<Digest> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = table.iter().filter(|(_, download)| download.strong_count() > 0);
        busy.map(|(digest, _)| digest.clone()).collect()
    }

    /// The download of a blob: one that is under way, else a new one. Also whether it is new.
    pub(crate) fn get(
        &self,
        store: &images::Store,
        repository: &Repository,
        digest: &Digest,
        size: u64,
    ) -> (Arc<Download>, bool) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, download| download.strong_count() > 0);
        let running = table.get(digest).and_then(Weak::upgrade);
        let failed =
            |download: &Arc<Download>| matches!(download.progress.borrow().phase, Phase::Failed(_));
        if let Some(download) = running.filter(|download| !failed(download)) {
            return (download, false);
        }
        // With a free slot it begins at once.
        let is_free = table.len() < self.most;
        let phase = if is_free { Phase::Starting } else { Phase::Waiting };
        let (sender, progress) = watch::channel(Progress { phase, received: 0 });
        let tape = Arc::new(Tape::default());
        let work = Work {
            store: store.clone(),
            lease: Arc::new(store.lease()),
            repository: repository.clone(),
            digest: digest.clone(),
            size,
            tape: Arc::clone(&tape),
            progress: sender,
        };
        let task = tokio::spawn(work.run(Arc::clone(&self.slots))).abort_handle();
        let download = Arc::new(Download { progress, tape, task });
        table.insert(digest.clone(), Arc::downgrade(&download));
        (download, true)
    }
}

/// What goes to the thread that writes.
enum Piece {
    Data(Bytes),
    /// That was all: check it and make it visible.
    Commit,
}

struct Work {
    store: images::Store,
    lease: Arc<Lease>,
    repository: Repository,
    digest: Digest,
    size: u64,
    tape: Arc<Tape>,
    progress: watch::Sender<Progress>,
}

/// Why one round of a download ended.
enum Broken {
    /// What an earlier try had left was not the beginning of the blob.
    Remains,
    /// The thread that writes has ended; it says why.
    Writer,
    Failed(Failure),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<distribution::Error> for Broken {
    fn from(error: distribution::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Work {
    async fn run(self, slots: Arc<Semaphore>) {
        let Ok(_slot) = slots.acquire_owned().await else { return };
        let mut done = self.round().await;
        if matches!(done, Err(Broken::Remains)) {
            done = self.round().await;
        }
        let phase = match done {
            Ok(()) => Phase::Done,
            Err(Broken::Failed(failure)) => Phase::Failed(failure),
            Err(Broken::Remains | Broken::Writer) => Phase::Failed(Failure::internal(format!(
                "download blob {}: it changed on the disk",
                self.digest
            ))),
        };
        self.tape.finish(matches!(phase, Phase::Done));
        self.tell(phase);
        // The lease keeps the blob until all who wait have their own.
        self.progress.closed().await;
    }

    fn tell(&self, phase: Phase) {
        self.progress.send_modify(|progress| progress.phase = phase);
    }

    async fn round(&self) -> Result<(), Broken> {
        let writer = Writer::start(self)?;
        let mut position = writer.begun.await.map_err(|_| broke_off(&self.digest))??;
        let resumed = position > 0;
        self.progress.send_modify(|progress| {
            (progress.phase, progress.received) = (Phase::Running, position);
        });
        match self.fill(&writer.pieces, &mut position).await {
            // The thread has a better reason.
            Err(Broken::Writer) => {}
            Err(broken) => return Err(broken),
            Ok(()) => {
                self.tell(Phase::Verifying);
                writer.pieces.send(Piece::Commit).await.ok();
            }
        }
        match writer.ended.await.map_err(|_| broke_off(&self.digest))? {
            Err(images::Error::Content(content::Error::Digest { .. })) if resumed => {
                Err(Broken::Remains)
            }
            Err(images::Error::Content(content::Error::Digest { expected, found })) => {
                Err(Broken::Failed(Failure::invalid(format!(
                    "filesystem layer verification failed for digest {expected}: it has the digest {found}"
                ))))
            }
            Err(error) => Err(Broken::Failed(error.into())),
            Ok(()) => Ok(()),
        }
    }

    /// Gets all bytes from `position` on, as often as it takes.
    async fn fill(&self, pieces: &mpsc::Sender<Piece>, position: &mut u64) -> Result<(), Broken> {
        let mut tries = 0;
        while *position < self.size {
            let before = *position;
            let Err(error) = self.receive(pieces, position).await else { continue };
            let Broken::Failed(failure) = error.1 else { return Err(error.1) };
            if *position >= before + HEADWAY {
                tries = 0;
            }
            let wait = error.0.and_then(|error| {
                let config = self.repository.config();
                error.is_temporary().then(|| config.wait(tries, &error)).flatten()
            });
            let Some(wait) = wait else { return Err(failure.into()) };
            tracing::debug!("download blob {}: {failure}; again in {wait:?}", self.digest);
            self.tell(Phase::Retrying(wait));
            tokio::time::sleep(wait).await;
            self.tell(Phase::Running);
            tries += 1;
        }
        Ok(())
    }

    /// One request and what comes of it.
    async fn receive(
        &self,
        pieces: &mpsc::Sender<Piece>,
        position: &mut u64,
    ) -> Result<(), (Option<distribution::Error>, Broken)> {
        let failed = |error: distribution::Error| {
            let failure = Failure::from_error(error.class(), &error);
            (Some(error), Broken::Failed(failure))
        };
        let mut stream =
            self.repository.blob(&self.digest, *position, self.size).await.map_err(failed)?;
        while let Some(bytes) = stream.next().await.map_err(failed)? {
            let length = bytes.len() as u64;
            if *position + length > self.size {
                let failure = Failure::invalid(format!(
                    "download blob {}: it has more than the {} bytes that its manifest says",
                    self.digest, self.size
                ));
                return Err((None, failure.into()));
            }
            if pieces.send(Piece::Data(bytes)).await.is_err() {
                return Err((None, Broken::Writer));
            }
            *position += length;
            self.progress.send_modify(|progress| progress.received = *position);
        }
        if *position < self.size {
            let error = distribution::Error::Transport {
                method: distribution::Method::GET,
                url: format!("blobs/{}", self.digest),
                source: distribution::TransportError::Broken("unexpected EOF".into()),
            };
            return Err(failed(error));
        }
        Ok(())
    }
}

fn broke_off(digest: &Digest) -> Failure {
    Failure::new(Class::Internal, format!("download blob {digest}: its writer broke off"))
}

/// The thread that hashes and writes.
struct Writer {
    pieces: mpsc::Sender<Piece>,
    /// Where it begins.
    begun: oneshot::Receiver<Result<u64, Failure>>,
    ended: oneshot::Receiver<Result<(), images::Error>>,
}

impl Writer {
    fn start(work: &Work) -> Result<Self, Failure> {
        let (pieces, received) = mpsc::channel(PIECES);
        let (begin, begun) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (store, lease) = (work.store.clone(), Arc::clone(&work.lease));
        let (digest, size, tape) = (work.digest.clone(), work.size, Arc::clone(&work.tape));
        let write = move || {
            let written = write(&store, &lease, &digest, size, &tape, received, begin);
            if written.is_err() {
                tape.finish(false);
            }
            // Nobody waits any more when the download was given up.
            end.send(written).ok();
        };
        let spawned = std::thread::Builder::new().name("download".into()).spawn(write);
        spawned.map_err(|cause| Failure::internal(format!("start download: {cause}")))?;
        Ok(Self { pieces, begun, ended })
    }
}

fn write(
    store: &images::Store,
    lease: &Lease,
    digest: &Digest,
    size: u64,
    tape: &Tape,
    mut pieces: mpsc::Receiver<Piece>,
    begin: oneshot::Sender<Result<u64, Failure>>,
) -> Result<(), images::Error> {
    let mut ingest = match store.content().resume(digest, size, &mut |_| ()) {
        Ok(ingest) => ingest,
        Err(error) => {
            begin.send(Err(error.into())).ok();
            return Ok(());
        }
    };
    tape.begin(Arc::new(ingest.reader()?));
    tape.advance(ingest.written());
    begin.send(Ok(ingest.written())).ok();
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Data(bytes) => {
                ingest.write_bytes(&bytes)?;
                tape.advance(ingest.written());
            }
            Piece::Commit => {
                // Who unpacks need not wait for the disk.
                tape.finish(true);
                store.commit_fetched_blocking(lease, digest, ingest)?;
                return Ok(());
            }
        }
    }
    Ok(())
}

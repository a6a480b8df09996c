//! One layer of an image: found, or downloaded and unpacked at the same time.

use super::download::{Download, Phase};
use super::report::Line;
use crate::Engine;
use distribution::Repository;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use images::Lease;
use spec::image::Descriptor;
use spec::{Digest, Failure, SnapshotKey};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// What a layer may unpack to, whatever its blob's size, and how much more for each byte of that: more than any real
/// layer of more than that size has, and what keeps a bomb from filling the disk.
const UNPACKED: u64 = 1 << 30;
const RATIO: u64 = 200;
/// The most that a layer may unpack to.
const UNPACKED_MAX: u64 = 256 << 30;
/// How often unpacking is looked at.
const TICK: Duration = Duration::from_millis(100);

/// A layer to be had.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) blob: Descriptor,
    pub(crate) chain: SnapshotKey,
    pub(crate) diff_id: Digest,
}

type Outcome = Result<u64, Failure>;
type Unpack = Shared<BoxFuture<'static, Outcome>>;

#[derive(Debug)]
struct Running {
    unpack: WeakShared<BoxFuture<'static, Outcome>>,
    fed: Arc<AtomicU64>,
}

/// All layers that are being unpacked, each once however many pulls want it.
#[derive(Debug)]
pub(crate) struct Unpacks {
    table: Mutex<HashMap<(SnapshotKey, Digest), Running>>,
    slots: Arc<Semaphore>,
}

impl Unpacks {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { table: Mutex::default(), slots: Arc::new(Semaphore::new(cores.clamp(2, 4))) }
    }

    /// The unpacking of a layer that is under way, else a new one; and how many bytes went into it.
    fn get(
        &self,
        engine: &Engine,
        wanted: &Wanted,
        source: Option<Arc<Download>>,
    ) -> (Unpack, Arc<AtomicU64>) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, running| running.unpack.upgrade().is_some());
        let key = (wanted.chain.clone(), wanted.blob.digest.clone());
        if let Some(running) = table.get(&key)
            && let Some(unpack) = running.unpack.upgrade()
        {
            return (unpack, Arc::clone(&running.fed));
        }
        let fed = Arc::new(AtomicU64::new(0));
        let (engine, wanted) = (engine.clone(), wanted.clone());
        let (slots, counter) = (Arc::clone(&self.slots), Arc::clone(&fed));
        let unpack = async move { unpack(&engine, &wanted, source, &slots, &counter).await };
        let unpack = unpack.boxed().shared();
        if let Some(weak) = unpack.downgrade() {
            table.insert(key, Running { unpack: weak, fed: Arc::clone(&fed) });
        }
        (unpack, fed)
    }
}

async fn unpack(
    engine: &Engine,
    wanted: &Wanted,
    source: Option<Arc<Download>>,
    slots: &Semaphore,
    fed: &Arc<AtomicU64>,
) -> Outcome {
    let lease = engine.images().lease();
    lease.keep_layer(&wanted.chain).await;
    if let Some(download) = &source {
        started(download).await?;
        let Ok(_slot) = slots.acquire().await else {
            return Err(Failure::internal("unpack layer"));
        };
        let pipe = download.tape.pipe(fed);
        let pipe = pipe.map_err(|cause| Failure::internal(format!("unpack layer: {cause}")))?;
        if let Some(pipe) = pipe {
            let unpacked = run(engine, &lease, wanted, pipe).await;
            // What a broken download says is the reason for what unpacking says.
            finished(download).await?;
            if unpacked.is_ok() || fed.load(Ordering::Relaxed) == wanted.blob.size {
                return unpacked;
            }
            // The download had to begin again; now the blob is whole.
        }
        return from_store(engine, &lease, wanted, fed).await;
    }
    let Ok(_slot) = slots.acquire().await else { return Err(Failure::internal("unpack layer")) };
    from_store(engine, &lease, wanted, fed).await
}

async fn from_store(engine: &Engine, lease: &Lease, wanted: &Wanted, fed: &AtomicU64) -> Outcome {
    let blob = engine.images().content().open_blob(&wanted.blob.digest)?;
    let unpacked = run(engine, lease, wanted, blob.into()).await;
    fed.store(wanted.blob.size, Ordering::Relaxed);
    unpacked
}

async fn run(engine: &Engine, lease: &Lease, wanted: &Wanted, source: OwnedFd) -> Outcome {
    let limit = wanted.blob.size.saturating_mul(RATIO).saturating_add(UNPACKED).min(UNPACKED_MAX);
    let (chain, diff_id) = (&wanted.chain, &wanted.diff_id);
    Ok(engine.images().unpack_layer(lease, chain, diff_id, source, limit).await?)
}

/// Waits until bytes come.
async fn started(download: &Download) -> Result<(), Failure> {
    wait(download, |phase| !matches!(phase, Phase::Starting | Phase::Waiting)).await
}

/// Waits until the blob is in the store.
async fn finished(download: &Download) -> Result<(), Failure> {
    wait(download, |phase| matches!(phase, Phase::Done)).await
}

async fn wait(download: &Download, until: impl Fn(&Phase) -> bool) -> Result<(), Failure> {
    let mut progress = download.progress.clone();
    let over = |phase: &Phase| matches!(phase, Phase::Failed(_)) || until(phase);
    match progress.wait_for(|progress| over(&progress.phase)).await {
        Ok(now) => match &now.phase {
            Phase::Failed(failure) => Err(failure.clone()),
            _ => Ok(()),
        },
        Err(_) => Err(Failure::internal("download blob: it was given up")),
    }
}

/// Keeps a layer under the lease; the bytes of its files when it is there with its blob.
pub(crate) async fn find(
    engine: &Engine,
    lease: &Lease,
    wanted: &Wanted,
) -> Result<Option<u64>, Failure> {
    let (chain, diff_id, blob) = (&wanted.chain, &wanted.diff_id, &wanted.blob.digest);
    let size = engine.images().content().size(blob)?;
    if let Some(size) = size.filter(|size| *size != wanted.blob.size) {
        return Err(Failure::invalid(format!(
            "pull layer {blob}: it has {size} bytes, and not the {} that its manifest says",
            wanted.blob.size
        )));
    }
    Ok(engine.images().find_layer(lease, chain, diff_id, blob).await?)
}

/// Gets a layer that is not there; the bytes of its files.
pub(crate) async fn ensure(
    engine: &Engine,
    repository: &Repository,
    lease: &Lease,
    wanted: &Wanted,
    line: &mut Line,
) -> Outcome {
    let blob = &wanted.blob.digest;
    lease.made_layer(&wanted.chain);
    loop {
        let is_here = lease.keep_blob(engine.images().content(), blob)?;
        let (download, mine) = if is_here {
            (None, true)
        } else {
            let downloads = &engine.0.downloads;
            let (download, new) =
                downloads.get(engine.images(), repository, blob, wanted.blob.size);
            (Some(download), new)
        };
        let (unpack, fed) = engine.0.unpacks.get(engine, wanted, download.clone());
        let watched = follow(wanted, download.as_deref(), unpack, &fed, line).await;
        match watched {
            // Another's download, with another's credentials perhaps.
            Err(_) if !mine => drop(download),
            Err(failure) => return Err(failure),
            Ok(size) => {
                // While the download is held, so is its blob.
                if !lease.keep_blob(engine.images().content(), blob)? {
                    return Err(Failure::internal(format!("pull layer {blob}: its blob is gone")));
                }
                line.say("Pull complete").await;
                return Ok(size);
            }
        }
    }
}

/// Tells how far a layer is until it is unpacked and its blob in the store.
async fn follow(
    wanted: &Wanted,
    download: Option<&Download>,
    unpack: Unpack,
    fed: &AtomicU64,
    line: &mut Line,
) -> Outcome {
    let total = wanted.blob.size;
    let mut unpack = std::pin::pin!(unpack);
    let mut unpacked = None;
    if let Some(download) = download {
        let mut progress = download.progress.clone();
        loop {
            let now = progress.borrow_and_update().clone();
            match &now.phase {
                Phase::Waiting => line.say("Waiting").await,
                Phase::Running if now.received > 0 => {
                    line.count("Downloading", now.received, total).await;
                }
                Phase::Starting | Phase::Running => {}
                Phase::Retrying(wait) => {
                    let seconds = wait.as_secs().max(1);
                    let plural = if seconds == 1 { "" } else { "s" };
                    line.say(&format!("Retrying in {seconds} second{plural}")).await;
                }
                Phase::Verifying => line.say("Verifying Checksum").await,
                Phase::Done => break,
                Phase::Failed(failure) => return Err(failure.clone()),
            }
            tokio::select! {
                changed = progress.changed() => if changed.is_err() {
                    return Err(Failure::internal("download blob: it was given up"));
                },
                done = &mut unpack, if unpacked.is_none() => match done {
                    Err(failure) => return Err(failure),
                    done => unpacked = Some(done),
                },
            }
        }
    }
    line.say("Download complete").await;
    loop {
        if let Some(done) = unpacked {
            line.count("Extracting", total, total).await;
            return done;
        }
        let done = fed.load(Ordering::Relaxed);
        if done > 0 {
            line.count("Extracting", done.min(total), total).await;
        }
        tokio::select! {
            done = &mut unpack => unpacked = Some(done),
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

//! Bodies of requests: into an upload, into memory, or into nothing; each with a limit and a deadline.

use crate::failure::Failure;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use repositories::{Error, Upload};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How many bytes are hashed and written at once, in a blocking thread, while the next come in.
const CHUNK: usize = 256 << 10;
/// How long a client may send nothing.
const STALLED: Duration = Duration::from_secs(60);
/// The bytes per second that a client must send in the mean, after the first [`STALLED`].
const SLOWEST: u64 = 256;
/// How much of a body is read for nothing, and for how long, so that its sender sees the answer.
const DISCARD: u64 = 16 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// Runs what blocks for the disk.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Failure::from),
        Err(error) => {
            tracing::error!(%error, "a blocking task failed");
            Err(Failure::internal("the registry failed; its log says why"))
        }
    }
}

/// The next bytes of a body, under the deadlines.
pub(crate) struct Source {
    body: Incoming,
    begun: Instant,
    total: u64,
}

impl Source {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, begun: Instant::now(), total: 0 }
    }

    /// The length that the client said.
    pub(crate) fn said(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = tokio::time::timeout(STALLED, self.body.frame()).await;
            let frame = frame.map_err(|_| slow("sends nothing"))?;
            let bytes = match frame.map(|frame| frame.map(hyper::body::Frame::into_data)) {
                None => return Ok(None),
                // Trailers.
                Some(Ok(Err(_))) => continue,
                Some(Ok(Ok(bytes))) => bytes,
                Some(Err(error)) => {
                    tracing::debug!(%error, "read request");
                    return Err(Failure {
                        close: true,
                        ..Failure::size("read the request's body: it ended early or is malformed")
                    });
                }
            };
            self.total += bytes.len() as u64;
            let elapsed = self.begun.elapsed();
            if elapsed > STALLED && self.total < elapsed.as_secs() * SLOWEST {
                return Err(slow("sends too slowly"));
            }
            return Ok(Some(bytes));
        }
    }
}

fn slow(how: &str) -> Failure {
    let message = format!("read the request's body: the client {how}");
    Failure {
        close: true,
        ..Failure::new(StatusCode::REQUEST_TIMEOUT, "BLOB_UPLOAD_INVALID", message)
    }
}

/// Writes a body to an upload, at most `most` bytes. Whatever happens, the upload keeps what came before.
pub(crate) async fn into_upload(
    mut source: Source,
    upload: Upload,
    most: u64,
) -> Result<Upload, Failure> {
    let done = copy(&mut source, upload, most).await;
    // A client that sends on while it is refused, because the disk is full for example, must see why.
    if done.as_ref().is_err_and(|failure| failure.status != StatusCode::REQUEST_TIMEOUT) {
        discard(source).await;
    }
    done
}

async fn copy(source: &mut Source, upload: Upload, most: u64) -> Result<Upload, Failure> {
    let mut writer = Writer::Idle(Box::new(upload));
    let mut gathered = Vec::new();
    let mut size = 0;
    let ended = loop {
        match source.next().await {
            Ok(Some(bytes)) if source.total > most => {
                drop(bytes);
                let message = format!("write upload: it may not have more than {most} more bytes");
                break Err(Failure::too_large(message));
            }
            Ok(Some(bytes)) => {
                size += bytes.len();
                gathered.push(bytes);
                if size >= CHUNK {
                    writer = writer.write(std::mem::take(&mut gathered)).await?;
                    size = 0;
                }
            }
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    if !gathered.is_empty() {
        writer = writer.write(gathered).await?;
    }
    let upload = writer.finish().await?;
    ended.map(|()| upload)
}

enum Writer {
    Idle(Box<Upload>),
    Busy(JoinHandle<Result<Upload, Error>>),
}

impl Writer {
    async fn finish(self) -> Result<Upload, Failure> {
        match self {
            Self::Idle(upload) => Ok(*upload),
            Self::Busy(task) => blocking_done(task).await,
        }
    }

    /// Begins to write `bytes` as soon as what was begun before is done.
    async fn write(self, bytes: Vec<Bytes>) -> Result<Self, Failure> {
        let mut upload = self.finish().await?;
        Ok(Self::Busy(tokio::task::spawn_blocking(move || {
            for bytes in bytes {
                upload.write(&bytes)?;
            }
            Ok(upload)
        })))
    }
}

async fn blocking_done(task: JoinHandle<Result<Upload, Error>>) -> Result<Upload, Failure> {
    match task.await {
        Ok(done) => done.map_err(Failure::from),
        Err(_) => Err(Failure::internal("the registry failed; its log says why")),
    }
}

/// Reads a body of at most `most` bytes.
pub(crate) async fn into_memory(mut source: Source, most: usize) -> Result<Vec<u8>, Failure> {
    let large =
        || Failure::too_large(format!("read manifest: it may not have more than {most} bytes"));
    if source.said().is_some_and(|said| said > most as u64) {
        discard(source).await;
        return Err(large());
    }
    let mut bytes = Vec::new();
    while let Some(next) = source.next().await? {
        if bytes.len() + next.len() > most {
            discard(source).await;
            return Err(large());
        }
        bytes.extend_from_slice(&next);
    }
    Ok(bytes)
}

/// Reads what a client goes on to send although it is refused, within bounds.
pub(crate) async fn discard(mut source: Source) {
    let most = source.total.saturating_add(DISCARD);
    let all = async {
        while let Ok(Some(_)) = source.next().await {
            if source.total > most {
                break;
            }
        }
    };
    // Whether it ended or was cut off: the answer is sent now.
    tokio::time::timeout(DISCARD_TIME, all).await.unwrap_or_default();
}

//! A blob on its way from the upstream: downloaded once, into the store, and to everybody who waits for it.
//!
//! The download is a task of its own, so it goes on when those who asked have left. They read from the file that it
//! writes. The last byte is kept from them until the digest is known to be right: a client that got all bytes got the
//! right ones.

use super::Upstream;
use super::client::{Ask, Trouble};
use crate::failure::Failure;
use crate::metrics;
use crate::receive::blocking;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_RANGE, RANGE};
use hyper::{Method, Response, StatusCode};
use repositories::{Digest, Name, Upload};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How many bytes are written, and read for a client, at once.
const CHUNK: usize = 256 << 10;
/// How long the upstream may send nothing.
const STALLED: Duration = Duration::from_secs(60);
/// How often a connection that broke is made again.
const ATTEMPTS: usize = 4;

/// How far it is.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// The upstream was not heard yet.
    Asked,
    /// So many bytes are in the file.
    Flying { have: u64 },
    /// The blob is in the store; it has so many bytes.
    Landed { size: u64 },
    /// There will be no blob.
    Failed(Failure),
}

#[derive(Debug)]
pub(crate) struct Flight {
    state: watch::Sender<State>,
    /// Set before the state is [`State::Flying`].
    file: OnceLock<File>,
    /// What the upstream says the blob's size is.
    total: OnceLock<u64>,
}

impl Flight {
    pub(crate) fn new() -> Self {
        let (state, _) = watch::channel(State::Asked);
        Self { state, file: OnceLock::new(), total: OnceLock::new() }
    }

    /// Waits for the upstream's answer; says the blob's size, if the upstream did.
    pub(crate) async fn heard(&self) -> Result<Option<u64>, Failure> {
        let mut watcher = self.state.subscribe();
        let heard = watcher.wait_for(|state| !matches!(state, State::Asked)).await;
        match heard.as_deref() {
            Ok(State::Failed(failure)) => Err(failure.clone()),
            Ok(State::Landed { size }) => Ok(Some(*size)),
            Ok(_) => Ok(self.total.get().copied()),
            Err(_) => Err(Failure::internal("the download ended without a result")),
        }
    }

    /// Downloads the blob.
    pub(crate) async fn fly(&self, upstream: &Upstream, name: &Name, digest: &Digest) {
        let state = match self.download(upstream, name, digest).await {
            Ok(size) => State::Landed { size },
            Err(failure) if failure.code == "DIGEST_INVALID" => {
                State::Failed(Failure::unavailable("the upstream sends another content"))
            }
            Err(failure) => State::Failed(failure),
        };
        self.state.send_replace(state);
    }

    async fn download(
        &self,
        upstream: &Upstream,
        name: &Name,
        digest: &Digest,
    ) -> Result<u64, Failure> {
        let failed = |trouble| super::failure(trouble, || unknown(name, digest));
        let first = ask(upstream, name, digest, 0).await.map_err(failed)?;
        let size = first.body().size_hint().exact();
        if let Some(size) = size {
            self.total.get_or_init(|| size);
        }
        let (store, repository, algorithm) =
            (upstream.store.clone(), name.clone(), digest.algorithm());
        let (upload, reader) = blocking(move || {
            let upload = store.begin_upload(&repository, algorithm)?;
            let reader = upload.reader()?;
            Ok((upload, reader))
        })
        .await?;
        self.file.get_or_init(|| reader);
        self.state.send_replace(State::Flying { have: 0 });
        let id = upload.id().clone();
        let done = match self.receive(upstream, name, digest, first, upload).await {
            Ok(upload) => {
                let expected = digest.clone();
                blocking(move || upload.commit(&expected)).await
            }
            Err(failure) => Err(failure),
        };
        if done.is_err() {
            let (store, repository) = (upstream.store.clone(), name.clone());
            // After a wrong digest it is gone already.
            blocking(move || store.cancel_upload(&repository, &id)).await.unwrap_or_default();
        }
        done
    }

    /// Writes what comes; where the connection breaks, goes on with a range.
    async fn receive(
        &self,
        upstream: &Upstream,
        name: &Name,
        digest: &Digest,
        mut response: Response<Incoming>,
        mut upload: Upload,
    ) -> Result<Upload, Failure> {
        for _ in 0..ATTEMPTS {
            let (kept, ended) = self.copy(upstream, response.into_body(), upload).await?;
            upload = kept;
            let whole = self.total.get().is_none_or(|total| upload.offset() == *total);
            if ended && whole {
                return Ok(upload);
            }
            let again = ask(upstream, name, digest, upload.offset()).await;
            response = again.map_err(|t| super::failure(t, || unknown(name, digest)))?;
        }
        Err(Failure::unavailable("the upstream breaks off again and again"))
    }

    /// Copies one body; false when it broke off.
    async fn copy(
        &self,
        upstream: &Upstream,
        mut body: Incoming,
        mut upload: Upload,
    ) -> Result<(Upload, bool), Failure> {
        loop {
            let mut gathered: Vec<Bytes> = Vec::new();
            let mut size = 0;
            let mut end = None;
            while size < CHUNK && end.is_none() {
                match tokio::time::timeout(STALLED, body.frame()).await {
                    Ok(Some(Ok(frame))) => {
                        let Ok(bytes) = frame.into_data() else { continue };
                        size += bytes.len();
                        gathered.push(bytes);
                    }
                    Ok(None) => end = Some(true),
                    Ok(Some(Err(_))) | Err(_) => end = Some(false),
                }
            }
            let too_many = |total: &u64| upload.offset() + size as u64 > *total;
            if self.total.get().is_some_and(too_many) {
                return Err(Failure::unavailable("the upstream sends more than it said"));
            }
            upload = blocking(move || {
                for bytes in gathered {
                    upload.write(&bytes)?;
                }
                Ok(upload)
            })
            .await?;
            metrics::add(&upstream.metrics.fetched, size as u64);
            self.state.send_replace(State::Flying { have: upload.offset() });
            if let Some(end) = end {
                return Ok((upload, end));
            }
        }
    }

    /// Sends `length` bytes from `first` to a client, or all there will be.
    pub(crate) async fn follow(
        self: Arc<Self>,
        first: u64,
        length: Option<u64>,
        client: mpsc::Sender<io::Result<Bytes>>,
    ) {
        let mut watcher = self.state.subscribe();
        let mut at = first;
        loop {
            let state = watcher.borrow_and_update().clone();
            let (have, landed) = match state {
                State::Asked => (0, false),
                State::Flying { have } => (have, false),
                State::Landed { size } => (size, true),
                State::Failed(failure) => {
                    client.send(Err(io::Error::other(failure.message))).await.unwrap_or_default();
                    return;
                }
            };
            let end = length.map_or(have, |length| have.min(first + length));
            let end = if landed { end } else { end.min(have.saturating_sub(1)) };
            while at < end {
                let size = (end - at).min(CHUNK as u64) as usize;
                let bytes = self.read(at, size).await;
                let failed = bytes.is_err();
                if client.send(bytes).await.is_err() || failed {
                    return;
                }
                at += size as u64;
            }
            let done = landed || length.is_some_and(|length| at == first + length);
            if done || watcher.changed().await.is_err() {
                return;
            }
        }
    }

    async fn read(&self, at: u64, size: usize) -> io::Result<Bytes> {
        let file = self.file.get().ok_or_else(|| io::Error::other("no file"))?.try_clone()?;
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, at)?;
            Ok(Bytes::from(bytes))
        });
        read.await.map_err(io::Error::other)?
    }
}

async fn ask(
    upstream: &Upstream,
    name: &Name,
    digest: &Digest,
    from: u64,
) -> Result<Response<Incoming>, Trouble> {
    let headers = match from {
        0 => Vec::new(),
        from => vec![(RANGE, format!("bytes={from}-"))],
    };
    let path = format!("/v2/{name}/blobs/{digest}");
    let ask = Ask { method: Method::GET, path, name: name.as_str(), headers };
    let response = upstream.client.ask(&ask).await?;
    let begins = response.headers().get(CONTENT_RANGE).and_then(|text| text.to_str().ok());
    let begins = begins.and_then(crate::range::parse_content_range).map(|(first, _)| first);
    match (response.status(), from) {
        (StatusCode::OK, 0) => Ok(response),
        (StatusCode::PARTIAL_CONTENT, from) if from > 0 && begins == Some(from) => Ok(response),
        _ => Err(Trouble::Away("it does not send the part that is missing".to_owned())),
    }
}

pub(crate) fn unknown(name: &Name, digest: &Digest) -> Failure {
    repositories::Error::BlobUnknown { name: name.clone(), digest: digest.clone() }.into()
}

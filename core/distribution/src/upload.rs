//! Writing blobs.
//!
//! ```text
//! POST blobs/uploads/?mount=D&from=R ─ 201: mounted ─ else 202: an upload, as without mount
//! PATCH <location>  the bytes        ─ 202, Location
//! PUT <location>?digest=D            ─ 201
//! GET <location>                     ─ 204, Range: how much arrived before the connection broke
//! ```

use crate::Address;
use crate::error::{Error, Refusal};
use crate::http::{Ask, Body, header};
use crate::repository::{Repository, Target};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE,
};
use hyper::{Method, StatusCode};
use spec::Digest;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Bytes that are read from the file at once.
const PIECE: usize = 256 << 10;

/// A blob to be written.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes' number.
    pub size: u64,
    /// Where they are read from, by position.
    pub file: Arc<File>,
    /// How many have been sent; may fall back when a connection broke.
    pub sent: Arc<AtomicU64>,
}

/// How a blob got into the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uploaded {
    /// Its bytes were sent.
    Sent,
    /// The registry took it from another of its repositories.
    Mounted(String),
}

/// An upload that the registry knows.
struct Session {
    endpoint: usize,
    address: Address,
    /// Bytes that have arrived.
    offset: u64,
}

impl Repository {
    /// Writes a blob; tries first to mount it from the repositories `sources` of the same registry. Resumed when the
    /// connection breaks.
    pub async fn upload(&self, blob: &Upload, sources: &[String]) -> Result<Uploaded, Error> {
        let mut session = None;
        for source in sources {
            match self.begin(Some((&blob.digest, source))).await? {
                None => return Ok(Uploaded::Mounted(source.clone())),
                // The registry began an upload instead; the last one is used.
                begun => session = begun,
            }
        }
        let mut tries = 0;
        loop {
            let begun = match session.take() {
                Some(session) => Ok(session),
                None => self.begin(None).await.and_then(|begun| begun.ok_or_else(|| self.odd())),
            };
            let error = match begun {
                Ok(mut begun) => {
                    let before = begun.offset;
                    match self.write(blob, &mut begun).await {
                        Ok(()) => return Ok(Uploaded::Sent),
                        Err(error) => {
                            session = self.arrived(begun, blob.size).await;
                            if session.as_ref().is_some_and(|session| session.offset > before) {
                                tries = 0;
                            }
                            error
                        }
                    }
                }
                Err(error) => error,
            };
            // A token that has become too old is renewed by the next request.
            let is_expired = error
                .refusal()
                .is_some_and(|refusal| refusal.status == StatusCode::UNAUTHORIZED && tries == 0);
            let lost = error.refusal().is_some_and(Refusal::is_upload_lost);
            if !(error.is_temporary() || is_expired || lost) {
                return Err(error);
            }
            match self.config().wait(tries, &error) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
            tries += 1;
        }
    }

    /// Takes a blob over from the repository `source` of the same registry, which [`Repository::add_source`] must know.
    /// False when the registry would have it sent instead.
    pub async fn mount(&self, digest: &Digest, source: &str) -> Result<bool, Error> {
        let begun = self.begin(Some((digest, &source.to_owned()))).await?;
        Ok(begun.is_none())
    }

    fn odd(&self) -> Error {
        Error::Answer {
            method: Method::POST,
            url: self.address(self.current(), &Target::Path("blobs/uploads/".into())).shown(),
            why: "the registry gave no place to upload to".into(),
        }
    }

    /// Begins an upload; `None` when the blob was mounted.
    async fn begin(&self, mount: Option<(&Digest, &String)>) -> Result<Option<Session>, Error> {
        let mut path = "blobs/uploads/".to_owned();
        if let Some((digest, source)) = mount {
            let (digest, source) =
                (crate::address::escape(digest.as_str()), crate::address::escape(source));
            path.push_str(&format!("?mount={digest}&from={source}"));
        }
        let target = Target::Path(path);
        let ask = Ask::new(Method::POST).with(CONTENT_LENGTH, "0");
        let (endpoint, answer) = self.ask_patiently(&ask, &target).await?;
        if answer.status() == StatusCode::CREATED && mount.is_some() {
            return Ok(None);
        }
        let from = self.address(endpoint, &target);
        let address = place(&from, answer.headers()).ok_or_else(|| self.odd())?;
        Ok(Some(Session { endpoint, address, offset: 0 }))
    }

    /// Sends what is missing, and ends the upload.
    async fn write(&self, blob: &Upload, session: &mut Session) -> Result<(), Error> {
        let left = blob.size - session.offset;
        blob.sent.store(session.offset, Ordering::Relaxed);
        if left > 0 {
            let body = file_body(blob, session.offset);
            let mut headers = vec![
                (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
                (CONTENT_LENGTH, HeaderValue::from(left)),
            ];
            if session.offset > 0 {
                let range = format!("{}-{}", session.offset, blob.size - 1);
                headers
                    .extend(HeaderValue::from_str(&range).ok().map(|range| (CONTENT_RANGE, range)));
            }
            let (endpoint, address) = (session.endpoint, session.address.clone());
            let answer = self.send(endpoint, &Method::PATCH, &address, headers, body).await?;
            session.offset = blob.size;
            if let Some(next) = place(&address, answer.headers()) {
                session.address = next;
            }
        }
        let digest = crate::address::escape(blob.digest.as_str());
        let last = session.address.with_query(&format!("digest={digest}"));
        let ask = Ask::new(Method::PUT).with(CONTENT_LENGTH, "0");
        self.ask(session.endpoint, &ask, &Target::At(last)).await?;
        Ok(())
    }

    /// What the registry has of an upload that broke; `None` when it has forgotten it.
    async fn arrived(&self, session: Session, size: u64) -> Option<Session> {
        let target = Target::At(session.address.clone());
        let answer = self.ask(session.endpoint, &Ask::new(Method::GET), &target).await.ok()?;
        let range = header(answer.headers(), RANGE);
        let range = range.strip_prefix("bytes=").unwrap_or(range);
        let end: u64 = range.split_once('-')?.1.trim().parse().ok()?;
        // An empty upload and one of one byte are told alike: sent again from the start.
        let offset = if end == 0 { 0 } else { end + 1 };
        if offset == 0 || offset > size {
            return None;
        }
        let address = place(&session.address, answer.headers()).unwrap_or(session.address);
        Some(Session { endpoint: session.endpoint, address, offset })
    }
}

impl Refusal {
    /// Whether the registry does not know the upload any more, or has another part of it than we thought.
    fn is_upload_lost(&self) -> bool {
        self.code() == crate::error::Code::UploadUnknown
            || self.status == StatusCode::RANGE_NOT_SATISFIABLE
    }
}

/// Where an answer says that an upload goes on. A registry behind a proxy that ends TLS may name itself without: the
/// way that was taken to it is kept.
fn place(from: &Address, headers: &HeaderMap) -> Option<Address> {
    let location = header(headers, LOCATION);
    if location.is_empty() {
        return None;
    }
    let mut next = from.join(location)?;
    if from.tls && !next.tls && from.host == next.host {
        (next.tls, next.port) = (from.tls, from.port);
    }
    Some(next)
}

/// A body that is the rest of a file from a position on. Read on a blocking thread, two pieces ahead.
fn file_body(blob: &Upload, offset: u64) -> Body {
    let (sender, pieces) = mpsc::channel(2);
    let (file, size) = (Arc::clone(&blob.file), blob.size);
    let read = move || {
        let mut position = offset;
        while position < size {
            let length = usize::try_from(size - position).unwrap_or(PIECE).min(PIECE);
            let mut bytes = vec![0; length];
            let read = file.read_exact_at(&mut bytes, position).map(|()| Bytes::from(bytes));
            let failed = read.is_err();
            // Nobody listens when the request was given up.
            if sender.blocking_send(read).is_err() || failed {
                return;
            }
            position += length as u64;
        }
    };
    let spawned = std::thread::Builder::new().name("upload".into()).spawn(read);
    let failure = spawned.err();
    FileBody { pieces, left: blob.size - offset, sent: Arc::clone(&blob.sent), failure }
        .boxed_unsync()
}

struct FileBody {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
    sent: Arc<AtomicU64>,
    /// Why there is no thread that reads.
    failure: Option<io::Error>,
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match self.pieces.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Some(Ok(bytes))) => {
                let length = bytes.len() as u64;
                self.left = self.left.saturating_sub(length);
                self.sent.fetch_add(length, Ordering::Relaxed);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

//! Reading blobs.

use crate::error::Error;
use crate::http::{Ask, header};
use crate::repository::{Repository, Target, is_absent};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use hyper::{Method, StatusCode};
use spec::Digest;

/// A blob that is being read. Whoever reads checks length and digest.
#[derive(Debug)]
pub struct BlobStream {
    repository: Repository,
    body: Incoming,
    url: String,
    /// Bytes to be dropped first: the registry does not know ranges.
    skip: u64,
}

impl BlobStream {
    /// The next piece; `None` at the end of the body, which may be too early.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let next = self.repository.inner.http.next(&mut self.body).await;
            let next = next.map_err(|source| Error::Transport {
                method: Method::GET,
                url: self.url.clone(),
                source,
            })?;
            let Some(mut bytes) = next else { return Ok(None) };
            let drop = self.skip.min(bytes.len() as u64);
            self.skip -= drop;
            // At most the length of `bytes`.
            let bytes = bytes.split_off(drop as usize);
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

impl Repository {
    /// Reads a blob of `size` bytes from byte `from` on. Redirects are followed without credentials.
    pub async fn blob(&self, digest: &Digest, from: u64, size: u64) -> Result<BlobStream, Error> {
        let mut ask = Ask::new(Method::GET).with(ACCEPT_ENCODING, "identity");
        if from > 0 {
            ask = ask.with(RANGE, &format!("bytes={from}-"));
        }
        let target = Target::Path(format!("blobs/{digest}"));
        let mut found = self.ask_any(&ask, &target).await;
        // A mirror may have the manifest and not the blob.
        let current = self.current();
        if found.as_ref().is_err_and(is_absent) && self.endpoints()[current].is_mirror {
            for endpoint in current + 1..self.endpoints().len() {
                found = self.ask(endpoint, &ask, &target).await.map(|answer| (endpoint, answer));
                if found.is_ok() {
                    break;
                }
            }
        }
        let (endpoint, answer) = found?;
        let url = self.address(endpoint, &target).shown();
        let refused =
            |why: String| Err(Error::Answer { method: Method::GET, url: url.clone(), why });
        let skip = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = header(answer.headers(), CONTENT_RANGE);
                if !range.starts_with(&format!("bytes {from}-")) {
                    let range = crate::error::shown(range, 100);
                    return refused(format!(
                        "the answer has the range {range:?}, not from {from} on"
                    ));
                }
                0
            }
            _ => from,
        };
        let length: Option<u64> = header(answer.headers(), CONTENT_LENGTH).parse().ok();
        if let Some(length) = length
            && length + (from - skip) > size
        {
            return refused(format!(
                "the blob has more than the {size} bytes that its manifest says"
            ));
        }
        Ok(BlobStream { repository: self.clone(), body: answer.into_body(), url, skip })
    }

    /// Whether the registry has a blob.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let target = Target::Path(format!("blobs/{digest}"));
        match self.ask_patiently(&Ask::new(Method::HEAD), &target).await {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

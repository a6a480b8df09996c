//! A request as handlers get it: the asked version, the name in the path, the query, headers and the body, bounded.

use super::link::Link;
use crate::Server;
use crate::query::Form;
use crate::version::Version;
use api_types::lenient;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::upgrade::OnUpgrade;
use serde::Deserialize;
use spec::Failure;
use std::time::Duration;

/// The most bytes of a JSON or form body.
pub(crate) const MOST_JSON: usize = 8 << 20;
/// How long the whole of a JSON or form body may take.
const BODY_DEADLINE: Duration = Duration::from_secs(60);
/// How much of a body that nobody wants is still read, and for how long.
const MOST_LEFT: usize = 1 << 20;
const LEFT_DEADLINE: Duration = Duration::from_secs(2);

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) server: Server,
    pub(crate) version: Version,
    /// What the path names; empty for routes that name nothing.
    pub(crate) name: String,
    pub(crate) form: Form,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Payload,
    pub(crate) link: Link,
    /// Set when the client asked for another protocol on this connection.
    pub(crate) upgrade: Option<OnUpgrade>,
}

/// The rest of a body. What its reader leaves is read for a while: a client that is still sending when the connection
/// is closed sees a broken pipe instead of the answer.
#[derive(Debug)]
pub(crate) struct Unread(Option<Incoming>);

impl Unread {
    /// A body of which nothing has been read.
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(mut body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let rest = async {
                let mut left = MOST_LEFT;
                while let Some(Ok(frame)) = body.frame().await {
                    let size = frame.data_ref().map_or(0, Bytes::len);
                    let Some(fewer) = left.checked_sub(size) else { return };
                    left = fewer;
                }
            };
            tokio::time::timeout(LEFT_DEADLINE, rest).await.ok();
        });
    }
}

/// A body that has not been read yet.
#[derive(Debug)]
pub(crate) enum Payload {
    /// From the network.
    Incoming(Unread, Link),
    /// Already here.
    Whole(Bytes),
}

impl Payload {
    /// True when there is no body at all.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Incoming(body, _) => body.0.as_ref().is_none_or(Incoming::is_end_stream),
            Self::Whole(bytes) => bytes.is_empty(),
        }
    }

    /// The length when the client has told it.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Incoming(body, _) => body.0.as_ref()?.size_hint().exact(),
            Self::Whole(bytes) => u64::try_from(bytes.len()).ok(),
        }
    }

    /// The next piece; `None` at the end. A client that leaves before is an error.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        match self {
            Self::Whole(bytes) if bytes.is_empty() => None,
            Self::Whole(bytes) => Some(Ok(std::mem::take(bytes))),
            Self::Incoming(body, link) => loop {
                return match body.0.as_mut()?.frame().await {
                    None => {
                        link.body_done();
                        None
                    }
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => Some(Ok(data)),
                        Err(_trailers) => continue,
                    },
                    Some(Err(_)) => {
                        Some(Err(Failure::invalid("read request body: unexpected EOF")))
                    }
                };
            },
        }
    }

    /// All of it, when it is small enough and comes in time.
    pub(crate) async fn collect(&mut self) -> Result<Vec<u8>, Failure> {
        let all = async {
            let mut bytes = Vec::new();
            while let Some(piece) = self.next().await {
                let piece = piece?;
                if bytes.len() + piece.len() > MOST_JSON {
                    let most = MOST_JSON >> 20;
                    return Err(Failure::invalid(format!(
                        "request body is larger than {most} MiB"
                    )));
                }
                bytes.extend_from_slice(&piece);
            }
            Ok(bytes)
        };
        match tokio::time::timeout(BODY_DEADLINE, all).await {
            Ok(read) => read,
            Err(_) => Err(Failure::invalid("read request body: took longer than 60 seconds")),
        }
    }
}

/// The media type of a `Content-Type` header, in lower case and without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

impl Request {
    /// True when the client sent an `Upgrade` header, whatever it says.
    pub(crate) fn wants_upgrade(&self) -> bool {
        self.headers.contains_key(hyper::header::UPGRADE)
    }

    /// Fails unless the body is JSON by its header, or there is neither header nor body.
    pub(crate) fn check_json(&self) -> Result<(), Failure> {
        match media_type(&self.headers).as_deref() {
            Some("application/json") => Ok(()),
            None if self.body.is_empty() => Ok(()),
            kind => Err(Failure::invalid(format!(
                "unsupported Content-Type header ({}): must be 'application/json'",
                kind.unwrap_or_default()
            ))),
        }
    }

    /// The JSON body; the default when there is none.
    pub(crate) async fn json<T>(&mut self) -> Result<T, Failure>
    where
        T: for<'de> Deserialize<'de> + Default,
    {
        Ok(self.json_or_none().await?.unwrap_or_default())
    }

    /// The JSON body; `None` when there is none.
    pub(crate) async fn json_or_none<T>(&mut self) -> Result<Option<T>, Failure>
    where
        T: for<'de> Deserialize<'de>,
    {
        self.check_json()?;
        if self.body.is_empty() {
            return Ok(None);
        }
        let bytes = self.body.collect().await?;
        parse_json(&bytes).map(Some)
    }
}

/// Reads exactly one JSON value.
pub(crate) fn parse_json<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, Failure> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::invalid("invalid JSON: got EOF while reading request body"));
    }
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<serde_json::Value>();
    let value = match values.next() {
        Some(Ok(value)) => value,
        Some(Err(cause)) => return Err(Failure::invalid(format!("invalid JSON: {cause}"))),
        None => return Err(Failure::invalid("invalid JSON: got EOF while reading request body")),
    };
    if !bytes[values.byte_offset()..].iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::invalid("unexpected content after JSON"));
    }
    lenient::from_value(&value).map_err(|cause| Failure::invalid(format!("invalid JSON: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::exec::StartBody;

    #[test]
    fn exactly_one_json_value_is_read() {
        let read = |text: &str| parse_json::<StartBody>(text.as_bytes()).map_err(|f| f.message);
        assert!(read(" {\"detach\":true}\n").unwrap().detach);
        assert_eq!(read("{}{}").unwrap_err(), "unexpected content after JSON");
        assert_eq!(read("{} x").unwrap_err(), "unexpected content after JSON");
        assert_eq!(read(" ").unwrap_err(), "invalid JSON: got EOF while reading request body");
        assert!(read("{\"Detach\":1}").unwrap_err().starts_with("invalid JSON: Detach: "));
        assert!(read("{").unwrap_err().starts_with("invalid JSON: "));
    }
}

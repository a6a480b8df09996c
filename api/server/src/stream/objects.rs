//! Streams of JSON objects, each flushed to the client by itself.

use crate::http::reply::{self, JSON, Pieces, Reply};
use crate::version::Version;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Response};
use serde::Serialize;
use spec::Failure;
use std::io;

/// How the objects of a stream are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A line feed after each.
    Lines(&'static str),
    /// A record separator before and a line feed after each (RFC 7464).
    Sequence,
    /// Carriage return and line feed after each, as progress has always been sent.
    Progress,
}

const JSON_LINES: &str = "application/jsonl";
const ND_JSON: &str = "application/x-ndjson";
const JSON_SEQUENCE: &str = "application/json-seq";

impl Framing {
    /// The framing of events: what the client accepts, else what its version expects.
    pub(crate) fn of_events(headers: &HeaderMap, version: Version) -> Self {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for kind in accepted.flat_map(|value| value.split(',')) {
            match kind.split(';').next().unwrap_or_default().trim() {
                JSON_LINES => return Self::Lines(JSON_LINES),
                ND_JSON => return Self::Lines(ND_JSON),
                JSON_SEQUENCE => return Self::Sequence,
                _ => {}
            }
        }
        Self::Lines(if version.before(52) { JSON } else { JSON_LINES })
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Lines(kind) => kind,
            Self::Sequence => JSON_SEQUENCE,
            Self::Progress => JSON,
        }
    }

    /// One object as it is sent.
    pub(crate) fn frame<T: Serialize>(self, object: &T) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        if self == Self::Sequence {
            bytes.push(0x1e);
        }
        if serde_json::to_writer(&mut bytes, object).is_err() {
            return Vec::new();
        }
        bytes.extend_from_slice(if self == Self::Progress { b"\r\n" } else { b"\n" });
        bytes
    }
}

/// Where the objects of a stream go.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    pieces: Pieces,
    framing: Framing,
}

impl Objects {
    /// The objects that go to `pieces`.
    pub(crate) fn new(pieces: Pieces, framing: Framing) -> Self {
        Self { pieces, framing }
    }

    /// Sends one object; false when nobody reads any more.
    pub(crate) async fn send<T: Serialize>(&self, object: &T) -> bool {
        self.pieces.send(self.framing.frame(object)).await
    }

    /// Breaks the stream off, so that the client does not take it for whole.
    pub(crate) async fn fail(&self, failure: &Failure) {
        self.pieces.fail(io::Error::other(failure.message.clone())).await;
    }

    /// Resolves when nobody reads any more.
    pub(crate) async fn closed(&self) {
        self.pieces.closed().await;
    }
}

/// The reply that carries such a stream.
pub(crate) fn reply(framing: Framing, content: reply::Content) -> Reply {
    let mut reply = Response::new(content);
    let kind = HeaderValue::from_static(framing.media_type());
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_framed_as_accepted_else_as_the_version_expects() {
        let of = |accept: Option<&'static str>, minor| {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            Framing::of_events(&headers, Version::new(1, minor))
        };
        assert_eq!(of(None, 51), Framing::Lines("application/json"));
        assert_eq!(of(None, 52), Framing::Lines("application/jsonl"));
        assert_eq!(of(Some("*/*"), 51), Framing::Lines("application/json"));
        assert_eq!(of(Some("application/json-seq"), 41), Framing::Sequence);
        assert_eq!(
            of(Some("text/html, application/x-ndjson;q=0.5"), 56),
            Framing::Lines("application/x-ndjson")
        );
    }

    #[test]
    fn objects_are_separated_as_the_framing_says() {
        assert_eq!(Framing::Lines(JSON).frame(&1), b"1\n");
        assert_eq!(Framing::Sequence.frame(&1), b"\x1e1\n");
        assert_eq!(Framing::Progress.frame(&1), b"1\r\n");
    }
}

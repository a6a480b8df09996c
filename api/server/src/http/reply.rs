//! Replies: status, headers and a body that is whole or comes in pieces.

use super::link::Link;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// A reply as handlers make it.
pub(crate) type Reply = Response<Content>;

/// The body of a reply.
pub(crate) type Content = UnsyncBoxBody<Bytes, io::Error>;

/// `application/json`, without parameters: Go's client compares the text.
pub(crate) const JSON: &str = "application/json";
/// A tar archive.
pub(crate) const TAR: &str = "application/x-tar";

/// A body that is all of `bytes`.
pub(crate) fn content(bytes: impl Into<Bytes>) -> Content {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A reply without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(content(Bytes::new()));
    *reply.status_mut() = status;
    reply
}

/// A reply with a body of the given type.
pub(crate) fn whole(status: StatusCode, kind: &'static str, bytes: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(content(bytes));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// A JSON reply; like Docker's, it ends with a line feed.
pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Reply {
    match line(value) {
        Ok(bytes) => whole(status, JSON, bytes),
        Err(cause) => {
            let message = format!("encode reply: {cause}");
            error(StatusCode::INTERNAL_SERVER_ERROR, &message)
        }
    }
}

/// A JSON reply with status 200.
pub(crate) fn ok<T: Serialize + ?Sized>(value: &T) -> Reply {
    json(StatusCode::OK, value)
}

/// One JSON value and a line feed.
pub(crate) fn line<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The reply of an error: `{"message":"..."}`.
pub(crate) fn error(status: StatusCode, message: &str) -> Reply {
    json(status, &api_types::error::ErrorBody { message: message.to_owned() })
}

/// Adds a header; a value that cannot be one is left out.
pub(crate) fn with_header(mut reply: Reply, name: &'static str, value: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(HeaderName::from_static(name), value);
    }
    reply
}

/// The sending end of a body that comes in pieces; each piece is flushed to the client.
#[derive(Debug, Clone)]
pub(crate) struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Pieces {
    /// Sends a piece; false when nobody reads any more.
    pub(crate) async fn send(&self, bytes: impl Into<Bytes>) -> bool {
        let bytes = bytes.into();
        bytes.is_empty() || self.0.send(Ok(bytes)).await.is_ok()
    }

    /// Ends the body as broken, so that the client does not take it for whole.
    pub(crate) async fn fail(&self, error: io::Error) {
        self.0.send(Err(error)).await.ok();
    }

    /// Resolves when nobody reads any more.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }
}

/// A body in pieces. With `link` it ends as soon as the client has left, so that its sender learns of that.
pub(crate) fn pieces(link: Option<&Link>) -> (Pieces, Content) {
    let (sender, receiver) = mpsc::channel(8);
    let left = link.cloned().map(|link| -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { link.left().await })
    });
    (Pieces(sender), Streamed { receiver, left }.boxed_unsync())
}

struct Streamed {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    left: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Poll::Ready(piece) = self.receiver.poll_recv(context) {
            return Poll::Ready(piece.map(|piece| piece.map(Frame::data)));
        }
        if let Some(left) = &mut self.left
            && left.as_mut().poll(context).is_ready()
        {
            self.left = None;
            self.receiver.close();
            return self.receiver.poll_recv(context).map(|p| p.map(|p| p.map(Frame::data)));
        }
        Poll::Pending
    }
}

/// Tells `link` when the reply's body has been sent or given up.
pub(crate) fn tracked(reply: Reply, link: Link) -> Reply {
    reply.map(|inner| Tracked { inner, link }.boxed_unsync())
}

struct Tracked {
    inner: Content,
    link: Link,
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.link.finish();
    }
}

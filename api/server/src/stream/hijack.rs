//! Hijacked connections: bytes both ways between a client and a container's stream, until both ends are through.
//!
//! Half-close is kept: when the client ends its side, the container's standard input ends and its output goes on; when
//! the output ends, the client reads the end and the connection is closed soon after.

use crate::http::link::Watched;
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use crate::http::socket::Socket;
use bytes::Bytes;
use engine::Attached;
use hyper::StatusCode;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, Timespec};
use spec::Failure;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf};
use tokio::net::unix::OwnedWriteHalf;

/// Bytes without frames.
pub(crate) const RAW: &str = "application/vnd.docker.raw-stream";
/// Frames of 8 bytes and their payload.
pub(crate) const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// How long a client is still read after the output has ended. Closing with unread bytes would reset the connection and
/// could cost the client the end of the output.
const DRAIN: Duration = Duration::from_secs(5);
/// How often it is checked whether a client that ended its side is gone altogether.
const GONE_CHECK: Duration = Duration::from_secs(10);
/// How long the head of an answer may stay unread before the output follows it.
const HEAD: Duration = Duration::from_secs(1);
/// Bytes copied at once.
const BUFFER: usize = 32 << 10;

/// The type of a stream with these bytes, for a client of this version.
pub(crate) fn media_type(tty: bool, version: crate::Version) -> &'static str {
    if tty || version.before(42) { RAW } else { MULTIPLEXED }
}

/// `101 UPGRADED`, and copying on the connection once hyper has given it away.
pub(crate) fn upgraded(request: &mut Request, attached: Attached) -> Reply {
    match request.upgrade.take() {
        Some(upgrade) => switch(upgrade, attached, request.version),
        None => reply::error(StatusCode::BAD_REQUEST, "upgrade connection: not asked for"),
    }
}

/// The same for a connection that will be given away.
pub(crate) fn switch(upgrade: OnUpgrade, attached: Attached, version: crate::Version) -> Reply {
    let kind = media_type(attached.tty, version);
    tokio::spawn(copy_upgraded(upgrade, attached));
    switching(kind)
}

/// `101 UPGRADED`, and when the client has got it, what makes the stream: it goes on even if the client is gone.
pub(crate) fn upgraded_before(
    request: &mut Request,
    tty: bool,
    stream: impl Future<Output = Result<Attached, Failure>> + Send + 'static,
) -> Reply {
    let Some(upgrade) = request.upgrade.take() else {
        return reply::error(StatusCode::BAD_REQUEST, "upgrade connection: not asked for");
    };
    let kind = media_type(tty, request.version);
    tokio::spawn(async move {
        let taken = take_over(upgrade).await;
        let head = async {
            if let Ok((socket, _)) = &taken {
                is_read(socket).await;
            }
        };
        // Nothing waits for a client that is slow but its own output.
        let (stream, ()) = tokio::join!(stream, head);
        match (taken, stream) {
            (Ok((socket, already)), Ok(attached)) => join(socket, already, attached).await,
            (Err(error), _) => tracing::debug!(%error, "take over connection"),
            (_, Err(failure)) => tracing::warn!(%failure, "make stream of exec"),
        }
    });
    switching(kind)
}

/// Resolves when the client has read what was sent: docker-py reads the head of an answer by a reader with a buffer, and
/// takes the socket away from it, so that output in the same read would be lost. Whoever reads nothing waits for nothing
/// that it could lose.
async fn is_read(socket: &Socket) {
    let end = tokio::time::Instant::now() + HEAD;
    while engine::unread(socket.as_fd()).is_ok_and(|held| held > 0) {
        if tokio::time::Instant::now() > end {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn switching(kind: &'static str) -> Reply {
    let mut reply = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    reply.extensions_mut().insert(ReasonPhrase::from_static(b"UPGRADED"));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    reply
}

async fn copy_upgraded(upgrade: OnUpgrade, attached: Attached) {
    match take_over(upgrade).await {
        Ok((socket, already)) => join(socket, already, attached).await,
        Err(error) => tracing::debug!(%error, "take over connection"),
    }
}

/// The socket under an upgraded connection, and what was read from it already.
pub(crate) async fn take_over(upgrade: OnUpgrade) -> io::Result<(Socket, Bytes)> {
    let upgraded = upgrade.await.map_err(io::Error::other)?;
    let Ok(parts) = upgraded.downcast::<TokioIo<Watched>>() else {
        return Err(io::Error::other("connection is of an unknown kind"));
    };
    let (socket, rest) = parts.io.into_inner().into_parts();
    let already = if rest.is_empty() {
        parts.read_buf
    } else {
        Bytes::from([&parts.read_buf[..], &rest[..]].concat())
    };
    Ok((socket, already))
}

/// Copies between a client and a container's stream until the output has ended or the client is gone.
pub(crate) async fn join(client: Socket, already: Bytes, attached: Attached) {
    let watch = client.as_fd().try_clone_to_owned();
    let (client_read, mut client_write) = tokio::io::split(client);
    let (stream, known) = attached.into_parts();
    let (mut stream_read, stream_write) = stream.into_split();
    let mut input = tokio::spawn(feed(client_read, already, stream_write));
    let mut output = std::pin::pin!(async {
        copy(&mut stream_read, &mut client_write).await.ok();
        known.await;
        client_write.shutdown().await.ok();
    });
    tokio::select! {
        () = &mut output => {}
        _ = &mut input => {
            tokio::select! {
                () = output => {}
                () = gone(watch) => {}
            }
            return;
        }
    }
    tokio::time::timeout(DRAIN, &mut input).await.ok();
    input.abort();
}

/// Copies what the client sends to the container, ends the container's input, and reads the client to its end.
async fn feed(mut client: ReadHalf<Socket>, already: Bytes, mut stream: OwnedWriteHalf) {
    let taken =
        stream.write_all(&already).await.is_ok() && copy(&mut client, &mut stream).await.is_ok();
    stream.shutdown().await.ok();
    drop(stream);
    if !taken {
        tokio::io::copy(&mut client, &mut tokio::io::sink()).await.ok();
    }
}

/// Resolves when the client has closed both directions; a unix socket tells, TCP only at the next write.
async fn gone(watch: io::Result<OwnedFd>) {
    let Ok(watch) = watch else { return std::future::pending().await };
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        tokio::time::sleep(GONE_CHECK).await;
        let mut polled = [PollFd::new(&watch, PollFlags::empty())];
        let hung_up = PollFlags::HUP | PollFlags::ERR;
        if rustix::event::poll(&mut polled, Some(&now)).is_err()
            || polled[0].revents().intersects(hung_up)
        {
            return;
        }
    }
}

/// Copies until the end, handing on at once what was read.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer).await? {
            0 => return Ok(()),
            count => {
                to.write_all(&buffer[..count]).await?;
                to.flush().await?;
            }
        }
    }
}

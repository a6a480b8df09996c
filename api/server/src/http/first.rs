//! The look at a connection's first request, for the one kind that hyper cannot answer: a hijack without `Upgrade`.

use super::link::{HEAD_DEADLINE, IDLE_DEADLINE};
use super::request::parse_json;
use super::socket::Socket;
use crate::dispatch::Target;
use crate::routes::{Found, Route};
use api_types::exec::StartBody;
use bytes::{Bytes, BytesMut};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The most bytes of a head that are looked at here; hyper refuses or accepts longer ones.
const MOST_HEAD: usize = 64 << 10;
/// The most bytes of such a request's body: a few flags.
const MOST_BODY: usize = 64 << 10;
/// The most headers.
const MOST_HEADERS: usize = 128;

/// What a connection begins with.
#[derive(Debug)]
pub(crate) enum First {
    /// Something for hyper, beginning with these bytes.
    Hyper(Socket, Bytes),
    /// A hijack without `Upgrade`.
    Hijack(Box<LegacyHijack>),
}

/// A request for a raw stream without `Upgrade`.
#[derive(Debug)]
pub(crate) struct LegacyHijack {
    pub(crate) socket: Socket,
    pub(crate) found: Found,
    pub(crate) asked_version: Option<String>,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What the client has already sent for the stream.
    pub(crate) already: Bytes,
}

/// Reads as much of `socket` as is needed to tell.
pub(crate) async fn look(mut socket: Socket) -> io::Result<First> {
    let mut bytes = BytesMut::with_capacity(4096);
    read(&mut socket, &mut bytes, IDLE_DEADLINE).await?;
    let head = match tokio::time::timeout(HEAD_DEADLINE, head(&mut socket, &mut bytes)).await {
        Ok(head) => head?,
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    };
    let Some(head) = head else { return Ok(First::Hyper(socket, bytes.freeze())) };
    if head.expects_continue {
        socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    while bytes.len() < head.length + head.body {
        read(&mut socket, &mut bytes, HEAD_DEADLINE).await?;
    }
    let mut all = bytes.freeze();
    let body = all.slice(head.length..head.length + head.body);
    let detached = || parse_json::<StartBody>(&body).map_or(true, |start| start.detach);
    if head.found.route == Route::ExecStart && !body.is_empty() && detached() {
        // Nothing is hijacked, or the body is wrong: hyper's road has the ordinary answers.
        return Ok(First::Hyper(socket, all));
    }
    let already = all.split_off(head.length + head.body);
    let Head { found, asked_version, query, headers, .. } = head;
    let hijack = LegacyHijack { socket, found, asked_version, query, headers, body, already };
    Ok(First::Hijack(Box::new(hijack)))
}

async fn read(socket: &mut Socket, bytes: &mut BytesMut, time: Duration) -> io::Result<()> {
    match tokio::time::timeout(time, socket.read_buf(bytes)).await {
        Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

struct Head {
    length: usize,
    body: usize,
    expects_continue: bool,
    found: Found,
    asked_version: Option<String>,
    query: String,
    headers: HeaderMap,
}

/// Reads on until the head is whole; `None` when it is hyper's.
async fn head(socket: &mut Socket, bytes: &mut BytesMut) -> io::Result<Option<Head>> {
    loop {
        let start = &bytes[..bytes.len().min(6)];
        if !b"POST /".starts_with(start) {
            return Ok(None);
        }
        match parse(bytes) {
            Parsed::Hyper => return Ok(None),
            Parsed::Hijack(head) => return Ok(Some(*head)),
            Parsed::Partial if bytes.len() > MOST_HEAD => return Ok(None),
            Parsed::Partial => {}
        }
        if socket.read_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

enum Parsed {
    Partial,
    Hyper,
    Hijack(Box<Head>),
}

fn parse(bytes: &[u8]) -> Parsed {
    let mut slots = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut slots);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Hyper,
    };
    let (path, query) = {
        let target = request.path.unwrap_or_default();
        target.split_once('?').unwrap_or((target, ""))
    };
    let Target::Found(found, asked_version) = Target::of(&Method::POST, path) else {
        return Parsed::Hyper;
    };
    if !matches!(found.route, Route::ContainerAttach | Route::ExecStart) {
        return Parsed::Hyper;
    }
    let Some(headers) = headers(request.headers) else { return Parsed::Hyper };
    if headers.contains_key("upgrade") || headers.contains_key("transfer-encoding") {
        return Parsed::Hyper;
    }
    let mut lengths = headers.get_all("content-length").iter();
    let body = match (lengths.next().map(HeaderValue::to_str), lengths.next()) {
        (None, _) => Some(0),
        (Some(Ok(text)), None) => text.parse().ok().filter(|length| *length <= MOST_BODY),
        _ => None,
    };
    let Some(body) = body else { return Parsed::Hyper };
    Parsed::Hijack(Box::new(Head {
        length,
        body,
        expects_continue: headers.contains_key("expect"),
        found,
        asked_version,
        query: query.to_owned(),
        headers,
    }))
}

fn headers(raw: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(raw.len());
    for header in raw {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> &'static str {
        match parse(text.as_bytes()) {
            Parsed::Partial => "partial",
            Parsed::Hyper => "hyper",
            Parsed::Hijack(_) => "hijack",
        }
    }

    #[test]
    fn only_a_hijack_without_upgrade_is_kept_from_hyper() {
        let attach = "POST /v1.24/containers/a/attach?stream=1 HTTP/1.1\r\nHost: x\r\n";
        assert_eq!(kind(attach), "partial");
        assert_eq!(kind(&format!("{attach}\r\n")), "hijack");
        assert_eq!(kind(&format!("{attach}Upgrade: tcp\r\n\r\n")), "hyper");
        assert_eq!(kind(&format!("{attach}Transfer-Encoding: chunked\r\n\r\n")), "hyper");
        assert_eq!(kind(&format!("{attach}Content-Length: 2\r\n\r\n{{}}")), "hijack");
        assert_eq!(kind(&format!("{attach}Content-Length: 99999999\r\n\r\n")), "hyper");
        assert_eq!(kind("POST /containers/create HTTP/1.1\r\nHost: x\r\n\r\n"), "hyper");
        assert_eq!(kind("POST /exec/a/start HTTP/1.1\r\n\r\n"), "hijack");
    }
}

//! Attaching by websocket (RFC 6455): a client's text and binary frames are input, output is binary frames.

use super::hijack;
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use hyper::upgrade::OnUpgrade;
use sha1::{Digest, Sha1};
use spec::Failure;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// The text that RFC 6455 §1.3 joins to the client's key.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The most bytes of one frame of a client.
const MOST_FRAME: u64 = 1 << 20;
/// Bytes of output in one frame.
const CHUNK: usize = 32 << 10;
/// How long a client may take to answer our close.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What the server answers to a client's key.
fn accept_key(key: &str) -> String {
    STANDARD.encode(Sha1::digest(format!("{key}{MAGIC}")))
}

/// Fails unless the request asks for a websocket; gives the key to answer.
pub(crate) fn check(request: &Request) -> Result<String, Failure> {
    let header =
        |name| request.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let is_websocket = header("upgrade").is_some_and(|kind| kind.eq_ignore_ascii_case("websocket"));
    if !is_websocket || header("sec-websocket-version") != Some("13") {
        return Err(Failure::invalid("upgrade connection: not a websocket of version 13"));
    }
    let key = header("sec-websocket-key").filter(|key| !key.is_empty() && key.len() <= 64);
    key.map(accept_key).ok_or_else(|| Failure::invalid("upgrade connection: no Sec-WebSocket-Key"))
}

/// `101`, and copying once hyper has given the connection away. Output is text frames for clients before 1.28.
pub(crate) fn upgraded(request: &mut Request, accept: &str, stream: UnixStream) -> Reply {
    let Some(upgrade) = request.upgrade.take() else {
        return reply::error(StatusCode::BAD_REQUEST, "upgrade connection: not asked for");
    };
    let kind = if request.version.before(28) { TEXT } else { BINARY };
    tokio::spawn(copy_upgraded(upgrade, stream, kind));
    let mut reply = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    reply
}

async fn copy_upgraded(upgrade: OnUpgrade, stream: UnixStream, kind: u8) {
    match hijack::take_over(upgrade).await {
        Ok((socket, already)) => {
            let (read, write) = tokio::io::split(socket);
            join(io::Cursor::new(already).chain(read), write, stream, kind).await;
        }
        Err(error) => tracing::debug!(%error, "take over connection"),
    }
}

/// Copies until the output ends, the client closes or breaks the protocol.
async fn join<R, W>(client: R, client_write: W, stream: UnixStream, kind: u8)
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (mut stream_read, stream_write) = stream.into_split();
    let (sender, frames) = mpsc::channel(4);
    let writer = tokio::spawn(write_frames(client_write, frames));
    let answers = sender.clone();
    let mut input = tokio::spawn(read_input(client, stream_write, answers));
    let output = async {
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = stream_read.read(&mut buffer).await {
            if sender.send((kind, buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
        sender.send((CLOSE, 1000_u16.to_be_bytes().to_vec())).await.ok();
    };
    tokio::select! {
        () = output => {
            tokio::time::timeout(CLOSE_DEADLINE, &mut input).await.ok();
        }
        _ = &mut input => {}
    }
    input.abort();
    drop(sender);
    tokio::time::timeout(CLOSE_DEADLINE, writer).await.ok();
}

async fn write_frames(
    mut client: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<(u8, Vec<u8>)>,
) {
    while let Some((opcode, payload)) = frames.recv().await {
        let frame = frame(opcode, &payload);
        if client.write_all(&frame).await.is_err() || client.flush().await.is_err() {
            return;
        }
        if opcode == CLOSE {
            break;
        }
    }
    client.shutdown().await.ok();
}

/// Hands input on until the client closes; answers pings, and a broken protocol with a close.
async fn read_input(
    mut client: impl AsyncRead + Unpin,
    mut stream: impl AsyncWrite + Unpin,
    answers: mpsc::Sender<(u8, Vec<u8>)>,
) {
    let status: u16 = loop {
        let (opcode, payload) = match read_frame(&mut client).await {
            Ok(frame) => frame,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => break 1002,
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => break 1009,
            Err(_) => return,
        };
        match opcode {
            // Input that nobody reads is lost, as at a terminal whose program has ended.
            TEXT | BINARY | CONTINUATION => {
                stream.write_all(&payload).await.ok();
            }
            PING => {
                answers.send((PONG, payload)).await.ok();
            }
            PONG => {}
            CLOSE => break 1000,
            _ => break 1002,
        }
    };
    stream.shutdown().await.ok();
    answers.send((CLOSE, status.to_be_bytes().to_vec())).await.ok();
}

/// One frame of a server: whole and not masked.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 10);
    bytes.push(0x80 | opcode);
    match payload.len() {
        length @ 0..=125 => bytes.push(length as u8),
        length @ 126..=0xffff => {
            bytes.push(126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// One frame of a client: masked, no extension bits, bounded (RFC 6455 §5).
async fn read_frame(client: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    client.read_exact(&mut head).await?;
    let (opcode, is_final) = (head[0] & 0x0f, head[0] & 0x80 != 0);
    let is_control = opcode >= 8;
    let short = head[1] & 0x7f;
    if head[0] & 0x70 != 0 || head[1] & 0x80 == 0 || is_control && (!is_final || short > 125) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let length = match short {
        126 => u64::from(client.read_u16().await?),
        127 => client.read_u64().await?,
        length => u64::from(length),
    };
    if length > MOST_FRAME {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut mask = [0; 4];
    client.read_exact(&mut mask).await?;
    let mut payload = Vec::new();
    client.take(length).read_to_end(&mut payload).await?;
    if payload.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok((opcode, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_answered_as_in_the_rfc() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[tokio::test]
    async fn a_masked_frame_is_read_and_others_are_refused() {
        // The examples of RFC 6455 §5.7.
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(read_frame(&mut &masked[..]).await.unwrap(), (TEXT, b"Hello".to_vec()));
        let kind = async |bytes: &[u8]| read_frame(&mut &bytes[..]).await.unwrap_err().kind();
        assert_eq!(kind(&[0x81, 0x05, 1, 2, 3, 4, 5]).await, io::ErrorKind::InvalidData);
        assert_eq!(kind(&[0xc1, 0x80, 0, 0, 0, 0]).await, io::ErrorKind::InvalidData);
        assert_eq!(kind(&[0x09, 0x80, 0, 0, 0, 0]).await, io::ErrorKind::InvalidData);
        let huge = [0x82, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0];
        assert_eq!(kind(&huge).await, io::ErrorKind::FileTooLarge);
        assert_eq!(kind(&masked[..9]).await, io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn lengths_are_written_in_the_shortest_form() {
        assert_eq!(frame(BINARY, b"hi"), [0x82, 2, b'h', b'i']);
        assert_eq!(frame(BINARY, &[0; 126])[..4], [0x82, 126, 0, 126]);
        assert_eq!(frame(BINARY, &[0; 65536])[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[tokio::test]
    async fn input_and_output_are_copied_until_the_client_closes() {
        let (client, server) = tokio::io::duplex(1024);
        let (mut container, stream) = UnixStream::pair().unwrap();
        let (server_read, server_write) = tokio::io::split(server);
        let joined = tokio::spawn(join(server_read, server_write, stream, BINARY));
        let (mut read, mut write) = tokio::io::split(client);
        write.write_all(&[0x82, 0x82, 1, 1, 1, 1, b'h' ^ 1, b'i' ^ 1]).await.unwrap();
        let mut input = [0; 2];
        container.read_exact(&mut input).await.unwrap();
        assert_eq!(&input, b"hi");
        container.write_all(b"out").await.unwrap();
        let mut output = [0; 5];
        read.read_exact(&mut output).await.unwrap();
        assert_eq!(output, [0x82, 3, b'o', b'u', b't']);
        write.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
        let mut close = Vec::new();
        read.read_to_end(&mut close).await.unwrap();
        assert_eq!(close, [0x88, 2, 0x03, 0xe8]);
        joined.await.unwrap();
    }
}

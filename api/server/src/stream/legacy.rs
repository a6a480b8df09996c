//! The answer to a hijack without `Upgrade`: `200 OK`, a raw stream, no length and no chunks.

use super::hijack;
use crate::http::first::LegacyHijack;
use crate::http::link::Link;
use crate::http::reply::Reply;
use crate::http::request::{Payload, Request};
use crate::http::socket::Socket;
use crate::query::Form;
use crate::routes::Route;
use crate::{Server, dispatch, failure, route};
use bytes::Bytes;
use engine::Attached;
use http_body_util::BodyExt;
use hyper::StatusCode;
use spec::Failure;
use std::fmt::Write;
use tokio::io::AsyncWriteExt;

/// Answers and copies until the stream ends.
pub(crate) async fn answer(server: Server, hijack: LegacyHijack, link: Link) {
    let LegacyHijack { socket, found, asked_version, query, headers, body, already } = hijack;
    let connection = link.clone();
    let opened = match dispatch::check_version(&server, asked_version.as_deref(), &found) {
        Err(refusal) => Err(refusal),
        Ok(version) => {
            let form = Form::parse(&query);
            let (name, body, upgrade) = (found.name.clone(), Payload::Whole(body), None);
            let request = form.map(|form| Request {
                server,
                version,
                name,
                form,
                headers,
                body,
                link,
                upgrade,
            });
            open(found.route, request).await
        }
    };
    finish(socket, already, opened, &connection).await;
}

/// Writes the head and copies until either side or the server ends, or writes the refusal.
async fn finish(
    mut socket: Socket,
    already: Bytes,
    opened: Result<Attached, Box<Reply>>,
    link: &Link,
) {
    match opened {
        Ok(attached) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {}\r\n\r\n", hijack::RAW);
            if socket.write_all(head.as_bytes()).await.is_ok() {
                tokio::select! {
                    () = hijack::join(socket, already, attached) => {}
                    () = link.stopping() => {}
                }
            }
        }
        Err(refusal) => {
            socket.write_all(&whole(*refusal).await).await.ok();
            socket.shutdown().await.ok();
        }
    }
}

async fn open(route: Route, request: Result<Request, Failure>) -> Result<Attached, Box<Reply>> {
    let mut request = request.map_err(|failure| Box::new(failure::reply(&failure)))?;
    match route {
        Route::ExecStart => match route::exec::open(&mut request).await {
            Ok(Some(attached)) => Ok(attached),
            Ok(None) => Err(Box::new(crate::http::reply::empty(StatusCode::OK))),
            Err(failure) => Err(Box::new(failure::reply(&failure))),
        },
        _ => route::attach::open(&request, false)
            .await
            .map_err(|failure| Box::new(route::attach::refusal(&failure, hijack::RAW))),
    }
}

/// A reply as bytes; the connection ends after it.
async fn whole(reply: Reply) -> Vec<u8> {
    let (head, body) = reply.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let reason = head.status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", head.status.as_u16());
    if let Some(kind) = head.headers.get("content-type").and_then(|kind| kind.to_str().ok()) {
        let _never_fails = write!(text, "Content-Type: {kind}\r\n");
    }
    let _never_fails = write!(text, "Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(&body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::first::{self, First};
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;
    use tokio::sync::watch;

    async fn hijacked(request: &str) -> (UnixStream, UnixStream, watch::Sender<bool>) {
        let (mut client, server) = UnixStream::pair().unwrap();
        let (container, stream) = UnixStream::pair().unwrap();
        let (stop, stopping) = watch::channel(false);
        client.write_all(request.as_bytes()).await.unwrap();
        let First::Hijack(hijack) = first::look(Socket::Unix(server)).await.unwrap() else {
            panic!("hyper's");
        };
        let LegacyHijack { socket, already, .. } = *hijack;
        tokio::spawn(async move {
            let attached = Ok(Attached::new(stream, true));
            finish(socket, already, attached, &Link::new(stopping)).await;
        });
        (client, container, stop)
    }

    #[tokio::test]
    async fn a_stream_without_traffic_ends_with_the_server() {
        let request =
            "POST /containers/a/attach?stream=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n";
        let (mut client, _container, stop) = hijacked(request).await;
        let mut head = [0; 15];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        stop.send(true).unwrap();
        client.shutdown().await.unwrap();
        client.read_to_end(&mut Vec::new()).await.unwrap();
    }

    #[tokio::test]
    async fn a_hijack_without_upgrade_is_answered_with_200_and_the_bare_stream() {
        let request = "POST /containers/a/attach?stream=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\nearly";
        let (mut client, mut container, _stop) = hijacked(request).await;
        let mut input = [0; 5];
        container.read_exact(&mut input).await.unwrap();
        assert_eq!(&input, b"early");
        client.shutdown().await.unwrap();
        assert_eq!(container.read(&mut input).await.unwrap(), 0);
        container.write_all(b"late").await.unwrap();
        drop(container);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(
            answer,
            "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nlate"
        );
    }

    #[tokio::test]
    async fn a_refused_hijack_is_an_ordinary_answer_with_its_length() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let refusal = crate::http::reply::error(StatusCode::NOT_FOUND, "no such exec");
        let (_stop, stopping) = watch::channel(false);
        let link = Link::new(stopping);
        finish(Socket::Unix(server), Bytes::new(), Err(Box::new(refusal)), &link).await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(
            answer,
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\
             Connection: close\r\n\r\n{\"message\":\"no such exec\"}\n"
        );
    }
}

//! Connections: accepting, TLS, and hyper on each.

use crate::Registry;
use crate::answer::{answer, answer_metrics};
use crate::body::Reply;
use crate::exchange::Peer;
use crate::metrics;
use crate::outgoing::Outgoing;
use crate::socket::{Socket, Stream};
use crate::tls::Tls;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long a TLS handshake may take, and the head of a request; also how long a connection may idle.
const HANDSHAKE: Duration = Duration::from_secs(20);
const HEAD: Duration = Duration::from_secs(60);
/// The most bytes of a request's head, and the most headers.
const HEAD_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 128;
/// The buffer of a connection; it begins with 8 KiB and grows while a body fills it.
const BUFFER_MAX: usize = 256 << 10;

/// What a listener answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Registry,
    Metrics,
}

impl Registry {
    /// Serves the registry until [`Registry::stop`]; then waits for the requests that run, at most
    /// [`crate::Options::stop_deadline`].
    pub async fn serve(&self, listener: TcpListener) {
        self.accept(listener, Purpose::Registry).await;
    }

    /// Serves `/metrics` and `/healthz` alone, without asking who asks.
    pub async fn serve_metrics(&self, listener: TcpListener) {
        self.accept(listener, Purpose::Metrics).await;
    }

    async fn accept(&self, listener: TcpListener, purpose: Purpose) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = self.shared.stopped() => break,
                accepted = listener.accept() => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, address)) => {
                    if connections.len() >= self.shared.options.connections {
                        // Who waits in the kernel's queue would not know why.
                        metrics::add(&self.shared.metrics.refused, 1);
                        drop(stream);
                        continue;
                    }
                    connections.spawn(connection(self.clone(), stream, address, purpose));
                }
                Err(error) => {
                    // Out of descriptors, or a client that was gone before: neither ends the listener.
                    tracing::warn!(%error, "accept connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.shared.options.stop_deadline, all).await.is_err() {
            tracing::warn!("requests were cut off at the stop");
        }
    }
}

async fn connection(registry: Registry, stream: TcpStream, address: SocketAddr, purpose: Purpose) {
    let shared = &registry.shared;
    shared.metrics.connections.fetch_add(1, Ordering::Relaxed);
    let tls = shared.tls.as_ref().filter(|_| purpose == Purpose::Registry);
    match socket(stream, tls).await {
        Ok((socket, outgoing)) => {
            let peer = Arc::new(Peer { address, secure: tls.is_some(), outgoing });
            if let Err(error) = talk(&registry, socket, peer, purpose).await {
                tracing::debug!(%error, %address, "connection ended");
            }
        }
        Err(error) => tracing::debug!(%error, %address, "TLS handshake failed"),
    }
    shared.metrics.connections.fetch_sub(1, Ordering::Relaxed);
}

async fn socket(
    stream: TcpStream,
    tls: Option<&Tls>,
) -> io::Result<(Socket, Option<Arc<Outgoing>>)> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        let outgoing = Arc::new(Outgoing::default());
        return Ok((Socket::new(Stream::Plain(stream, Arc::clone(&outgoing))), Some(outgoing)));
    };
    let stream = tokio::time::timeout(HANDSHAKE, tls.acceptor.0.accept(stream)).await??;
    Ok((Socket::new(Stream::Tls(Box::new(stream))), None))
}

/// Lets hyper read requests and write replies, until the connection or the registry ends.
async fn talk(
    registry: &Registry,
    socket: Socket,
    peer: Arc<Peer>,
    purpose: Purpose,
) -> Result<(), hyper::Error> {
    let service = service_fn(|request| {
        let (shared, peer) = (Arc::clone(&registry.shared), Arc::clone(&peer));
        async move {
            let reply: Reply = match purpose {
                Purpose::Registry => answer(&shared, request, peer).await,
                Purpose::Metrics => answer_metrics(&shared, request.uri().path()),
            };
            Ok::<_, Infallible>(reply)
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .title_case_headers(true)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_MAX)
        .max_buf_size(BUFFER_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = registry.shared.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

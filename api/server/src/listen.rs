//! Listening sockets: accepting connections, TLS, and hyper on each connection.

use crate::Server;
use crate::http::first::{self, First};
use crate::http::link::{Link, Watched};
use crate::http::reply::Reply;
use crate::http::socket::Socket;
use crate::{dispatch, stream};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use messages::control::Listener;
use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

/// Connections of one listener at the same time; further ones wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 4096;
/// How long a TLS handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(20);
/// How long requests in flight may take after the server was told to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// The most bytes of a request's head, and the most headers.
const MOST_HEAD: usize = 256 << 10;
const MOST_HEADERS: usize = 128;

/// Why a listener cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptor is no listening socket of the kind that was said.
    #[error("take over listener {listener}")]
    Take {
        /// Which.
        listener: String,
        /// Why.
        source: io::Error,
    },
    /// A certificate or key could not be read.
    #[error("read {what} of listener {listener}")]
    Pem {
        /// `certificate`, `key` or `authority`.
        what: &'static str,
        /// Which.
        listener: String,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate, key and authority do not make a TLS server.
    #[error("set up TLS of listener {listener}")]
    Tls {
        /// Which.
        listener: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

enum Incoming {
    Unix(UnixListener),
    Tcp(TcpListener),
    Tls(TcpListener, TlsAcceptor),
}

impl Server {
    /// Serves the listening socket `socket` until [`Server::stop`]; then waits up to 10 seconds for what is in flight.
    pub async fn serve(&self, socket: OwnedFd, listener: &Listener) -> Result<(), ServeError> {
        let incoming = take(socket, listener)?;
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut stopping = self.stopping();
        let mut connections = JoinSet::new();
        loop {
            let place = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => break,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let accepted = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => break,
                accepted = incoming.accept() => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok(accepted) => {
                    let server = self.clone();
                    connections.spawn(async move {
                        connection(server, accepted).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors, or a client that was gone before: neither ends the listener.
                    tracing::warn!(%error, "accept connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_DEADLINE, all).await.is_err() {
            tracing::warn!("connections were cut off at the stop");
        }
        Ok(())
    }
}

enum Accepted {
    Plain(Socket),
    Tls(tokio::net::TcpStream, TlsAcceptor),
}

impl Incoming {
    async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Unix(listener) => Accepted::Plain(Socket::Unix(listener.accept().await?.0)),
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Accepted::Plain(Socket::Tcp(stream))
            }
            Self::Tls(listener, acceptor) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Accepted::Tls(stream, acceptor.clone())
            }
        })
    }
}

async fn connection(server: Server, accepted: Accepted) {
    let socket = match accepted {
        Accepted::Plain(socket) => socket,
        Accepted::Tls(stream, acceptor) => {
            match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => Socket::Tls(Box::new(stream)),
                Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => return tracing::debug!("TLS handshake took too long"),
            }
        }
    };
    let link = Link::new(server.stopping());
    let looked = tokio::select! {
        looked = first::look(socket) => looked,
        () = link.left() => return,
    };
    match looked {
        Ok(First::Hyper(socket, already)) => {
            let watched = Watched::new(socket, already, link.clone());
            let request_link = link.clone();
            let answer =
                move |request| dispatch::answer(server.clone(), request_link.clone(), request);
            hyper_on(watched, link, answer).await;
        }
        Ok(First::Hijack(request)) => stream::legacy::answer(server, *request, link).await,
        Err(error) => tracing::debug!(%error, "read first request"),
    }
}

/// Lets hyper read requests and write what `answer` gives, until the connection or the server ends.
async fn hyper_on<A, F>(watched: Watched, link: Link, answer: A)
where
    A: Fn(hyper::Request<hyper::body::Incoming>) -> F,
    F: Future<Output = Reply>,
{
    let service = service_fn(|request| {
        let reply = answer(request);
        async move { Ok::<_, Infallible>(reply.await) }
    });
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true).max_headers(MOST_HEADERS).max_buf_size(MOST_HEAD);
    let connection = builder.serve_connection(TokioIo::new(watched), service).with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = link.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

fn name(listener: &Listener) -> String {
    match listener {
        Listener::Unix(path) => path.clone(),
        Listener::Tcp(address) | Listener::Tls { address, .. } => address.clone(),
    }
}

fn take(socket: OwnedFd, listener: &Listener) -> Result<Incoming, ServeError> {
    let failed = |source| ServeError::Take { listener: name(listener), source };
    let tcp = |socket: OwnedFd| {
        let socket = std::net::TcpListener::from(socket);
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket)
    };
    Ok(match listener {
        Listener::Unix(_) => {
            let socket = std::os::unix::net::UnixListener::from(socket);
            socket.set_nonblocking(true).map_err(failed)?;
            Incoming::Unix(UnixListener::from_std(socket).map_err(failed)?)
        }
        Listener::Tcp(_) => Incoming::Tcp(tcp(socket).map_err(failed)?),
        Listener::Tls { certificate, key, ca, .. } => {
            let acceptor = acceptor(listener, certificate, key, ca.as_deref())?;
            Incoming::Tls(tcp(socket).map_err(failed)?, acceptor)
        }
    })
}

fn acceptor(
    listener: &Listener,
    certificate: &str,
    key: &str,
    ca: Option<&str>,
) -> Result<TlsAcceptor, ServeError> {
    let pem = |what| move |source| ServeError::Pem { what, listener: name(listener), source };
    let tls = |source: Box<dyn std::error::Error + Send + Sync>| ServeError::Tls {
        listener: name(listener),
        source,
    };

    let certificates: Vec<_> = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(pem("certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(pem("key"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(error.into()))?;
    let builder = match ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
                let certificate = certificate.map_err(pem("authority"))?;
                roots.add(certificate).map_err(|error| tls(error.into()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|error| tls(error.into()))?)
        }
    };
    let mut config =
        builder.with_single_cert(certificates, key).map_err(|error| tls(error.into()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reply;
    use crate::stream::hijack;
    use engine::Attached;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::sync::watch;

    const UPGRADE: &str = "POST /x HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n";

    fn link() -> Link {
        let (sender, receiver) = watch::channel(false);
        // Kept for the length of the test, else everything would look as if the server ended.
        std::mem::forget(sender);
        Link::new(receiver)
    }

    /// A connection on which every request is answered by `answer`.
    fn connection_to<F>(answer: impl Fn(Link) -> F + Send + Sync + 'static) -> UnixStream
    where
        F: Future<Output = Reply> + Send,
    {
        let (client, server) = UnixStream::pair().unwrap();
        let link = link();
        let watched = Watched::new(Socket::Unix(server), bytes::Bytes::new(), link.clone());
        tokio::spawn(async move {
            let requests = link.clone();
            let answer = move |request: hyper::Request<hyper::body::Incoming>| {
                requests.begin(!hyper::body::Body::is_end_stream(request.body()));
                let reply = answer(requests.clone());
                let link = requests.clone();
                async move { reply::tracked(reply.await, link) }
            };
            hyper_on(watched, link, answer).await;
        });
        client
    }

    /// A client's and a container's end of a hijacked connection.
    fn hijacked(tty: bool, minor: u32) -> (UnixStream, UnixStream) {
        let (client, server) = UnixStream::pair().unwrap();
        let (container, stream) = UnixStream::pair().unwrap();
        let attached = Mutex::new(Some(Attached::new(stream, tty)));
        let link = link();
        let watched = Watched::new(Socket::Unix(server), bytes::Bytes::new(), link.clone());
        tokio::spawn(async move {
            let answer = move |mut request: hyper::Request<hyper::body::Incoming>| {
                let upgrade = hyper::upgrade::on(&mut request);
                let attached = attached.lock().unwrap().take().unwrap();
                let version = crate::Version::new(1, minor);
                async move { hijack::switch(upgrade, attached, version) }
            };
            hyper_on(watched, link, answer).await;
        });
        (client, container)
    }

    async fn read_head(client: &mut UnixStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    fn without_date(head: &str) -> String {
        head.lines()
            .filter(|l| !l.to_lowercase().starts_with("date:"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[tokio::test]
    async fn an_upgrade_is_answered_with_the_exact_status_line_and_type() {
        let table = [
            (true, 56, "raw-stream"),
            (false, 42, "multiplexed-stream"),
            (false, 41, "raw-stream"),
        ];
        for (tty, minor, kind) in table {
            let (mut client, _container) = hijacked(tty, minor);
            client.write_all(UPGRADE.as_bytes()).await.unwrap();
            assert_eq!(
                without_date(&read_head(&mut client).await),
                format!(
                    "HTTP/1.1 101 UPGRADED\nContent-Type: application/vnd.docker.{kind}\n\
                     Connection: Upgrade\nUpgrade: tcp\n"
                )
            );
        }
    }

    #[tokio::test]
    async fn output_goes_on_after_a_client_ended_its_side() {
        let (mut client, mut container) = hijacked(true, 56);
        client.write_all(format!("{UPGRADE}early").as_bytes()).await.unwrap();
        read_head(&mut client).await;
        client.write_all(b" late").await.unwrap();
        client.shutdown().await.unwrap();
        let mut input = String::new();
        container.read_to_string(&mut input).await.unwrap();
        assert_eq!(input, "early late");
        container.write_all(b"output").await.unwrap();
        drop(container);
        let mut output = String::new();
        client.read_to_string(&mut output).await.unwrap();
        assert_eq!(output, "output");
    }

    #[tokio::test]
    async fn a_client_that_leaves_ends_the_containers_input() {
        let (mut client, mut container) = hijacked(true, 56);
        client.write_all(UPGRADE.as_bytes()).await.unwrap();
        read_head(&mut client).await;
        drop(client);
        assert_eq!(container.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_client_that_closed_its_side_still_gets_a_late_answer() {
        let mut client = connection_to(|link| async move {
            link.left().await;
            reply::whole(hyper::StatusCode::OK, "text/plain", "late")
        });
        client.write_all(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nlate"), "{answer}");
    }

    #[tokio::test]
    async fn a_stream_ends_when_its_client_leaves_and_its_sender_learns_of_it() {
        let (told, heard) = tokio::sync::oneshot::channel();
        let told = Mutex::new(Some(told));
        let mut client = connection_to(move |link| {
            let told = told.lock().unwrap().take().unwrap();
            async move {
                let (pieces, content) = reply::pieces(Some(&link));
                tokio::spawn(async move {
                    pieces.send("one").await;
                    pieces.closed().await;
                    told.send(()).unwrap();
                });
                hyper::Response::new(content)
            }
        });
        client.write_all(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n").await.unwrap();
        let head = read_head(&mut client).await;
        assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
        let mut chunk = [0; 8];
        client.read_exact(&mut chunk).await.unwrap();
        assert_eq!(&chunk, b"3\r\none\r\n");
        drop(client);
        heard.await.unwrap();
    }

    #[tokio::test]
    async fn a_second_request_on_the_same_connection_is_answered() {
        let mut client =
            connection_to(|_| async { reply::whole(hyper::StatusCode::OK, "text/plain", "x") });
        for _ in 0..3 {
            client.write_all(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n").await.unwrap();
            read_head(&mut client).await;
            assert_eq!(client.read_u8().await.unwrap(), b'x');
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_stops_half_way_ends_the_connection() {
        let (mut client, server) = UnixStream::pair().unwrap();
        client.write_all(b"POST /containers/create HT").await.unwrap();
        let error = first::look(Socket::Unix(server)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut client = connection_to(|_| async { reply::empty(hyper::StatusCode::OK) });
        client.write_all(b"GET / HTTP/1.1\r\nHost: d\r\n\r\nGET / HT").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

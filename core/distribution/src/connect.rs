//! Connections: TCP, a proxy's tunnel, TLS.

use crate::certificates::client_config;
use crate::error::{Error, TransportError};
use crate::proxy::Proxy;
use crate::{Address, Config};
use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How long one address may take to answer, and how long a handshake may.
const CONNECT: Duration = Duration::from_secs(30);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Bytes of a proxy's answer to CONNECT.
const TUNNEL_MAX: usize = 16 << 10;

/// Makes the connections of one [`crate::Repository`]. Keeps the TLS settings of each server that it has talked with.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    config: Arc<Config>,
    tls: Arc<Mutex<Known>>,
}

/// TLS settings by host and port.
type Known = HashMap<(String, u16), Arc<ClientConfig>>;

impl Connector {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { config, tls: Arc::default() }
    }

    async fn connect(self, uri: Uri) -> Result<Stream, ConnectError> {
        let address = Address::parse(&uri.to_string())
            .ok_or_else(|| TransportError::Redirect(crate::error::shown(&uri.to_string(), 100)))?;
        let proxy = self.config.proxies.of(&address);
        let reached = proxy.as_ref().map_or(&address, |proxy| &proxy.address);
        let (stream, addresses) = dial(&reached.host, reached.port).await?;
        // Small requests and their answers follow each other; a failure costs some waiting.
        stream.set_nodelay(true).ok();
        let insecure =
            |addresses: &[IpAddr]| self.config.is_insecure(&address.host, address.port, addresses);
        let Some(proxy) = proxy else {
            if !address.tls {
                return Ok(Stream::plain(stream));
            }
            let insecure = insecure(&addresses);
            return self.handshake(Box::new(TokioIo::new(stream)), &address, insecure).await;
        };
        let mut below: Box<dyn Duplex> = Box::new(TokioIo::new(stream));
        if proxy.address.tls {
            let stream = self.handshake(below, &proxy.address, false).await?;
            below = Box::new(stream);
        }
        if !address.tls {
            return Ok(Stream { inner: below, by_proxy: true });
        }
        let below = tunnel(below, &address, &proxy).await?;
        self.handshake(below, &address, insecure(&[])).await
    }

    async fn handshake(
        &self,
        below: Box<dyn Duplex>,
        address: &Address,
        insecure: bool,
    ) -> Result<Stream, ConnectError> {
        let config = self.settings(address, insecure).await?;
        let name = ServerName::try_from(address.host.clone())
            .map_err(|error| TransportError::Tls(io::Error::other(error)))?;
        let shake = TlsConnector::from(config).connect(name, TokioIo::new(below));
        match tokio::time::timeout(HANDSHAKE, shake).await {
            Ok(Ok(stream)) => Ok(Stream::over(stream)),
            Ok(Err(error)) => Err(TransportError::Tls(error).into()),
            // A server that waits for the end of a line of plain HTTP.
            Err(_) => Err(TransportError::Tls(io::ErrorKind::TimedOut.into()).into()),
        }
    }

    async fn settings(
        &self,
        address: &Address,
        insecure: bool,
    ) -> Result<Arc<ClientConfig>, ConnectError> {
        let key = (address.host.clone(), address.port);
        let known = |tls: &Mutex<Known>| {
            tls.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
        };
        if let Some(config) = known(&self.tls) {
            return Ok(config);
        }
        let (config, host, port) = (Arc::clone(&self.config), address.host.clone(), address.port);
        let load = move || client_config(&config, &host, port, insecure);
        let loaded = tokio::task::spawn_blocking(load).await;
        let loaded = loaded.map_err(|_| TransportError::Broken("the engine ends".into()))?;
        let loaded = Arc::new(loaded.map_err(ConnectError::Settings)?);
        let mut all = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key, Arc::clone(&loaded));
        Ok(loaded)
    }
}

/// Why there is no connection; travels through hyper's client as a boxed error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Settings(Error),
}

/// The addresses of a host.
pub(crate) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, TransportError> {
    let failed = |source| TransportError::Resolve { host: host.to_owned(), source };
    let found = tokio::net::lookup_host((host, port)).await.map_err(failed)?;
    let mut found: Vec<SocketAddr> = found.collect();
    // Stable: IPv4 first, as a host without IPv6 routes wants it; each family in the resolver's order.
    found.sort_by_key(SocketAddr::is_ipv6);
    if found.is_empty() {
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, "no such host")));
    }
    Ok(found)
}

/// Connects to the first address of a host that answers; also all its addresses.
async fn dial(host: &str, port: u16) -> Result<(TcpStream, Vec<IpAddr>), TransportError> {
    let addresses = resolve(host, port).await?;
    let all = addresses.iter().map(SocketAddr::ip).collect();
    let mut failure = None;
    for address in addresses {
        let why = match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, all)),
            Ok(Err(error)) => cause(&error),
            Err(_) => "i/o timeout".to_owned(),
        };
        let address = address.to_string();
        failure.get_or_insert(TransportError::Connect { address, why });
    }
    Err(failure.expect("a host without an address was refused before"))
}

/// The kernel's answer in the C library's words, lower case as Go writes them.
fn cause(error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset by peer",
        io::ErrorKind::HostUnreachable => "no route to host",
        io::ErrorKind::NetworkUnreachable => "network is unreachable",
        io::ErrorKind::TimedOut => "connection timed out",
        _ => return error.to_string(),
    };
    text.to_owned()
}

/// Asks a proxy for a connection to a server.
async fn tunnel(
    below: Box<dyn Duplex>,
    address: &Address,
    proxy: &Proxy,
) -> Result<Box<dyn Duplex>, TransportError> {
    let target = address.host_and_port();
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(authorization) = &proxy.authorization {
        request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
    }
    request.push_str("\r\n");
    let mut stream = TokioIo::new(below);
    let speak = async {
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // Byte by byte: what follows the head belongs to the server.
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < TUNNEL_MAX {
            answer.push(stream.read_u8().await?);
        }
        Ok::<_, io::Error>(answer)
    };
    let answer = match tokio::time::timeout(HANDSHAKE, speak).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(TransportError::Proxy(error.to_string())),
        Err(_) => return Err(TransportError::Idle(HANDSHAKE)),
    };
    let line = String::from_utf8_lossy(answer.split(|b| *b == b'\r').next().unwrap_or_default());
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    match words.next() {
        Some(status) if is_http && status.len() == 3 && status.starts_with('2') => {
            Ok(stream.into_inner())
        }
        _ => Err(TransportError::Proxy(crate::error::shown(&line, 200))),
    }
}

/// Both directions of a connection.
pub(crate) trait Duplex: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Duplex for T {}

/// A connection as hyper's client takes it.
pub(crate) struct Stream {
    inner: Box<dyn Duplex>,
    /// Requests name the whole address, for a proxy.
    by_proxy: bool,
}

impl Stream {
    fn plain(stream: TcpStream) -> Self {
        Self { inner: Box::new(TokioIo::new(stream)), by_proxy: false }
    }

    fn over(stream: TlsStream<TokioIo<Box<dyn Duplex>>>) -> Self {
        Self { inner: Box::new(TokioIo::new(stream)), by_proxy: false }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.by_proxy)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, buffers)
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

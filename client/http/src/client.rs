//! One engine, spoken to in one version of the API.

use crate::body::Framing;
use crate::request::RequestBody;
use crate::transport::{Transport, connect};
use crate::wire::Wire;
use crate::{ClientError, Endpoint, Request, Response};
use api_types::error::ErrorBody;
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, WriteHalf};

/// The newest version of the API that this client speaks.
pub const NEWEST_VERSION: &str = "1.50";
/// What an engine speaks that does not say.
const OLDEST_VERSION: &str = "1.24";

/// The one connection that is open and not in use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Idle(Arc<Mutex<Option<Wire>>>);

impl Idle {
    pub(crate) fn put(&self, wire: Wire) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(wire);
    }

    fn take(&self) -> Option<Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the engine says of itself before anything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ping {
    /// The newest API version of the engine; empty if it does not say.
    pub api_version: String,
    /// The operating system of its containers.
    pub os: String,
    /// Experimental features are on.
    pub experimental: bool,
    /// Which builder it has: `1` or `2`.
    pub builder_version: String,
}

/// One engine, spoken to in one version of the API.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Arc<Endpoint>,
    headers: Arc<Vec<(String, String)>>,
    version: String,
    idle: Idle,
}

impl Client {
    /// Nothing is dialled yet. `headers` go with every request; `pinned` is a version that is not negotiated.
    #[must_use]
    pub fn new(endpoint: Endpoint, headers: Vec<(String, String)>, pinned: Option<String>) -> Self {
        Self {
            endpoint: Arc::new(endpoint),
            headers: Arc::new(headers),
            version: pinned.unwrap_or_else(|| NEWEST_VERSION.to_owned()),
            idle: Idle::default(),
        }
    }

    /// Where the engine is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The version of the API that is spoken.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// True if the spoken version is `minor` of 1.x or newer.
    #[must_use]
    pub fn speaks(&self, minor: u32) -> bool {
        compare(&self.version, &format!("1.{minor}")).is_ge()
    }

    /// Asks for the engine's version: HEAD, then GET if the engine does not answer HEAD.
    ///
    /// # Errors
    /// When nothing answers, or the answer is an error other than 500.
    pub async fn ping(&self) -> Result<Ping, ClientError> {
        let request = Request::head("/_ping");
        let response = match self.exchange(request, "").await {
            Ok(response) if response.status() == 200 || response.status() == 500 => response,
            Ok(_) => self.exchange(Request::get("/_ping"), "").await?,
            Err(error @ ClientError::Connect { .. }) => return Err(error),
            Err(_) => self.exchange(Request::get("/_ping"), "").await?,
        };
        let text = |name: &str| response.header(name).unwrap_or_default().to_owned();
        let ping = Ping {
            api_version: text("api-version"),
            os: text("ostype"),
            experimental: text("docker-experimental") == "true",
            builder_version: text("builder-version"),
        };
        response.bytes().await?;
        Ok(ping)
    }

    /// Speaks the engine's version from now on, if it is older than ours.
    pub fn negotiate(&mut self, ping: &Ping) {
        let theirs = if ping.api_version.is_empty() { OLDEST_VERSION } else { &ping.api_version };
        if compare(theirs, &self.version).is_lt() {
            theirs.clone_into(&mut self.version);
        }
    }

    /// Sends a request under the spoken version.
    ///
    /// # Errors
    /// [`ClientError::Status`] for a status of 400 and above, and everything that breaks on the way.
    pub async fn send(&self, request: Request) -> Result<Response, ClientError> {
        let prefix = format!("/v{}", self.version);
        let mut response = self.exchange(request, &prefix).await?;
        if response.status() >= 400 {
            return Err(self.refused(response).await);
        }
        if response.framing == Framing::Done && response.status() != 101 {
            response.release();
        }
        Ok(response)
    }

    /// Sends a request that asks for raw bytes both ways.
    ///
    /// # Errors
    /// Those of [`Client::send`], and an engine that does not upgrade.
    pub async fn upgrade(
        &self,
        request: Request,
        protocol: &str,
    ) -> Result<crate::Hijacked, ClientError> {
        let request = request.header("Connection", "Upgrade").header("Upgrade", protocol);
        let response = self.send(request).await?;
        if response.status() != 101 {
            let reason = format!("unable to upgrade to {protocol}, received {}", response.status());
            return Err(ClientError::Malformed { host: self.endpoint.text.clone(), reason });
        }
        response.hijack()
    }

    /// A connection of its own, outside of HTTP: for `system dial-stdio`.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn dial(&self) -> Result<crate::Hijacked, ClientError> {
        let wire = Wire::new(connect(&self.endpoint).await?);
        Ok(crate::Hijacked::new(wire, String::new()))
    }

    async fn refused(&self, response: Response) -> ClientError {
        let status = response.status();
        let json = response
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/json"));
        let body = response.bytes().await.unwrap_or_default();
        let text = String::from_utf8_lossy(&body).trim().to_owned();
        let message = match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(error) if json && !error.message.is_empty() => error.message.trim().to_owned(),
            _ if text.is_empty() => {
                format!(
                    "request returned {status} for API route and version, check if the server supports the requested API version"
                )
            }
            _ => text,
        };
        ClientError::Status { status, message }
    }

    async fn exchange(&self, request: Request, prefix: &str) -> Result<Response, ClientError> {
        let Request { method, path, query, headers, body } = request;
        let mut head = format!("{method} {prefix}{path}{} HTTP/1.1\r\n", query.encode());
        self.write_headers(&mut head, &headers);
        let failed = |source| ClientError::Io { host: self.endpoint.text.clone(), source };
        let (mut wire, known) = match body {
            RequestBody::Stream { kind, source } => {
                write!(head, "Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .expect("a String takes everything");
                let wire = self.upload(head, source).await?;
                (wire, Vec::new())
            }
            RequestBody::Bytes { kind, bytes } => {
                write!(head, "Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", bytes.len())
                    .expect("a String takes everything");
                let mut all = head.into_bytes();
                all.extend_from_slice(&bytes);
                (self.connection().await?, all)
            }
            RequestBody::Empty => {
                if matches!(method, "POST" | "PUT") {
                    head.push_str("Content-Length: 0\r\n");
                }
                head.push_str("\r\n");
                (self.connection().await?, head.into_bytes())
            }
        };
        if !known.is_empty() {
            wire.io.write_all(&known).await.map_err(failed)?;
            wire.io.flush().await.map_err(failed)?;
        }
        let head = wire.head().await.map_err(failed)?;
        let framing = Framing::of(method, &head);
        let mut response = Response {
            head,
            wire: Some(wire),
            framing,
            idle: self.idle.clone(),
            host: self.endpoint.text.clone(),
        };
        if response.framing == Framing::Done && response.status() != 101 {
            response.release();
        }
        Ok(response)
    }

    fn write_headers(&self, head: &mut String, headers: &[(String, String)]) {
        write!(head, "Host: {}\r\n", self.endpoint.host_header())
            .expect("a String takes everything");
        let agent =
            concat!("User-Agent: Docker-Client/", env!("CARGO_PKG_VERSION"), " (linux)\r\n");
        head.push_str(agent);
        for (name, value) in self.headers.iter().chain(headers) {
            // A line break would start another header.
            if !name.contains(['\r', '\n', ':']) && !value.contains(['\r', '\n']) {
                write!(head, "{name}: {value}\r\n").expect("a String takes everything");
            }
        }
    }

    async fn connection(&self) -> Result<Wire, ClientError> {
        match self.idle.take() {
            Some(wire) => Ok(wire),
            None => Ok(Wire::new(connect(&self.endpoint).await?)),
        }
    }

    /// Sends head and body in a task of its own: the engine may answer before it has read everything.
    async fn upload(
        &self,
        head: String,
        source: Box<dyn AsyncRead + Send + Unpin>,
    ) -> Result<Wire, ClientError> {
        let (read, write) = tokio::io::split(connect(&self.endpoint).await?);
        tokio::spawn(async move {
            // A failure to send shows as the answer, or as its absence.
            drop(send_chunks(write, head, source).await);
        });
        Ok(Wire::new(Box::new(tokio::io::join(read, tokio::io::sink()))))
    }
}

async fn send_chunks(
    mut io: WriteHalf<Box<dyn Transport>>,
    head: String,
    mut source: Box<dyn AsyncRead + Send + Unpin>,
) -> io::Result<()> {
    io.write_all(head.as_bytes()).await?;
    let mut buffer = vec![0_u8; 64 << 10];
    loop {
        let count = source.read(&mut buffer).await?;
        io.write_all(format!("{count:x}\r\n").as_bytes()).await?;
        io.write_all(&buffer[..count]).await?;
        io.write_all(b"\r\n").await?;
        if count == 0 {
            return io.flush().await;
        }
    }
}

fn compare(left: &str, right: &str) -> std::cmp::Ordering {
    let numbers = |text: &str| {
        text.split('.').map(|part| part.parse::<u32>().unwrap_or(0)).collect::<Vec<_>>()
    };
    numbers(left).cmp(&numbers(right))
}

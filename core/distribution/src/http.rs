//! One request and its answer, with deadlines and bounds, without any knowledge of registries.

use crate::challenge::Challenge;
use crate::connect::{ConnectError, Connector};
use crate::error::{Code, Error, Refusal, TransportError};
use crate::{Address, Config};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, PROXY_AUTHORIZATION,
    RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What is sent.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Bytes of the head of an answer.
const HEAD_MAX: usize = 64 << 10;
/// Bytes of an error answer that are read.
const REFUSAL_MAX: u64 = 64 << 10;
/// Redirects that are followed.
const REDIRECTS_MAX: usize = 10;
/// The longest time that an answer to an upload's last piece may take: registries then move and check the blob.
const COMMIT: Duration = Duration::from_secs(600);
/// The longest wait that a registry may ask for.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Sends requests; keeps connections open for the next one.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: legacy::Client<Connector, Body>,
    config: Arc<Config>,
    agent: HeaderValue,
}

/// A request that can be sent again.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Ask {
    pub(crate) fn new(method: Method) -> Self {
        Self { method, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    pub(crate) fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// A body that is all of `bytes`.
pub(crate) fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

impl Http {
    pub(crate) fn new(config: Arc<Config>, agent: &str) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .http1_max_buf_size(512 << 10)
            .build(Connector::new(Arc::clone(&config)));
        let agent =
            HeaderValue::from_str(agent).unwrap_or_else(|_| HeaderValue::from_static("coffer"));
        Self { client, config, agent }
    }

    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Sends a request with a body of its own and answers the head, whatever its status.
    pub(crate) async fn send(
        &self,
        method: &Method,
        address: &Address,
        headers: &[(HeaderName, HeaderValue)],
        body: Body,
    ) -> Result<Response<Incoming>, Error> {
        let failed =
            |source| Error::Transport { method: method.clone(), url: address.shown(), source };
        let uri = address.uri().ok_or_else(|| failed(TransportError::Redirect(address.shown())))?;
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut()) = (method.clone(), uri);
        let own = request.headers_mut();
        if let Ok(host) = HeaderValue::from_str(&address.authority()) {
            own.insert(HOST, host);
        }
        own.insert(USER_AGENT, self.agent.clone());
        for (name, value) in headers {
            own.append(name.clone(), value.clone());
        }
        if !address.tls
            && let Some(proxy) = self.config.proxies.of(address)
            && let Some(Ok(value)) = proxy.authorization.map(|text| HeaderValue::from_str(&text))
        {
            own.insert(PROXY_AUTHORIZATION, value);
        }
        // Uploads are watched by whoever gives the body.
        let limit = match *method {
            Method::PUT | Method::PATCH => COMMIT,
            _ => self.config.idle,
        };
        let answer = match tokio::time::timeout(limit, self.client.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.explain(error, method, address)),
            Err(_) => return Err(failed(TransportError::Idle(limit))),
        };
        let head: usize = answer.headers().iter().map(|(n, v)| n.as_str().len() + v.len()).sum();
        if head > HEAD_MAX {
            return Err(failed(TransportError::Broken(
                "the head of the answer is too long".into(),
            )));
        }
        Ok(answer)
    }

    /// Sends a request and follows redirects. Credentials go no further than to the server they are for.
    pub(crate) async fn follow(
        &self,
        ask: &Ask,
        address: &Address,
        authorization: Option<&HeaderValue>,
    ) -> Result<(Address, Response<Incoming>), Error> {
        let mut at = address.clone();
        for _ in 0..=REDIRECTS_MAX {
            let mut headers = ask.headers.clone();
            if let Some(value) = authorization.filter(|_| at.same_origin(address)) {
                headers.push((AUTHORIZATION, value.clone()));
            }
            let answer = self.send(&ask.method, &at, &headers, whole(ask.body.clone())).await?;
            let is_redirect = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308)
                && (ask.method == Method::GET || ask.method == Method::HEAD);
            if !is_redirect {
                return Ok((at, answer));
            }
            let location = header(answer.headers(), LOCATION);
            let next = at.join(location).ok_or_else(|| Error::Transport {
                method: ask.method.clone(),
                url: at.shown(),
                source: TransportError::Redirect(crate::error::shown(location, 100)),
            })?;
            at = next;
        }
        let (method, url) = (ask.method.clone(), address.shown());
        Err(Error::Transport { method, url, source: TransportError::Redirects })
    }

    fn explain(&self, error: legacy::Error, method: &Method, address: &Address) -> Error {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        let mut last = String::new();
        let mut of_connect = None;
        while let Some(cause) = source {
            last = cause.to_string();
            of_connect = of_connect.or_else(|| cause.downcast_ref::<ConnectError>());
            source = cause.source();
        }
        let shown = address.shown();
        let source = match of_connect {
            Some(ConnectError::Settings(Error::Certificates { host, path, why })) => {
                let (host, path, why) = (host.clone(), path.clone(), why.clone());
                return Error::Certificates { host, path, why };
            }
            Some(ConnectError::Transport(cause)) => match cause {
                TransportError::Resolve { host, source } => TransportError::Resolve {
                    host: host.clone(),
                    source: io::Error::new(source.kind(), source.to_string()),
                },
                TransportError::Connect { address, why } => {
                    TransportError::Connect { address: address.clone(), why: why.clone() }
                }
                TransportError::Tls(error) => {
                    TransportError::Tls(io::Error::new(error.kind(), error.to_string()))
                }
                TransportError::Proxy(why) => TransportError::Proxy(why.clone()),
                TransportError::Idle(span) => TransportError::Idle(*span),
                other => TransportError::Broken(other.to_string()),
            },
            _ => TransportError::Broken(last),
        };
        Error::Transport { method: method.clone(), url: shown, source }
    }

    /// Reads a body of at most `limit` bytes; `None` when it has more.
    pub(crate) async fn collect(
        &self,
        answer: Response<Incoming>,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        while let Some(piece) = self.next(&mut body).await? {
            if bytes.len() as u64 + piece.len() as u64 > limit {
                return Ok(None);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Some(bytes))
    }

    /// The next piece of a body.
    pub(crate) async fn next(&self, body: &mut Incoming) -> Result<Option<Bytes>, TransportError> {
        let idle = self.config.idle;
        loop {
            match tokio::time::timeout(idle, body.frame()).await {
                Err(_) => return Err(TransportError::Idle(idle)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(TransportError::Broken(innermost(&error))),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data)),
                    Err(_trailers) => {}
                },
            }
        }
    }

    /// The refusal that an answer with an error status is. Its body is read only as far as it is of use.
    pub(crate) async fn refusal(&self, answer: Response<Incoming>) -> Refusal {
        let status = answer.status();
        let retry_after = retry_after(answer.headers());
        let of_token = token_error(answer.headers());
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        while let Ok(Some(piece)) = self.next(&mut body).await {
            let left = REFUSAL_MAX.saturating_sub(bytes.len() as u64) as usize;
            bytes.extend_from_slice(&piece[..piece.len().min(left)]);
            if piece.len() >= left {
                break;
            }
        }
        let mut refusal = Refusal::parse(status, retry_after, &bytes);
        if status == StatusCode::UNAUTHORIZED
            && let Some(error) = of_token
        {
            refusal.errors.insert(0, error);
        }
        refusal
    }
}

/// What went wrong, without the layers above it.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    if text == "end of file before message length reached" { "unexpected EOF".into() } else { text }
}

/// A header as text; empty when there is none or it is no text.
pub(crate) fn header(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// `Retry-After` in seconds; a date is taken as a minute, which is what registries mean by it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = header(headers, RETRY_AFTER);
    if text.is_empty() {
        return None;
    }
    let seconds = text.trim().parse().unwrap_or(60);
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// What a registry says of the token that it was shown.
fn token_error(headers: &HeaderMap) -> Option<(Code, String)> {
    let challenges = Challenge::parse_all(header(headers, WWW_AUTHENTICATE));
    challenges.iter().find_map(|challenge| match challenge {
        Challenge::Bearer { error, .. } if error == "insufficient_scope" => {
            Some((Code::Denied, "requested access to the resource is denied".into()))
        }
        Challenge::Bearer { error, .. } if error == "invalid_token" => {
            Some((Code::Unauthorized, "authentication required".into()))
        }
        _ => None,
    })
}

/// Whether a status is an error.
pub(crate) fn is_error(status: StatusCode) -> bool {
    !status.is_success()
}

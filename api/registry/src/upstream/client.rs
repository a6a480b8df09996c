//! The HTTP client of the cache: one registry, its tokens, its redirects.

use super::challenge::parse_challenge;
use crate::address::encode;
use crate::failure::chain;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT,
    WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// How long it may take to connect, and to get the head of an answer.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);
/// The most redirects of one request.
const REDIRECTS: usize = 5;
/// The most bytes of a token server's answer, and the most tokens that are kept.
const TOKEN_MAX: usize = 256 << 10;
const TOKENS_MAX: usize = 1024;
/// How long a token counts whose server does not say (Docker's token specification).
const TOKEN_LIFETIME: u64 = 60;
/// Where systems keep the certificates of authorities.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Why the upstream cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSetupError {
    /// The URL is none of a registry.
    #[error("invalid upstream {url:?}: must be http:// or https://, a host, and no path")]
    Url {
        /// The URL.
        url: String,
    },
    /// The authorities cannot be read.
    #[error("read the authorities that the upstream's certificate may come from: {cause}")]
    Authorities {
        /// Why.
        cause: String,
    },
    /// TLS cannot be set up.
    #[error("set up TLS to the upstream")]
    Tls(#[source] rustls::Error),
}

/// Why a request to the upstream has no useful answer.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// It does not answer, or says that something is wrong with it.
    Away(String),
    /// It does not have it.
    Missing,
    /// It does not let us.
    Denied(StatusCode),
    /// We ask too much.
    TooMany(Option<String>),
}

/// What is asked of the upstream.
#[derive(Debug, Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// The repository, for the token.
    pub(crate) name: &'a str,
    pub(crate) headers: Vec<(HeaderName, String)>,
}

/// A registry to ask.
pub(crate) struct Client {
    base: Uri,
    credentials: Option<String>,
    tls: TlsConnector,
    /// Per repository: what to send as authorization, and until when.
    tokens: Mutex<HashMap<String, (HeaderValue, Instant)>>,
}

impl Client {
    pub(crate) fn new(
        url: &str,
        login: Option<(&str, &str)>,
        authorities: Option<&[u8]>,
    ) -> Result<Self, UpstreamSetupError> {
        let wrong = || UpstreamSetupError::Url { url: url.to_owned() };
        let base: Uri = url.parse().map_err(|_| wrong())?;
        let scheme = base.scheme_str().unwrap_or_default();
        let bare = matches!(base.path(), "" | "/") && base.query().is_none();
        if !matches!(scheme, "http" | "https") || !bare || base.host().is_none() {
            return Err(wrong());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(UpstreamSetupError::Tls)?
            .with_root_certificates(roots(authorities, scheme == "https")?)
            .with_no_client_auth();
        Ok(Self {
            base,
            credentials: login.map(|(user, password)| basic(user, password)),
            tls: TlsConnector::from(Arc::new(config)),
            tokens: Mutex::default(),
        })
    }

    /// Asks, says who we are when the upstream wants to know, and follows redirects.
    pub(crate) async fn ask(&self, ask: &Ask<'_>) -> Result<Response<Incoming>, Trouble> {
        let mut authorization = self.token(ask.name);
        for attempt in 0..2 {
            let response = self.follow(ask, authorization.take()).await?;
            if response.status() != StatusCode::UNAUTHORIZED || attempt == 1 {
                return judge(response);
            }
            authorization = Some(self.authorize(ask.name, response.headers()).await?);
        }
        Err(Trouble::Denied(StatusCode::UNAUTHORIZED))
    }

    async fn follow(
        &self,
        ask: &Ask<'_>,
        mut authorization: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, Trouble> {
        let mut uri = join(&self.base, &ask.path)?;
        for _ in 0..=REDIRECTS {
            let response = self.send(ask, &uri, authorization.as_ref()).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let target = response.headers().get(LOCATION).and_then(|text| text.to_str().ok());
            let next = join(&uri, target.unwrap_or_default())?;
            if next.scheme() != uri.scheme() && next.scheme_str() != Some("https") {
                return Err(Trouble::Away("it redirects from TLS to plain HTTP".to_owned()));
            }
            // Credentials are for the registry, not for where its blobs lie.
            if next.authority() != uri.authority() {
                authorization = None;
            }
            uri = next;
        }
        Err(Trouble::Away("it redirects in a loop".to_owned()))
    }

    async fn send(
        &self,
        ask: &Ask<'_>,
        uri: &Uri,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response<Incoming>, Trouble> {
        let mut request = Request::builder().method(ask.method.clone());
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        self.exchange(request, uri).await
    }

    async fn exchange(
        &self,
        request: hyper::http::request::Builder,
        uri: &Uri,
    ) -> Result<Response<Incoming>, Trouble> {
        let away = |error: &dyn std::error::Error| Trouble::Away(chain(error));
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let request = request
            .uri(target)
            .header(HOST, host)
            .header(USER_AGENT, concat!("coffer-registry/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(|error| away(&error))?;
        let late = |what: &str| Trouble::Away(format!("it did not {what} in time"));
        let connecting = tokio::time::timeout(CONNECT, self.connect(uri));
        let mut sender = connecting.await.map_err(|_| late("connect"))??;
        let answer = tokio::time::timeout(ANSWER, sender.send_request(request));
        answer.await.map_err(|_| late("answer"))?.map_err(|error| away(&error))
    }

    async fn connect(
        &self,
        uri: &Uri,
    ) -> Result<hyper::client::conn::http1::SendRequest<Empty<Bytes>>, Trouble> {
        let away = |error: &dyn std::error::Error| Trouble::Away(chain(error));
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await.map_err(|error| away(&error))?;
        stream.set_nodelay(true).map_err(|error| away(&error))?;
        if !secure {
            return start(stream).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| away(&error))?;
        start(self.tls.connect(name, stream).await.map_err(|error| away(&error))?).await
    }

    fn token(&self, name: &str) -> Option<HeaderValue> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, until) = tokens.get(name)?;
        (*until > Instant::now()).then(|| value.clone())
    }

    /// Answers a challenge.
    async fn authorize(&self, name: &str, headers: &HeaderMap) -> Result<HeaderValue, Trouble> {
        let denied = || Trouble::Denied(StatusCode::UNAUTHORIZED);
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
        let challenges = challenges.filter_map(|text| parse_challenge(text.to_str().ok()?));
        let challenges: Vec<_> = challenges.collect();
        let (text, lifetime) =
            if let Some(bearer) = challenges.iter().find(|one| one.scheme == "bearer") {
                let scope = format!("repository:{name}:pull");
                let realm = bearer.parameters.get("realm").ok_or_else(denied)?;
                let service = bearer.parameters.get("service").map_or("", String::as_str);
                let (token, lifetime) = self.fetch_token(realm, service, &scope).await?;
                (format!("Bearer {token}"), lifetime)
            } else if challenges.iter().any(|one| one.scheme == "basic") {
                (self.credentials.clone().ok_or_else(denied)?, TOKEN_LIFETIME)
            } else {
                return Err(denied());
            };
        let mut value = HeaderValue::from_str(&text).map_err(|_| denied())?;
        value.set_sensitive(true);
        // A little less than it counts, for the way there.
        let until = Instant::now() + Duration::from_secs(lifetime.min(3600) * 9 / 10);
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= TOKENS_MAX {
            tokens.clear();
        }
        tokens.insert(name.to_owned(), (value.clone(), until));
        Ok(value)
    }

    async fn fetch_token(
        &self,
        realm: &str,
        service: &str,
        scope: &str,
    ) -> Result<(String, u64), Trouble> {
        let mark = if realm.contains('?') { '&' } else { '?' };
        let text = format!("{realm}{mark}service={}&scope={}", encode(service), encode(scope));
        let uri: Uri = text.parse().map_err(|_| Trouble::Away("its realm is no URL".to_owned()))?;
        let mut request = Request::get("/").header(ACCEPT, "application/json");
        if let Some(credentials) = &self.credentials {
            request = request.header(AUTHORIZATION, credentials);
        }
        let response = judge(self.exchange(request, &uri).await?)?;
        let body = http_body_util::Limited::new(response.into_body(), TOKEN_MAX).collect();
        let body = tokio::time::timeout(ANSWER, body).await;
        let wrong = || Trouble::Away("its token server gives no token".to_owned());
        let bytes = body.map_err(|_| wrong())?.map_err(|_| wrong())?.to_bytes();
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
        let token = ["token", "access_token"].iter().find_map(|key| value.get(key)?.as_str());
        let lifetime = value.get("expires_in").and_then(serde_json::Value::as_u64);
        Ok((token.ok_or_else(wrong)?.to_owned(), lifetime.unwrap_or(TOKEN_LIFETIME)))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the credentials.
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

async fn start<S>(
    stream: S,
) -> Result<hyper::client::conn::http1::SendRequest<Empty<Bytes>>, Trouble>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| Trouble::Away(chain(&error)))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to the upstream ended");
        }
    });
    Ok(sender)
}

/// The answers that are none.
fn judge(response: Response<Incoming>) -> Result<Response<Incoming>, Trouble> {
    match response.status() {
        status if status.is_success() => Ok(response),
        StatusCode::NOT_FOUND => Err(Trouble::Missing),
        StatusCode::TOO_MANY_REQUESTS => {
            let after = response.headers().get(hyper::header::RETRY_AFTER);
            Err(Trouble::TooMany(after.and_then(|text| Some(text.to_str().ok()?.to_owned()))))
        }
        status if status.is_client_error() => Err(Trouble::Denied(status)),
        status => Err(Trouble::Away(format!("it answers {status}"))),
    }
}

/// The URL that `target` means at `base`: absolute, or a path.
fn join(base: &Uri, target: &str) -> Result<Uri, Trouble> {
    let wrong = || Trouble::Away("it redirects to what is no URL".to_owned());
    let target: Uri = target.parse().map_err(|_| wrong())?;
    let mut parts = target.clone().into_parts();
    if parts.authority.is_none() {
        if !target.path().starts_with('/') {
            return Err(wrong());
        }
        parts.scheme = base.scheme().cloned();
        parts.authority = base.authority().cloned();
    }
    match parts.scheme.as_ref().map(hyper::http::uri::Scheme::as_str) {
        Some("http" | "https") => Uri::from_parts(parts).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn roots(given: Option<&[u8]>, needed: bool) -> Result<RootCertStore, UpstreamSetupError> {
    let wrong = |cause: String| UpstreamSetupError::Authorities { cause };
    let mut roots = RootCertStore::empty();
    let system = || SYSTEM_ROOTS.iter().find_map(|path| std::fs::read(path).ok());
    let pem = match given {
        Some(pem) => Some(pem.to_vec()),
        None => system(),
    };
    for certificate in CertificateDer::pem_slice_iter(&pem.unwrap_or_default()) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        match roots.add(certificate) {
            // Among a system's many there may be some that are not understood.
            Err(error) if given.is_some() => return Err(wrong(error.to_string())),
            _ => {}
        }
    }
    match roots.is_empty() && needed {
        true => Err(wrong("there are none; give a file of them".to_owned())),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved_against_where_they_came_from() {
        let base: Uri = "https://a:5000/v2/".parse().unwrap();
        assert_eq!(join(&base, "/x?y=1").unwrap(), "https://a:5000/x?y=1");
        assert_eq!(join(&base, "http://b/c").unwrap(), "http://b/c");
        for bad in ["", "x", "ftp://b/c", "https://"] {
            assert!(join(&base, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_upstream_is_a_host_and_nothing_more() {
        for bad in ["", "example.com", "ftp://x", "https://x/path", "https://"] {
            assert!(Client::new(bad, None, Some(b"")).is_err(), "{bad}");
        }
        assert!(Client::new("http://x:5000/", None, Some(b"")).is_ok());
        assert!(matches!(
            Client::new("https://x", None, Some(b"")),
            Err(UpstreamSetupError::Authorities { .. })
        ));
    }
}

//! Tokens: what a token server gives for credentials (the distribution project's token and OAuth2 specifications).

use crate::address::escape;
use crate::error::{Error, shown};
use crate::http::{Ask, Http};
use crate::{Address, Credentials};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use serde::Deserialize;

/// Bytes of a token server's answer.
const ANSWER_MAX: u64 = 1 << 20;
/// Who asks, for the token server's records.
const CLIENT: &str = "coffer";

/// What a token is asked for.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) realm: &'a str,
    pub(crate) service: &'a str,
    pub(crate) scopes: &'a [String],
    /// Ask for a refresh token too.
    pub(crate) offline: bool,
}

/// What the token server gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) bearer: String,
    /// A refresh token; empty when there is none.
    pub(crate) refresh: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
}

/// Gets a token. `registry` is who sent us to the token server.
pub(crate) async fn fetch(
    http: &Http,
    registry: &Address,
    wanted: &Wanted<'_>,
    credentials: &Credentials,
) -> Result<Token, Error> {
    let realm = Address::parse(wanted.realm).ok_or_else(|| Error::Token {
        url: shown(wanted.realm, 100),
        why: "the address is neither http nor https".into(),
        refused: false,
    })?;
    let insecure = http.config().is_insecure(&realm.host, realm.port, &[]);
    if !credentials.is_anonymous() && registry.tls && !realm.tls && !insecure {
        return Err(Error::Token {
            url: realm.shown(),
            why: "credentials are not sent without TLS".into(),
            refused: false,
        });
    }
    let (ask, address, authorization) = if credentials.identitytoken.is_empty() {
        by_get(wanted, &realm, credentials)
    } else {
        (by_refresh_token(wanted, credentials), realm.clone(), None)
    };
    let (_, answer) = http.follow(&ask, &address, authorization.as_ref()).await?;
    let status = answer.status();
    if !status.is_success() {
        let refusal = http.refusal(answer).await;
        if refusal.is_temporary() {
            return Err(refusal.into());
        }
        let refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            || status == StatusCode::BAD_REQUEST && !credentials.identitytoken.is_empty();
        return Err(Error::Token { url: realm.shown(), why: refusal.to_string(), refused });
    }
    read(http, answer, &realm).await
}

fn by_get(
    wanted: &Wanted<'_>,
    realm: &Address,
    credentials: &Credentials,
) -> (Ask, Address, Option<HeaderValue>) {
    let mut address = realm.clone();
    let mut add = |name: &str, value: &str| {
        address = address.with_query(&format!("{name}={}", escape(value)));
    };
    let by_password = credentials.has_password();
    if by_password {
        add("account", &credentials.username);
    }
    if wanted.offline {
        add("client_id", CLIENT);
        add("offline_token", "true");
    }
    for scope in wanted.scopes {
        add("scope", scope);
    }
    if !wanted.service.is_empty() {
        add("service", wanted.service);
    }
    let basic = by_password.then(|| HeaderValue::from_str(&credentials.basic()).ok()).flatten();
    (Ask::new(Method::GET), address, basic)
}

fn by_refresh_token(wanted: &Wanted<'_>, credentials: &Credentials) -> Ask {
    let scopes = wanted.scopes.join(" ");
    let fields = [
        ("client_id", CLIENT),
        ("grant_type", "refresh_token"),
        ("refresh_token", &credentials.identitytoken),
        ("scope", &scopes),
        ("service", wanted.service),
    ];
    let form: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    Ask::new(Method::POST)
        .with(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .with_body(form.join("&"))
}

async fn read(
    http: &Http,
    answer: hyper::Response<hyper::body::Incoming>,
    realm: &Address,
) -> Result<Token, Error> {
    let failed = |why: &str| Error::Token { url: realm.shown(), why: why.into(), refused: false };
    let method = Method::GET;
    let bytes = http
        .collect(answer, ANSWER_MAX)
        .await
        .map_err(|source| Error::Transport { method, url: realm.shown(), source })?
        .ok_or_else(|| failed("the answer is too long"))?;
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|_| failed("the answer is not valid"))?;
    let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token);
    let bearer = token.filter(|token| !token.is_empty());
    let bearer = bearer.ok_or_else(|| failed("authorization server did not include a token"))?;
    Ok(Token { bearer, refresh: answer.refresh_token.unwrap_or_default() })
}

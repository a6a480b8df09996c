//! Bearer tokens (Docker's token specification): JSON Web Tokens that list what their bearer may do.

use super::keys::{Key, Signature};
use super::{Action, User, Wish, credentials};
use crate::failure::Failure;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::StatusCode;
use hyper::header::{HeaderMap, WWW_AUTHENTICATE};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest token that is read.
const TOKEN_MAX: usize = 32 << 10;
/// Clocks may differ by this many seconds.
const LEEWAY: u64 = 60;

/// What a token may do with something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) actions: Vec<String>,
}

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    #[serde(default)]
    pub(crate) sub: String,
    pub(crate) aud: Audience,
    pub(crate) exp: u64,
    #[serde(default)]
    pub(crate) nbf: u64,
    #[serde(default)]
    pub(crate) iat: u64,
    #[serde(default, deserialize_with = "null_is_none")]
    pub(crate) access: Vec<Grant>,
}

/// For whom a token is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Header {
    alg: Signature,
    kid: Option<String>,
    x5c: Option<Vec<String>>,
}

fn null_is_none<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Grant>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Whose tokens are accepted, and where clients get one.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// Where clients get one; `None` for `/token` of this registry, under the name that the client calls it.
    pub(crate) realm: Option<String>,
    pub(crate) service: String,
    pub(crate) issuer: String,
    pub(crate) keys: Vec<Key>,
}

impl Tokens {
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        wish: Wish<'_>,
        secure: bool,
    ) -> Result<User, Failure> {
        let realm = self.realm(headers, secure);
        let Some(token) = credentials(headers, "bearer") else {
            return Err(self.challenge(&realm, wish, None, "authentication required"));
        };
        let Some(claims) = self.verify(token.trim(), now()) else {
            return Err(self.challenge(
                &realm,
                wish,
                Some("invalid_token"),
                "the token is not accepted",
            ));
        };
        let may = |kind: &str, name: &str, action: &str| {
            claims.access.iter().any(|grant| {
                grant.kind == kind
                    && grant.name == name
                    && grant.actions.iter().any(|one| one == action || one == "*")
            })
        };
        let allowed = match wish {
            Wish::Known => true,
            Wish::Catalog => may("registry", "catalog", "*"),
            Wish::Repository(name, actions) => {
                actions.iter().all(|action| may("repository", name.as_str(), action.as_str()))
            }
        };
        match allowed {
            true => Ok(Some(claims.sub).filter(|user| !user.is_empty())),
            false => {
                let sentence = "the token does not allow this";
                Err(self.challenge(&realm, wish, Some("insufficient_scope"), sentence))
            }
        }
    }

    /// What the token says, if it is one of ours and valid at `now` seconds since 1970.
    pub(crate) fn verify(&self, token: &str, now: u64) -> Option<Claims> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        let signature = decode(signature)?;
        let good = self
            .candidates(&header)
            .any(|key| key.verify(header.alg, message.as_bytes(), &signature));
        if !good {
            return None;
        }
        let claims: Claims = serde_json::from_slice(&decode(claims)?).ok()?;
        let for_us = match &claims.aud {
            Audience::One(one) => *one == self.service,
            Audience::Many(many) => many.contains(&self.service),
        };
        let in_time =
            now < claims.exp.saturating_add(LEEWAY) && claims.nbf <= now.saturating_add(LEEWAY);
        (claims.iss == self.issuer && for_us && in_time).then_some(claims)
    }

    /// The keys that may have signed a token with this header: the one that it names, or all. Never a key that the
    /// token brings along, unless it is one of ours.
    fn candidates<'a>(&'a self, header: &Header) -> impl Iterator<Item = &'a Key> {
        let leaf = header.x5c.as_ref().map(|chain| {
            chain.first().and_then(|leaf| STANDARD.decode(leaf).ok()).unwrap_or_default()
        });
        let id = header.kid.clone();
        self.keys.iter().filter(move |key| match (&leaf, &id) {
            (Some(leaf), _) => key.is_certificate(leaf),
            (None, Some(id)) => key.has_id(id),
            (None, None) => true,
        })
    }

    fn realm(&self, headers: &HeaderMap, secure: bool) -> String {
        if let Some(realm) = &self.realm {
            return realm.clone();
        }
        let host = headers.get(hyper::header::HOST).and_then(|host| host.to_str().ok());
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".:-_[]".contains(&b);
        let host = host.filter(|host| host.bytes().all(plain)).unwrap_or_default();
        format!("{}://{host}/token", if secure { "https" } else { "http" })
    }

    fn challenge(
        &self,
        realm: &str,
        wish: Wish<'_>,
        error: Option<&str>,
        message: &str,
    ) -> Failure {
        let mut text = format!("Bearer realm=\"{realm}\",service=\"{}\"", self.service);
        match wish {
            Wish::Known => {}
            Wish::Catalog => text.push_str(",scope=\"registry:catalog:*\""),
            Wish::Repository(name, actions) => {
                let actions: Vec<_> =
                    actions.iter().map(|action| Action::as_str(*action)).collect();
                text.push_str(&format!(",scope=\"repository:{name}:{}\"", actions.join(",")));
            }
        }
        if let Some(error) = error {
            text.push_str(&format!(",error=\"{error}\""));
        }
        Failure::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
            .with(WWW_AUTHENTICATE, &text)
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

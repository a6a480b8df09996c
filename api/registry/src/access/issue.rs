//! Tokens of our own, for users of a password file: `/token`.

use super::keys::{Key, KeyError};
use super::rules::Rules;
use super::token::{Audience, Claims, Grant, now};
use super::{Action, htpasswd};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use repositories::{Name, Store, Tag};

/// How long a token counts, in seconds.
pub(crate) const LIFETIME: u64 = 300;
/// The most scopes that one token may be asked for.
const SCOPES_MAX: usize = 64;
/// The id of the key, and the name of its file in the store.
const KEY: &str = "token-key";

/// Gives out tokens.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) users: htpasswd::Users,
    pub(crate) rules: Rules,
    pub(crate) issuer: String,
    pub(crate) service: String,
    key: EcdsaKeyPair,
}

impl Issuer {
    /// The key lies in the store, so that all processes on it accept each other's tokens.
    pub(crate) fn new(
        store: &Store,
        users: htpasswd::Users,
        rules: Rules,
        issuer: String,
        service: String,
    ) -> Result<Self, KeyError> {
        let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let fresh =
            EcdsaKeyPair::generate_pkcs8(kind, &SystemRandom::new()).map_err(|_| KeyError::Own)?;
        let name = Tag::parse(KEY).map_err(|_| KeyError::Own)?;
        let stored = store.shared_secret(&name, fresh.as_ref()).map_err(|_| KeyError::Own)?;
        let key = EcdsaKeyPair::from_pkcs8(kind, &stored).map_err(|_| KeyError::Own)?;
        Ok(Self { users, rules, issuer, service, key })
    }

    /// The key that checks what this gives out.
    pub(crate) fn public(&self) -> Key {
        Key::point(KEY, self.key.public_key().as_ref())
    }

    /// A token for what `user` may do of `scopes` (`repository:<name>:<actions>`, `registry:catalog:*`). What the user
    /// may not do is left out, not refused: the registry refuses it then.
    pub(crate) fn issue<'a>(
        &self,
        user: Option<&str>,
        scopes: impl Iterator<Item = &'a str>,
    ) -> Option<String> {
        let access = scopes
            .flat_map(|text| text.split(' '))
            .filter(|text| !text.is_empty())
            .take(SCOPES_MAX)
            .filter_map(|scope| self.grant(user, scope))
            .collect();
        let now = now();
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: user.unwrap_or_default().to_owned(),
            aud: Audience::One(self.service.clone()),
            exp: now + LIFETIME,
            nbf: now.saturating_sub(5),
            iat: now,
            access,
        };
        let header = format!("{{\"typ\":\"JWT\",\"alg\":\"ES256\",\"kid\":\"{KEY}\"}}");
        let claims = serde_json::to_vec(&claims).ok()?;
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let message = format!("{}.{}", encode(header.as_bytes()), encode(&claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).ok()?;
        Some(format!("{message}.{}", encode(signature.as_ref())))
    }

    fn grant(&self, user: Option<&str>, scope: &str) -> Option<Grant> {
        let (kind, rest) = scope.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let actions: Vec<String> = match kind {
            // Some clients ask for `repository(plugin)`.
            _ if kind.split('(').next() == Some("repository") => {
                let name = Name::parse(name).ok()?;
                let asked = actions.split(',').flat_map(|text| match text {
                    "*" => Action::ALL.to_vec(),
                    text => Action::parse(text).into_iter().collect(),
                });
                let allowed = asked.filter(|action| self.rules.allow(user, &name, *action));
                allowed.map(|action| action.as_str().to_owned()).collect()
            }
            "registry" if name == "catalog" && self.rules.lists(user) => vec!["*".to_owned()],
            _ => Vec::new(),
        };
        let kind = kind.split('(').next().unwrap_or_default().to_owned();
        (!actions.is_empty()).then(|| Grant { kind, name: name.to_owned(), actions })
    }
}

//! What a user proves who they are with.

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurposeConfig;
use base64::engine::{DecodePaddingMode, GeneralPurpose};
use serde::Deserialize;
use std::fmt;

/// Bytes of a header of credentials.
const HEADER_MAX: usize = 64 << 10;

/// One user's credentials for one registry.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: String,
    /// `base64(name:password)`, as old clients send it in place of the two.
    pub auth: String,
    /// The registry that they are for, as the client calls it.
    #[serde(alias = "serverAddress")]
    pub serveraddress: String,
    /// A refresh token, in place of the password.
    pub identitytoken: String,
    /// A token that goes to the registry as it is.
    pub registrytoken: String,
}

impl fmt::Debug for Credentials {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("serveraddress", &self.serveraddress)
            .finish_non_exhaustive()
    }
}

const URL_ALPHABET: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const STANDARD_ALPHABET: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a base64 text in either alphabet, padded or not.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    if text.len() > HEADER_MAX {
        return None;
    }
    URL_ALPHABET.decode(text).or_else(|_| STANDARD_ALPHABET.decode(text)).ok()
}

impl Credentials {
    /// Reads the header `X-Registry-Auth`. What cannot be read means nobody in particular, as it does at the reference
    /// engine.
    pub fn from_header(text: &str) -> Self {
        let decoded = decode(text).and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        decoded.unwrap_or_default().complete()
    }

    /// With name and password taken out of `auth` when they stand there.
    #[must_use]
    pub fn complete(mut self) -> Self {
        if self.username.is_empty()
            && !self.auth.is_empty()
            && let Some(bytes) = decode(&self.auth)
            && let Ok(text) = String::from_utf8(bytes)
            && let Some((name, password)) = text.split_once(':')
        {
            self.username = name.to_owned();
            self.password = password.trim_end_matches('\0').to_owned();
        }
        self.auth.clear();
        self
    }

    /// Whether there is nothing to show.
    pub fn is_anonymous(&self) -> bool {
        !self.has_password() && self.identitytoken.is_empty() && self.registrytoken.is_empty()
    }

    pub(crate) fn has_password(&self) -> bool {
        !self.username.is_empty() && !self.password.is_empty()
    }

    /// The value of an `Authorization` header with name and password.
    pub(crate) fn basic(&self) -> String {
        let pair = format!("{}:{}", self.username, self.password);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_all_clients_are_read() {
        let user = |text: &str| Credentials::from_header(text).username;
        let json = r#"{"username":"jo","password":"p?>","serveraddress":"r"}"#;
        let url = base64::engine::general_purpose::URL_SAFE.encode(json);
        assert_eq!(Credentials::from_header(&url).password, "p?>");
        assert_eq!(user(url.trim_end_matches('=')), "jo");
        assert_eq!(user(&base64::engine::general_purpose::STANDARD.encode(json)), "jo");
        for nothing in ["e30=", "", "%%%", "bm9uc2Vuc2U="] {
            assert!(Credentials::from_header(nothing).is_anonymous(), "{nothing}");
        }
        let old = Credentials { auth: "am86cHc=".into(), ..Credentials::default() }.complete();
        assert_eq!((&*old.username, &*old.password), ("jo", "pw"));
        assert_eq!(old.basic(), "Basic am86cHc=");
        assert!(!format!("{old:?}").contains("pw"));
    }
}

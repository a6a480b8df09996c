//! The keys whose tokens count: of certificates, of a JSON Web Key Set, and our own.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// How a token is signed. Others, `none` among them, are not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Signature {
    /// RSA with PKCS #1 and SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A certificate is none.
    #[error("read certificate {number} of the keys of tokens: {cause}")]
    Certificate {
        /// Which, from 1.
        number: usize,
        /// Why.
        cause: String,
    },
    /// The key set is none.
    #[error("read key set of tokens")]
    Set(#[source] serde_json::Error),
    /// A key is of a kind that is not supported.
    #[error("read key {number} of the key set of tokens: must be RSA or EC P-256")]
    Kind {
        /// Which, from 1.
        number: usize,
    },
    /// A key of our own could not be made or read.
    #[error("make the key that signs tokens")]
    Own,
    /// There is none.
    #[error("no key to check tokens with")]
    None,
}

#[derive(Debug, Clone)]
enum Public {
    /// RSA or EC, as in a certificate; or an EC point.
    Encoded(Vec<u8>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// The names by which a token may ask for it.
    ids: Vec<String>,
    /// The certificate that it is of.
    certificate: Option<Vec<u8>>,
    public: Public,
}

impl Key {
    pub(crate) fn point(id: &str, point: &[u8]) -> Self {
        Self { ids: vec![id.to_owned()], certificate: None, public: Public::Encoded(point.into()) }
    }

    pub(crate) fn has_id(&self, id: &str) -> bool {
        self.ids.iter().any(|one| one == id)
    }

    pub(crate) fn is_certificate(&self, der: &[u8]) -> bool {
        self.certificate.as_deref() == Some(der)
    }

    pub(crate) fn verify(&self, kind: Signature, message: &[u8], signature: &[u8]) -> bool {
        match (&self.public, kind) {
            (Public::Encoded(key), Signature::Rs256) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
                    .verify(message, signature)
                    .is_ok()
            }
            (Public::Encoded(key), Signature::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
                    .verify(message, signature)
                    .is_ok()
            }
            (Public::Rsa { n, e }, Signature::Rs256) => PublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            (Public::Rsa { .. }, Signature::Es256) => false,
        }
    }
}

/// The keys of all certificates in a PEM text.
pub(crate) fn from_certificates(pem: &[u8]) -> Result<Vec<Key>, KeyError> {
    let mut keys = Vec::new();
    for (at, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let wrong = |cause: String| KeyError::Certificate { number: at + 1, cause };
        let der = certificate.map_err(|error| wrong(error.to_string()))?;
        let parsed =
            webpki::EndEntityCert::try_from(&der).map_err(|error| wrong(error.to_string()))?;
        let public = parsed.subject_public_key_info();
        keys.push(Key {
            ids: vec![libtrust_id(&public)],
            certificate: Some(der.to_vec()),
            public: Public::Encoded(public.to_vec()),
        });
    }
    Ok(keys)
}

/// The id of a key in tokens of Docker's making: SHA-256 of the public key, its first 240 bits in base 32, in groups.
fn libtrust_id(public: &[u8]) -> String {
    let hash = Sha256::digest(public);
    let mut id = String::with_capacity(59);
    let (mut bits, mut count) = (0_u32, 0);
    let mut digits = 0;
    for byte in &hash[..30] {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            if digits > 0 && digits % 4 == 0 {
                id.push(':');
            }
            let digit = (bits >> count & 31) as u8;
            id.push(char::from(if digit < 26 { b'A' + digit } else { b'2' + digit - 26 }));
            digits += 1;
        }
    }
    id
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<RawKey>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a JSON Web Key Set (RFC 7517).
pub(crate) fn from_set(json: &[u8]) -> Result<Vec<Key>, KeyError> {
    let set: RawSet = serde_json::from_slice(json).map_err(KeyError::Set)?;
    let mut keys = Vec::new();
    for (at, raw) in set.keys.iter().enumerate() {
        let public = raw.public().ok_or(KeyError::Kind { number: at + 1 })?;
        keys.push(Key { ids: raw.kid.iter().cloned().collect(), certificate: None, public });
    }
    Ok(keys)
}

impl RawKey {
    fn public(&self) -> Option<Public> {
        let decode = |text: &Option<String>| {
            URL_SAFE_NO_PAD.decode(text.as_deref()?.trim_end_matches('=')).ok()
        };
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Some(Public::Rsa { n: decode(&self.n)?, e: decode(&self.e)? }),
            ("EC", Some("P-256")) => {
                let (x, y) = (decode(&self.x)?, decode(&self.y)?);
                let whole = x.len() == 32 && y.len() == 32;
                // SEC 1: 4, then both coordinates.
                whole.then(|| Public::Encoded([&[4], x.as_slice(), y.as_slice()].concat()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_twelve_groups_of_four() {
        let id = libtrust_id(b"key");
        let groups: Vec<_> = id.split(':').collect();
        assert_eq!(groups.len(), 12);
        assert!(groups.iter().all(|group| group.len() == 4));
        // SHA-256 of "key" begins with 2c 70 e1 2b: 00101 10001 11000 01110 ...
        assert!(id.starts_with("FRYO"));
    }

    #[test]
    fn a_key_set_has_keys_of_two_kinds_and_no_others() {
        let good = br#"{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}"#;
        assert!(from_set(good).unwrap()[0].has_id("a"));
        for bad in [r#"{"kty":"oct","k":"AA"}"#, r#"{"kty":"EC","crv":"P-384","x":"","y":""}"#] {
            let set = format!("{{\"keys\":[{bad}]}}");
            assert!(matches!(from_set(set.as_bytes()), Err(KeyError::Kind { number: 1 })));
        }
        assert!(from_set(b"[]").is_err());
    }
}

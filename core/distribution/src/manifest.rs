//! Manifests and tags.

use crate::error::{Code, Error};
use crate::http::{Ask, header};
use crate::repository::{Repository, Target, is_absent};
use hyper::Method;
use hyper::StatusCode;
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LINK};
use serde::Deserialize;
use sha2::Digest as _;
use spec::image::{DOCUMENT_MAX, DocumentError, media};
use spec::{Digest, Reference};

/// The digest of a manifest, in answers.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Manifests that are read, the ones of several platforms first; schema 1 is named so that registries which have
/// nothing else say so by sending it, and a clear sentence can be said about it.
const ACCEPTED: [&str; 6] = [
    media::INDEX,
    media::DOCKER_LIST,
    media::MANIFEST,
    media::DOCKER_MANIFEST,
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "*/*",
];
/// Tags of one repository that are read, and bytes of one page of them.
const TAGS_MAX: usize = 10_000;
const PAGE_MAX: u64 = 4 << 20;

/// A manifest or index as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its media type: what it says itself, else what the registry says.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Repository {
    /// Fetches the manifest or index of a tag or a digest, and checks the digest.
    pub async fn manifest(&self, wanted: &str) -> Result<Fetched, Error> {
        let ask = Ask::new(Method::GET).with(ACCEPT, &ACCEPTED.join(", "));
        let target = Target::Path(format!("manifests/{wanted}"));
        let mut tries = 0;
        loop {
            match self.manifest_once(wanted, &ask, &target).await {
                Err(error) if error.is_temporary() => match self.config().wait(tries, &error) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(error),
                },
                done => return done,
            }
            tries += 1;
        }
    }

    async fn manifest_once(
        &self,
        wanted: &str,
        ask: &Ask,
        target: &Target,
    ) -> Result<Fetched, Error> {
        let (endpoint, answer) = self.ask_any(ask, target).await?;
        let length = header(answer.headers(), CONTENT_LENGTH).parse().unwrap_or_default();
        let kind = header(answer.headers(), CONTENT_TYPE).to_owned();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let told = header(answer.headers(), CONTENT_DIGEST).to_owned();
        let too_large = |bytes| DocumentError::TooLarge { kind: "manifest", bytes };
        if length > DOCUMENT_MAX {
            return Err(too_large(length).into());
        }
        let bytes = self.inner.http.collect(answer, DOCUMENT_MAX as u64).await;
        let bytes = bytes.map_err(|source| Error::Transport {
            method: Method::GET,
            url: self.address(endpoint, target).shown(),
            source,
        })?;
        let bytes = bytes.ok_or_else(|| too_large(DOCUMENT_MAX + 1))?;
        let digest = Digest::from_sha256(&sha2::Sha256::digest(&bytes).into());
        let expected = Digest::parse(wanted).or_else(|_| Digest::parse(&told));
        if let Ok(expected) = expected
            && expected != digest
        {
            return Err(Error::Digest { what: "manifest", expected, found: digest });
        }
        let media_type = media_type(kind, &bytes)?;
        Ok(Fetched { media_type, digest, bytes })
    }

    /// Whether the registry has a manifest of this digest.
    pub async fn has_manifest(&self, digest: &Digest) -> Result<bool, Error> {
        let ask = Ask::new(Method::HEAD).with(ACCEPT, &ACCEPTED.join(", "));
        let target = Target::Path(format!("manifests/{digest}"));
        match self.ask_patiently(&ask, &target).await {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest or index under a tag, or under its digest.
    pub async fn put_manifest(
        &self,
        under: &str,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        let ask = Ask::new(Method::PUT).with(CONTENT_TYPE, media_type).with_body(bytes);
        let target = Target::Path(format!("manifests/{under}"));
        self.ask_patiently(&ask, &target).await.map(|_| ())
    }

    /// All tags of the repository.
    pub async fn tags(&self) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut target = Target::Path("tags/list".into());
        loop {
            let (endpoint, answer) = self.ask_patiently(&Ask::new(Method::GET), &target).await?;
            let address = self.address(endpoint, &target);
            let next = next_page(header(answer.headers(), LINK)).and_then(|to| address.join(&to));
            let url = address.shown();
            let failed = |why: &str| Error::Answer {
                method: Method::GET,
                url: url.clone(),
                why: why.to_owned(),
            };
            let bytes = self.inner.http.collect(answer, PAGE_MAX).await.map_err(|source| {
                Error::Transport { method: Method::GET, url: url.clone(), source }
            })?;
            let bytes = bytes.ok_or_else(|| failed("the list of tags is too long"))?;
            let page: Page = serde_json::from_slice(&bytes)
                .map_err(|_| failed("the list of tags is not valid"))?;
            let page = page.tags.unwrap_or_default();
            let is_empty = page.is_empty();
            tags.extend(page.into_iter().filter(|tag| is_tag(self.name(), tag)));
            if tags.len() > TAGS_MAX {
                return Err(failed("the repository has more than 10000 tags"));
            }
            match next.filter(|next| !is_empty && next.same_origin(&address)) {
                Some(next) => target = Target::At(next),
                None => return Ok(tags),
            }
        }
    }
}

fn is_tag(name: &Reference, tag: &str) -> bool {
    name.with_tag(tag).is_ok()
}

/// Where the next page is: `<address>; rel="next"` (RFC 8288).
fn next_page(link: &str) -> Option<String> {
    let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
    parameters.contains("next").then(|| target.to_owned())
}

/// What a document is. It may say so itself; a registry that says otherwise is not believed, for the digest covers only
/// what the document says.
fn media_type(told: &str, bytes: &[u8]) -> Result<String, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        #[serde(default)]
        schema_version: u64,
        #[serde(default)]
        media_type: Option<String>,
        #[serde(default)]
        manifests: Option<serde::de::IgnoredAny>,
        #[serde(default)]
        layers: Option<serde::de::IgnoredAny>,
        #[serde(default)]
        config: Option<serde::de::IgnoredAny>,
    }
    let kind: Kind = serde_json::from_slice(bytes)
        .map_err(|source| DocumentError::Json { kind: "manifest", source })?;
    if kind.schema_version == 1 {
        return Err(Error::Unsupported(
            "manifests of schema 1 are not supported: the image must be pushed again by a newer client".into(),
        ));
    }
    let said = kind.media_type.filter(|said| !said.is_empty());
    let is_index = kind.manifests.is_some();
    if is_index && (kind.layers.is_some() || kind.config.is_some()) {
        // One reader would see an image, another an index (CVE-2021-41190).
        return Err(Error::Unsupported("the manifest has both layers and manifests".into()));
    }
    let known = |text: &str| media::is_index(text) || media::is_manifest(text);
    let media_type = match said {
        Some(said) => said,
        None if known(told) => told.to_owned(),
        None if is_index => media::INDEX.to_owned(),
        None => media::MANIFEST.to_owned(),
    };
    if media::is_index(&media_type) != is_index || !known(&media_type) {
        let shown = crate::error::shown(&media_type, 100);
        return Err(Error::Unsupported(format!(
            "a manifest of type {shown:?} is not supported, or is not what it says"
        )));
    }
    Ok(media_type)
}

impl Error {
    /// Whether the registry knows no manifest of the name, as opposed to not letting this user see it.
    pub fn is_manifest_unknown(&self) -> bool {
        self.refusal().is_some_and(|refusal| {
            refusal.code() == Code::ManifestUnknown
                || refusal.errors.is_empty() && refusal.status == StatusCode::NOT_FOUND
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_says_of_itself_counts() {
        let of =
            |told: &str, text: &str| media_type(told, text.as_bytes()).map_err(|e| e.to_string());
        let text =
            format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media::INDEX);
        assert_eq!(of("text/plain", &text).unwrap(), media::INDEX);
        assert_eq!(of("", r#"{"schemaVersion":2,"config":{}}"#).unwrap(), media::MANIFEST);
        let text = r#"{"schemaVersion":2,"config":{},"layers":[]}"#;
        assert_eq!(of(media::DOCKER_MANIFEST, text).unwrap(), media::DOCKER_MANIFEST);
        assert!(of(media::DOCKER_LIST, text).unwrap_err().contains("not what it says"));
        let both = r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#;
        assert!(of(media::INDEX, both).unwrap_err().contains("both layers and manifests"));
        assert!(of("", r#"{"schemaVersion":1,"name":"x"}"#).unwrap_err().contains("schema 1"));
        assert!(of("", r#"{"mediaType":"application/x","config":{}}"#).is_err());
    }

    #[test]
    fn the_next_page_is_found() {
        let link = r#"</v2/a/tags/list?n=2&last=b>; rel="next""#;
        assert_eq!(next_page(link).unwrap(), "/v2/a/tags/list?n=2&last=b");
        assert_eq!(next_page("nonsense"), None);
    }
}

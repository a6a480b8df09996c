//! What a manifest says: the part of it that a registry has to understand. Pure.

use crate::{Digest, Error};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The most bytes of a manifest that [`Document::parse`] looks at; the specification asks for at least 4 MiB.
pub const MANIFEST_MAX: usize = 64 << 20;

/// The media types that are stored, and what each is.
const TYPES: &[(&str, Kind)] = &[
    ("application/vnd.oci.image.manifest.v1+json", Kind::Image),
    ("application/vnd.oci.image.index.v1+json", Kind::Index),
    ("application/vnd.docker.distribution.manifest.v2+json", Kind::Image),
    ("application/vnd.docker.distribution.manifest.list.v2+json", Kind::Index),
    ("application/vnd.oci.artifact.manifest.v1+json", Kind::Artifact),
];
/// The type of an image index, which answers about referrers are.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Index,
    Artifact,
}

/// A blob that a manifest is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub digest: Digest,
    /// Its size in bytes, as the manifest says.
    pub size: u64,
    /// It may lie elsewhere: a layer that must not be distributed.
    pub foreign: bool,
}

/// A manifest that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its media type.
    pub media_type: String,
    /// The blobs that it is made of, in its order.
    pub parts: Vec<Part>,
    /// The manifests that it lists, in its order.
    pub manifests: Vec<Digest>,
    /// The manifest that it says something about.
    pub subject: Option<Digest>,
    /// What kind of thing it is, as the list of referrers shows it.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    blobs: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
    subject: Option<RawDescriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: i64,
    #[serde(default)]
    urls: Option<Vec<String>>,
}

impl Document {
    /// Reads a manifest that was sent as `content_type` (a media type; parameters are ignored).
    ///
    /// # Errors
    /// [`Error::ManifestInvalid`] when it is not what its type says, when it is of a type that is not stored, or when
    /// two readers could take it for two different things (CVE-2021-41190).
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, Error> {
        if bytes.len() > MANIFEST_MAX {
            return Err(invalid(format!("it has more than {MANIFEST_MAX} bytes")));
        }
        let raw: Raw = serde_json::from_slice(bytes)
            .map_err(|error| invalid(format!("read JSON: {error}")))?;
        let media_type = media_type(&raw, content_type)?;
        let Some((_, kind)) = TYPES.iter().find(|(name, _)| *name == media_type) else {
            let name: String = media_type.chars().take(100).collect();
            return Err(invalid(format!("manifests of media type {name:?} are not stored")));
        };
        if *kind != Kind::Artifact && raw.schema_version != Some(2) {
            return Err(invalid("schemaVersion must be 2".to_owned()));
        }
        raw.exclude(*kind)?;
        raw.document(media_type, *kind)
    }
}

/// The type that the client said and the type that the manifest says must be one.
fn media_type(raw: &Raw, content_type: Option<&str>) -> Result<String, Error> {
    let said = content_type
        .map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .filter(|text| !matches!(text.as_str(), "" | "application/json" | "text/plain"))
        .filter(|text| text != "application/octet-stream");
    match (said, &raw.media_type) {
        (Some(said), Some(inner)) if *inner != said && !inner.is_empty() => Err(invalid(format!(
            "it was sent as {said:?} and says that it is {:?}",
            inner.chars().take(100).collect::<String>()
        ))),
        (Some(said), _) => Ok(said),
        (None, Some(inner)) => Ok(inner.clone()),
        (None, None) if raw.manifests.is_some() => Ok(INDEX_TYPE.to_owned()),
        (None, None) => Ok("application/vnd.oci.image.manifest.v1+json".to_owned()),
    }
}

fn invalid(reason: String) -> Error {
    Error::ManifestInvalid(reason)
}

impl Raw {
    /// Refuses the fields of another kind.
    fn exclude(&self, kind: Kind) -> Result<(), Error> {
        let fields = [
            ("config", self.config.is_some(), kind == Kind::Image),
            ("layers", self.layers.is_some(), kind == Kind::Image),
            ("blobs", self.blobs.is_some(), kind == Kind::Artifact),
            ("manifests", self.manifests.is_some(), kind == Kind::Index),
        ];
        match fields.iter().find(|(_, there, allowed)| *there && !allowed) {
            Some((field, ..)) => Err(invalid(format!("a manifest of its type has no {field}"))),
            None if kind == Kind::Image && self.config.is_none() => {
                Err(invalid("it has no config".to_owned()))
            }
            None => Ok(()),
        }
    }

    fn document(self, media_type: String, kind: Kind) -> Result<Document, Error> {
        let config_type = self.config.as_ref().map(|config| config.media_type.clone());
        let artifact_type = match (self.artifact_type.filter(|text| !text.is_empty()), kind) {
            (None, Kind::Image) => config_type,
            (given, _) => given,
        };
        let parts = self.config.into_iter().chain(self.layers.into_iter().flatten());
        let parts = parts.chain(self.blobs.into_iter().flatten());
        Ok(Document {
            media_type,
            parts: parts.map(|part| part.part()).collect::<Result<_, _>>()?,
            manifests: self
                .manifests
                .into_iter()
                .flatten()
                .map(|manifest| manifest.digest())
                .collect::<Result<_, _>>()?,
            subject: self.subject.map(|subject| subject.digest()).transpose()?,
            artifact_type,
            annotations: self.annotations.unwrap_or_default(),
        })
    }
}

impl RawDescriptor {
    fn digest(&self) -> Result<Digest, Error> {
        Digest::parse(&self.digest).map_err(|error| invalid(error.to_string()))
    }

    fn part(self) -> Result<Part, Error> {
        let digest = self.digest()?;
        let size = u64::try_from(self.size)
            .map_err(|_| invalid(format!("the size of {digest} is negative")))?;
        let kept_away =
            self.media_type.contains(".nondistributable.") || self.media_type.contains(".foreign.");
        let foreign = kept_away || self.urls.is_some_and(|urls| !urls.is_empty());
        Ok(Part { digest, size, foreign })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

    fn digest(text: &str) -> Digest {
        Digest::of(Algorithm::Sha256, text.as_bytes())
    }

    fn image(extra: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"c/t","digest":"{}","size":2}},"layers":[{{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"{}","size":3,"urls":["https://x"]}}]{extra}}}"#,
            digest("config"),
            digest("layer")
        )
    }

    #[test]
    fn an_image_names_its_parts_and_its_subject() {
        let text = image(&format!(
            r#","subject":{{"mediaType":"x","digest":"{}","size":1}},"annotations":{{"a":"b"}}"#,
            digest("subject")
        ));
        let document = Document::parse(text.as_bytes(), Some(&format!("{IMAGE}; x=y"))).unwrap();
        assert_eq!(document.media_type, IMAGE);
        assert_eq!(
            document.parts,
            [
                Part { digest: digest("config"), size: 2, foreign: false },
                Part { digest: digest("layer"), size: 3, foreign: true },
            ]
        );
        assert_eq!(document.subject, Some(digest("subject")));
        assert_eq!(document.artifact_type.as_deref(), Some("c/t"));
        assert_eq!(document.annotations["a"], "b");
    }

    #[test]
    fn what_two_readers_could_take_for_two_things_is_refused() {
        let table = [
            (image(r#","manifests":[]"#), Some(IMAGE), "has no manifests"),
            (
                image(r#","mediaType":"application/vnd.oci.image.index.v1+json""#),
                Some(IMAGE),
                "says that it is",
            ),
            (image(""), Some(INDEX_TYPE), "has no config"),
            (image(r#","config":{"digest":"x","size":1}"#), Some(IMAGE), "duplicate field"),
            (image(""), Some("text/html"), "are not stored"),
            (
                r#"{"schemaVersion":1,"config":{"digest":"x","size":1}}"#.to_owned(),
                Some(IMAGE),
                "schemaVersion must be 2",
            ),
            (
                r#"{"schemaVersion":2,"config":{"digest":"sha256:../x","size":1}}"#.to_owned(),
                Some(IMAGE),
                "invalid digest",
            ),
            (r#"{"schemaVersion":2}"#.to_owned(), Some(IMAGE), "no config"),
            ("[".repeat(100_000), Some(IMAGE), "read JSON"),
            (
                format!(r#"{{"schemaVersion":2,"annotations":{}}}"#, "{\"a\":".repeat(100_000)),
                Some(IMAGE),
                "read JSON",
            ),
        ];
        for (text, kind, reason) in table {
            let error = Document::parse(text.as_bytes(), kind).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}: {reason}");
        }
    }

    #[test]
    fn the_type_is_taken_from_the_manifest_when_the_client_says_none() {
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert_eq!(Document::parse(index.as_bytes(), None).unwrap().media_type, INDEX_TYPE);
        let list = "application/vnd.docker.distribution.manifest.list.v2+json";
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{list}","manifests":[]}}"#);
        let document = Document::parse(text.as_bytes(), Some("application/json")).unwrap();
        assert_eq!(document.media_type, list);
    }
}

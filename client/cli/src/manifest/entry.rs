//! One image of a list, and the list of them as it is pushed.

use crate::failure::Failure;
use crate::format::json;
use crate::manifest::platform::Platform;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What a list says of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
}

/// One image of a list: where it was found, and its manifest as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The name under which it was found.
    pub(crate) name: String,
    pub(crate) descriptor: Descriptor,
    /// The manifest's bytes, which are JSON.
    pub(crate) manifest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stored {
    r#ref: String,
    descriptor: Descriptor,
    raw: String,
}

impl Entry {
    /// As it is kept in a file and shown by `inspect --verbose`: one line of JSON.
    pub(crate) fn text(&self) -> Result<String, Failure> {
        let key =
            if self.descriptor.media_type == MANIFEST { "OCIManifest" } else { "SchemaV2Manifest" };
        Ok(format!(
            "{{\"Ref\":{},\"Descriptor\":{},\"Raw\":\"{}\",\"{key}\":{}}}",
            serde_json::to_string(&self.name)?,
            serde_json::to_string(&self.descriptor)?,
            STANDARD.encode(&self.manifest),
            self.manifest.trim(),
        ))
    }

    /// Reads a file.
    pub(crate) fn read(text: &str) -> Result<Self, Failure> {
        let stored: Stored = serde_json::from_str(text)?;
        let manifest =
            STANDARD.decode(&stored.raw).ok().and_then(|raw| String::from_utf8(raw).ok());
        let manifest =
            manifest.ok_or_else(|| Failure::Plain("Raw is not a manifest in base64".into()))?;
        Ok(Self { name: stored.r#ref, descriptor: stored.descriptor, manifest })
    }

    /// The digests of the configuration and the layers.
    pub(crate) fn blobs(&self) -> Result<Vec<String>, Failure> {
        #[derive(Deserialize)]
        struct Blob {
            digest: String,
        }
        #[derive(Deserialize)]
        struct Manifest {
            config: Blob,
            #[serde(default)]
            layers: Vec<Blob>,
        }
        let manifest: Manifest = serde_json::from_str(&self.manifest)?;
        let blobs = std::iter::once(manifest.config).chain(manifest.layers);
        Ok(blobs.map(|blob| blob.digest).collect())
    }
}

/// The media type and the bytes of a list: Docker's own unless all images are OCI's.
pub(crate) fn list(entries: &[Entry]) -> Result<(&'static str, String), Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Row<'a> {
        media_type: &'a str,
        size: u64,
        digest: &'a str,
        platform: Option<&'a Platform>,
    }
    let all_oci = entries.first().is_none_or(|entry| entry.descriptor.media_type == MANIFEST);
    let media_type = if all_oci { INDEX } else { DOCKER_LIST };
    let rows: Vec<Row<'_>> = entries
        .iter()
        .map(|Entry { descriptor, .. }| Row {
            media_type: &descriptor.media_type,
            size: descriptor.size,
            digest: &descriptor.digest,
            platform: descriptor.platform.as_ref(),
        })
        .collect();
    let rows = serde_json::to_string(&rows)?;
    let text =
        format!("{{\"schemaVersion\":2,\"mediaType\":\"{media_type}\",\"manifests\":{rows}}}");
    Ok((media_type, json::pretty(&text, "   ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            name: "reg:5000/a:1".into(),
            descriptor: Descriptor {
                media_type: MANIFEST.into(),
                digest: "sha256:aa".into(),
                size: 7,
                platform: Some(Platform {
                    architecture: "amd64".into(),
                    os: "linux".into(),
                    ..Platform::default()
                }),
            },
            manifest: r#"{"config":{"digest":"c"},"layers":[{"digest":"l"}]}"#.into(),
        }
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let entry = entry();
        assert_eq!(Entry::read(&entry.text().unwrap()).unwrap(), entry);
        assert_eq!(entry.blobs().unwrap(), ["c", "l"]);
    }

    #[test]
    fn the_list_is_indented_by_three_and_names_the_platform_last() {
        let (media_type, text) = list(&[entry()]).unwrap();
        assert_eq!(media_type, INDEX);
        assert!(text.starts_with("{\n   \"schemaVersion\": 2,\n   \"mediaType\""), "{text}");
        assert!(text.ends_with("\"os\": \"linux\"\n         }\n      }\n   ]\n}"), "{text}");
    }

    #[test]
    fn a_file_that_is_no_entry_is_refused() {
        assert!(Entry::read("{}").is_err());
        assert!(Entry::read(r#"{"Ref":"a","Descriptor":{},"Raw":"%%"}"#).is_err());
    }
}

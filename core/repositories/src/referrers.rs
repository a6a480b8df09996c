//! Who refers to a manifest (distribution specification, "Listing Referrers").
//!
//! One file per referrer holds its descriptor as it is shown, so that a list costs no look into manifests.

use crate::document::Document;
use crate::store::{Store, parse_referrer_entry, referrers_path};
use crate::{Digest, Error, Name, Page};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A descriptor in a list of referrers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// The media type of the manifest.
    pub media_type: String,
    /// Its digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// What kind of thing it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_type: Option<String>,
    /// Its annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub annotations: BTreeMap<String, String>,
}

/// The most bytes of one entry: a manifest's annotations, and little else.
const ENTRY_MAX: u64 = crate::document::MANIFEST_MAX as u64 * 2;

impl Store {
    pub(crate) fn entry(&self, digest: &Digest, document: &Document, bytes: &[u8]) -> Vec<u8> {
        let referrer = Referrer {
            media_type: document.media_type.clone(),
            digest: digest.to_string(),
            size: bytes.len() as u64,
            artifact_type: document.artifact_type.clone(),
            annotations: document.annotations.clone(),
        };
        serde_json::to_vec(&referrer).expect("texts and numbers are always JSON")
    }

    /// The manifests of a repository whose subject is `digest`, in the order of their digests: those after `last` and
    /// of `artifact_type`, until about `bytes` bytes of JSON are reached.
    pub fn referrers(
        &self,
        name: &Name,
        digest: &Digest,
        artifact_type: Option<&str>,
        last: Option<&Digest>,
        bytes: u64,
    ) -> Result<Page<Referrer>, Error> {
        let directory = referrers_path(name, digest);
        let mut page = Page { items: Vec::new(), more: false };
        let mut total = 0;
        for entry in self.tree().names(&directory)? {
            let Some(digest) = parse_referrer_entry(&entry) else { continue };
            if last.is_some_and(|last| digest <= *last) || !self.has_manifest(name, &digest)? {
                continue;
            }
            let path = format!("{directory}/{entry}");
            let Some(text) = self.tree().read(&path, ENTRY_MAX)? else { continue };
            let referrer: Referrer = serde_json::from_slice(&text)
                .map_err(|_| Error::Damaged(self.tree().path(&path)))?;
            if artifact_type.is_some_and(|kind| referrer.artifact_type.as_deref() != Some(kind)) {
                continue;
            }
            total += text.len() as u64;
            if total > bytes && !page.items.is_empty() {
                page.more = true;
                break;
            }
            page.items.push(referrer);
        }
        Ok(page)
    }
}

//! What clients and upstreams of the registry send: names, digests, manifests, ranges, challenges.
#![no_main]

use libfuzzer_sys::fuzz_target;
use repositories::{Digest, Document, Name, Reference, UploadId};

// Both stand alone; the crate around them brings TLS and HTTP along.
#[path = "../../api/registry/src/upstream/challenge.rs"]
mod challenge;
#[path = "../../api/registry/src/range.rs"]
mod range;

fuzz_target!(|text: &str| {
    if let Ok(name) = Name::parse(text) {
        // It becomes a path.
        assert!(name.as_str().split('/').all(|part| !part.is_empty() && !part.starts_with(['.', '_', '-'])));
    }
    if let Ok(reference) = Reference::parse(text) {
        assert_eq!(reference.as_str(), text);
        assert!(!text.starts_with('.') && !text.contains('/'));
    }
    if let Ok(digest) = Digest::parse(text) {
        assert!(digest.hex().bytes().all(|b| b.is_ascii_hexdigit()));
    }
    if let Ok(id) = UploadId::parse(text) {
        assert!(!id.as_str().contains(['/', '.']));
    }
    for size in [0, 1, 1000, u64::MAX] {
        if let range::Wanted::Part { first, last } = range::parse_range(text, size) {
            assert!(first <= last && last < size);
        }
    }
    if let Some((first, last)) = range::parse_content_range(text) {
        assert!(first <= last);
    }
    if let Some(challenge) = challenge::parse_challenge(text) {
        assert!(!challenge.scheme.is_empty());
    }
    if let Ok(document) = Document::parse(text.as_bytes(), None) {
        let again = Document::parse(text.as_bytes(), Some(&document.media_type));
        assert_eq!(again.ok(), Some(document));
    }
});

//! The documents of an image, and the manifest of an archive that is loaded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spec::image::{Index, Manifest, parse_archive_manifest};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(index) = Index::parse(bytes) {
        let text = serde_json::to_vec(&index).expect("a document that was read can be written");
        Index::parse(&text).expect("a document that was written can be read");
    }
    if let Ok(manifest) = Manifest::parse(bytes) {
        let text = serde_json::to_vec(&manifest).expect("a document that was read can be written");
        Manifest::parse(&text).expect("a document that was written can be read");
    }
    parse_archive_manifest(bytes).ok();
});

//! Names: what was taken is written and taken again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spec::{ContainerId, Digest, Reference, SnapshotKey, VolumeName};

fuzz_target!(|text: &str| {
    if let Ok(reference) = Reference::parse(text) {
        assert_eq!(Reference::parse(&reference.familiar()).as_ref(), Ok(&reference));
        assert_eq!(Reference::parse(&reference.to_string()).as_ref(), Ok(&reference));
        let tagged = reference.with_default_tag();
        assert!(tagged.tag().is_some() || tagged.digest().is_some());
    }
    if let Ok(digest) = Digest::parse(text) {
        assert_eq!(digest.as_str(), text);
    }
    ContainerId::parse(text).ok();
    let key = SnapshotKey::parse(text).map(|key| key.as_str().to_owned());
    let volume = VolumeName::parse(text).map(|name| name.as_str().to_owned());
    // Both become names of directories.
    for name in [key, volume].into_iter().flatten() {
        assert!(!name.starts_with('.') && !name.contains(['/', '\0']));
    }
});

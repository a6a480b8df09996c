//! The store as a registry uses it, and as several processes use it at the same time.

#![expect(clippy::unwrap_used, reason = "tests")]

use repositories::{
    Algorithm, Check, Collection, Digest, Document, Error, Name, Reference, Store, Tag,
};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

fn push_blob(store: &Store, name: &Name, bytes: &[u8]) -> Digest {
    let mut upload = store.begin_upload(name, Algorithm::Sha256).unwrap();
    upload.write(bytes).unwrap();
    let digest = sha256(bytes);
    assert_eq!(upload.commit(&digest).unwrap(), bytes.len() as u64);
    digest
}

/// A manifest of `config` and, if given, of a subject.
fn manifest(config: &[u8], subject: Option<&Digest>) -> String {
    let subject = subject.map_or(String::new(), |digest| {
        format!(r#","subject":{{"mediaType":"{IMAGE}","digest":"{digest}","size":1}}"#)
    });
    format!(
        r#"{{ "schemaVersion":2,"config":{{"mediaType":"c/t","digest":"{}","size":{}}},"layers":[]{subject}}}"#,
        sha256(config),
        config.len()
    )
}

fn put(store: &Store, name: &Name, text: &str, kind: &str, tags: &[&str]) -> Result<Digest, Error> {
    let digest = sha256(text.as_bytes());
    let document = Document::parse(text.as_bytes(), Some(kind))?;
    let tags: Vec<_> = tags.iter().map(|text| tag(text)).collect();
    store.put_manifest(name, &digest, &document, text.as_bytes(), &tags, Check::All)?;
    Ok(digest)
}

fn content(store: &Store, name: &Name, digest: &Digest) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.open_blob(name, digest).unwrap().file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A collection that gives nothing any time.
fn at_once() -> Collection {
    Collection { grace: Duration::ZERO, uploads: Duration::ZERO, untagged: None }
}

/// Makes everything below `path` look two days old.
fn age(path: &Path) {
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            age(&entry.path());
        } else {
            let old = std::time::SystemTime::now() - Duration::from_secs(48 * 3600);
            std::fs::File::open(entry.path()).unwrap().set_modified(old).unwrap();
        }
    }
}

fn files(path: &Path) -> usize {
    let entries = std::fs::read_dir(path).into_iter().flatten().map(Result::unwrap);
    entries.map(|e| if e.file_type().unwrap().is_dir() { files(&e.path()) } else { 1 }).sum()
}

#[test]
fn an_upload_goes_on_in_another_process_and_ends_with_the_digest_of_the_whole() {
    let (directory, one) = store();
    let two = Store::open(directory.path()).unwrap();
    let a = name("a/b");
    let mut upload = one.begin_upload(&a, Algorithm::Sha256).unwrap();
    upload.write(b"first ").unwrap();
    let id = upload.id().clone();
    assert!(matches!(two.open_upload(&a, &id), Err(Error::UploadBusy(_))));
    drop(upload);
    assert!(matches!(two.open_upload(&name("a"), &id), Err(Error::UploadUnknown { .. })));
    let mut upload = two.open_upload(&a, &id).unwrap();
    assert_eq!(upload.offset(), 6);
    upload.write(b"second ").unwrap();
    drop(upload);
    let mut upload = one.open_upload(&a, &id).unwrap();
    upload.write(b"third").unwrap();
    let digest = sha256(b"first second third");
    assert_eq!(upload.commit(&digest).unwrap(), 18);
    assert_eq!(content(&two, &a, &digest), b"first second third");
    assert!(matches!(one.upload_offset(&a, &id), Err(Error::UploadUnknown { .. })));
    assert!(matches!(two.open_blob(&name("a"), &digest), Err(Error::BlobUnknown { .. })));
}

#[test]
fn an_upload_with_another_digest_leaves_nothing() {
    let (directory, store) = store();
    let a = name("a");
    let mut upload = store.begin_upload(&a, Algorithm::Sha256).unwrap();
    upload.write(b"lie").unwrap();
    let error = upload.commit(&sha256(b"truth")).unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { found, .. } if found == sha256(b"lie")));
    assert_eq!(files(&directory.path().join("blobs")), 0);
    assert_eq!(files(&directory.path().join("repositories")), 0);
}

#[test]
fn a_blob_may_have_either_digest() {
    let (_directory, store) = store();
    let a = name("a");
    for algorithm in Algorithm::ALL {
        // The upload may not know which it will be.
        let mut upload = store.begin_upload(&a, Algorithm::Sha256).unwrap();
        upload.write(b"content").unwrap();
        let digest = Digest::of(algorithm, b"content");
        upload.commit(&digest).unwrap();
        assert_eq!(content(&store, &a, &digest), b"content");
    }
}

#[test]
fn many_writers_of_one_blob_make_one_file() {
    let (directory, _store) = store();
    let bytes = vec![7; 1 << 20];
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (root, bytes) = (directory.path(), &bytes);
            scope.spawn(move || {
                let store = Store::open(root).unwrap();
                push_blob(&store, &name(&format!("r{}", number % 4)), bytes);
            });
        }
    });
    assert_eq!(files(&directory.path().join("blobs")), 1);
    let store = Store::open(directory.path()).unwrap();
    for number in 0..4 {
        assert_eq!(content(&store, &name(&format!("r{number}")), &sha256(&bytes)), bytes);
    }
    assert_eq!(files(&directory.path().join("repositories")), 4);
}

#[test]
fn a_blob_is_mounted_from_where_it_is_and_not_from_where_it_is_not() {
    let (_directory, store) = store();
    let (a, b, c) = (name("a"), name("b"), name("c"));
    let digest = push_blob(&store, &a, b"x");
    assert!(!store.mount_blob(Some(&c), &b, &digest).unwrap());
    assert!(store.mount_blob(Some(&a), &b, &digest).unwrap());
    assert!(store.mount_blob(None, &c, &digest).unwrap());
    assert!(!store.mount_blob(None, &c, &sha256(b"y")).unwrap());
    store.delete_blob(&a, &digest).unwrap();
    assert!(matches!(store.delete_blob(&a, &digest), Err(Error::BlobUnknown { .. })));
    assert_eq!(content(&store, &b, &digest), b"x");
}

#[test]
fn a_manifest_comes_back_bit_for_bit_with_its_type() {
    let (_directory, store) = store();
    let a = name("a");
    let text = manifest(b"{}", None);
    assert!(
        matches!(put(&store, &a, &text, IMAGE, &["1"]), Err(Error::ReferencesUnknown(missing)) if missing == [sha256(b"{}")])
    );
    assert!(matches!(store.tags(&a, 10, None), Err(Error::NameUnknown(_))));
    push_blob(&store, &a, b"{}");
    let digest = put(&store, &a, &text, IMAGE, &["1", "latest"]).unwrap();
    for reference in ["1", "latest", digest.as_str()] {
        let found = store.manifest(&a, &Reference::parse(reference).unwrap()).unwrap();
        assert_eq!(found.digest, digest);
        assert_eq!(found.media_type, IMAGE);
        assert_eq!(found.bytes, text.as_bytes());
    }
    let wrong = text.replace("\"size\":2", "\"size\":3");
    assert!(matches!(
        put(&store, &a, &wrong, IMAGE, &[]),
        Err(Error::SizeMismatch { expected: 3, found: 2, .. })
    ));
    store.delete_manifest(&a, &digest).unwrap();
    assert!(store.tags(&a, 10, None).unwrap().items.is_empty());
    assert!(matches!(
        store.manifest(&a, &Reference::Tag(tag("1"))),
        Err(Error::ManifestUnknown { .. })
    ));
}

#[test]
fn a_damaged_manifest_is_not_served() {
    let (directory, store) = store();
    let a = name("a");
    push_blob(&store, &a, b"{}");
    let digest = put(&store, &a, &manifest(b"{}", None), IMAGE, &["1"]).unwrap();
    let mut found = Vec::new();
    store.check(&mut |finding| found.push(finding)).unwrap();
    assert_eq!(found, []);
    let path = format!("repositories/a/_manifests/sha256/{}", digest.hex());
    let mut bytes = std::fs::read(directory.path().join(&path)).unwrap();
    *bytes.last_mut().unwrap() = b' ';
    std::fs::write(directory.path().join(&path), bytes).unwrap();
    assert!(matches!(store.manifest(&a, &Reference::Tag(tag("1"))), Err(Error::Damaged(_))));
    store.check(&mut |finding| found.push(finding)).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, path);
    assert!(store.collect(&at_once(), &|| true).is_err());
    assert_eq!(content(&store, &a, &sha256(b"{}")), b"{}", "what it refers to stays");
    store.delete_manifest(&a, &digest).unwrap();
}

#[test]
fn lists_come_in_pages_in_order() {
    let (_directory, store) = store();
    for repository in ["b", "a/x", "a", "a-z"] {
        let repository = name(repository);
        push_blob(&store, &repository, b"{}");
        let digest = put(&store, &repository, &manifest(b"{}", None), IMAGE, &["v1"]).unwrap();
        for text in ["B", "a", "v10", "v2"] {
            store.set_tag(&repository, &tag(text), &digest).unwrap();
        }
    }
    push_blob(&store, &name("only/blobs"), b"{}");
    let texts = |page: repositories::Page<Tag>| {
        (page.items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), page.more)
    };
    let a = name("a");
    assert_eq!(texts(store.tags(&a, 10, None).unwrap()), ("B a v1 v10 v2".into(), false));
    assert_eq!(texts(store.tags(&a, 2, None).unwrap()), ("B a".into(), true));
    assert_eq!(texts(store.tags(&a, 3, Some("a")).unwrap()), ("v1 v10 v2".into(), false));
    assert_eq!(texts(store.tags(&a, 0, None).unwrap()), (String::new(), true));
    let texts = |most, last: Option<&str>| {
        let page = store.repositories(most, last.map(name).as_ref()).unwrap();
        (page.items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), page.more)
    };
    assert_eq!(texts(10, None), ("a a/x a-z b".into(), false));
    assert_eq!(texts(2, None), ("a a/x".into(), true));
    assert_eq!(texts(2, Some("a/x")), ("a-z b".into(), false));
    assert_eq!(texts(2, Some("a")), ("a/x a-z".into(), true));
    assert_eq!(texts(2, Some("b")), (String::new(), false));
}

#[test]
fn referrers_are_found_filtered_and_forgotten_with_their_manifest() {
    let (_directory, store) = store();
    let a = name("a");
    push_blob(&store, &a, b"{}");
    let subject = sha256(b"not there yet");
    let mut digests = Vec::new();
    for kind in ["one", "two"] {
        let text = manifest(b"{}", Some(&subject)).replacen(
            '{',
            &format!(r#"{{"artifactType":"{kind}","annotations":{{"k":"{kind}"}},"#),
            1,
        );
        digests.push(put(&store, &a, &text, IMAGE, &[]).unwrap());
    }
    let list = |kind: Option<&str>| {
        let page = store.referrers(&a, &subject, kind, None, 1 << 20).unwrap();
        let mut kinds: Vec<_> =
            page.items.into_iter().map(|r| (r.artifact_type.unwrap(), r.annotations)).collect();
        kinds.sort();
        kinds.into_iter().map(|(kind, notes)| format!("{kind}={}", notes["k"])).collect::<Vec<_>>()
    };
    assert_eq!(list(None), ["one=one", "two=two"]);
    assert_eq!(list(Some("two")), ["two=two"]);
    let first = store.referrers(&a, &subject, None, None, 1).unwrap();
    assert!(first.more && first.items.len() == 1);
    let last = Digest::parse(&first.items[0].digest).unwrap();
    let second = store.referrers(&a, &subject, None, Some(&last), 1).unwrap();
    assert!(!second.more && second.items.len() == 1);
    store.delete_manifest(&a, &digests[0]).unwrap();
    assert_eq!(list(None), ["two=two"]);
}

#[test]
fn the_collector_takes_what_nothing_refers_to_and_only_when_it_is_old() {
    let (directory, store) = store();
    let (a, b) = (name("a"), name("b"));
    push_blob(&store, &a, b"{}");
    put(&store, &a, &manifest(b"{}", None), IMAGE, &["1"]).unwrap();
    let lost = push_blob(&store, &a, b"lost");
    store.mount_blob(Some(&a), &b, &lost).unwrap();
    let id = store.begin_upload(&b, Algorithm::Sha256).unwrap().id().clone();

    assert_eq!(store.collect(&Collection::default(), &|| true).unwrap(), Default::default());
    age(directory.path());
    // Who looks a blob up may rely on the answer.
    store.blob_size(&a, &lost).unwrap();
    let collected = store.collect(&Collection::default(), &|| true).unwrap();
    assert_eq!((collected.uploads, collected.members, collected.blobs), (1, 0, 0));
    assert!(store.upload_offset(&b, &id).is_err());

    age(directory.path());
    let collected = store.collect(&Collection::default(), &|| true).unwrap();
    assert_eq!((collected.members, collected.blobs, collected.bytes), (2, 1, 4));
    assert_eq!(content(&store, &a, &sha256(b"{}")), b"{}");
    assert_eq!(files(&directory.path().join("blobs")), 1);
    assert!(!directory.path().join("repositories/b").exists());
}

#[test]
fn untagged_manifests_go_only_when_asked_and_not_what_a_tag_leads_to() {
    let (directory, store) = store();
    let a = name("a");
    let index = "application/vnd.oci.image.index.v1+json";
    push_blob(&store, &a, b"{}");
    push_blob(&store, &a, b"[]");
    let child = put(&store, &a, &manifest(b"{}", None), IMAGE, &[]).unwrap();
    let list = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{IMAGE}","digest":"{child}","size":1}}]}}"#
    );
    let top = put(&store, &a, &list, index, &["1"]).unwrap();
    let signature = put(&store, &a, &manifest(b"{}", Some(&top)), IMAGE, &[]).unwrap();
    let dead = put(&store, &a, &manifest(b"[]", None), IMAGE, &["old"]).unwrap();
    store.delete_tag(&a, &tag("old")).unwrap();
    age(directory.path());
    store.collect(&Collection::default(), &|| true).unwrap();
    let has = |digest: &Digest| store.manifest(&a, &Reference::Digest(digest.clone())).is_ok();
    assert!(has(&dead));

    let untagged = Collection { untagged: Some(Duration::from_secs(3600)), ..Default::default() };
    let collected = store.collect(&untagged, &|| true).unwrap();
    assert_eq!((collected.manifests, collected.members, collected.blobs), (1, 1, 1));
    assert!(!has(&dead) && has(&child) && has(&top) && has(&signature));
}

#[test]
fn pushes_beside_a_greedy_collector_end_whole_or_with_a_clear_refusal() {
    let (directory, _) = store();
    let root = directory.path();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let store = Store::open(root).unwrap();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                // Uploads have their day: one that was just begun is not yet locked by its writer.
                let greedy = Collection { uploads: Duration::from_secs(86400), ..at_once() };
                store.collect(&greedy, &|| true).unwrap();
            }
        });
        let pushers: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn(move || {
                    let (store, a) = (Store::open(root).unwrap(), name("a"));
                    for round in 0..20 {
                        let config = format!("{{\"n\":{}}}", (number + round) % 5);
                        push_blob(&store, &a, config.as_bytes());
                        match put(&store, &a, &manifest(config.as_bytes(), None), IMAGE, &["t"]) {
                            Ok(_) | Err(Error::ReferencesUnknown(_)) => {}
                            Err(error) => unreachable!("{error}"),
                        }
                    }
                })
            })
            .collect();
        let pushed: Vec<_> = pushers.into_iter().map(|pusher| pusher.join()).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        collector.join().unwrap();
        assert!(pushed.into_iter().all(|one| one.is_ok()));
    });
    let mut found = Vec::new();
    Store::open(root).unwrap().check(&mut |finding| found.push(finding)).unwrap();
    assert_eq!(found, []);
}

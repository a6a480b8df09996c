//! The content store as its users see it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use content::{Error, Expected, Store};
use spec::Digest;
use std::io::{Read, Write};
use std::path::Path;

/// SHA-256 of `hello`.
const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn blob_is_visible_only_after_commit() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let mut ingest = store.ingest(Expected::at_most(100)).unwrap();
    ingest.write_all(b"hel").unwrap();
    ingest.write_all(b"lo").unwrap();
    assert_eq!(store.list().unwrap(), []);
    let blob = ingest.commit().unwrap();
    assert_eq!((blob.digest.as_str(), blob.size), (HELLO, 5));
    assert_eq!(store.list().unwrap(), std::slice::from_ref(&blob));
    assert_eq!(names(&root.path().join("ingest")), Vec::<String>::new());
    let mut text = String::new();
    store.open_blob(&blob.digest).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    assert_eq!(store.read(&blob.digest, 5).unwrap(), b"hello");
    assert_eq!(store.size(&blob.digest).unwrap(), Some(5));
    assert_eq!(store.verify(&blob.digest).unwrap(), 5);
    assert!(store.remove(&blob.digest).unwrap());
    assert!(!store.remove(&blob.digest).unwrap());
    assert!(matches!(store.open_blob(&blob.digest).unwrap_err(), Error::NotFound(_)));
    assert_eq!(store.size(&blob.digest).unwrap(), None);
}

#[test]
fn dropped_ingest_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let mut ingest = store.ingest(Expected::at_most(100)).unwrap();
    ingest.write_all(b"hello").unwrap();
    assert_eq!(names(&root.path().join("ingest")).len(), 1);
    drop(ingest);
    assert_eq!(names(&root.path().join("ingest")).len(), 0);
}

#[test]
fn what_a_killed_process_left_half_written_is_removed_at_open() {
    let root = tempfile::tempdir().unwrap();
    Store::open(root.path()).unwrap();
    std::fs::write(root.path().join("ingest/0123"), "half").unwrap();
    Store::open(root.path()).unwrap();
    assert_eq!(names(&root.path().join("ingest")).len(), 0);
}

#[test]
fn wrong_digest_and_wrong_size_are_refused_and_leave_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let digest = Digest::parse(HELLO).unwrap();
    let expected = |size| Expected { digest: Some(digest.clone()), size, limit: 10 };

    let mut other = store.ingest(expected(None)).unwrap();
    other.write_bytes(b"hullo").unwrap();
    let error = other.commit().unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");

    let mut short = store.ingest(expected(Some(6))).unwrap();
    short.write_bytes(b"hello").unwrap();
    let error = short.commit().unwrap_err();
    assert_eq!(error.to_string(), "write blob: it has 5 bytes and should have 6");

    let mut long = store.ingest(expected(Some(4))).unwrap();
    let error = long.write_bytes(b"hello").unwrap_err();
    assert_eq!(error.to_string(), "write blob: it has 5 bytes and should have 4");

    let mut large = store.ingest(Expected::at_most(4)).unwrap();
    let error = large.write_bytes(b"hello").unwrap_err();
    assert_eq!(error.to_string(), "write blob: it has more than 4 bytes");
    drop((long, large));
    assert_eq!(names(&root.path().join("ingest")).len(), 0);
    assert_eq!(store.list().unwrap(), []);
}

#[test]
fn damaged_blob_is_found_and_healed_by_a_new_ingest() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let blob = store.write(b"hello").unwrap();
    let path = root.path().join("blobs/sha256").join(blob.digest.hex());
    std::fs::write(&path, "hullo").unwrap();
    assert!(matches!(store.verify(&blob.digest).unwrap_err(), Error::Digest { .. }));
    assert!(matches!(store.read(&blob.digest, 100).unwrap_err(), Error::Digest { .. }));
    store.write(b"hello").unwrap();
    assert_eq!(store.verify(&blob.digest).unwrap(), 5);
}

#[test]
fn symbolic_link_pipe_and_directory_in_a_blobs_place_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let digest = Digest::parse(HELLO).unwrap();
    let path = root.path().join("blobs/sha256").join(digest.hex());
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    assert!(matches!(store.open_blob(&digest).unwrap_err(), Error::NotRegular(_)));
    assert!(matches!(store.size(&digest).unwrap_err(), Error::NotRegular(_)));
    std::fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
    assert!(matches!(store.open_blob(&digest).unwrap_err(), Error::NotRegular(_)));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(store.open_blob(&digest).unwrap_err(), Error::NotRegular(_)));
}

#[test]
fn read_refuses_a_blob_over_the_limit() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let blob = store.write(b"hello").unwrap();
    let error = store.read(&blob.digest, 4).unwrap_err();
    assert_eq!(error.to_string(), "read blob: it has more than 4 bytes");
}

#[test]
fn full_disk_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("unshare")
        .args(["-m", "sh", "-ec"])
        .arg(
            "mount -t tmpfs -o size=64k none \"$1\" && exec \"$2\" --exact \
             ingest_on_a_full_disk --nocapture",
        )
        .arg("sh")
        .arg(root.path())
        .arg(std::env::current_exe().unwrap())
        .env("CONTENT_FULL_DISK", root.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&mounted.stdout).into_owned();
    assert!(mounted.status.success(), "{output}");
    assert!(output.contains("refused and clean"), "{output}");
}

/// The part of [`full_disk_leaves_nothing`] that runs in a mount namespace of its own.
#[test]
fn ingest_on_a_full_disk() {
    let Ok(root) = std::env::var("CONTENT_FULL_DISK") else { return };
    let root = Path::new(&root);
    let store = Store::open(root).unwrap();
    let mut ingest = store.ingest(Expected::at_most(1 << 20)).unwrap();
    let error = ingest.write_bytes(&vec![1; 256 << 10]).unwrap_err();
    let Error::Io { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    drop(ingest);
    assert_eq!(names(&root.join("ingest")).len(), 0);
    assert!(store.write(b"hello").is_ok(), "the space is free again");
    println!("refused and clean");
}

#[test]
fn a_blob_is_resumed_after_the_store_was_opened_again_and_a_wrong_one_is_not_kept() {
    let root = tempfile::tempdir().unwrap();
    let digest = Store::open(root.path()).unwrap().write(b"hello world").unwrap().digest;
    let store = Store::open(root.path()).unwrap();
    assert!(store.remove(&digest).unwrap());
    let mut ingest = store.resume(&digest, 11, &mut |_| ()).unwrap();
    ingest.write_bytes(b"hello").unwrap();
    drop(ingest);
    let store = Store::open(root.path()).unwrap();
    assert_eq!(store.partials().unwrap()[0].size, 5);
    let mut ingest = store.resume(&digest, 11, &mut |_| ()).unwrap();
    assert_eq!(ingest.written(), 5);
    assert!(ingest.write_bytes(b" world and more").is_err());
    ingest.write_bytes(b" world").unwrap();
    assert_eq!(ingest.commit().unwrap().digest, digest);
    assert!(store.partials().unwrap().is_empty());
    store.remove(&digest).unwrap();
    let mut ingest = store.resume(&digest, 11, &mut |_| ()).unwrap();
    ingest.write_bytes(b"other bytes").unwrap();
    assert!(matches!(ingest.commit().unwrap_err(), Error::Digest { .. }));
    assert!(store.partials().unwrap().is_empty());
    assert!(!store.remove_partial(&digest).unwrap());
}

use super::*;
use mounts::Features;
use rustix::fs::{FileType, Mode, OFlags, XattrFlags};
use spec::{Class, SnapshotKey};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

fn key(digit: &str) -> SnapshotKey {
    SnapshotKey::parse(&digit.repeat(64)).unwrap()
}

fn open(directory: &Path) -> Store {
    Store::open(&directory.join("snapshots"), Features::probe()).unwrap()
}

fn write(at: BorrowedFd<'_>, path: &str, text: &str) {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::openat(at, path, flags, Mode::from_raw_mode(0o644)).unwrap();
    rustix::io::write(&file, text.as_bytes()).unwrap();
}

fn read(at: impl AsFd, path: &str) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(at, path, flags, Mode::empty()).ok()?;
    std::io::read_to_string(std::fs::File::from(file)).ok()
}

fn commit(store: &Store, key: &SnapshotKey, files: &[(&str, &str)]) {
    let staging = store.stage(key).unwrap().unwrap();
    for (path, text) in files {
        write(staging.tree(), path, text);
    }
    staging.commit(files.len() as u64).unwrap();
}

#[test]
fn a_layer_is_visible_only_after_its_commit() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let staging = store.stage(&key("a")).unwrap().unwrap();
    write(staging.tree(), "file", "text");
    assert_eq!(store.find(&key("a")).unwrap(), None);
    assert_eq!(store.list().unwrap(), []);
    staging.commit(4).unwrap();
    assert_eq!(store.find(&key("a")).unwrap(), Some(Snapshot::Layer { size: 4 }));
    assert!(store.stage(&key("a")).unwrap().is_none());
    assert_eq!(store.list().unwrap(), [(key("a"), true)]);
}

#[test]
fn a_layer_that_is_given_up_or_made_twice_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    write(store.stage(&key("a")).unwrap().unwrap().tree(), "file", "given up");
    let (first, second) = (store.stage(&key("a")), store.stage(&key("a")));
    let (first, second) = (first.unwrap().unwrap(), second.unwrap().unwrap());
    write(first.tree(), "file", "first");
    write(second.tree(), "file", "second");
    first.commit(5).unwrap();
    second.commit(6).unwrap();
    assert_eq!(read(store.layer(&key("a")).unwrap(), "file").unwrap(), "first");
    let tmp = directory.path().join("snapshots/tmp");
    assert_eq!(std::fs::read_dir(tmp).unwrap().count(), 0);
}

#[test]
fn what_a_crash_left_is_gone_after_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let staging = store.stage(&key("a")).unwrap().unwrap();
    write(staging.tree(), "half", "x");
    std::mem::forget(staging);
    commit(&store, &key("b"), &[("kept", "x")]);
    store.remove(&key("b")).unwrap();
    store.remove(&key("b")).unwrap();
    assert_eq!(store.find(&key("b")).unwrap(), None);
    drop(store);
    let store = open(directory.path());
    store.empty_trash().unwrap();
    for own in ["tmp", "trash"] {
        let path = directory.path().join("snapshots").join(own);
        assert_eq!(std::fs::read_dir(path).unwrap().count(), 0, "{own}");
    }
}

#[test]
fn a_directory_of_another_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    std::fs::write(directory.path().join("snapshots/format"), "other 7\n").unwrap();
    let error = Store::open(&directory.path().join("snapshots"), Features::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "open snapshot store: its format is \"other 7\\n\", not \"coffer snapshots 1\\n\""
    );
}

#[test]
fn a_container_sees_its_layers_and_changes_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    commit(&store, &key("a"), &[("one", "low"), ("both", "low")]);
    commit(&store, &key("b"), &[("both", "high")]);
    let parents = [key("a"), key("b")];
    store.prepare(&key("c"), &parents).unwrap();
    store.prepare(&key("c"), &parents).unwrap();
    assert_eq!(store.parents(&key("c")).unwrap(), parents);
    let mount = store.mount(&key("c")).unwrap();
    assert_eq!(read(&mount, "one").unwrap(), "low");
    assert_eq!(read(&mount, "both").unwrap(), "high");
    write(mount.as_fd(), "both", "changed");
    rustix::fs::unlinkat(&mount, "one", rustix::fs::AtFlags::empty()).unwrap();
    drop(mount);
    assert_eq!(read(store.layer(&key("b")).unwrap(), "both").unwrap(), "high");
    let upper = store.upper(&key("c")).unwrap();
    assert_eq!(read(&upper, "both").unwrap(), "changed");
    let view = store.mount_view(&key("c")).unwrap();
    assert_eq!((read(&view, "one"), read(&view, "both").unwrap().as_str()), (None, "changed"));
    drop(view);
    let usage = store.usage(&key("c")).unwrap();
    assert!(usage >= 4096, "{usage}");
}

#[test]
fn reading_a_container_does_not_disturb_the_mount_that_it_runs_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let staging = store.stage(&key("a")).unwrap().unwrap();
    rustix::fs::mkdirat(staging.tree(), "etc", Mode::RWXU).unwrap();
    write(staging.tree(), "etc/kept", "low");
    staging.commit(3).unwrap();
    store.prepare(&key("c"), &[key("a")]).unwrap();
    let running = store.mount(&key("c")).unwrap();
    let reader = store.mount_read(&key("c")).unwrap();
    assert_eq!(read(&reader, "etc/kept").unwrap(), "low");
    // The first change below a directory copies it up, for which overlayfs needs its work directory.
    write(running.as_fd(), "etc/new", "written");
    drop(reader);
    let reader = store.mount_read(&key("c")).unwrap();
    assert_eq!(read(&reader, "etc/new").unwrap(), "written");
    assert!(rustix::fs::mkdirat(&reader, "x", Mode::RWXU).is_err());
}

#[test]
fn layers_are_mounted_read_only_and_a_view_opens_no_device() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let staging = store.stage(&key("a")).unwrap().unwrap();
    let mode = Mode::from_raw_mode(0o666);
    let null = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(staging.tree(), "null", FileType::CharacterDevice, mode, null).unwrap();
    staging.commit(0).unwrap();
    commit(&store, &key("b"), &[("file", "x")]);
    for layers in [vec![], vec![key("a")], vec![key("a"), key("b")]] {
        let mount = store.mount_layers(&layers).unwrap();
        let made = rustix::fs::mkdirat(&mount, "new", Mode::RWXU);
        assert_eq!(made.unwrap_err(), rustix::io::Errno::ROFS);
        if !layers.is_empty() {
            let opened = rustix::fs::openat(&mount, "null", OFlags::RDONLY, Mode::empty());
            assert_eq!(opened.unwrap_err(), rustix::io::Errno::ACCESS);
        }
    }
}

#[test]
fn an_opaque_directory_hides_what_lower_layers_have() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for (name, file) in [("a", "d/low"), ("b", "d/high")] {
        let staging = store.stage(&key(name)).unwrap().unwrap();
        rustix::fs::mkdirat(staging.tree(), "d", Mode::RWXU).unwrap();
        write(staging.tree(), file, "x");
        if name == "b" {
            staging.mark_opaque(&[b"d".to_vec()]).unwrap();
        }
        staging.commit(1).unwrap();
    }
    let mount = store.mount_layers(&[key("a"), key("b")]).unwrap();
    assert_eq!((read(&mount, "d/low"), read(&mount, "d/high").is_some()), (None, true));
    let staging = store.stage(&key("c")).unwrap().unwrap();
    rustix::fs::symlinkat(directory.path(), staging.tree(), "out").unwrap();
    assert!(staging.mark_opaque(&[b"out".to_vec()]).is_err());
    let name = archive::OPAQUE_ATTRIBUTE;
    assert!(rustix::fs::getxattr(directory.path(), name, &mut [0u8; 4]).is_err());
    // The attribute is what overlayfs itself would set.
    let flags = XattrFlags::REPLACE;
    let layer = archive::open_directory(store.layer(&key("b")).unwrap().as_fd(), b"d").unwrap();
    rustix::fs::fsetxattr(layer, name, b"y", flags).unwrap();
}

#[test]
fn wrong_kinds_and_missing_parents_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    commit(&store, &key("a"), &[]);
    store.prepare(&key("c"), &[]).unwrap();
    let class = |result: Result<(), StoreError>| result.unwrap_err().class();
    assert_eq!(class(store.prepare(&key("d"), &[key("f")])), Class::NotFound);
    assert_eq!(class(store.prepare(&key("d"), &[key("c")])), Class::InvalidArgument);
    assert_eq!(class(store.prepare(&key("c"), &[key("a")])), Class::Conflict);
    assert_eq!(class(store.prepare(&key("a"), &[])), Class::InvalidArgument);
    assert_eq!(class(store.mount(&key("f")).map(drop)), Class::NotFound);
    assert_eq!(class(store.stage(&key("c")).map(drop)), Class::InvalidArgument);
    let many = vec![key("a"); 500];
    assert_eq!(class(store.prepare(&key("d"), &many)), Class::InvalidArgument);
    assert_eq!(store.list().unwrap(), [(key("a"), true), (key("c"), false)]);
}

#[test]
fn every_container_has_the_places_that_are_mounted_over_unless_its_image_has_them() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let staging = store.stage(&key("a")).unwrap().unwrap();
    rustix::fs::mkdirat(staging.tree(), "etc", Mode::from_raw_mode(0o700)).unwrap();
    write(staging.tree(), "etc/hosts", "of the image");
    staging.commit(1).unwrap();
    store.prepare(&key("c"), &[key("a")]).unwrap();
    let mount = store.mount(&key("c")).unwrap();
    assert_eq!(read(&mount, "etc/hosts").unwrap(), "of the image");
    assert_eq!(read(&mount, "etc/hostname").unwrap(), "");
    let stat = |path: &str| rustix::fs::statat(&mount, path, rustix::fs::AtFlags::empty()).unwrap();
    assert_eq!(stat("etc").st_mode, 0o040700);
    assert_eq!(stat("dev/pts").st_mode, 0o040755);
    assert_eq!(stat(".dockerenv").st_mode, 0o100755);
    let lowers = store.lowers(&key("c")).unwrap();
    let lowers: Vec<_> = lowers.iter().map(AsFd::as_fd).collect();
    let upper = store.upper(&key("c")).unwrap();
    assert_eq!(archive::changes(upper.as_fd(), &lowers, 10).unwrap(), []);
    let image = store.mount_layers(&[key("a")]).unwrap();
    assert_eq!(read(&image, "etc/hostname"), None);
}

#[test]
fn containers_are_mounted_on_kernels_that_take_layers_by_name_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshots");
    let features =
        Features { overlay_layer_fds: false, set_attributes: false, ..Features::probe() };
    let store = Store::open(&path, features).unwrap();
    commit(&store, &key("a"), &[("both", "low")]);
    commit(&store, &key("b"), &[("both", "high")]);
    store.prepare(&key("c"), &[key("a"), key("b")]).unwrap();
    for mount in [store.mount(&key("c")).unwrap(), store.mount_view(&key("c")).unwrap()] {
        assert_eq!(read(&mount, "both").unwrap(), "high");
        write(mount.as_fd(), "new", "x");
    }
    let layers = store.mount_layers(&[key("a")]).unwrap();
    assert_eq!(read(&layers, "both").unwrap(), "low");
}

use super::*;
use crate::extract::{ExtractOptions, Place, extract};
use crate::read::{Limits, Reader};
use rustix::fs::{Mode, XattrFlags};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

const PLAIN: CreateOptions<'_> =
    CreateOptions { layout: Layout::Plain, whole_seconds: false, name: b"" };

fn pack(root: &Path, file: &[u8], options: CreateOptions<'_>) -> Vec<u8> {
    let opened = std::fs::File::open(root).unwrap();
    let mut writer = Writer::new(Vec::new());
    create(&mut writer, opened.as_fd(), file, options).unwrap();
    writer.finish().unwrap()
}

fn entries(tar: &[u8]) -> Vec<Entry> {
    let mut reader = Reader::new(tar, Limits::default());
    std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
}

fn names(tar: &[u8]) -> Vec<String> {
    entries(tar).iter().map(|e| String::from_utf8_lossy(&e.name).into_owned()).collect()
}

fn tree() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::create_dir_all(path.join("b/inner")).unwrap();
    std::fs::write(path.join("b/inner/z"), "z").unwrap();
    std::fs::write(path.join("a"), "a".repeat(1000)).unwrap();
    std::fs::hard_link(path.join("a"), path.join("b/same")).unwrap();
    std::os::unix::fs::symlink("/etc", path.join("c")).unwrap();
    std::os::unix::fs::symlink("dangling", path.join("b/c")).unwrap();
    std::os::unix::fs::chown(path.join("b"), Some(7), Some(8)).unwrap();
    std::fs::set_permissions(path.join("b"), std::fs::Permissions::from_mode(0o3750)).unwrap();
    rustix::fs::setxattr(path.join("a"), "user.note", b"n", XattrFlags::empty()).unwrap();
    let kind = rustix::fs::FileType::CharacterDevice;
    let device = rustix::fs::makedev(1, 7);
    rustix::fs::mknodat(rustix::fs::CWD, path.join("full"), kind, Mode::RUSR, device).unwrap();
    drop(std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap());
    directory
}

#[test]
fn a_tree_is_stored_in_a_stable_order_and_comes_back_equal() {
    let directory = tree();
    let tar = pack(directory.path(), b".", PLAIN);
    let expected = ["a", "b/", "b/c", "b/inner/", "b/inner/z", "b/same", "c", "full"];
    assert_eq!(names(&tar), expected);
    let second = tempfile::tempdir().unwrap();
    let root = std::fs::File::open(second.path()).unwrap();
    let mut reader = Reader::new(&tar[..], Limits::default());
    let place = Place { root: root.as_fd(), base: b"" };
    extract(&mut reader, place, ExtractOptions::PLAIN).unwrap();
    assert_eq!(pack(second.path(), b".", PLAIN), tar);
    let same = std::fs::metadata(second.path().join("b/same")).unwrap();
    assert_eq!((same.nlink(), same.size()), (2, 1000));
}

#[test]
fn gnu_tar_agrees_with_what_is_written() {
    let directory = tree();
    let tar = pack(directory.path(), b".", CreateOptions { whole_seconds: true, ..PLAIN });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &tar).unwrap();
    std::fs::remove_file(directory.path().join("socket")).unwrap();
    let output = std::process::Command::new("tar")
        .arg("--compare")
        .arg("-f")
        .arg(file.path())
        .arg("-C")
        .arg(directory.path())
        .output()
        .unwrap();
    // Only the fractions of seconds that were left out differ.
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.ends_with("Mod time differs")), "{text}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn one_path_is_stored_under_the_name_that_was_asked_for() {
    let directory = tree();
    let named = |name| CreateOptions { name, ..PLAIN };
    assert_eq!(names(&pack(directory.path(), b"a", named(b"other"))), ["other"]);
    let expected = ["b/", "b/c", "b/inner/", "b/inner/z", "b/same"];
    assert_eq!(names(&pack(directory.path(), b"b", named(b"b"))), expected);
    let expected = ["./", "./c", "./inner/", "./inner/z", "./same"];
    assert_eq!(names(&pack(directory.path(), b"b", named(b"."))), expected);
    let link = &entries(&pack(directory.path(), b"c", named(b"c")))[0];
    assert_eq!((link.kind, &link.link[..]), (Kind::Symlink, &b"/etc"[..]));
    let opened = std::fs::File::open(directory.path()).unwrap();
    let mut writer = Writer::new(Vec::new());
    let error = create(&mut writer, opened.as_fd(), b"nothing", PLAIN).unwrap_err();
    assert_eq!(error.to_string(), "archive \"nothing\"");
}

#[test]
fn overlay_marks_become_whiteouts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::create_dir_all(path.join("d/opaque")).unwrap();
    std::fs::write(path.join("d/opaque/new"), "x").unwrap();
    // In a layer this name would delete what the container never deleted.
    std::fs::write(path.join("d/.wh.trick"), "x").unwrap();
    let kind = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, path.join("gone"), kind, Mode::empty(), 0).unwrap();
    let opaque = path.join("d/opaque");
    let flags = XattrFlags::empty();
    rustix::fs::setxattr(&opaque, crate::OPAQUE_ATTRIBUTE, b"y", flags).unwrap();
    let expected = ["d/", "d/opaque/", "d/opaque/.wh..wh..opq", "d/opaque/new", ".wh.gone"];
    let read = pack(path, b".", CreateOptions { layout: Layout::Overlay, ..PLAIN });
    assert_eq!(names(&read), expected);
    assert!(entries(&read).iter().all(|entry| entry.attributes.is_empty()));
    let root = std::fs::File::open(path).unwrap();
    let known = crate::opaque_directories(root.as_fd()).unwrap();
    assert_eq!(known, BTreeSet::from([b"d/opaque".to_vec()]));
    let layout = Layout::OverlayKnown(&known);
    assert_eq!(pack(path, b".", CreateOptions { layout, ..PLAIN }), read);
}

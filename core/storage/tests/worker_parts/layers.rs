//! Layers and snapshots.

use crate::cases::{base, class, mount, stopped, until, with_container, write};
use crate::engine::{Engine, Item, digest, file_with, gzip, key, listing, tar, unpack_request};
use messages::Fd;
use messages::storage::{Change, ChangeKind, Reply, Request, Root};
use rustix::fs::Mode;
use spec::{Class, Failure};
use std::os::fd::AsFd;

pub(crate) fn round_trip() {
    let mut engine = Engine::start();
    let gz = gzip(&base());
    let request = unpack_request(&key("a"), &base(), 1 << 30);
    for _ in 0..2 {
        let (reply, _) = engine.ask_with(&request, &[file_with(&gz).as_fd()]).unwrap();
        assert_eq!(reply, Reply::Unpacked { size: 4 + 22 + 3 + 3 });
    }
    engine.ask(&Request::Prepare { key: key("c"), parents: vec![key("a")] }).unwrap();
    let root = mount(&mut engine, "c");
    write(&root, "bin/new", "new");
    write(&root, "bin/tool", "changed");
    rustix::fs::unlinkat(&root, "old", rustix::fs::AtFlags::empty()).unwrap();
    for name in ["dir/low", "dir"] {
        let flags = if name == "dir" {
            rustix::fs::AtFlags::REMOVEDIR
        } else {
            rustix::fs::AtFlags::empty()
        };
        rustix::fs::unlinkat(&root, name, flags).unwrap();
    }
    rustix::fs::mkdirat(&root, "dir", Mode::RWXU).unwrap();
    write(&root, "dir/high", "high");
    drop(root);
    let change = |path: &str, kind| Change { path: path.as_bytes().to_vec(), kind };
    let (reply, _) = engine.ask(&Request::Changes { key: key("c") }).unwrap();
    let expected = vec![
        change("/bin", ChangeKind::Modified),
        change("/bin/new", ChangeKind::Added),
        change("/bin/tool", ChangeKind::Modified),
        change("/dir", ChangeKind::Deleted),
        change("/dir/high", ChangeKind::Added),
        change("/old", ChangeKind::Deleted),
    ];
    assert_eq!(reply, Reply::Changes(expected));
    let diff = engine.written(&Request::DiffTar { key: key("c"), out: Fd(0) }, &[]).unwrap();
    let names: Vec<_> = listing(&diff).into_iter().map(|(name, _)| name).collect();
    let expected =
        ["bin/", "bin/new", "bin/tool", "dir/", "dir/.wh..wh..opq", "dir/high", ".wh.old"];
    assert_eq!(names, expected);
    engine.unpack(&key("b"), &diff).unwrap();
    let again = engine.written(&Request::LayerTar { key: key("b"), out: Fd(0) }, &[]).unwrap();
    assert_eq!(digest(&again), digest(&diff));
    let root = Root::Image { layers: vec![key("a"), key("b")] };
    let image = engine.written(&Request::ExportTar { root, out: Fd(0) }, &[]).unwrap();
    let names: Vec<_> = listing(&image).into_iter().map(|(name, _)| name).collect();
    let expected =
        ["bin/", "bin/new", "bin/tool", "dir/", "dir/high", "etc/", "etc/passwd", "etc/pipe", "sh"];
    assert_eq!(names, expected);
    let container = Request::ExportTar { root: stopped(), out: Fd(0) };
    let container = listing(&engine.written(&container, &[]).unwrap());
    assert!(listing(&image).iter().all(|item| container.contains(item)));
    // What every container has in addition.
    let names: Vec<_> = container.into_iter().map(|(name, _)| name).collect();
    let more = names.iter().filter(|name| !expected.contains(&name.as_str()));
    let places = [
        ".dockerenv",
        "dev/",
        "dev/console",
        "dev/pts/",
        "dev/shm/",
        "etc/hostname",
        "etc/hosts",
        "etc/mtab",
        "etc/resolv.conf",
        "proc/",
        "sys/",
    ];
    assert!(more.eq(places.iter()), "{names:?}");
}

pub(crate) fn wrong_digest() {
    let mut engine = Engine::start();
    let request = unpack_request(&key("a"), b"another", 1 << 30);
    let failure = engine.ask_with(&request, &[file_with(&base()).as_fd()]).unwrap_err();
    assert_eq!(failure.class, Class::InvalidArgument);
    let (found, wanted) = (digest(&base()), digest(b"another"));
    assert_eq!(failure.message, format!("unpack layer: its digest is {found}, not {wanted}"));
    assert_eq!(engine.listed(), []);
}

pub(crate) fn hostile_layers() {
    let mut engine = Engine::start();
    let outside = engine.directory.path().join("outside");
    std::fs::write(&outside, "kept").unwrap();
    let outside = outside.to_str().unwrap().to_owned();
    let cut = base()[..base().len() - 1536].to_vec();
    let refused = "extract archive entry";
    for (tar, sentence) in [
        (
            tar(&[("../evil", Item::File("x"))]),
            format!("{refused} \"../evil\": invalid name: it leads out of the root of the archive"),
        ),
        (
            tar(&[("l", Item::Hard(&outside))]),
            format!("{refused} \"l\": invalid hard link to {outside:?}: the target does not exist"),
        ),
        (
            tar(&[("l", Item::Hard("../../../etc/passwd"))]),
            format!(
                "{refused} \"l\": invalid hard link to \"../../../etc/passwd\": it leads out of the root of the archive"
            ),
        ),
        (
            tar(&[(".wh...", Item::File(""))]),
            format!("{refused} \".wh...\": invalid name: it deletes no file"),
        ),
        (
            b"no archive at all".repeat(100),
            "read archive entry number 1: the header's checksum is wrong".to_owned(),
        ),
        (cut, "read archive entry \"dir/low\": the archive is cut off here".to_owned()),
    ] {
        let failure = engine.unpack(&key("a"), &tar).unwrap_err();
        assert_eq!((failure.class, failure.message), (Class::InvalidArgument, sentence));
        assert_eq!(engine.listed(), []);
    }
    // These stay inside.
    let inside = tar(&[
        ("/abs", Item::File("x")),
        ("root", Item::Link("/")),
        ("root/through", Item::File("x")),
        ("up", Item::Link("../../../../..")),
        ("up/through2", Item::File("x")),
        ("null", Item::Device(1, 3)),
    ]);
    engine.unpack(&key("a"), &inside).unwrap();
    let tree = engine.root().join("snapshots").join(key("a").as_str()).join("fs");
    let mut names: Vec<_> =
        std::fs::read_dir(tree).unwrap().map(|item| item.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["abs", "null", "root", "through", "through2", "up"]);
    assert!(!std::path::Path::new("/through").exists());
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "kept");
    let tmp = engine.root().join("snapshots/tmp");
    assert_eq!(std::fs::read_dir(tmp).unwrap().count(), 0);
}

pub(crate) fn bombs() {
    let mut engine = Engine::start();
    let zeros = "\0".repeat(8 << 20);
    let tar = tar(&[("zeros", Item::File(&zeros))]);
    for bomb in [gzip(&tar), zstd::encode_all(&tar[..], 3).unwrap()] {
        let request = unpack_request(&key("a"), &tar, 1 << 20);
        let failure = engine.ask_with(&request, &[file_with(&bomb).as_fd()]).unwrap_err();
        assert_eq!(failure.class, Class::InvalidArgument);
        assert_eq!(
            failure.message,
            "read archive entry \"zeros\": the archive holds more than 1048576 bytes"
        );
        assert_eq!(engine.listed(), []);
    }
}

pub(crate) fn removal() {
    let mut engine = Engine::start();
    with_container(&mut engine);
    assert!(matches!(
        engine.ask(&Request::Usage { key: key("a") }).unwrap().0,
        Reply::Usage { bytes: 4096.. }
    ));
    for name in ["c", "a", "f"] {
        engine.ask(&Request::Remove { key: key(name) }).unwrap();
    }
    assert_eq!(engine.listed(), []);
    assert_eq!(class(engine.ask(&Request::Usage { key: key("a") })), Class::NotFound);
    let trash = engine.root().join("snapshots/trash");
    until("the empty trash", || (std::fs::read_dir(&trash).unwrap().count() == 0).then_some(()));
    with_container(&mut engine);
    assert_eq!(engine.listed(), [key("a"), key("c")]);
}

pub(crate) fn missing_descriptors() {
    let mut engine = Engine::start();
    let failure = engine.ask(&unpack_request(&key("a"), b"", 1)).unwrap_err();
    assert_eq!(failure, Failure::invalid("message has no descriptor 0"));
    let directory = std::fs::File::open("/").unwrap();
    let request = unpack_request(&key("a"), b"", 1);
    let failure = engine.ask_with(&request, &[directory.as_fd()]).unwrap_err();
    assert_eq!(
        failure,
        Failure::invalid("unpack layer: the descriptor is no file, pipe or socket")
    );
}

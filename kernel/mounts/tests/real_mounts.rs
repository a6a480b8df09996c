//! Mounts as the kernel makes them; each in a mount namespace of the test's own thread.

#![expect(clippy::unwrap_used, reason = "a test")]

use mounts::{
    Attr, Change, Detached, Extent, Features, FsContext, Layers, Overlay, Propagation, mountinfo,
};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use sys::clone::{Namespaces, unshare};

/// Runs `test` in a mount namespace whose mounts are private.
fn alone(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let own = || {
            unshare(Namespaces::MOUNT).unwrap();
            let change = Change { propagation: Some(Propagation::Private), ..Change::default() };
            sys::mount::set_attr_path(c"/", Extent::Tree, &change).unwrap();
            test();
        };
        scope.spawn(own).join().unwrap();
    });
}

fn open(path: &Path) -> OwnedFd {
    openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

fn table() -> Vec<mountinfo::Mount> {
    mountinfo::read("/proc/thread-self/mountinfo").unwrap()
}

#[test]
fn a_typed_mount_is_configured_attached_and_taken_away_by_descriptor() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        let context = FsContext::open(c"tmpfs").unwrap();
        context.set_string(c"size", c"64k").unwrap();
        context.set_string(c"mode", c"0711").unwrap();
        let mount = context.mount(Attr::NOSUID | Attr::NODEV).unwrap();
        mount.attach(open(dir.path())).unwrap();
        let wanted = dir.path().as_os_str().as_encoded_bytes();
        let entry = table().into_iter().find(|m| m.mount_point == wanted).unwrap();
        assert_eq!(entry.kind, "tmpfs");
        assert!(entry.has_option("nosuid") && entry.has_option("nodev"));
        assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o7777, 0o711);
        mounts::unmount(&mount).unwrap();
        assert_ne!(fs::metadata(dir.path()).unwrap().mode() & 0o7777, 0o711);
    });
}

#[test]
fn the_kernels_words_about_a_wrong_option_are_kept() {
    let context = FsContext::open(c"tmpfs").unwrap();
    let error = context.set_string(c"size", c"many").unwrap_err().to_string();
    assert_eq!(error, "mount tmpfs with option size: tmpfs: Bad value for 'size'");
}

#[test]
fn a_clone_of_a_directory_is_read_only_without_touching_its_source() {
    alone(|| {
        let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let clone = Detached::clone_of(open(source.path()), Extent::Tree).unwrap();
        let change = Change { set: Attr::RDONLY | Attr::NOEXEC, ..Change::default() };
        clone.set(Extent::Tree, &change).unwrap();
        clone.attach(open(target.path())).unwrap();
        let error = fs::write(target.path().join("new"), "x").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EROFS));
        fs::write(source.path().join("new"), "x").unwrap();
        assert_eq!(fs::read(target.path().join("new")).unwrap(), b"x");
    });
}

/// Three layers with one file each, an upper and a work directory.
fn layers() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join(name), name).unwrap();
        fs::write(dir.path().join(name).join("which"), name).unwrap();
    }
    fs::create_dir(dir.path().join("upper")).unwrap();
    fs::create_dir(dir.path().join("work")).unwrap();
    dir
}

fn overlay_shows_layers_in_order(features: Features) {
    alone(|| {
        let (dir, target) = (layers(), tempfile::tempdir().unwrap());
        let base = open(dir.path());
        let overlay = Overlay {
            base: base.as_fd(),
            lower: Layers::Paths(&[c"a", c"b", c"c"]),
            upper: Some((c"upper", c"work")),
            options: &[(c"metacopy", c"off")],
        };
        let mount = overlay.mount(&features).unwrap();
        let before = table().len();
        mount.attach(open(target.path())).unwrap();
        assert_eq!(table().len(), before + 1);
        assert_eq!(fs::read(target.path().join("which")).unwrap(), b"a");
        assert!(target.path().join("c").exists());
        fs::write(target.path().join("which"), "changed").unwrap();
        assert_eq!(fs::read(dir.path().join("upper/which")).unwrap(), b"changed");
        assert_eq!(fs::read(dir.path().join("a/which")).unwrap(), b"a");
    });
}

#[test]
fn an_overlay_by_descriptors_shows_its_layers_in_order() {
    overlay_shows_layers_in_order(Features::probe());
}

#[test]
fn an_overlay_by_text_shows_its_layers_in_order() {
    overlay_shows_layers_in_order(Features { overlay_layer_fds: false, ..Features::probe() });
}

#[test]
fn an_overlay_of_many_layers_is_refused_only_where_the_way_has_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<_> = (0..120).map(|n| CString::new(format!("{n:060}")).unwrap()).collect();
    for name in &names {
        fs::create_dir(dir.path().join(name.to_str().unwrap())).unwrap();
    }
    let paths: Vec<_> = names.iter().map(CString::as_c_str).collect();
    let base = open(dir.path());
    let lower = Layers::Paths(&paths);
    let overlay = Overlay { base: base.as_fd(), lower, upper: None, options: &[] };
    let features = Features::probe();
    if features.overlay_layer_fds {
        overlay.mount(&features).unwrap();
    }
    let by_text = Features { overlay_layer_fds: false, ..features };
    assert_eq!(
        overlay.mount(&by_text).unwrap_err().to_string(),
        "mount overlay: option text of 7328 bytes, at most 4095 are possible"
    );
}

#[test]
fn an_idmapped_clone_shows_shifted_owners() {
    use mounts::userns::{IdRange, with_maps};
    alone(|| {
        let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(source.path().join("file"), "x").unwrap();
        let maps = [IdRange { inside: 0, outside: 100_000, count: 65_536 }];
        let namespace = with_maps(&maps, &maps).unwrap();
        let clone = Detached::clone_of(open(source.path()), Extent::Mount).unwrap();
        let change = Change { idmap: Some(namespace.as_fd()), ..Change::default() };
        clone.set(Extent::Mount, &change).unwrap();
        clone.attach(open(target.path())).unwrap();
        assert_eq!(fs::metadata(target.path().join("file")).unwrap().uid(), 100_000);
    });
}

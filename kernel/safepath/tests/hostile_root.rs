//! Roots as an attacker would write them.

#![expect(clippy::let_underscore_must_use, reason = "an attacker does not care")]
#![expect(clippy::unwrap_used, reason = "a test")]

use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags, mkfifoat, renameat_with};
use rustix::io::Errno;
use safepath::{Error, ProcHandle, Root};
use std::fs;
use std::os::unix::fs::symlink;

fn root() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    (dir, root)
}

#[test]
fn links_and_dots_stay_inside_the_root() {
    let (dir, root) = root();
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/passwd"), "inside").unwrap();
    symlink("/etc/passwd", dir.path().join("absolute")).unwrap();
    symlink("../../../../../etc/passwd", dir.path().join("dots")).unwrap();
    for path in ["absolute", "dots", "/etc/passwd", "../../etc/passwd"] {
        assert_eq!(root.read_small(path, 100).unwrap(), b"inside", "{path}");
    }
    assert_eq!(root.beneath("absolute").unwrap_err().errno(), Some(Errno::LOOP));
    assert_eq!(root.beneath("../x").unwrap_err().errno(), Some(Errno::XDEV));
}

#[test]
fn a_fifo_or_a_long_file_as_passwd_is_refused_at_once() {
    let (dir, root) = root();
    mkfifoat(CWD, dir.path().join("fifo"), Mode::RUSR).unwrap();
    assert_eq!(
        root.read_small("fifo", 10).unwrap_err().to_string(),
        "read \"fifo\": not a regular file"
    );
    fs::write(dir.path().join("long"), [b'x'; 11]).unwrap();
    assert_eq!(
        root.read_small("long", 10).unwrap_err(),
        Error::TooLarge { path: "long".into(), limit: 10 }
    );
    assert_eq!(root.read_small("none", 10).unwrap_err().errno(), Some(Errno::NOENT));
}

#[test]
fn missing_directories_are_made_inside_even_through_a_dangling_link() {
    let (dir, root) = root();
    fs::create_dir(dir.path().join("var")).unwrap();
    symlink("/run", dir.path().join("var/run")).unwrap();
    symlink("../../../../escape", dir.path().join("var/up")).unwrap();
    root.mkdir_all("/var/run/a/../b/./c", 0o700).unwrap();
    assert!(dir.path().join("run/b/c").is_dir());
    assert!(dir.path().join("run/a").is_dir());
    root.ensure_file("/var/up/file", 0o644).unwrap();
    assert!(dir.path().join("escape/file").is_file());
    assert_eq!(root.ensure_file("/var/run/b", 0o644).unwrap_err().errno(), Some(Errno::ISDIR));
    assert_eq!(root.mkdir_all("/escape/file", 0o755).unwrap_err().errno(), Some(Errno::NOTDIR));
    assert_eq!(root.mkdir_all("/escape/file/x", 0o755).unwrap_err().errno(), Some(Errno::NOTDIR));
    symlink("loop", dir.path().join("loop")).unwrap();
    assert_eq!(root.mkdir_all("/loop/x", 0o755).unwrap_err().errno(), Some(Errno::LOOP));
    assert_eq!(root.mkdir_all("", 0o755).unwrap().file_type().unwrap(), FileType::Directory);
}

#[test]
fn a_walk_never_leaves_the_root_while_a_directory_is_exchanged_with_a_link() {
    let outside = tempfile::tempdir().unwrap();
    let (dir, root) = root();
    let base = dir.path().to_owned();
    fs::create_dir(base.join("swap")).unwrap();
    symlink(outside.path(), base.join("link")).unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let attacker = std::thread::spawn({
        let (stop, base) = (stop.clone(), base.clone());
        move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let (a, b) = (base.join("swap"), base.join("link"));
                let _ = renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE);
            }
        }
    });
    for round in 0..200 {
        let _ = root.mkdir_all(format!("swap/a{round}/b"), 0o755);
        let _ = root.ensure_file(format!("swap/f{round}"), 0o644);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    attacker.join().unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn procfs_is_written_through_a_mount_that_is_attached_nowhere() {
    let proc = ProcHandle::detached().unwrap();
    let fd = proc.open(c"self/comm", OFlags::RDONLY).unwrap();
    let mut name = [0; 64];
    let length = rustix::io::read(&fd, &mut name).unwrap();
    assert!(length > 0);
    proc.write(c"self/comm", b"renamed").unwrap();
    assert_eq!(proc.open(c"self/root/etc", OFlags::PATH).unwrap_err(), Errno::LOOP);
    assert_eq!(proc.open(c"../etc", OFlags::PATH).unwrap_err(), Errno::XDEV);
    ProcHandle::host().unwrap();
}

#[test]
fn a_handle_is_reopened_to_the_same_file_after_its_path_was_replaced() {
    let (dir, root) = root();
    fs::write(dir.path().join("a"), "first").unwrap();
    let handle = root.resolve("a").unwrap();
    fs::remove_file(dir.path().join("a")).unwrap();
    symlink("/etc/passwd", dir.path().join("a")).unwrap();
    let mut file = fs::File::from(handle.reopen(OFlags::RDONLY).unwrap());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut file, &mut text).unwrap();
    assert_eq!(text, "first");
}

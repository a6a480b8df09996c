//! The log: Docker's format, rotation, and a disk that is full.

#![expect(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use serde_json::Value;
use shim::{JsonLog, LogFile, LogFileError, Stream};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

/// 2026-11-24T08:00:00.123456789Z.
const NOW: i64 = 1_795_507_200_123_456_789;

fn directory(path: &Path) -> OwnedFd {
    fs::File::open(path).unwrap().into()
}

fn log(path: &Path, max_size: Option<u64>, max_files: u32) -> JsonLog {
    JsonLog::new(LogFile::open(directory(path), "log", max_size, max_files).unwrap(), &[])
}

/// A tmpfs of this size that is mounted nowhere.
fn small_disk(bytes: &str) -> OwnedFd {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    rustix::mount::fsconfig_set_string(context.as_fd(), "size", bytes).unwrap();
    rustix::mount::fsconfig_create(context.as_fd()).unwrap();
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    rustix::mount::fsmount(context.as_fd(), flags, MountAttrFlags::empty()).unwrap()
}

fn read(directory: &OwnedFd, name: &str) -> String {
    let flags = rustix::fs::OFlags::RDONLY;
    let file = rustix::fs::openat(directory, name, flags, rustix::fs::Mode::empty()).unwrap();
    std::io::read_to_string(fs::File::from(file)).unwrap()
}

/// The `log` values of all lines, each of which must be complete JSON.
fn messages(text: &str) -> Vec<String> {
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            value["log"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn lines_have_dockers_format_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let file = LogFile::open(directory(dir.path()), "x-json.log", None, 1).unwrap();
    let attributes = [("tag".to_owned(), "a<b".to_owned()), ("env".to_owned(), "1\t2".to_owned())];
    let mut log = JsonLog::new(file, &attributes);
    log.write(Stream::Stdout, b"out\nrest", NOW);
    log.write(Stream::Stderr, b"\xfferr\n", NOW + 1);
    log.finish(Stream::Stdout, NOW + 2);
    let attrs = r#""attrs":{"env":"1\t2","tag":"a\u003cb"}"#;
    let time = "2026-11-24T08:00:00.12345";
    let expected = format!(
        r#"{{"log":"out\n","stream":"stdout",{attrs},"time":"{time}6789Z"}}
{{"log":"\ufffderr\n","stream":"stderr",{attrs},"time":"{time}679Z"}}
{{"log":"rest","stream":"stdout",{attrs},"time":"{time}6791Z"}}
"#
    );
    assert_eq!(fs::read_to_string(dir.path().join("x-json.log")).unwrap(), expected);
}

#[test]
fn files_are_owned_like_the_directory_and_readable_by_its_group() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(1234), Some(4321)).unwrap();
    log(dir.path(), Some(1), 2).write(Stream::Stdout, b"a\nb\n", NOW);
    for name in ["log", "log.1"] {
        let status = fs::metadata(dir.path().join(name)).unwrap();
        assert_eq!((status.uid(), status.gid()), (1234, 4321), "{name}");
        assert_eq!(status.permissions().mode() & 0o777, 0o640, "{name}");
    }
}

#[test]
fn a_full_file_is_moved_up_and_the_oldest_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), Some(100), 3);
    for number in 0..9 {
        log.write(Stream::Stdout, format!("line {number}\n").as_bytes(), NOW);
    }
    let of = |name: &str| messages(&fs::read_to_string(dir.path().join(name)).unwrap());
    assert_eq!(of("log"), ["line 8\n"]);
    assert_eq!(of("log.1"), ["line 6\n", "line 7\n"]);
    assert_eq!(of("log.2"), ["line 4\n", "line 5\n"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn a_chunk_with_many_lines_is_spread_over_files_at_their_size() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), Some(1000), 100);
    let lines: String = (0..200).map(|number| format!("{number}\n")).collect();
    log.write(Stream::Stdout, lines.as_bytes(), NOW);
    let files = fs::read_dir(dir.path()).unwrap().count();
    let mut all = String::new();
    for number in (1..files).rev() {
        let text = fs::read_to_string(dir.path().join(format!("log.{number}"))).unwrap();
        assert!((1000..1100).contains(&text.len()), "{}", text.len());
        all += &text;
    }
    all += &fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(messages(&all).concat(), lines);
}

#[test]
fn with_one_file_it_is_replaced_and_a_reader_keeps_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), Some(10), 1);
    log.write(Stream::Stdout, b"one\n", NOW);
    let reader = fs::File::open(dir.path().join("log")).unwrap();
    log.write(Stream::Stdout, b"two\n", NOW);
    assert_eq!(messages(&std::io::read_to_string(reader).unwrap()), ["one\n"]);
    assert_eq!(messages(&fs::read_to_string(dir.path().join("log")).unwrap()), ["two\n"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_exists_is_continued_after_a_torn_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("log"), "{\"log\":\"to").unwrap();
    log(dir.path(), None, 1).write(Stream::Stdout, b"new\n", NOW);
    let text = fs::read_to_string(dir.path().join("log")).unwrap();
    let (torn, rest) = text.split_once('\n').unwrap();
    assert_eq!(torn, "{\"log\":\"to");
    assert_eq!(messages(rest), ["new\n"]);
}

#[test]
fn links_devices_and_names_that_are_paths_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("victim"), "").unwrap();
    symlink("victim", dir.path().join("link")).unwrap();
    fs::hard_link(dir.path().join("victim"), dir.path().join("hard")).unwrap();
    rustix::fs::mknodat(directory(dir.path()), "fifo", rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let open = |name: &str| LogFile::open(directory(dir.path()), name, None, 1).map(drop);
    for name in ["", ".", "..", "a/b", &"x".repeat(241)] {
        assert!(matches!(open(name), Err(LogFileError::Name(_))), "{name}");
    }
    assert!(matches!(open("link"), Err(LogFileError::Kernel { .. })));
    for name in ["hard", "fifo"] {
        assert!(matches!(open(name), Err(LogFileError::NotPlain(_))), "{name}");
    }
}

#[test]
fn a_full_disk_loses_counted_bytes_leaves_whole_lines_and_logging_resumes() {
    let disk = small_disk("128k");
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    let filler = rustix::fs::openat(&disk, "filler", flags, 0o600.into()).unwrap();
    rustix::io::write(&filler, &[0; 64 * 1024]).unwrap();
    let file = LogFile::open(disk.try_clone().unwrap(), "log", None, 1).unwrap();
    let mut log = JsonLog::new(file, &[]);
    let line = format!("{}\u{2028}<\u{fffd}>\n", "x".repeat(90));
    let chunk = line.repeat(200);
    for _ in 0..10 {
        log.write(Stream::Stdout, chunk.as_bytes(), NOW);
    }
    let kept = messages(&read(&disk, "log"));
    assert!(kept.len() > 100);
    assert!(kept.iter().all(|message| *message == line));
    let lost = log.take_lost();
    assert_eq!(lost + (kept.len() * line.len()) as u64, 10 * chunk.len() as u64);
    assert!(!log.has_lost());

    rustix::fs::ftruncate(&filler, 0).unwrap();
    log.write(Stream::Stdout, b"back\n", NOW);
    assert_eq!(log.take_lost(), 0);
    let resumed = messages(&read(&disk, "log"));
    assert_eq!((resumed.len(), resumed.last().unwrap().as_str()), (kept.len() + 1, "back\n"));
}

#[test]
fn logging_goes_on_in_the_old_file_when_there_is_no_room_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), Some(50), 2);
    log.write(Stream::Stdout, b"one\n", NOW);
    // A directory in the new file's place stands for any failure to make it.
    fs::create_dir(dir.path().join("log.new")).unwrap();
    log.write(Stream::Stdout, b"two\n", NOW);
    log.write(Stream::Stdout, b"three\n", NOW);
    let text = fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(messages(&text), ["one\n", "two\n", "three\n"]);
    fs::remove_dir(dir.path().join("log.new")).unwrap();
    log.write(Stream::Stdout, b"four\n", NOW);
    assert_eq!(messages(&fs::read_to_string(dir.path().join("log")).unwrap()), ["four\n"]);
}

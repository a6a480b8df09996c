use super::*;
use crate::raw::{Raw, header};
use crate::read::Limits;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

fn run(
    root: &Path,
    base: &[u8],
    tar: &[u8],
    options: ExtractOptions,
) -> Result<Extracted, ExtractError> {
    rustix::process::umask(rustix::fs::Mode::empty());
    let opened = std::fs::File::open(root).unwrap();
    let mut reader = Reader::new(tar, Limits { entries: 1 << 20, bytes: 1 << 30 });
    extract(&mut reader, Place { root: opened.as_fd(), base }, options)
}

fn layer(root: &Path, tar: &[u8]) -> Result<Extracted, ExtractError> {
    run(root, b"", tar, ExtractOptions::LAYER)
}

/// A root to extract into, with something beside it that must not change.
fn place() -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("beside"), "kept").unwrap();
    let root = directory.path().join("root");
    std::fs::create_dir(&root).unwrap();
    (directory, root)
}

fn untouched(directory: &tempfile::TempDir) {
    let mut names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|item| item.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["beside", "root"]);
    let beside = directory.path().join("beside");
    assert_eq!(std::fs::read_to_string(&beside).unwrap(), "kept");
    assert_eq!(std::fs::metadata(&beside).unwrap().nlink(), 1);
}

#[test]
fn names_and_links_that_leave_the_root_are_refused_with_one_sentence() {
    for (tar, sentence) in [
        (
            Raw::default().file(b"../beside", b"x"),
            "extract archive entry \"../beside\": invalid name: it leads out of the root of the archive",
        ),
        (
            Raw::default().file(b"a/../../beside", b"x"),
            "extract archive entry \"a/../../beside\": invalid name: it leads out of the root of the archive",
        ),
        (
            Raw::default().entry(b"l", b'1', b"../beside", b""),
            "extract archive entry \"l\": invalid hard link to \"../beside\": it leads out of the root of the archive",
        ),
        (
            Raw::default().entry(b"l", b'1', b"/beside", b""),
            "extract archive entry \"l\": invalid hard link to \"/beside\": the target does not exist",
        ),
        (
            Raw::default().entry(b"up", b'2', b"..", b"").entry(b"l", b'1', b"up/beside", b""),
            "extract archive entry \"l\": invalid hard link to \"up/beside\": the target does not exist",
        ),
        (
            Raw::default().entry(b"d/", b'5', b"", b"").entry(b"l", b'1', b"d", b""),
            "extract archive entry \"l\": invalid hard link to \"d\": the target is a directory",
        ),
        (
            Raw::default().entry(b".", b'2', b"/etc", b""),
            "extract archive entry \".\": invalid name: the root of the archive must be a directory",
        ),
        (
            Raw::default().file(b".wh..", b""),
            "extract archive entry \".wh..\": invalid name: it deletes no file",
        ),
        (
            Raw::default().file(b".wh.d/x", b""),
            "extract archive entry \".wh.d/x\": invalid name: a directory in it begins with .wh.",
        ),
    ] {
        let (directory, root) = place();
        let error = layer(&root, &tar.end()).unwrap_err();
        assert_eq!(error.to_string(), sentence);
        assert_eq!(error.class(), spec::Class::InvalidArgument);
        untouched(&directory);
    }
}

#[test]
fn symbolic_links_of_the_archive_lead_nowhere_else() {
    let (directory, root) = place();
    let outside = directory.path().to_str().unwrap().as_bytes().to_vec();
    let tar = Raw::default()
        .entry(b"abs", b'2', b"/", b"")
        .file(b"abs/one", b"1")
        .entry(b"up", b'2', b"../../../../../../../..", b"")
        .file(b"up/two", b"2")
        .entry(b"real", b'2', &outside, b"")
        .entry(b"chain", b'2', b"up/abs/up", b"")
        .file(b"chain/three", b"3")
        .entry(b"file", b'2', b"../beside", b"")
        .file(b"file", b"replaced")
        .file(b"/absolute", b"a")
        .file(b"./dots/../four", b"4")
        .end();
    layer(&root, &tar).unwrap();
    for (name, text) in
        [("one", "1"), ("two", "2"), ("three", "3"), ("four", "4"), ("absolute", "a")]
    {
        assert_eq!(std::fs::read_to_string(root.join(name)).unwrap(), text, "{name}");
    }
    assert_eq!(std::fs::read_to_string(root.join("file")).unwrap(), "replaced");
    untouched(&directory);
    // A link to what exists only outside is no directory inside.
    let tar = Raw::default().file(b"real/beside", b"evil").end();
    assert!(layer(&root, &tar).is_err());
    untouched(&directory);
}

#[test]
fn everything_an_entry_says_is_set() {
    let (_directory, root) = place();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut setuid = header(b"tool", b'0', b"", 4);
    setuid[100..107].copy_from_slice(b"0004755");
    let mut null = header(b"null", b'3', b"", 0);
    null[100..107].copy_from_slice(b"0000666");
    null[329..336].copy_from_slice(b"0000001");
    null[337..344].copy_from_slice(b"0000003");
    let mut closed = header(b"closed/", b'5', b"", 0);
    closed[100..107].copy_from_slice(b"0001500");
    let tar = Raw::default()
        .pax(&[
            ("uid", b"1000"),
            ("gid", b"3000000"),
            ("mtime", b"1234.000000567"),
            ("SCHILY.xattr.security.capability", &capability),
            ("SCHILY.xattr.user.note", b"n"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.security.selinux", b"label"),
        ])
        .block(crate::raw::sealed(setuid))
        .data(b"tool")
        .block(crate::raw::sealed(null))
        .entry(b"pipe", b'6', b"", b"")
        .block(crate::raw::sealed(closed))
        .file(b"closed/inside", b"x")
        .entry(b"again", b'1', b"./tool", b"")
        .end();
    let extracted = layer(&root, &tar).unwrap();
    assert_eq!((extracted.entries, extracted.bytes, extracted.skipped_attributes), (6, 5, 2));
    let tool = std::fs::metadata(root.join("tool")).unwrap();
    assert_eq!((tool.mode(), tool.uid(), tool.gid()), (0o104755, 1000, 3_000_000));
    assert_eq!((tool.mtime(), tool.mtime_nsec(), tool.nlink()), (1234, 567, 2));
    assert_eq!(std::fs::metadata(root.join("again")).unwrap().ino(), tool.ino());
    let attribute = |name: &str| {
        let mut value = [0u8; 100];
        rustix::fs::getxattr(root.join("tool"), name, &mut value)
            .map(|length| value[..length].to_vec())
    };
    assert_eq!(attribute("security.capability").unwrap(), capability);
    assert_eq!(attribute("user.note").unwrap(), b"n");
    assert!(attribute("trusted.overlay.opaque").is_err());
    let null = std::fs::metadata(root.join("null")).unwrap();
    assert!(null.file_type().is_char_device());
    assert_eq!((null.rdev(), null.mode() & 0o7777), (rustix::fs::makedev(1, 3), 0o666));
    assert!(std::fs::metadata(root.join("pipe")).unwrap().file_type().is_fifo());
    let closed = std::fs::metadata(root.join("closed")).unwrap();
    assert_eq!((closed.permissions().mode() & 0o7777, closed.mtime()), (0o1500, 7));
}

#[test]
fn whiteouts_become_overlay_marks_and_opaque_directories_are_reported() {
    let (_directory, root) = place();
    let tar = Raw::default()
        .file(b"d/.wh.gone", b"")
        .file(b"o/.wh..wh..opq", b"")
        .file(b"o/new", b"x")
        .file(b"stays", b"x")
        .file(b".wh.stays", b"")
        .file(b".wh.back", b"")
        .entry(b"back/", b'5', b"", b"")
        .file(b".wh.deep", b"")
        .file(b"deep/er/file", b"x")
        .file(b".wh.again", b"")
        .file(b"again", b"x")
        .file(b".wh..wh.plnk/1.2", b"x")
        .file(b".wh..wh.aufs", b"x")
        .end();
    let extracted = layer(&root, &tar).unwrap();
    let paths = ["back", "deep", "o"].map(|path| path.as_bytes().to_vec());
    assert_eq!(extracted.opaque, paths);
    let gone = std::fs::symlink_metadata(root.join("d/gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    assert!(root.join("stays").is_file() && root.join("again").is_file());
    assert!(root.join("deep/er/file").is_file() && root.join("back").is_dir());
    let mut names: Vec<_> =
        std::fs::read_dir(&root).unwrap().map(|item| item.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["again", "back", "d", "deep", "o", "stays"]);
    // Not as a layer the same names are files.
    let (_directory, root) = place();
    let tar = Raw::default().file(b".wh.x", b"text").end();
    run(&root, b"", &tar, ExtractOptions::PLAIN).unwrap();
    assert_eq!(std::fs::read_to_string(root.join(".wh.x")).unwrap(), "text");
}

#[test]
fn later_entries_replace_earlier_ones_and_a_directory_stays() {
    let (_directory, root) = place();
    let tar = Raw::default()
        .file(b"x", b"first")
        .file(b"x", b"second")
        .entry(b"d/", b'5', b"", b"")
        .file(b"d/kept", b"x")
        .entry(b"d/", b'5', b"", b"")
        .entry(b"o/p/q/", b'5', b"", b"")
        .file(b"o/p/q/r", b"x")
        .file(b"o/.wh..wh..opq", b"")
        .file(b"o", b"now a file")
        .entry(b"x2", b'1', b"x", b"")
        .entry(b"x2", b'1', b"x", b"")
        .entry(b"x", b'1', b"x", b"")
        .entry(b"l", b'2', b"d", b"")
        .entry(b"l/", b'5', b"", b"")
        .end();
    let extracted = layer(&root, &tar).unwrap();
    assert_eq!(extracted.opaque, Vec::<Vec<u8>>::new());
    assert_eq!(std::fs::read_to_string(root.join("x")).unwrap(), "second");
    assert_eq!(std::fs::metadata(root.join("x2")).unwrap().nlink(), 2);
    assert!(root.join("d/kept").is_file());
    assert_eq!(std::fs::read_to_string(root.join("o")).unwrap(), "now a file");
    assert!(std::fs::symlink_metadata(root.join("l")).unwrap().is_dir());
}

#[test]
fn a_copy_goes_below_its_base_and_refuses_what_it_was_told_to() {
    let (_directory, root) = place();
    std::fs::create_dir_all(root.join("srv/d")).unwrap();
    std::fs::write(root.join("srv/f"), "file").unwrap();
    std::os::unix::fs::symlink("/srv", root.join("link")).unwrap();
    std::fs::set_permissions(root.join("srv"), std::fs::Permissions::from_mode(0o711)).unwrap();
    let owners = Owners::Fixed { uid: 5, gid: 6 };
    let options =
        ExtractOptions { no_overwrite_dir_non_dir: true, owners, ..ExtractOptions::PLAIN };
    let tar = Raw::default().entry(b"./", b'5', b"", b"").file(b"./new/file", b"x").end();
    run(&root, b"/link", &tar, options).unwrap();
    let new = std::fs::metadata(root.join("srv/new/file")).unwrap();
    assert_eq!((new.uid(), new.gid()), (5, 6));
    let base = std::fs::metadata(root.join("srv")).unwrap();
    assert_eq!((base.mode() & 0o7777, base.uid()), (0o711, 0));
    for (tar, cause) in [
        (
            Raw::default().file(b"d", b"x"),
            "cannot overwrite directory \"/link/d\" with non-directory",
        ),
        (
            Raw::default().entry(b"f/", b'5', b"", b""),
            "cannot overwrite non-directory \"/link/f\" with directory",
        ),
    ] {
        let error = run(&root, b"link", &tar.end(), options).unwrap_err().to_string();
        assert!(error.ends_with(cause), "{error}");
    }
    let tar = Raw::default().entry(b"h", b'1', b"f", b"").end();
    run(&root, b"link", &tar, options).unwrap();
    assert_eq!(std::fs::metadata(root.join("srv/h")).unwrap().nlink(), 2);
}

#[test]
fn sparse_files_keep_their_holes() {
    let (_directory, root) = place();
    let records = [("GNU.sparse.map", &b"0,4,104857600,4"[..]), ("GNU.sparse.size", b"209715200")];
    let tar = Raw::default().pax(&records).file(b"f", b"headtail").end();
    let extracted = layer(&root, &tar).unwrap();
    let found = std::fs::metadata(root.join("f")).unwrap();
    assert_eq!((extracted.bytes, found.size()), (200 << 20, 200 << 20));
    assert!(found.blocks() * 512 <= 64 << 10, "{}", found.blocks());
    let mut text = [0; 4];
    let file = std::fs::File::open(root.join("f")).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut text, 100 << 20).unwrap();
    assert_eq!(&text, b"tail");
}

#[test]
fn names_with_any_bytes_and_a_hundred_thousand_entries_are_extracted() {
    // In memory: ext4 takes long to make many files where as many were removed just before.
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let root = directory.path().to_owned();
    let mut raw = Raw::default().file(b"a\nb\xff", b"x");
    for index in 0..100_000u32 {
        let name = format!("usr/share/{:03}/{index:06}", index / 300);
        raw.0.extend_from_slice(&header(name.as_bytes(), b'0', b"", 0));
    }
    let extracted = layer(&root, &raw.end()).unwrap();
    assert_eq!(extracted.entries, 100_001);
    assert_eq!(std::fs::read_dir(root.join("usr/share/333")).unwrap().count(), 100);
    use std::os::unix::ffi::OsStrExt;
    let odd = root.join(std::ffi::OsStr::from_bytes(b"a\nb\xff"));
    assert_eq!(std::fs::read_to_string(odd).unwrap(), "x");
}

#[test]
fn parents_that_are_missing_are_made_for_everybody_to_read() {
    let (_directory, root) = place();
    let tar = Raw::default().file(b"a/b/c", b"x").entry(b"dangling", b'2', b"/nothing", b"").end();
    layer(&root, &tar).unwrap();
    let made = std::fs::metadata(root.join("a/b")).unwrap();
    assert_eq!((made.mode() & 0o7777, made.uid(), made.gid()), (0o755, 0, 0));
    let tar = Raw::default().file(b"dangling/x", b"x").end();
    let error = layer(&root, &tar).unwrap_err().to_string();
    assert_eq!(error, "extract archive entry \"dangling/x\": make its directory");
    let tar = Raw::default().file(b"a/b/c/d", b"x").end();
    assert_eq!(layer(&root, &tar).unwrap_err().class(), spec::Class::InvalidArgument);
}

#[test]
fn an_archive_cut_at_any_block_leaves_only_what_is_inside() {
    let whole = Raw::default()
        .entry(b"d/", b'5', b"", b"")
        .file(b"d/f", &[7; 2000])
        .pax(&[("path", b"d/long")])
        .file(b"short", b"x")
        .entry(b"d/l", b'1', b"d/f", b"")
        .entry(b"s", b'2', b"/", b"")
        .end();
    for end in (0..whole.len()).step_by(512) {
        let (directory, root) = place();
        if let Err(error) = layer(&root, &whole[..end]) {
            let text = error.to_string();
            assert!(text.starts_with("read archive entry "), "{text}");
        }
        untouched(&directory);
    }
}

/// All that lies outside the root, with its content.
fn outside(directory: &Path) -> Vec<(std::path::PathBuf, u32, u64, Vec<u8>)> {
    let mut found = Vec::new();
    for name in ["beside", "victim", "victim/inner"] {
        let path = directory.join(name);
        let stat = std::fs::symlink_metadata(&path).unwrap();
        found.push((
            path.clone(),
            stat.mode(),
            stat.nlink(),
            std::fs::read(&path).unwrap_or_default(),
        ));
    }
    let count = std::fs::read_dir(directory).unwrap().count() as u64;
    let inner = std::fs::read_dir(directory.join("victim")).unwrap().count() as u64;
    found.push((std::path::PathBuf::new(), 0, count * 100 + inner, Vec::new()));
    found
}

fn component() -> impl proptest::strategy::Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "a",
        "b",
        "c",
        "..",
        ".",
        "",
        "victim",
        "beside",
        "inner",
        ".wh.a",
        ".wh.b",
        ".wh..wh..opq",
    ])
}

fn path() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::strategy::Strategy as _;
    proptest::collection::vec(component(), 1..5).prop_map(|parts| parts.join("/"))
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 150, ..Default::default() })]

    #[test]
    fn no_sequence_of_entries_touches_what_lies_outside(
        entries in proptest::collection::vec((path(), 0usize..6, path()), 1..12),
        as_layer in proptest::bool::ANY,
    ) {
        let (directory, root) = place();
        std::fs::create_dir(directory.path().join("victim")).unwrap();
        std::fs::write(directory.path().join("victim/inner"), "inner").unwrap();
        let before = outside(directory.path());
        let mut raw = Raw::default();
        for (name, kind, target) in &entries {
            let absolute = directory.path().join(target.trim_start_matches('/'));
            let absolute = absolute.to_str().unwrap();
            let target = if target.contains("..") { target.as_str() } else { absolute };
            raw = match kind {
                0 => raw.entry(name.as_bytes(), b'5', b"", b""),
                1 => raw.entry(name.as_bytes(), b'2', target.as_bytes(), b""),
                2 => raw.entry(name.as_bytes(), b'2', b"../..", b""),
                3 => raw.entry(name.as_bytes(), b'1', target.as_bytes(), b""),
                4 => raw.entry(name.as_bytes(), b'6', b"", b""),
                _ => raw.file(name.trim_end_matches('/').as_bytes(), b"evil"),
            };
            let options = if as_layer { ExtractOptions::LAYER } else { ExtractOptions::PLAIN };
            // Each further entry works on what the ones before made, also after one was refused.
            run(&root, b"", &raw.clone().end(), options).ok();
        }
        proptest::prop_assert_eq!(outside(directory.path()), before);
    }
}

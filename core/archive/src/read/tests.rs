use super::*;
use crate::entry::Time;
use crate::raw::{Raw, header, sealed};
use proptest::prelude::*;
use std::process::Command;

fn read_all(tar: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, ReadError> {
    read_with(tar, Limits { entries: 1000, bytes: 1 << 24 })
}

fn read_with(tar: &[u8], limits: Limits) -> Result<Vec<(Entry, Vec<u8>)>, ReadError> {
    let mut reader = Reader::new(tar, limits);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        // A sparse file may claim any size.
        let read = reader.by_ref().take(1 << 24).read_to_end(&mut content);
        if let Err(error) = read {
            let inner = error.into_inner().unwrap();
            return Err(*inner.downcast::<ReadError>().unwrap());
        }
        entries.push((entry, content));
    }
    Ok(entries)
}

fn flaw(tar: &[u8]) -> Flaw {
    read_all(tar).unwrap_err().flaw().unwrap().clone()
}

#[test]
fn two_sizes_for_one_content_are_refused() {
    // RUSTSEC-2025-0111: who believes the header's 0 takes the content for further entries.
    let inner = Raw::default().file(b"smuggled", b"x").0;
    let tar = Raw::default()
        .pax(&[("size", inner.len().to_string().as_bytes())])
        .block(header(b"outer", b'0', b"", 0))
        .data(&inner)
        .end();
    let error = read_all(&tar).unwrap_err();
    assert_eq!(
        error.to_string(),
        "read archive entry \"outer\": the extended header says 1024 bytes and the header 0"
    );
    let same = Raw::default().pax(&[("size", b"3")]).file(b"f", b"abc").end();
    assert_eq!(read_all(&same).unwrap()[0].1, b"abc");
    // What octal cannot hold may stand in the extended header only; 8 GiB are over this test's limit.
    let large = Raw::default().pax(&[("size", b"8589934592")]).block(header(b"f", b'0', b"", 0));
    assert_eq!(flaw(&large.0), Flaw::TooLarge(1 << 24));
}

#[test]
fn what_readers_could_understand_differently_is_refused() {
    let pax = |records: &[(&str, &[u8])]| Raw::default().pax(records).file(b"f", b"").end();
    let long = |kind, name: &[u8]| Raw::default().entry(b"././@LongLink", kind, b"", name);
    for (tar, expected) in [
        (pax(&[("path", b"a"), ("path", b"b")]), Flaw::PaxTwice("path".into())),
        (pax(&[("path", b"a\0b")]), Flaw::ZeroByte("name")),
        (pax(&[("uid", b"-1")]), Flaw::PaxValue("uid".into())),
        (pax(&[("uid", b"4294967295")]), Flaw::OwnerRange("owner")),
        (pax(&[("mtime", b"now")]), Flaw::PaxValue("mtime".into())),
        (
            Raw::default().pax(&[("a", b"b")]).pax(&[("a", b"b")]).file(b"f", b"").end(),
            Flaw::TwoHeaders("extended attributes"),
        ),
        (long(b'L', b"a\0").entry(b"././@LongLink", b'L', b"", b"b\0").0, Flaw::TwoHeaders("name")),
        (long(b'L', b"a\0").pax(&[("path", b"b")]).file(b"f", b"").end(), Flaw::TwoHeaders("name")),
        (long(b'L', b"a\0").end(), Flaw::HeaderWithoutEntry),
        (Raw::default().pax(&[("path", b"a")]).0, Flaw::HeaderWithoutEntry),
        (
            Raw::default().extended(b'g', &[("path", b"a")]).file(b"f", b"").end(),
            Flaw::PaxGlobal("path".into()),
        ),
        (Raw::default().entry(b"d", b'5', b"", b"content").end(), Flaw::ContentOfNonFile(7)),
        (Raw::default().entry(b"l", b'1', b"t", b"content").end(), Flaw::ContentOfNonFile(7)),
        (Raw::default().file(b"f/", b"").end(), Flaw::FileWithSlash),
        (Raw::default().file(b"", b"").end(), Flaw::Empty("name")),
        (Raw::default().entry(b"l", b'2', b"", b"").end(), Flaw::Empty("link target")),
        (Raw::default().entry(b"v", b'V', b"", b"").end(), Flaw::UnknownType('V')),
        (Raw::default().block([0; 512]).file(b"f", b"").0, Flaw::LoneZeroBlock),
    ] {
        assert_eq!(flaw(&tar), expected);
    }
}

#[test]
fn headers_that_are_damaged_are_refused() {
    let good = header(b"f", b'0', b"", 0);
    let change = |range: std::ops::Range<usize>, bytes: &[u8]| {
        let mut block = good;
        block[range].copy_from_slice(bytes);
        sealed(block).to_vec()
    };
    let mut unsealed = good;
    unsealed[0] = b'g';
    for (tar, expected) in [
        (unsealed.to_vec(), Flaw::Checksum),
        (change(124..136, b"0000000000x\0"), Flaw::Number("size")),
        (change(124..136, b"00000000 000"), Flaw::Number("size")),
        (
            change(124..136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            Flaw::Number("size"),
        ),
        (change(124..136, b"\x80\0\0\0\x80\0\0\0\0\0\0\0"), Flaw::Number("size")),
        (change(108..116, b"\x80\0\0\x01\0\0\0\0"), Flaw::OwnerRange("owner")),
        (change(100..108, b"rw-r--r-"), Flaw::Number("mode")),
    ] {
        assert_eq!(flaw(&tar), expected);
    }
    let huge = change(124..136, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
    assert_eq!(flaw(&huge), Flaw::TooLarge(1 << 24));
}

#[test]
fn sizes_are_bounded_before_they_are_believed() {
    let body = vec![b'x'; (1 << 20) + 1];
    let tar = Raw::default().entry(b"h", b'x', b"", &body).file(b"f", b"").end();
    assert_eq!(flaw(&tar), Flaw::HeaderTooLarge((1 << 20) + 1));
    let name = vec![b'n'; 4097];
    let tar = Raw::default().entry(b"l", b'L', b"", &name).file(b"f", b"").end();
    assert_eq!(flaw(&tar), Flaw::HeaderTooLarge(4097));
    let tar = Raw::default().entry(b"l", b'L', b"", &name[..4096]).file(b"f", b"").end();
    assert_eq!(flaw(&tar), Flaw::TooLong("name"));
    let tar = Raw::default().pax(&[("linkpath", &name[..4096])]).file(b"f", b"").end();
    assert_eq!(flaw(&tar), Flaw::TooLong("link target"));
    let many = (0..4).fold(Raw::default(), |raw, _| raw.file(b"f", b"1234")).end();
    let limits = |entries, bytes| Limits { entries, bytes };
    let flaw = |limits| read_with(&many, limits).unwrap_err().flaw().unwrap().clone();
    assert_eq!(flaw(limits(3, 100)), Flaw::TooManyEntries(3));
    assert_eq!(flaw(limits(4, 15)), Flaw::TooLarge(15));
    assert_eq!(read_with(&many, limits(4, 16)).unwrap().len(), 4);
}

#[test]
fn names_keep_newlines_and_invalid_utf8() {
    let name = b"a\nb\xff\x01";
    let tar = Raw::default().file(name, b"").pax(&[("path", name)]).file(b"f", b"").end();
    let names: Vec<_> = read_all(&tar).unwrap().into_iter().map(|(entry, _)| entry.name).collect();
    assert_eq!(names, [name, name]);
    let bad = Raw::default().file(name, b"abc").0;
    assert_eq!(
        read_all(&bad[..512]).unwrap_err().to_string(),
        "read archive entry \"a\\nb\\xff\\u{1}\": the archive is cut off here"
    );
}

#[test]
fn extended_headers_change_the_next_entry_only() {
    let tar = Raw::default()
        .extended(b'g', &[("comment", b"0123456789"), ("mtime", b"99")])
        .pax(&[
            ("path", b"long name"),
            ("uid", b"3000000"),
            ("mtime", b"5.25"),
            ("SCHILY.xattr.user.a", b"b\nc=\0"),
        ])
        .file(b"short", b"x")
        .file(b"next", b"y")
        .end();
    let entries = read_all(&tar).unwrap();
    let first = &entries[0].0;
    assert_eq!((&first.name[..], first.uid), (&b"long name"[..], 3_000_000));
    assert_eq!(first.modified, Time { seconds: 5, nanos: 250_000_000 });
    assert_eq!(first.attributes, [(b"user.a".to_vec(), b"b\nc=\0".to_vec())]);
    let next = &entries[1].0;
    assert_eq!((&next.name[..], next.uid, next.modified.seconds), (&b"next"[..], 0, 7));
    assert!(next.attributes.is_empty());
}

#[test]
fn old_v7_directories_and_star_prefixes_are_understood() {
    let mut v7 = header(b"dir/", 0, b"", 0);
    v7[257..265].fill(0);
    let mut star = header(b"name", b'0', b"", 0);
    star[345..351].copy_from_slice(b"prefix");
    star[476..488].copy_from_slice(b"00000000007\0");
    star[508..512].copy_from_slice(b"tar\0");
    let tar = Raw::default().block(sealed(v7)).block(sealed(star)).end();
    let entries = read_all(&tar).unwrap();
    assert_eq!((entries[0].0.kind, &entries[0].0.name[..]), (Kind::Directory, &b"dir/"[..]));
    assert_eq!(entries[1].0.name, b"prefix/name");
}

#[test]
fn maps_of_sparse_files_must_fit_what_is_stored() {
    let sparse = |map: &[u8], size: &[u8], stored: &[u8]| {
        Raw::default()
            .pax(&[("GNU.sparse.map", map), ("GNU.sparse.size", size)])
            .file(b"f", stored)
            .end()
    };
    let good = read_all(&sparse(b"2,3,8,1", b"12", b"abcd")).unwrap();
    assert_eq!((good[0].0.size, &good[0].1[..]), (12, &b"\0\0abc\0\0\0d\0\0\0"[..]));
    for bad in [
        sparse(b"2,3,4,1", b"12", b"abcd"),
        sparse(b"2,3,8,1", b"8", b"abcd"),
        sparse(b"2,3", b"12", b"abcd"),
        sparse(b"18446744073709551615,4", b"12", b"abcd"),
        sparse(b"0,4", b"18446744073709551615", b"abcd"),
    ] {
        assert_eq!(flaw(&bad), Flaw::SparseMap);
    }
    let version = [("GNU.sparse.major", &b"2"[..]), ("GNU.sparse.minor", b"0")];
    let tar = Raw::default().pax(&version).file(b"f", b"").end();
    assert_eq!(flaw(&tar), Flaw::SparseFormat);
    let one = [
        ("GNU.sparse.major", &b"1"[..]),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"real"),
        ("GNU.sparse.realsize", b"9"),
    ];
    for bad in [&b"1\n0\nx\n"[..], b"99999999\n", b"1\n0", b"2\n0\n4\n"] {
        let tar = Raw::default().pax(&one).file(b"f", bad).end();
        assert_eq!(flaw(&tar), Flaw::SparseMap, "{bad:?}");
    }
}

/// A tree with all that GNU tar can store.
fn tree() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let long = path.join("l".repeat(120)).join("m".repeat(120));
    std::fs::create_dir_all(&long).unwrap();
    std::fs::write(long.join("n".repeat(120)), "deep").unwrap();
    std::fs::write(path.join("ümläut\n"), "name").unwrap();
    std::fs::hard_link(path.join("ümläut\n"), path.join("second")).unwrap();
    std::os::unix::fs::symlink("t".repeat(150), path.join("link")).unwrap();
    let sparse = std::fs::File::create(path.join("sparse")).unwrap();
    sparse.set_len(3 << 20).unwrap();
    for index in 0..40u64 {
        let data = format!("run {index}");
        std::os::unix::fs::FileExt::write_at(&sparse, data.as_bytes(), index * 70_000).unwrap();
    }
    let made = Command::new("mkfifo").arg(path.join("pipe")).status().unwrap();
    assert!(made.success());
    directory
}

fn gnu_tar(directory: &std::path::Path, options: &[&str]) -> Vec<u8> {
    let output =
        Command::new("tar").args(["-C"]).arg(directory).arg("-c").args(options).arg(".").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn archives_of_gnu_tar_are_read_as_the_tree_is() {
    let directory = tree();
    for options in [
        &["--format=gnu"][..],
        &["--format=gnu", "--sparse"],
        &["--format=posix"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
    ] {
        let entries = read_all(&gnu_tar(directory.path(), options)).unwrap();
        assert_eq!(entries.len(), 9, "{options:?}");
        for (entry, content) in &entries {
            use std::os::unix::ffi::OsStrExt;
            use std::os::unix::fs::MetadataExt;
            let path = directory.path().join(std::ffi::OsStr::from_bytes(&entry.name));
            let found = std::fs::symlink_metadata(&path).unwrap();
            assert_eq!(entry.mode, found.mode() & 0o7777, "{path:?}");
            assert_eq!(entry.modified.seconds, found.mtime());
            match entry.kind {
                Kind::File => {
                    assert!(*content == std::fs::read(&path).unwrap(), "{options:?} {path:?}")
                }
                Kind::Symlink => assert_eq!(entry.link, b"t".repeat(150)),
                Kind::HardLink => assert!(found.nlink() == 2),
                Kind::Fifo => assert!(path.ends_with("pipe")),
                _ => assert!(found.is_dir()),
            }
        }
    }
}

/// What the crate `tar` sees, as far as it understands the format.
fn read_by_tar_crate(bytes: &[u8]) -> Vec<(Vec<u8>, u64, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let mut list = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let mode = u64::from(entry.header().mode().unwrap());
        list.push((entry.path_bytes().into_owned(), mode, content));
    }
    list
}

#[test]
fn good_archives_are_read_as_the_crate_tar_reads_them() {
    let directory = tree();
    for options in [&["--format=gnu"][..], &["--format=gnu", "--sparse"], &["--format=posix"]] {
        let bytes = gnu_tar(directory.path(), options);
        let ours = read_all(&bytes).unwrap().into_iter();
        let ours: Vec<_> =
            ours.map(|(entry, content)| (entry.name, u64::from(entry.mode), content)).collect();
        assert!(ours == read_by_tar_crate(&bytes), "{options:?}");
    }
}

#[test]
fn an_archive_cut_anywhere_is_refused_or_ends_between_entries() {
    let directory = tree();
    for options in [&["--format=gnu", "--sparse"][..], &["--format=posix", "--sparse"]] {
        let bytes = gnu_tar(directory.path(), options);
        let whole = read_all(&bytes).unwrap();
        for end in (0..bytes.len()).step_by(512) {
            match read_all(&bytes[..end]) {
                Ok(entries) => assert!(entries[..] == whole[..entries.len()], "{end}"),
                Err(ReadError::Refused {
                    flaw: Flaw::CutOff | Flaw::HeaderWithoutEntry, ..
                }) => {}
                Err(error) => panic!("{end}: {error}"),
            }
            let inside = read_all(&bytes[..end + 100]);
            assert!(
                end + 1024 > bytes.len() || inside.is_err() || whole.len() == inside.unwrap().len()
            );
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        read_all(&bytes).ok();
    }

    #[test]
    fn no_damage_makes_the_reader_panic(
        position in 0usize..4096, byte in any::<u8>(), kind in any::<u8>(), value in "\\PC{0,40}",
    ) {
        let records = [("GNU.sparse.map", value.as_bytes()), ("GNU.sparse.size", b"100")];
        let mut bytes = Raw::default()
            .pax(&records)
            .entry(b"one", kind, b"link", b"content")
            .pax(&[("path", value.as_bytes()), ("mtime", value.as_bytes())])
            .file(b"two", b"more")
            .end();
        read_all(&bytes).ok();
        let position = position % bytes.len();
        bytes[position] = byte;
        read_all(&bytes).ok();
        // With the checksum of the first header right again the damage reaches the fields.
        let mut first = [0; BLOCK];
        first.copy_from_slice(&bytes[..BLOCK]);
        bytes[..BLOCK].copy_from_slice(&sealed(first));
        read_all(&bytes).ok();
    }

    #[test]
    fn what_the_writer_writes_the_crate_tar_reads(
        // That crate cannot read newlines in extended headers.
        name in "[a-zäöü./ ]{1,300}", content in proptest::collection::vec(any::<u8>(), 0..2000),
        mode in 0u32..0o7777, uid in 0u32..5_000_000,
    ) {
        let name = format!("x{}x", name.replace("..", "_"));
        let mut entry = Entry::new(name, Kind::File, mode);
        (entry.uid, entry.size) = (uid, content.len() as u64);
        let mut writer = crate::Writer::new(Vec::new());
        writer.append_with(&entry, &content[..]).unwrap();
        let bytes = writer.finish().unwrap();
        prop_assert_eq!(&read_all(&bytes).unwrap()[..], &[(entry.clone(), content.clone())][..]);
        let theirs = read_by_tar_crate(&bytes);
        prop_assert_eq!(&theirs[..], &[(entry.name, u64::from(mode), content)][..]);
    }
}

//! Clients that lie, stall, hammer or try to get out.

use crate::rig::{Running, bytes, connect, read_answer, sha256};
use registry::Options;
use std::io::{Read, Write};

#[test]
fn no_path_leaves_the_store() {
    let registry = Running::new();
    std::fs::write(registry.directory.path().join("secret"), "secret").unwrap();
    let digest = sha256(b"x");
    for path in [
        "/v2/../secret",
        "/v2/%2e%2e/%2e%2e/etc/tags/list",
        "/v2/..%2f..%2fetc/manifests/passwd",
        "/v2/a/manifests/..%2f..%2f..%2fsecret",
        "/v2/a/blobs/sha256:..%2f..%2f..%2fsecret",
        "/v2/a/blobs/uploads/..%2f..%2fsecret",
        "/v2/a/_tags/manifests/x",
        "/v2/a//b/tags/list",
        "/v2/a%00/tags/list",
        "//etc/passwd",
        &format!("/v2/{}/blobs/{digest}", "a/".repeat(200)),
    ] {
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            let answer = registry.ask(method, path, &[], b"x");
            assert!((400..=405).contains(&answer.status), "{method} {path}: {}", answer.status);
            assert!(!answer.text().contains("secret\""));
        }
    }
    assert_eq!(registry.files("repositories"), 0);
}

#[test]
fn a_link_that_somebody_planted_is_not_followed() {
    let registry = Running::new();
    let (_, digest) = registry.push_image("a", "v1", b"layer");
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("file"), "outside").unwrap();
    let repository = registry.directory.path().join("repositories/a");
    let blob = repository.join("_blobs/sha256").join(&sha256(b"layer")[7..]);
    std::fs::remove_file(&blob).unwrap();
    std::os::unix::fs::symlink(outside.path().join("file"), &blob).unwrap();
    let answer = registry.get(&format!("/v2/a/blobs/{}", sha256(b"layer")));
    assert_eq!((answer.status, answer.code().as_str()), (500, "UNKNOWN"));
    assert!(!answer.text().contains(registry.directory.path().to_str().unwrap()));

    std::fs::remove_dir_all(repository.join("_tags")).unwrap();
    std::os::unix::fs::symlink(outside.path(), repository.join("_tags")).unwrap();
    let manifest = registry.get(&format!("/v2/a/manifests/{digest}"));
    assert_eq!(registry.put_manifest("a", "v2", &manifest.text()).status, 500);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn heads_are_bounded() {
    let registry = Running::new();
    let mut stream = connect(registry.address);
    let long = "x".repeat(100 << 10);
    write!(stream, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n").unwrap_or_default();
    assert_eq!(read_answer(&mut stream, false).status, 431);
    let mut stream = connect(registry.address);
    let many = "X-Many: x\r\n".repeat(1000);
    write!(stream, "GET /v2/ HTTP/1.1\r\nHost: x\r\n{many}\r\n").unwrap_or_default();
    assert_eq!(read_answer(&mut stream, false).status, 431);
    let mut stream = connect(registry.address);
    write!(stream, "GET /v2/{}/tags/list HTTP/1.1\r\nHost: x\r\n\r\n", "a/".repeat(10_000))
        .unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 414);
}

#[test]
fn a_body_shorter_than_it_was_said_makes_no_blob() {
    let registry = Running::new();
    let digest = sha256(b"whole");
    let mut stream = connect(registry.address);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nwhole").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&rest).contains("201"));
    assert_eq!(registry.get(&format!("/v2/a/blobs/{digest}")).status, 404);
    assert_eq!(registry.files("blobs"), 0);
}

#[test]
fn a_manifest_of_a_hundred_megabytes_is_refused_before_it_is_in_memory() {
    let registry = Running::new();
    let mut stream = connect(registry.address);
    let head = "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..17 {
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    let answer = read_answer(&mut stream, false);
    assert_eq!((answer.status, answer.code().as_str()), (413, "SIZE_INVALID"));
}

#[test]
fn a_chunk_without_end_ends_at_the_limit() {
    let registry = Running::with(Options { blob_limit: Some(1 << 20), ..Options::default() });
    let begun = registry.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    let location = begun.header("Location").to_owned();
    let mut stream = connect(registry.address);
    write!(stream, "PATCH {location} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat();
    for _ in 0..64 {
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    let answer = read_answer(&mut stream, false);
    assert_eq!((answer.status, answer.code().as_str()), (413, "SIZE_INVALID"));
    let whole = registry.ask(
        "POST",
        &format!("/v2/a/blobs/uploads/?digest={}", sha256(b"")),
        &[],
        &bytes(1 << 21, 1),
    );
    assert_eq!((whole.status, whole.code().as_str()), (413, "SIZE_INVALID"));
    let name = location.rsplit('/').next().unwrap();
    let upload = registry.directory.path().join("repositories/a/_uploads").join(name);
    assert!(upload.metadata().unwrap().len() <= 1 << 20);
}

#[test]
fn deep_json_is_refused_and_not_descended() {
    let registry = Running::new();
    let deep = format!("{{\"schemaVersion\":2,\"x\":{}", "[".repeat(1_000_000));
    assert_eq!(registry.put_manifest("a", "v1", &deep).code(), "MANIFEST_INVALID");
}

#[test]
fn two_requests_for_one_upload_do_not_mix() {
    let registry = Running::new();
    let begun = registry.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    let location = begun.header("Location").to_owned();
    let mut first = connect(registry.address);
    write!(first, "PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
        .unwrap();
    let second = std::thread::scope(|scope| {
        let second = scope.spawn(|| registry.ask("PATCH", &location, &[], b"abcde"));
        // Whoever comes second waits; the first is let go in the meantime.
        first.write_all(b"67890").unwrap();
        assert_eq!(read_answer(&mut first, false).status, 202);
        second.join().unwrap()
    });
    assert_eq!(second.status, 202);
    let have = registry.directory.path().join("repositories/a/_uploads");
    let have = have.join(location.rsplit('/').next().unwrap());
    let bytes = std::fs::read_to_string(have).unwrap();
    assert!(["1234567890abcde", "abcde1234567890"].contains(&bytes.as_str()), "{bytes}");
    let path = format!("{location}?digest={}", sha256(bytes.as_bytes()));
    assert_eq!(registry.ask("PUT", &path, &[], b"").status, 201);
}

#[test]
fn racing_pushes_of_one_image_all_succeed() {
    let registry = Running::new();
    let layer = bytes(3_000_000, 8);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (registry, layer) = (&registry, &layer);
            scope.spawn(move || {
                registry.push_image(&format!("r{}", number % 2), &format!("t{number}"), layer)
            });
        }
    });
    assert_eq!(registry.files("blobs"), 2);
    for name in ["r0", "r1"] {
        assert_eq!(
            registry.get(&format!("/v2/{name}/tags/list")).json()["tags"].as_array().unwrap().len(),
            4
        );
        assert!(registry.get(&format!("/v2/{name}/blobs/{}", sha256(&layer))).body == layer);
    }
}

#[test]
fn connections_beyond_the_limit_are_closed_and_counted() {
    let registry =
        Running::with(Options { connections: 2, metrics_path: true, ..Options::default() });
    let kept: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = connect(registry.address);
            stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            assert_eq!(read_answer(&mut stream, false).status, 200);
            stream
        })
        .collect();
    let mut third = connect(registry.address);
    let mut rest = Vec::new();
    third.read_to_end(&mut rest).unwrap_or_default();
    assert!(rest.is_empty());
    let mut one = kept.into_iter().next().unwrap();
    one.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let text = read_answer(&mut one, false).text();
    assert!(text.contains("coffer_registry_connections_refused_total 1\n"), "{text}");
}

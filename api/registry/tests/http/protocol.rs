//! The distribution specification, paragraph by paragraph, over real connections.

use crate::rig::{IMAGE, Running, bytes, image, read_answer, sha256};
use registry::Options;
use std::io::Write;

#[test]
fn the_base_says_that_this_is_a_registry() {
    let registry = Running::new();
    for path in ["/v2/", "/v2"] {
        let answer = registry.get(path);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
        assert_eq!(answer.header("Docker-Distribution-Api-Version"), "registry/2.0");
    }
    assert_eq!(registry.get("/healthz").status, 200);
    let answer = registry.get("/v3/");
    assert_eq!((answer.status, answer.code().as_str()), (404, "UNSUPPORTED"));
}

#[test]
fn a_blob_goes_in_by_post_and_put_and_comes_out_whole_or_in_parts() {
    let registry = Running::new();
    // Larger than what is read at once, than a slice that stands for a file, and than socket buffers.
    for (length, seed) in [(0, 1), (1, 2), (70_000, 3), (9_000_001, 4)] {
        let blob = bytes(length, seed);
        let digest = sha256(&blob);
        let begun = registry.ask("POST", "/v2/a/b/blobs/uploads/", &[], b"");
        assert_eq!(begun.status, 202);
        assert_eq!(begun.header("Range"), "0-0");
        let location = begun.header("Location").to_owned();
        assert!(location.ends_with(begun.header("Docker-Upload-UUID")));
        let done = registry.ask("PUT", &format!("{location}?digest={digest}"), &[], &blob);
        assert_eq!(done.status, 201, "{}", done.text());
        assert_eq!(done.header("Location"), format!("/v2/a/b/blobs/{digest}"));
        assert_eq!(done.header("Docker-Content-Digest"), digest);

        let path = format!("/v2/a/b/blobs/{digest}");
        let whole = registry.get(&path);
        assert_eq!(whole.status, 200);
        assert!(whole.body == blob, "{length}");
        assert_eq!(whole.header("Docker-Content-Digest"), digest);
        assert_eq!(whole.header("Content-Type"), "application/octet-stream");
        let head = registry.ask("HEAD", &path, &[], b"");
        assert_eq!((head.status, head.header("Content-Length")), (200, &*length.to_string()));
        let etag = whole.header("ETag").to_owned();
        assert_eq!(registry.ask("GET", &path, &[("If-None-Match", &etag)], b"").status, 304);
    }
}

#[test]
fn a_part_of_a_blob_is_what_was_asked() {
    let registry = Running::new();
    let blob = bytes(3_000_000, 5);
    let path = format!("/v2/a/blobs/{}", registry.push_blob("a", &blob));
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=100-", 100, 2_999_999),
        ("bytes=-5", 2_999_995, 2_999_999),
        ("bytes=1000000-2999999", 1_000_000, 2_999_999),
    ] {
        let part = registry.ask("GET", &path, &[("Range", range)], b"");
        assert_eq!(part.status, 206);
        assert_eq!(part.header("Content-Range"), format!("bytes {first}-{last}/3000000"));
        assert!(part.body == blob[first..=last], "{range}");
    }
    let none = registry.ask("GET", &path, &[("Range", "bytes=3000000-")], b"");
    assert_eq!((none.status, none.code().as_str()), (416, "RANGE_INVALID"));
    assert_eq!(none.header("Content-Range"), "bytes */3000000");
    let stale = [("Range", "bytes=0-0"), ("If-Range", "\"x\"")];
    assert_eq!(registry.ask("GET", &path, &stale, b"").status, 200);
}

#[test]
fn many_downloads_on_one_connection_come_in_order() {
    let registry = Running::new();
    let blobs: Vec<_> = (0..6).map(|n| bytes(200_000 + n * 300_000, n as u32 + 9)).collect();
    let mut stream = crate::rig::connect(registry.address);
    let mut requests = String::new();
    for blob in &blobs {
        let digest = registry.push_blob("a", blob);
        requests.push_str(&format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    // All at once, and twice: hyper reads the next request before the last answer is sent.
    stream.write_all(requests.as_bytes()).unwrap();
    stream.write_all(requests.as_bytes()).unwrap();
    for blob in blobs.iter().chain(&blobs) {
        let answer = read_answer(&mut stream, false);
        assert!(answer.status == 200 && answer.body == *blob);
    }
}

#[test]
fn chunks_go_on_where_the_last_one_ended() {
    let registry = Running::new();
    let blob = bytes(1_000_000, 6);
    let location = begin(&registry, "a");
    let first =
        registry.ask("PATCH", &location, &[("Content-Range", "0-399999")], &blob[..400_000]);
    assert_eq!((first.status, first.header("Range")), (202, "0-399999"));
    assert_eq!(first.header("Location"), location);
    for range in ["0-399999", "400001-800000", "rubbish", "5-4"] {
        let wrong = registry.ask("PATCH", &location, &[("Content-Range", range)], &blob[..400_000]);
        assert_eq!((wrong.status, wrong.code().as_str()), (416, "RANGE_INVALID"), "{range}");
        assert_eq!(wrong.header("Range"), "0-399999");
        assert_eq!(wrong.header("Location"), location);
    }
    let lie = registry.ask("PATCH", &location, &[("Content-Range", "400000-400009")], &blob[..9]);
    assert_eq!((lie.status, lie.code().as_str()), (400, "SIZE_INVALID"));
    let state = registry.get(&location);
    assert_eq!((state.status, state.header("Range")), (204, "0-399999"));
    // Without a range: at the end.
    let second = registry.ask("PATCH", &location, &[], &blob[400_000..900_000]);
    assert_eq!((second.status, second.header("Range")), (202, "0-899999"));
    let digest = sha256(&blob);
    let end = format!("{location}?digest={digest}");
    let done = registry.ask("PUT", &end, &[("Content-Range", "900000-999999")], &blob[900_000..]);
    assert_eq!(done.status, 201, "{}", done.text());
    assert!(registry.get(&format!("/v2/a/blobs/{digest}")).body == blob);
    let gone = registry.get(&location);
    assert_eq!((gone.status, gone.code().as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
}

#[test]
fn an_upload_that_was_cut_off_goes_on() {
    let registry = Running::new();
    let blob = bytes(2_000_000, 7);
    let location = begin(&registry, "a");
    let mut stream = crate::rig::connect(registry.address);
    write!(stream, "PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n")
        .unwrap();
    stream.write_all(&blob[..700_000]).unwrap();
    while registry.get(&location).header("Range") == "0-0" {
        std::thread::yield_now();
    }
    drop(stream);
    // The registry may need a moment to see that the connection is gone; until then it waits.
    let retry = registry.ask("PATCH", &location, &[], b"");
    assert_eq!(retry.status, 202);
    let (_, last) = retry.header("Range").split_once('-').unwrap();
    let have = last.parse::<usize>().unwrap() + 1;
    assert!(have <= 700_000);
    let digest = sha256(&blob);
    let range = format!("{have}-1999999");
    let end = format!("{location}?digest={digest}");
    let done = registry.ask("PUT", &end, &[("Content-Range", &range)], &blob[have..]);
    assert_eq!(done.status, 201, "{}", done.text());
    assert!(registry.get(&format!("/v2/a/blobs/{digest}")).body == blob);
}

#[test]
fn an_upload_is_cancelled_and_is_gone() {
    let registry = Running::new();
    let location = begin(&registry, "a");
    assert_eq!(registry.ask("DELETE", &location, &[], b"").status, 204);
    for method in ["GET", "PATCH", "DELETE"] {
        let answer = registry.ask(method, &location, &[], b"");
        assert_eq!((answer.status, answer.code().as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
    }
}

#[test]
fn a_digest_that_is_not_right_leaves_nothing_behind() {
    let registry = Running::new();
    let wrong = sha256(b"other");
    let location = begin(&registry, "a");
    for path in [
        format!("{location}?digest={wrong}"),
        format!("/v2/a/blobs/uploads/?digest={wrong}"),
        "/v2/a/blobs/uploads/?digest=md5:abc".to_owned(),
        "/v2/a/blobs/uploads/?digest-algorithm=md5".to_owned(),
    ] {
        let method = if path.starts_with(&location) { "PUT" } else { "POST" };
        let answer = registry.ask(method, &path, &[], b"content");
        assert_eq!((answer.status, answer.code().as_str()), (400, "DIGEST_INVALID"), "{path}");
    }
    let missing = begin(&registry, "a");
    let answer = registry.ask("PUT", &missing, &[], b"content");
    assert_eq!((answer.status, answer.code().as_str()), (400, "DIGEST_INVALID"));
    assert_eq!(registry.ask("DELETE", &missing, &[], b"").status, 204);
    assert_eq!(registry.files("blobs") + registry.files("repositories"), 0);
}

#[test]
fn a_blob_is_mounted_from_another_repository() {
    let registry = Running::new();
    let digest = registry.push_blob("from", b"layer");
    let mounted =
        registry.ask("POST", &format!("/v2/to/blobs/uploads/?mount={digest}&from=from"), &[], b"");
    assert_eq!(mounted.status, 201);
    assert_eq!(mounted.header("Location"), format!("/v2/to/blobs/{digest}"));
    assert_eq!(registry.get(mounted.header("Location")).text(), "layer");
    // Everybody may read everything here, so the repository need not be said.
    let somewhere = format!("/v2/other/blobs/uploads/?mount={digest}");
    assert_eq!(registry.ask("POST", &somewhere, &[], b"").status, 201);
    for from in ["nowhere", "%2e%2e"] {
        let path = format!("/v2/third/blobs/uploads/?mount={digest}&from={from}");
        let session = registry.ask("POST", &path, &[], b"");
        assert_eq!(session.status, 202);
        assert!(session.header("Location").starts_with("/v2/third/blobs/uploads/"));
    }
}

#[test]
fn a_manifest_comes_back_bit_for_bit_with_the_type_it_was_sent_with() {
    let registry = Running::new();
    let (text, digest) = registry.push_image("a", "v1", b"layer");
    for reference in ["v1", &digest] {
        let answer = registry.get(&format!("/v2/a/manifests/{reference}"));
        assert_eq!((answer.status, answer.text()), (200, text.clone()));
        assert_eq!(answer.header("Content-Type"), IMAGE);
        assert_eq!(answer.header("Docker-Content-Digest"), digest);
        let head = registry.ask("HEAD", &format!("/v2/a/manifests/{reference}"), &[], b"");
        assert_eq!(head.header("Content-Length"), text.len().to_string());
    }
    for (reference, status, code) in [
        ("v2".to_owned(), 404, "MANIFEST_UNKNOWN"),
        (sha256(b"x"), 404, "MANIFEST_UNKNOWN"),
        (".bad".to_owned(), 404, "MANIFEST_UNKNOWN"),
        ("sha256:bad".to_owned(), 400, "DIGEST_INVALID"),
    ] {
        let answer = registry.get(&format!("/v2/a/manifests/{reference}"));
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{reference}");
    }
}

#[test]
fn a_manifest_that_is_not_right_is_refused_with_the_code_that_says_why() {
    let registry = Running::new();
    let (config, layer) = (registry.push_blob("a", b"{}"), registry.push_blob("a", b"layer"));
    let good = image(&config, 2, &layer, 5);
    let table = [
        ("v1".to_owned(), image(&config, 2, &sha256(b"no"), 5), 400, "MANIFEST_BLOB_UNKNOWN"),
        ("v1".to_owned(), image(&config, 2, &layer, 6), 400, "SIZE_INVALID"),
        ("v1".to_owned(), "{".to_owned(), 400, "MANIFEST_INVALID"),
        (
            "v1".to_owned(),
            good.replace("\"schemaVersion\":2", "\"schemaVersion\":1"),
            400,
            "MANIFEST_INVALID",
        ),
        ("v1".to_owned(), good.replace("image.manifest", "image.index"), 400, "MANIFEST_INVALID"),
        (".bad".to_owned(), good.clone(), 400, "MANIFEST_INVALID"),
        (sha256(b"other"), good.clone(), 400, "DIGEST_INVALID"),
        (format!("{}?tag=.", sha256(good.as_bytes())), good.clone(), 400, "MANIFEST_INVALID"),
        ("v1".to_owned(), " ".repeat((4 << 20) + 1), 413, "SIZE_INVALID"),
    ];
    for (reference, text, status, code) in table {
        let answer = registry.put_manifest("a", &reference, &text);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{reference}");
    }
    assert_eq!(registry.get("/v2/a/tags/list").code(), "NAME_UNKNOWN");
    assert_eq!(registry.put_manifest("a", "v1", &good).status, 201);
}

#[test]
fn one_request_may_set_several_tags() {
    let registry = Running::new();
    let (text, digest) = registry.push_image("a", "v1", b"layer");
    let answer = registry.put_manifest("a", &format!("{digest}?tag=b&tag=c"), &text);
    assert_eq!((answer.status, answer.header("OCI-Tag")), (201, "b, c"));
    assert_eq!(registry.get("/v2/a/tags/list").json()["tags"], serde_json::json!(["b", "c", "v1"]));
}

#[test]
fn lists_come_in_pages_with_a_link_to_the_next() {
    let registry = Running::new();
    for name in ["x/b", "a", "x"] {
        let (text, _) = registry.push_image(name, "t0", b"layer");
        for tag in ["t1", "t2", "t3"] {
            registry.put_manifest(name, tag, &text);
        }
    }
    let mut next = "/v2/x/tags/list?n=3".to_owned();
    let mut tags = Vec::new();
    while !next.is_empty() {
        let answer = registry.get(&next);
        assert_eq!(answer.json()["name"], "x");
        tags.extend(answer.json()["tags"].as_array().unwrap().clone());
        let link = answer.header("Link").split(['<', '>']).nth(1);
        next = link.unwrap_or_default().to_owned();
    }
    assert_eq!(tags, ["t0", "t1", "t2", "t3"]);
    let none = registry.get("/v2/x/tags/list?n=0");
    assert_eq!((none.json()["tags"].as_array().unwrap().len(), none.header("Link")), (0, ""));
    assert_eq!(
        registry.get("/v2/x/tags/list?last=t1").json()["tags"],
        serde_json::json!(["t2", "t3"])
    );
    let wrong = registry.get("/v2/x/tags/list?n=-1");
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "PAGINATION_NUMBER_INVALID"));

    let first = registry.get("/v2/_catalog?n=2");
    assert_eq!(first.json()["repositories"], serde_json::json!(["a", "x"]));
    assert_eq!(first.header("Link"), "</v2/_catalog?n=2&last=x>; rel=\"next\"");
    let rest = registry.get("/v2/_catalog?n=2&last=x");
    assert_eq!(rest.json()["repositories"], serde_json::json!(["x/b"]));
    assert_eq!(rest.header("Link"), "");
}

#[test]
fn referrers_are_listed_and_filtered() {
    let registry = Running::new();
    let (_, subject) = registry.push_image("a", "v1", b"layer");
    let config = registry.push_blob("a", b"{}");
    let signature = image(&config, 2, &config, 2).replace(
        " }",
        &format!(
            r#","artifactType":"sig/x+json","annotations":{{"k":"v"}},"subject":{{"mediaType":"{IMAGE}","digest":"{subject}","size":1}}}}"#
        ),
    );
    let pushed = registry.put_manifest("a", &sha256(signature.as_bytes()), &signature);
    assert_eq!((pushed.status, pushed.header("OCI-Subject")), (201, &*subject));

    let path = format!("/v2/a/referrers/{subject}");
    let all = registry.get(&path);
    assert_eq!(all.header("Content-Type"), "application/vnd.oci.image.index.v1+json");
    let one = &all.json()["manifests"][0];
    assert_eq!(one["digest"], sha256(signature.as_bytes()));
    assert_eq!(one["artifactType"], "sig/x+json");
    assert_eq!(one["annotations"]["k"], "v");
    for (filter, count) in [("sig/x%2Bjson", 1), ("sig/x+json", 1), ("other", 0)] {
        let some = registry.get(&format!("{path}?artifactType={filter}"));
        assert_eq!(some.json()["manifests"].as_array().unwrap().len(), count, "{filter}");
        assert_eq!(some.header("OCI-Filters-Applied"), "artifactType");
    }
    let nobody = registry.get(&format!("/v2/never/referrers/{}", sha256(b"x")));
    assert_eq!((nobody.status, nobody.json()["manifests"].as_array().unwrap().len()), (200, 0));
    assert_eq!(registry.get("/v2/a/referrers/x").code(), "DIGEST_INVALID");
}

#[test]
fn what_is_deleted_is_gone_at_once() {
    let registry = Running::new();
    let (text, digest) = registry.push_image("a", "v1", b"layer");
    registry.put_manifest("a", "v2", &text);
    assert_eq!(registry.ask("DELETE", "/v2/a/manifests/v1", &[], b"").status, 202);
    assert_eq!(registry.get("/v2/a/manifests/v1").status, 404);
    assert_eq!(registry.get("/v2/a/manifests/v2").status, 200);
    let path = format!("/v2/a/manifests/{digest}");
    assert_eq!(registry.ask("DELETE", &path, &[], b"").status, 202);
    assert_eq!(registry.get("/v2/a/manifests/v2").status, 404);
    assert_eq!(registry.ask("DELETE", &path, &[], b"").code(), "MANIFEST_UNKNOWN");
    let blob = format!("/v2/a/blobs/{}", sha256(b"layer"));
    assert_eq!(registry.ask("DELETE", &blob, &[], b"").status, 202);
    for method in ["GET", "DELETE"] {
        assert_eq!(registry.ask(method, &blob, &[], b"").code(), "BLOB_UNKNOWN");
    }
    assert_eq!(registry.ask("HEAD", &blob, &[], b"").status, 404);
}

#[test]
fn a_registry_that_is_read_only_or_keeps_everything_says_so() {
    let read_only = Running::with(Options { read_only: true, ..Options::default() });
    for (method, path) in [
        ("POST", "/v2/a/blobs/uploads/"),
        ("PUT", "/v2/a/manifests/v1"),
        ("DELETE", "/v2/a/manifests/v1"),
    ] {
        let answer = read_only.ask(method, path, &[], b"x");
        assert_eq!((answer.status, answer.code().as_str()), (405, "UNSUPPORTED"), "{method}");
    }
    let keeping = Running::with(Options { delete: false, ..Options::default() });
    keeping.push_image("a", "v1", b"layer");
    assert_eq!(keeping.ask("DELETE", "/v2/a/manifests/v1", &[], b"").status, 405);
}

#[test]
fn numbers_are_shown_when_asked_for() {
    let registry = Running::with(Options { metrics_path: true, ..Options::default() });
    registry.push_image("a", "v1", b"layer");
    registry.get("/v2/a/manifests/v1");
    let text = registry.get("/metrics").text();
    let line = "request_duration_seconds_count{method=\"GET\",route=\"manifest\",status=\"200\"} 1";
    assert!(text.contains(line), "{text}");
    assert_eq!(Running::new().get("/metrics").status, 404);
}

fn begin(registry: &Running, name: &str) -> String {
    let begun = registry.ask("POST", &format!("/v2/{name}/blobs/uploads/"), &[], b"");
    begun.header("Location").to_owned()
}

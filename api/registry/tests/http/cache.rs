//! The pull-through cache, with another registry as its upstream, and with one that lies.

use crate::rig::{Running, ask, bytes, image, sha256};
use registry::{AccessOptions, Options, UpstreamOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn cache_of(url: &str, login: Option<(&str, &str)>, fresh: Duration) -> Running {
    let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
    let upstream = UpstreamOptions { url: url.to_owned(), login, authorities: None, fresh };
    let options = Options { upstream: Some(upstream), metrics_path: true, ..Options::default() };
    Running::with(options)
}

/// A number that the cache shows.
fn number(cache: &Running, name: &str) -> u64 {
    let text = cache.get("/metrics").text();
    let line = text.lines().find(|line| line.starts_with(&format!("coffer_registry_{name} ")));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn what_was_pulled_once_is_served_while_the_upstream_is_away() {
    let upstream = Running::new();
    let layer = bytes(2_000_000, 1);
    let (text, digest) = upstream.push_image("a/b", "v1", &layer);
    let cache = cache_of(&upstream.url(), None, Duration::ZERO);
    let blob = format!("/v2/a/b/blobs/{}", sha256(&layer));
    assert_eq!(cache.ask("HEAD", &blob, &[], b"").header("Content-Length"), "2000000");
    assert_eq!(cache.get("/v2/a/b/manifests/v1").text(), text);
    assert!(cache.get(&blob).body == layer);
    assert_eq!(cache.get("/v2/a/b/tags/list").json()["tags"], serde_json::json!(["v1"]));
    assert_eq!(cache.get("/v2/a/b/manifests/v2").code(), "MANIFEST_UNKNOWN");
    assert_eq!(cache.ask("PUT", "/v2/a/b/manifests/v2", &[], b"{}").status, 405);

    // A tag that moved is seen, what has a digest stays.
    let (second, _) = upstream.push_image("a/b", "v1", b"second");
    assert_eq!(cache.get("/v2/a/b/manifests/v1").text(), second);
    drop(upstream);
    assert_eq!(cache.get("/v2/a/b/manifests/v1").text(), second);
    assert_eq!(cache.get(&format!("/v2/a/b/manifests/{digest}")).text(), text);
    assert!(cache.get(&blob).body == layer);
    assert_eq!(cache.get("/v2/a/b/tags/list").json()["tags"], serde_json::json!(["v1"]));
    let unknown = cache.get("/v2/a/b/manifests/never");
    assert_eq!((unknown.status, unknown.code().as_str()), (503, "UNAVAILABLE"));
}

#[test]
fn a_fresh_tag_is_not_asked_for_again() {
    let upstream = Running::new();
    let (first, _) = upstream.push_image("a", "v1", b"first");
    let cache = cache_of(&upstream.url(), None, Duration::from_secs(3600));
    assert_eq!(cache.get("/v2/a/manifests/v1").text(), first);
    upstream.push_image("a", "v1", b"second");
    assert_eq!(cache.get("/v2/a/manifests/v1").text(), first);
    assert_eq!((number(&cache, "cache_hits_total"), number(&cache, "cache_misses_total")), (1, 1));
}

#[test]
fn many_who_ask_at_once_cause_one_download() {
    let upstream = Running::new();
    let blob = bytes(8_000_000, 2);
    let digest = upstream.push_blob("a", &blob);
    let cache = cache_of(&upstream.url(), None, Duration::ZERO);
    let path = format!("/v2/a/blobs/{digest}");
    std::thread::scope(|scope| {
        for number in 0..8_usize {
            let (cache, blob, path) = (&cache, &blob, &path);
            scope.spawn(move || match number % 2 {
                0 => assert!(cache.get(path).body == *blob),
                _ => {
                    let first = number * 100_000;
                    let range = format!("bytes={first}-");
                    let part = cache.ask("GET", path, &[("Range", &range)], b"");
                    assert_eq!(part.status, 206);
                    assert!(part.body == blob[first..]);
                }
            });
        }
    });
    assert_eq!(number(&cache, "cache_fetched_bytes_total"), 8_000_000);
    assert_eq!(cache.files("blobs"), 1);
}

#[test]
fn the_upstreams_tokens_are_got_with_our_password() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("ann:{}", bcrypt::hash("pw", 4).unwrap())).unwrap();
    for tokens in [false, true] {
        let (file, rules) = (file.path().to_owned(), Vec::new());
        let access = match tokens {
            true => AccessOptions::OwnTokens { file, rules, service: "up".to_owned() },
            false => AccessOptions::Passwords { file, rules, realm: "up".to_owned() },
        };
        let upstream = Running::with(Options { access, ..Options::default() });
        let name = repositories::Name::parse("a").unwrap();
        let digest = repositories::Digest::parse(&sha256(b"layer")).unwrap();
        let mut upload = upstream.store.begin_upload(&name, digest.algorithm()).unwrap();
        upload.write(b"layer").unwrap();
        upload.commit(&digest).unwrap();
        let path = format!("/v2/a/blobs/{digest}");
        let known = cache_of(&upstream.url(), Some(("ann", "pw")), Duration::ZERO);
        assert_eq!(known.get(&path).text(), "layer", "{tokens}");
        for login in [Some(("ann", "wrong")), None] {
            let stranger = cache_of(&upstream.url(), login, Duration::ZERO);
            let answer = stranger.get(&path);
            assert_eq!((answer.status, answer.code().as_str()), (403, "DENIED"), "{tokens}");
        }
    }
}

/// A server that answers each request with what `answer` says, and counts them.
fn server(
    answer: impl Fn(&str, usize) -> Vec<u8> + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let bytes = answer(&String::from_utf8_lossy(&head), number);
            stream.write_all(&bytes).unwrap_or_default();
        }
    });
    (address, count)
}

fn reply(status: &str, headers: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let blob = bytes(1_000_000, 3);
    let (served, digest) = (blob.clone(), sha256(&blob));
    let (address, count) = server(move |head, number| {
        let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
        match (number, range) {
            (0, None) => reply("200 OK", "", 1_000_000, &served[..600_000]),
            (_, Some(range)) => {
                let from: usize = range.trim_end_matches('-').parse().unwrap();
                let place = format!("Content-Range: bytes {from}-999999/1000000\r\n");
                reply("206 Partial Content", &place, 1_000_000 - from, &served[from..])
            }
            _ => reply("500 No", "", 0, b""),
        }
    });
    let cache = cache_of(&format!("http://{address}"), None, Duration::ZERO);
    let answer = cache.get(&format!("/v2/a/blobs/{digest}"));
    assert!(answer.body == blob);
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_eq!(cache.files("blobs"), 1);
}

#[test]
fn an_upstream_that_lies_gives_no_blob_and_no_manifest() {
    let right = bytes(400_000, 4);
    let digest = sha256(&right);
    let (address, _) = server(move |head, _| match head.contains("/manifests/") {
        true => reply("200 OK", "", 2, b"{}"),
        false => reply("200 OK", "", 400_000, &bytes(400_000, 6)),
    });
    let cache = cache_of(&format!("http://{address}"), None, Duration::ZERO);
    let answer = cache.get(&format!("/v2/a/blobs/{digest}"));
    let seen = (answer.status, answer.cut, answer.body.len());
    assert!(answer.status >= 500 || answer.cut, "{seen:?}");
    assert_eq!(cache.get(&format!("/v2/a/manifests/{digest}")).status, 503);
    assert_eq!(cache.get("/v2/a/manifests/v1").status, 503);
    assert_eq!(cache.files("blobs"), 0);
    assert_eq!(cache.files("repositories"), 0);
}

#[test]
fn redirects_lead_to_the_blob_without_our_password_and_not_in_a_loop() {
    let (target, _) = server(|head, _| match head.to_lowercase().contains("authorization") {
        true => reply("500 No", "", 0, b""),
        false => reply("200 OK", "", 5, b"layer"),
    });
    let (upstream, count) = server(move |head, _| {
        match (head.contains("authorization: Basic"), head.contains("/v2/loop")) {
            (false, _) => reply("401 Who", "WWW-Authenticate: Basic realm=\"x\"\r\n", 0, b""),
            (_, true) => reply("302 There", "Location: /v2/loop\r\n", 0, b""),
            _ => reply("307 There", &format!("Location: http://{target}/layer\r\n"), 0, b""),
        }
    });
    let cache = cache_of(&format!("http://{upstream}"), Some(("u", "p")), Duration::ZERO);
    assert_eq!(cache.get(&format!("/v2/a/blobs/{}", sha256(b"layer"))).text(), "layer");
    let before = count.load(Ordering::SeqCst);
    assert_eq!(cache.get(&format!("/v2/loop/blobs/{}", sha256(b"x"))).status, 503);
    assert!(count.load(Ordering::SeqCst) - before < 20);
}

#[test]
fn a_busy_upstream_says_when_to_come_back() {
    let (address, _) = server(|_, _| reply("429 Slow", "Retry-After: 7\r\n", 0, b""));
    let cache = cache_of(&format!("http://{address}"), None, Duration::ZERO);
    let answer = cache.get("/v2/a/manifests/v1");
    assert_eq!((answer.status, answer.code().as_str()), (429, "TOOMANYREQUESTS"));
    assert_eq!(answer.header("Retry-After"), "7");
}

#[test]
fn the_cache_of_a_cache_is_a_cache() {
    let upstream = Running::new();
    let config = upstream.push_blob("a", b"{}");
    let text = image(&config, 2, &config, 2);
    upstream.put_manifest("a", "v1", &text);
    let near = cache_of(&upstream.url(), None, Duration::ZERO);
    let far = cache_of(&near.url(), None, Duration::ZERO);
    assert_eq!(far.get("/v2/a/manifests/v1").text(), text);
    assert_eq!(ask(far.address, "GET", &format!("/v2/a/blobs/{config}"), &[], b"").text(), "{}");
}

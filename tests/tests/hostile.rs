//! What is wrong is refused with one sentence and Docker's status, and the daemon and all other containers go on.
#![expect(clippy::unwrap_used, reason = "tests")]

use e2e::{Engine, eventually};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Sends bytes to the socket, and reads until the daemon closes or nothing more comes.
fn raw(engine: &Engine, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(engine.path("docker.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    stream.write_all(bytes).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(engine: &Engine, path: &str, kind: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
    );
    let answer = raw(engine, request.as_bytes());
    let status = answer.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn malformed_requests_get_dockers_status_and_one_sentence() {
    let engine = Engine::with_busybox();
    let create = "/v1.41/containers/create";
    let cases: [(&str, &str, &str, u16); 8] = [
        (create, JSON, "{\"Image\": \"busybox\"", 400),
        (create, JSON, "{} {}", 400),
        (create, "Content-Type: text/xml\r\n", "{}", 400),
        (create, JSON, "[]", 400),
        ("/v9.99/containers/create", JSON, "{}", 400),
        ("/v1.10/containers/create", JSON, "{}", 400),
        ("/v1.41/nosuch", JSON, "{}", 404),
        ("/v1.41/containers/create?name=../../x", JSON, "{\"Image\": \"busybox\"}", 400),
    ];
    for (path, kind, body, expected) in cases {
        let (status, text) = post(&engine, path, kind, body);
        assert_eq!(status, expected, "{path} {body}: {text}");
        assert!(text.contains("message") || path.contains("1.10"), "{path} {body}: {text}");
    }
    assert_eq!(engine.docker(&["run", "--rm", "busybox", "echo", "alive"]).ok(), "alive\n");
}

#[test]
fn bytes_that_are_no_http_and_bodies_that_stop_halfway_disturb_nobody() {
    let engine = Engine::with_busybox();
    raw(&engine, &[0xFF; 100_000]);
    raw(&engine, b"GET / HTTP/9.9\r\n\r\n");
    raw(&engine, format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20)).as_bytes());
    let half = format!(
        "POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\n{JSON}Content-Length: 1000\r\n\r\n{{\"Im"
    );
    raw(&engine, half.as_bytes());
    let mut open = Vec::new();
    for _ in 0..200 {
        let mut stream = UnixStream::connect(engine.path("docker.sock")).unwrap();
        stream.write_all(b"GET /_ping HTTP/1.1\r\nHo").unwrap();
        open.push(stream);
    }
    assert_eq!(engine.docker(&["run", "--rm", "busybox", "echo", "alive"]).ok(), "alive\n");
}

#[test]
fn a_client_that_vanishes_while_attached_leaves_the_container_running() {
    let engine = Engine::with_busybox();
    let script = "while :; do echo tick; usleep 1000; done";
    engine.docker(&["run", "-d", "--name", "ticker", "busybox", "sh", "-c", script]).text();
    for _ in 0..5 {
        let mut client = engine
            .client("docker", &["attach", "ticker"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(100));
        client.kill().unwrap();
        client.wait().unwrap();
    }
    let count = || engine.docker(&["logs", "ticker"]).out.len();
    let before = count();
    eventually("output goes on", || count() > before);
}

#[test]
fn an_image_without_the_command_or_with_links_for_directories_is_safe() {
    let engine = Engine::start();
    let root = engine.path("root");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    std::os::unix::fs::symlink("/tmp/outside", root.join("etc")).unwrap();
    std::os::unix::fs::symlink("/", root.join("tmp")).unwrap();
    let archive = engine.path("odd.tar");
    e2e::image::tar(&root, &archive);
    engine.docker(&["import", &archive.display().to_string(), "odd"]).text();
    let failed = engine.docker(&["run", "--rm", "odd", "nosuch"]).fails(127);
    assert!(failed.contains("executable file not found in $PATH"), "{failed}");
    engine.docker(&["run", "--rm", "odd", "/bin/busybox", "true"]);
    assert!(!std::path::Path::new("/tmp/outside").exists(), "nothing was made on the host");
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "");
}

#[test]
fn hostile_archives_are_refused_and_leave_nothing() {
    let engine = Engine::start();
    for (name, script) in [
        ("garbage", "head -c 100000 /dev/urandom"),
        ("truncated", "tar -C / -c bin/busybox 2>/dev/null | head -c 300000"),
        ("not an image", "tar -C /etc -c hostname"),
        ("bomb", "head -c 100000000 /dev/zero | gzip"),
    ] {
        let output = std::process::Command::new("sh").args(["-c", script]).output().unwrap();
        let said = engine.docker_with_input(&["load"], &output.stdout);
        assert_ne!(said.code, 0, "{name}: {}", said.out);
        assert!(!said.err.is_empty() && said.err.lines().count() == 1, "{name}: {}", said.err);
    }
    assert_eq!(engine.docker(&["images", "-aq"]).ok(), "");
}

#[test]
fn a_line_of_a_hundred_megabytes_needs_no_memory_and_is_kept() {
    let engine = Engine::with_busybox();
    let script = "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo end";
    let flags =
        ["run", "-d", "--name", "long", "--log-opt", "max-size=1m", "busybox", "sh", "-c", script];
    engine.docker(&flags).text();
    assert_eq!(engine.docker(&["wait", "long"]).text(), "0");
    assert_eq!(engine.docker(&["logs", "--tail", "1", "long"]).ok(), "end\n");
}

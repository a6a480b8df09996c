//! Health checks through the Docker CLI: each form, what they change, and that they outlast the daemon.
#![expect(clippy::unwrap_used, reason = "tests")]

use e2e::{Engine, eventually};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn health(engine: &Engine, name: &str) -> String {
    engine.docker(&["inspect", name, "--format", "{{.State.Health.Status}}"]).text()
}

fn run(engine: &Engine, name: &str, flags: &[&str]) {
    let times = ["--health-interval", "50ms", "--health-retries", "2"];
    let first = ["run", "-d", "--name", name];
    let last = ["busybox", "sleep", "300"];
    engine.docker(&[&first[..], &times[..], flags, &last[..]].concat()).text();
}

/// The CLI has no flag for a check that is no shell's.
fn post(engine: &Engine, path: &str, body: &str) {
    let host = engine.host();
    let mut socket = UnixStream::connect(host.strip_prefix("unix://").unwrap()).unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[test]
fn a_container_becomes_healthy_and_unhealthy_as_its_check_says_also_with_another_daemon() {
    let mut engine = Engine::with_busybox();
    run(&engine, "web", &["--health-cmd", "cat /state; test ! -e /state"]);
    eventually("healthy", || health(&engine, "web") == "healthy");
    let status = engine.docker(&["ps", "--format", "{{.Status}}"]).ok();
    assert!(status.trim_end().ends_with("(healthy)"), "{status}");
    assert_eq!(engine.docker(&["ps", "-q", "--filter", "health=healthy"]).ok().lines().count(), 1);
    engine.docker(&["exec", "web", "sh", "-c", "echo broken > /state"]).ok();
    eventually("unhealthy", || health(&engine, "web") == "unhealthy");
    let log = "{{range .State.Health.Log}}{{.ExitCode}} {{.Output}}{{end}}";
    eventually("five answers", || {
        let log = engine.docker(&["inspect", "web", "--format", log]).ok();
        log.lines().filter(|line| *line == "1 broken").count() == 5
    });
    engine.restart("KILL");
    assert_eq!(health(&engine, "web"), "unhealthy");
    engine.docker(&["exec", "web", "rm", "/state"]).ok();
    eventually("healthy again", || health(&engine, "web") == "healthy");
    engine.docker(&["stop", "-t", "0", "web"]).text();
    assert_eq!(health(&engine, "web"), "unhealthy");
    engine.docker(&["start", "web"]).text();
    eventually("healthy after a start", || health(&engine, "web") == "healthy");
}

#[test]
fn a_check_that_hangs_is_killed_and_one_that_is_no_program_is_told() {
    let engine = Engine::with_busybox();
    run(&engine, "slow", &["--health-cmd", "echo begun; sleep 100", "--health-timeout", "200ms"]);
    eventually("unhealthy", || health(&engine, "slow") == "unhealthy");
    let log = "{{with index .State.Health.Log 0}}{{.ExitCode}} {{.Output}}{{end}}";
    let first = engine.docker(&["inspect", "slow", "--format", log]).ok();
    assert_eq!(first.trim_end(), "-1 Health check exceeded timeout (200ms): begun");
    let body = r#"{"Image":"busybox","Cmd":["sleep","300"],"Healthcheck":{"Test":["CMD","/nope"],"Interval":50000000,"Retries":1}}"#;
    post(&engine, "/v1.47/containers/create?name=none", body);
    engine.docker(&["start", "none"]).text();
    eventually("unhealthy", || health(&engine, "none") == "unhealthy");
    let first = engine.docker(&["inspect", "none", "--format", log]).ok();
    assert!(first.starts_with("-1 OCI runtime exec failed: "), "{first}");
    assert!(first.contains("/nope"), "{first}");
}

#[test]
fn a_container_without_a_check_shows_no_health() {
    let engine = Engine::with_busybox();
    engine
        .docker(&["run", "-d", "--name", "plain", "--no-healthcheck", "busybox", "sleep", "300"])
        .text();
    let shown = engine.docker(&["inspect", "plain", "--format", "{{json .State.Health}}"]).text();
    assert_eq!(shown, "null");
    let status = engine.docker(&["ps", "--format", "{{.Status}}"]).ok();
    assert!(!status.contains('('), "{status}");
}

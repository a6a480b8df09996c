//! Programs that end before anybody looks: no exit status is lost, taken for another's, or waited for without end.

use e2e::Engine;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How often each of four containers is started. A build for finding errors takes ten times the time for each.
const ROUNDS: u32 = if cfg!(debug_assertions) { 60 } else { 250 };

/// The answer to a request, with its head.
fn post(engine: &Engine, path: &str) -> String {
    let mut stream = UnixStream::connect(engine.path("docker.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = format!(
        "POST /v1.41/containers/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Guard: `supervise` of `runtime/shim/src/supervise.rs` waits for the process by its pidfd, which is ready whenever the
/// process has ended, and `through_intermediate` and `directly` of `runtime/launch/src/spawn.rs` have it from the kernel
/// together with the process.
#[test]
fn programs_that_end_at_once_lose_no_exit_status() {
    let engine = Engine::with_busybox();
    std::thread::scope(|scope| {
        for code in [0, 3, 77, 255] {
            let engine = &engine;
            scope.spawn(move || {
                let name = format!("exit{code}");
                let script = format!("exit {code}");
                let flags =
                    ["create", "--net", "none", "--name", &name, "busybox", "sh", "-c", &script];
                engine.docker(&flags).text();
                for round in 0..ROUNDS {
                    let started = post(engine, &format!("{name}/start"));
                    assert!(started.starts_with("HTTP/1.1 204"), "{name} {round}: {started}");
                    let waited = post(engine, &format!("{name}/wait"));
                    let wanted = format!("\"StatusCode\":{code}}}");
                    let text: String = waited.split_whitespace().collect();
                    assert!(text.contains(&wanted), "{name} {round}: {waited}");
                }
            });
        }
    });
}

//! What clients see at the end: of an exec, and of the daemon.

use e2e::Engine;
use std::process::Stdio;

#[test]
fn an_execs_code_is_known_as_soon_as_its_output_ends() {
    let engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "one", "busybox", "sleep", "300"]).text();
    for code in [1, 0, 7, 1, 1, 1, 42, 1, 1, 1] {
        let said = engine.docker(&["exec", "one", "sh", "-c", &format!("exit {code}")]);
        if code == 0 {
            said.ok();
        } else {
            said.fails(code);
        }
    }
}

#[test]
fn a_daemon_with_idle_clients_ends_although_they_stay() {
    let mut engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "one", "busybox", "sleep", "300"]).text();
    let mut attached = engine
        .client("docker", &["attach", "one"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("docker can be started");
    engine.docker(&["ps"]).ok();
    engine.end("TERM");
    assert!(!engine.log().contains("connections were cut off at the stop"), "{}", engine.log());
    attached.kill().ok();
    attached.wait().ok();
    engine.launch();
    assert_eq!(
        engine.docker(&["inspect", "one", "--format", "{{.State.Status}}"]).text(),
        "running"
    );
}

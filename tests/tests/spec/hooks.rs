//! config.md, "POSIX-platform Hooks"; runtime.md, "Lifecycle".

use crate::rig::Bundle;
use serde_json::{Value, json};

/// A hook that writes its name and what the state says into a file of the host.
fn hook(bundle: &Bundle, name: &str) -> Value {
    let log = bundle.path("log");
    let script = format!(
        "read -r state; status=$(echo \"$state\" | grep -o '\"status\": *\"[a-z]*\"' | grep -o '[a-z]*\"$' | tr -d '\"'); \
         echo \"{name} $status $MORE $1\" >> {}",
        log.display()
    );
    json!({"path": "/bin/sh", "args": ["sh", "-c", script, "zero", "argument"], "env": ["MORE=env", "PATH=/bin:/usr/bin"], "timeout": 30})
}

#[test]
fn hooks_run_in_their_order_with_the_state_on_standard_input() {
    let bundle = Bundle::new();
    let one = |name: &str| json!([hook(&bundle, name)]);
    let inside = json!([{"path": "/bin/sh", "args": ["sh", "-c", "cat > /tmp/state; echo startContainer >> /tmp/log"]}]);
    let change = json!({"hooks": {
        "prestart": one("prestart"), "createRuntime": one("createRuntime"), "createContainer": one("createContainer"),
        "startContainer": inside, "poststart": one("poststart"), "poststop": one("poststop"),
    }});
    let log = || std::fs::read_to_string(bundle.path("log")).unwrap_or_default();
    let container = bundle.create(&change, "echo program >> /tmp/log; sleep 600");
    let created = "prestart creating env argument\ncreateRuntime creating env argument\n";
    let lines = log();
    assert!(lines.starts_with(created), "{lines}");
    container.call("start", &[]).ok();
    assert!(log().lines().any(|line| line == "poststart running env argument"), "{}", log());
    while !container.exec("cat /tmp/log").contains("program") {}
    assert_eq!(container.exec("cat /tmp/log"), "startContainer\nprogram");
    let state: Value = serde_json::from_str(&container.exec("cat /tmp/state")).unwrap();
    assert_eq!(state["id"].as_str().unwrap(), bundle.id("held"));
    assert_eq!(state["ociVersion"], "1.3.0");
    container.call("kill", &["KILL"]).ok();
    while container.state()["status"] != "stopped" {}
    assert!(!log().contains("poststop"));
    container.call("delete", &[]).ok();
    assert!(log().ends_with("poststop stopped env argument\n"), "{}", log());
}

#[test]
fn a_hook_that_fails_or_hangs_ends_the_creation_and_leaves_nothing() {
    let bundle = Bundle::new();
    let fails = json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo the reason >&2; exit 3"]}]);
    let hangs = json!([{"path": "/bin/sh", "args": ["sh", "-c", "sleep 600"], "timeout": 1}]);
    let missing = json!([{"path": "/no/such/hook"}]);
    for kind in ["prestart", "createRuntime"] {
        bundle.check_refused(&[
            ("hooks: fails", json!({"hooks": {kind: fails}}), "hook"),
            ("hooks: timeout", json!({"hooks": {kind: hangs}}), "hook"),
            ("hooks: missing", json!({"hooks": {kind: missing}}), "hook"),
        ]);
    }
}

#[test]
fn a_hook_after_the_start_cannot_undo_it() {
    let bundle = Bundle::new();
    let fails = json!([{"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}]);
    let ran = bundle.run_with(&json!({"hooks": {"poststop": fails}}), "echo ran");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "ran"));
    assert_eq!(ran.err.lines().count(), 1, "it is told: {ran:?}");
}

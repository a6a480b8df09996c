//! What programs read: state, lists, version, features, logs.

use crate::rig::{Rig, installed, said};
use serde_json::Value;
use std::process::{Command, Stdio};

#[test]
fn the_state_has_the_fields_of_the_specification() {
    let rig = Rig::new(&["sleep", "1000"]);
    let id = rig.id("a");
    rig.change(|spec| spec["annotations"] = serde_json::json!({"a": "b"}));
    rig.create(&id);
    let state: Value = serde_json::from_str(&rig.call(&["state", &id]).text()).unwrap();
    assert_eq!(state["ociVersion"], "1.3.0");
    assert_eq!(state["id"], *id);
    assert_eq!(state["status"], "created");
    assert!(state["pid"].as_i64().unwrap() > 1);
    assert_eq!(state["bundle"], rig.text("bundle"));
    assert_eq!(state["annotations"]["a"], "b");
    let list: Value = serde_json::from_str(&rig.call(&["list", "-f", "json"]).text()).unwrap();
    assert_eq!(list[0]["id"], *id);
    assert_eq!(list[0]["owner"], "root");
    assert_eq!(rig.call(&["list", "-q"]).text(), format!("{id}\n"));
    let table = rig.call(&["list"]).text();
    assert!(table.starts_with("ID ") && table.lines().count() == 2, "{table}");
}

#[test]
fn version_and_features_say_which_specification() {
    let rig = Rig::new(&["true"]);
    let version = rig.call(&["--version"]).text();
    let mut lines = version.lines();
    assert!(lines.next().unwrap().starts_with("coffer-runtime version "), "{version}");
    assert!(version.contains("\nspec: 1.3.0\n"), "{version}");
    let features: Value = serde_json::from_str(&rig.call(&["features"]).text()).unwrap();
    assert_eq!(features["ociVersionMax"], "1.3.0");
    assert!(features["linux"]["namespaces"].as_array().unwrap().contains(&"time".into()));
}

#[test]
fn the_last_error_of_a_log_file_is_the_reason() {
    let rig = Rig::new(&["nosuch"]);
    let log = rig.text("log");
    let bundle = rig.text("bundle");
    let arguments = ["--log", &log, "--log-format", "json", "create", "--bundle", &bundle, "x"];
    assert_eq!(rig.call(&arguments).code, 1);
    let text = std::fs::read_to_string(&log).unwrap();
    let line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    let reason = "exec: \"nosuch\": executable file not found in $PATH";
    assert!(line["msg"].as_str().unwrap().ends_with(reason), "{text}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn steps_are_timed_when_asked_for() {
    let rig = Rig::new(&["true"]);
    let bundle = rig.text("bundle");
    let said = rig.call(&["--timings", "run", "--bundle", &bundle, &rig.id("a")]);
    for step in ["us  read", "us  cgroup", "us  start", "us  all", "container: "] {
        assert!(said.err.contains(step), "{}", said.err);
    }
}

/// The same life through both programs: codes and messages are the same.
#[test]
fn codes_and_messages_are_those_of_runc() {
    if !installed("runc") {
        return;
    }
    let rig = Rig::new(&["sleep", "1000"]);
    let ours = e2e::program("coffer-runtime").display().to_string();
    let (mine, theirs) = (life(&rig, &ours), life(&rig, "runc"));
    assert_eq!(mine, theirs);
}

/// Codes and messages of calls in every state of a container.
fn life(rig: &Rig, program: &str) -> Vec<(String, i32, String)> {
    let id = rig.id(if program == "runc" { "r" } else { "o" });
    let root = rig.text(if program == "runc" { "runc" } else { "root" });
    let bundle = rig.text("bundle");
    let call = |arguments: &[&str]| {
        let mut command = Command::new(program);
        command.arg("--root").arg(&root).args(arguments).stdin(Stdio::null());
        let said = said(command);
        let message = said.err.split_once("msg=").map_or("", |(_, message)| message).trim();
        let message = message.replace(&id, "ID").replace("coffer-runtime ", "runc ");
        (arguments.join(" ").replace(&id, "ID"), said.code, message)
    };
    let mut all = Vec::new();
    for arguments in [
        ["state", &id].as_slice(),
        &["start", &id],
        &["kill", &id],
        &["exec", &id, "true"],
        &["delete", &id],
        &["create", "--bundle", &bundle, &id],
        &["create", "--bundle", &bundle, &id],
        &["create", "--bundle", "/nosuch", "x"],
        &["create", "--bundle", &bundle, "a b"],
        &["resume", &id],
        &["start", &id],
        &["start", &id],
        &["delete", &id],
        &["exec", &id, "sh", "-c", "exit 3"],
        &["exec", &id, "nosuch"],
        &["exec", &id],
        &["kill", &id, "FOO"],
        &["pause", &id],
        &["pause", &id],
        &["start", &id],
        &["exec", &id, "true"],
        &["delete", &id],
        &["resume", &id],
        &["resume", &id],
        &["delete", "--force", &id],
        &["delete", "--force", &id],
    ] {
        all.push(call(arguments));
    }
    all
}

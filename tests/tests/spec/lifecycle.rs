//! runtime.md: state, operations, and what is an error when.

use crate::rig::Bundle;
use serde_json::json;

#[test]
fn a_container_goes_from_created_to_stopped_and_is_gone() {
    let bundle = Bundle::new();
    let change = json!({"annotations": {"org.example.key": "value"}});
    let container = bundle.create(&change, "sleep 600");
    let state = container.state();
    assert_eq!(state["status"], "created");
    assert_eq!(state["ociVersion"], "1.3.0");
    assert_eq!(state["id"].as_str().unwrap(), bundle.id("held"));
    assert_eq!(
        state["bundle"].as_str().unwrap(),
        bundle.path("").to_str().unwrap().trim_end_matches('/')
    );
    assert_eq!(state["annotations"]["org.example.key"], "value");
    assert!(state["pid"].as_i64().unwrap() > 0);
    // What is not legal now says so and changes nothing.
    assert_eq!(
        container.call("exec", &["/bin/true"]).code,
        Some(0),
        "config.md: a created container can be joined"
    );
    container.call("start", &[]).ok();
    assert_eq!(container.state()["status"], "running");
    assert_eq!(container.call("start", &[]).code, Some(1));
    assert_eq!(container.call("delete", &[]).code, Some(1));
    assert_eq!(container.state()["status"], "running");
    container.call("kill", &["TERM"]).ok();
    container.call("kill", &["KILL"]).ok();
    while container.state()["status"] != "stopped" {}
    assert!(container.state()["pid"].as_i64().unwrap_or(0) == 0);
    assert_eq!(container.call("start", &[]).code, Some(1));
    container.call("delete", &[]).ok();
    let ran = container.call("state", &[]);
    assert!(ran.code == Some(1) && ran.err.contains("does not exist"), "{ran:?}");
}

#[test]
fn a_name_can_be_used_once_at_a_time_and_again_afterwards() {
    let bundle = Bundle::new();
    let container = bundle.start(&json!({}), "sleep 600");
    let path = bundle.path("");
    let again = bundle.call(&["create", "--bundle", path.to_str().unwrap(), &bundle.id("held")]);
    assert!(again.code == Some(1) && again.err.contains("already exists"), "{again:?}");
    assert_eq!(container.state()["status"], "running");
    drop(container);
    assert_eq!(bundle.start(&json!({}), "sleep 600").state()["status"], "running");
}

#[test]
fn properties_that_are_not_known_are_passed_over() {
    let bundle = Bundle::new();
    let change =
        json!({"com.example": {"a": 1}, "process": {"future": true}, "linux": {"later": [1, 2]}});
    assert_eq!(bundle.run_with(&change, "echo runs").ok(), "runs", "config.md, \"Extensibility\"");
}

#[test]
fn the_file_that_was_written_later_is_not_looked_at() {
    let bundle = Bundle::new();
    let container = bundle.create(&json!({}), "hostname > /tmp/name; sleep 600");
    bundle.write(&json!({"hostname": "later"}), "true");
    container.call("start", &[]).ok();
    while container.exec("cat /tmp/name 2>/dev/null || true") != "box" {}
}

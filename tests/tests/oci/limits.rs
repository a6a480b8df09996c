//! Limits, figures, events.

use crate::rig::Rig;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// The value of the first of these files that some group of the container has.
fn limit(rig: &Rig, files: [&str; 2]) -> String {
    let groups = rig.groups();
    let found = files.iter().find_map(|file| {
        groups.iter().find_map(|group| std::fs::read_to_string(group.join(file)).ok())
    });
    found.unwrap().trim().to_owned()
}

const MEMORY: [&str; 2] = ["memory.max", "memory.limit_in_bytes"];
const PIDS: [&str; 2] = ["pids.max", "pids.max"];

#[test]
fn limits_hold_from_the_start_and_are_changed_by_flags_and_by_a_file() {
    let rig = Rig::new(&["sleep", "1000"]);
    let id = rig.id("a");
    rig.change(|spec| {
        spec["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
        spec["linux"]["resources"]["pids"] = json!({"limit": 50});
    });
    rig.start(&id);
    assert_eq!((limit(&rig, MEMORY), limit(&rig, PIDS)), ("67108864".into(), "50".into()));
    rig.call(&["update", "--memory", "100m", "--pids-limit", "60", &id]).text();
    assert_eq!((limit(&rig, MEMORY), limit(&rig, PIDS)), ("104857600".into(), "60".into()));
    std::fs::write(rig.path("resources"), r#"{"memory": {"limit": 125829120}}"#).unwrap();
    rig.call(&["update", "-r", &rig.text("resources"), &id]).text();
    assert_eq!((limit(&rig, MEMORY), limit(&rig, PIDS)), ("125829120".into(), "60".into()));
    let said = rig.call(&["update", "--memory", "x", &id]);
    assert!(said.errors().starts_with("invalid --memory \"x\": must be"), "{}", said.err);
}

#[test]
fn figures_have_runc_s_form() {
    let rig = Rig::new(&["sleep", "1000"]);
    let id = rig.id("a");
    rig.start(&id);
    let text = rig.call(&["events", "--stats", &id]).text();
    let stats: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&stats["type"], &stats["id"]), (&json!("stats"), &json!(id)));
    let data = &stats["data"];
    assert_eq!(data["pids"]["current"], 1);
    assert!(data["memory"]["usage"]["usage"].as_u64().unwrap() > 0);
    assert!(data["cpu"]["usage"]["total"].as_u64().unwrap() > 0);
}

#[test]
fn running_out_of_memory_is_an_event() {
    let rig = Rig::new(&["sh", "-c", "read x; x=a; while :; do x=$x$x; done"]);
    let id = rig.id("a");
    rig.change(|spec| {
        spec["linux"]["resources"]["memory"] = json!({"limit": 16 << 20, "swap": 16 << 20});
    });
    std::fs::create_dir(rig.path("x")).unwrap();
    let fifo = rig.text("x/fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let gate = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let mut run = rig.command(&["run", "-d", "--bundle", &rig.text("bundle"), &id]);
    run.stdin(gate.try_clone().unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(run.status().unwrap().success());
    let mut events = rig.command(&["events", "--interval", "200ms", &id]);
    let mut events = events.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["type"], "stats");
    std::io::Write::write_all(&mut &gate, b"\n").unwrap();
    let exhausted = lines.map_while(Result::ok).any(|line| {
        let event: Value = serde_json::from_str(&line).unwrap();
        event["type"] == "oom" && event["id"] == *id
    });
    assert!(exhausted, "the events end with the container and had no exhaustion");
    events.wait().unwrap();
}

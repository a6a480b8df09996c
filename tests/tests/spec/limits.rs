//! Changing limits of a container that runs, and reading what it uses: `update`, `events --stats`.

use crate::rig::{Bundle, is_v2};
use serde_json::{Value, json};
use std::path::Path;

fn file(pid: i64, v1: (&str, &str), v2: &str) -> String {
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let wanted = if is_v2() { String::new() } else { v1.0.to_owned() };
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        (fields.next()?.split(',').any(|name| name == wanted)).then(|| fields.next()).flatten()
    });
    let top =
        if is_v2() { "/sys/fs/cgroup".to_owned() } else { format!("/sys/fs/cgroup/{}", v1.0) };
    let directory = Path::new(&top).join(path.unwrap().trim_start_matches('/'));
    std::fs::read_to_string(directory.join(if is_v2() { v2 } else { v1.1 }))
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn limits_change_while_the_container_runs() {
    let bundle = Bundle::new();
    let first = json!({"linux": {"resources": {
        "memory": {"limit": 33_554_432}, "pids": {"limit": 20}, "cpu": {"shares": 512, "quota": 40_000, "period": 100_000},
    }}});
    let container = bundle.start(&first, "sleep 600");
    let pid = container.pid();
    let update = |resources: Value| {
        let path = bundle.path("resources.json");
        std::fs::write(&path, resources.to_string()).unwrap();
        container.call_with(&["update", "--resources", path.to_str().unwrap()], &[])
    };
    update(json!({"memory": {"limit": 67_108_864}})).ok();
    assert_eq!(file(pid, ("memory", "memory.limit_in_bytes"), "memory.max"), "67108864");
    assert_eq!(file(pid, ("pids", "pids.max"), "pids.max"), "20", "what is not said stays");
    update(json!({"cpu": {"quota": 30_000}})).ok();
    let quota = if is_v2() { "30000 100000" } else { "30000" };
    assert_eq!(file(pid, ("cpu", "cpu.cfs_quota_us"), "cpu.max"), quota);
    update(json!({"pids": {"limit": -1}})).ok();
    assert_eq!(file(pid, ("pids", "pids.max"), "pids.max"), "max");
    // Less than is used, where this is to be looked at.
    let ran = update(json!({"memory": {"limit": 4096, "checkBeforeUpdate": true}}));
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("bytes are in use"), "{ran:?}");
    assert_eq!(container.exec("echo lives"), "lives");
    let ran = update(json!({"cpu": {"cpus": "4000"}}));
    assert!(ran.code == Some(1) && ran.err.contains("cpuset.cpus"), "{ran:?}");
}

#[test]
fn statistics_are_those_of_the_container() {
    let bundle = Bundle::new();
    let change =
        json!({"linux": {"resources": {"pids": {"limit": 21}, "memory": {"limit": 67_108_864}}}});
    let container =
        bundle.start(&change, "head -c 4000000 /dev/urandom | md5sum > /tmp/sum; sleep 600");
    while container.exec("test -s /tmp/sum && echo there || true") != "there" {}
    let text = container.call_with(&["events", "--stats"], &[]).ok();
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(event["type"], "stats");
    let data = &event["data"];
    assert_eq!(data["pids"]["limit"], 21);
    assert!(data["pids"]["current"].as_u64().unwrap() >= 1);
    assert_eq!(data["memory"]["usage"]["limit"], 67_108_864);
    assert!(data["memory"]["usage"]["usage"].as_u64().unwrap() > 0);
    assert!(data["cpu"]["usage"]["total"].as_u64().unwrap() > 0);
    assert!(data["memory"]["raw"].as_object().unwrap().len() > 10);
}

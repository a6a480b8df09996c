//! `--systemd-cgroup` on a host that systemd has booted: scopes, their properties, and their ends.

use crate::rig::{Bundle, is_v2};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn is_booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// A property of a unit; nothing if there is no such unit.
fn show(unit: &str, property: &str) -> String {
    let output = Command::new("systemctl").args(["show", "--value", "-p", property, unit]).output();
    String::from_utf8_lossy(&output.unwrap().stdout).trim().to_owned()
}

fn active(unit: &str) -> bool {
    show(unit, "ActiveState") == "active"
}

/// A bundle's own names, and the runtime with the flag.
struct Scoped {
    bundle: Bundle,
    slice: String,
    unit: String,
}

impl Scoped {
    fn new() -> Self {
        let bundle = Bundle::new();
        let slice = format!("{}.slice", bundle.tag);
        let unit = format!("spec-{}.scope", bundle.tag);
        Self { bundle, slice, unit }
    }

    fn change(&self, resources: Value) -> Value {
        let path = format!("{}:spec:{}", self.slice, self.bundle.tag);
        json!({"linux": {"cgroupsPath": path, "resources": resources}})
    }

    fn call(&self, arguments: &[&str]) -> crate::rig::Ran {
        let mut all = vec!["--systemd-cgroup"];
        all.extend(arguments);
        self.bundle.call(&all)
    }

    fn start(&self, change: &Value, script: &str) -> String {
        self.bundle.write(change, script);
        let id = self.bundle.id("held");
        let out = std::fs::File::create(self.bundle.path("out")).unwrap();
        let err = std::fs::File::create(self.bundle.path("err")).unwrap();
        let bundle = self.bundle.path("");
        let mut command = self.bundle.runtime(&[
            "--systemd-cgroup",
            "create",
            "--bundle",
            bundle.to_str().unwrap(),
            &id,
        ]);
        let status = command.stdout(out).stderr(err).status().unwrap();
        assert!(status.success(), "{}", std::fs::read_to_string(self.bundle.path("err")).unwrap());
        self.call(&["start", &id]).ok();
        id
    }
}

impl Drop for Scoped {
    fn drop(&mut self) {
        self.call(&["delete", "--force", &self.bundle.id("held")]);
        Command::new("systemctl").args(["stop", &self.slice]).output().ok();
    }
}

#[test]
fn a_container_is_in_a_scope_with_its_limits_from_start_to_delete() {
    if !is_booted() {
        return;
    }
    let scoped = Scoped::new();
    let resources = json!({
        "memory": {"limit": 67_108_864}, "pids": {"limit": 33},
        "cpu": {"shares": 512, "quota": 25_000, "period": 100_000, "cpus": "0"},
    });
    let id = scoped.start(&scoped.change(resources), "sleep 600");
    assert!(active(&scoped.unit));
    let pid = serde_json::from_str::<Value>(&scoped.call(&["state", &id]).ok()).unwrap()["pid"]
        .to_string();
    let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let group = format!("/{}/{}", scoped.slice, scoped.unit);
    assert!(own.lines().all(|line| line.ends_with(&group) || line.ends_with(":/")), "{own}");
    assert_eq!(show(&scoped.unit, "ControlGroup"), group);
    assert_eq!(show(&scoped.unit, "TasksMax"), "33");
    assert_eq!(show(&scoped.unit, "Delegate"), "yes");
    assert_eq!(show(&scoped.unit, "Slice"), scoped.slice);
    assert_eq!(show(&scoped.unit, "CPUQuotaPerSecUSec"), "250ms");
    assert_eq!(show(&scoped.unit, "DevicePolicy"), "strict");
    let memory = if is_v2() { "MemoryMax" } else { "MemoryLimit" };
    assert_eq!(show(&scoped.unit, memory), "67108864");
    if is_v2() {
        assert_eq!(show(&scoped.unit, "CPUWeight"), "59");
        let file =
            |name: &str| std::fs::read_to_string(format!("/sys/fs/cgroup{group}/{name}")).unwrap();
        let values = ["memory.max", "pids.max", "cpu.max", "cpuset.cpus"]
            .map(|name| file(name).trim().to_owned());
        assert_eq!(values, ["67108864", "33", "25000 100000", "0"]);
        // What the manager writes anew whenever it reads its configuration.
        assert!(Command::new("systemctl").arg("daemon-reload").status().unwrap().success());
        assert_eq!(file("memory.max").trim(), "67108864");
    }
    // Only the container's processes are in it.
    let processes = scoped.call(&["ps", "--format", "json", &id]).ok();
    assert_eq!(processes, format!("[{pid}]"));
    let exec = scoped
        .call(&["exec", &id, "/bin/sh", "-c", "echo x > /dev/null && cat /proc/self/cgroup"])
        .ok();
    assert!(exec.lines().count() >= 1, "{exec}");
    let update = scoped.bundle.path("resources.json");
    std::fs::write(
        &update,
        json!({"pids": {"limit": 44}, "memory": {"limit": 134_217_728}}).to_string(),
    )
    .unwrap();
    scoped.call(&["update", "--resources", update.to_str().unwrap(), &id]).ok();
    assert_eq!(
        (show(&scoped.unit, "TasksMax"), show(&scoped.unit, memory)),
        ("44".into(), "134217728".into())
    );
    scoped.call(&["pause", &id]).ok();
    scoped.call(&["resume", &id]).ok();
    scoped.call(&["kill", &id, "KILL"]).ok();
    while !scoped.call(&["state", &id]).ok().contains("stopped") {}
    scoped.call(&["delete", &id]).ok();
    assert!(!active(&scoped.unit));
    assert!(!Path::new(&format!("/sys/fs/cgroup{group}")).exists());
}

#[test]
fn a_scope_ends_with_a_container_that_runs_to_its_end_and_with_one_that_is_refused() {
    if !is_booted() {
        return;
    }
    let scoped = Scoped::new();
    let bundle = scoped.bundle.path("");
    scoped.bundle.write(&scoped.change(json!({"pids": {"limit": 9}})), "echo ran");
    let id = scoped.bundle.id("run");
    let ran = scoped.call(&["run", "--bundle", bundle.to_str().unwrap(), &id]);
    assert_eq!(ran.ok(), "ran");
    assert!(!active(&scoped.unit));
    scoped.bundle.write(&scoped.change(json!({"unified": {"nosuch.max": "1"}})), "echo ran");
    let ran = scoped.call(&["run", "--bundle", bundle.to_str().unwrap(), &id]);
    assert!(ran.code == Some(1) && ran.out.is_empty() && ran.err.lines().count() == 1, "{ran:?}");
    assert!(!active(&scoped.unit));
}

#[test]
fn properties_of_annotations_are_told() {
    if !is_booted() {
        return;
    }
    let scoped = Scoped::new();
    let mut change = scoped.change(json!({}));
    change["annotations"] = json!({
        "org.systemd.property.CollectMode": "'inactive-or-failed'", "org.systemd.property.TimeoutStopSec": "7",
    });
    scoped.start(&change, "sleep 600");
    assert_eq!(show(&scoped.unit, "CollectMode"), "inactive-or-failed");
    assert_eq!(show(&scoped.unit, "TimeoutStopUSec"), "7s");
}

#[test]
fn a_path_or_a_host_without_systemd_is_refused() {
    let bundle = Bundle::new();
    let directory = bundle.path("");
    let run = |change: &Value| {
        bundle.write(change, "echo ran");
        let id = bundle.id("run");
        bundle.call(&["--systemd-cgroup", "run", "--bundle", directory.to_str().unwrap(), &id])
    };
    let ran = run(&json!({"linux": {"cgroupsPath": "/a/b"}}));
    assert!(ran.err.contains("slice:prefix:name") && ran.code == Some(1), "{ran:?}");
    let ran = run(&json!({"linux": {"cgroupsPath": "a/b.slice:x:y"}}));
    assert!(ran.err.contains("is not the name of a slice") && ran.code == Some(1), "{ran:?}");
    if !is_booted() {
        let ran = run(&json!({"linux": {"cgroupsPath": "system.slice:x:y"}}));
        assert!(ran.err.contains("connect to systemd") && ran.code == Some(1), "{ran:?}");
        assert_eq!(ran.err.lines().count(), 1);
    }
}

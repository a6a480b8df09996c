//! From create to delete.

use crate::rig::{Rig, finish};
use e2e::eventually;
use serde_json::{Value, json};
use std::process::Stdio;

#[test]
fn a_container_is_created_started_stopped_and_deleted() {
    let rig = Rig::new(&["sleep", "1000"]);
    let id = rig.id("a");
    rig.create(&id);
    assert_eq!(rig.status(&id), "created");
    let command = std::fs::read(format!("/proc/{}/cmdline", rig.pid(&id))).unwrap();
    assert!(!command.starts_with(b"sleep"), "nothing of the image runs yet");
    rig.call(&["start", &id]).text();
    assert_eq!(rig.status(&id), "running");
    assert_eq!(rig.call(&["start", &id]).errors(), "cannot start an already running container");
    assert_eq!(
        rig.call(&["delete", &id]).errors(),
        format!("cannot delete container {id} that is not stopped: running")
    );
    rig.call(&["kill", &id, "KILL"]).text();
    eventually("it stops", || rig.status(&id) == "stopped");
    assert_eq!(rig.call(&["kill", &id, "KILL"]).errors(), "container not running");
    assert_eq!(rig.call(&["kill", "--all", &id, "KILL"]).code, 0);
    rig.call(&["delete", &id]).text();
    assert_eq!(rig.call(&["state", &id]).errors(), "container does not exist");
    assert_eq!(rig.call(&["delete", "--force", &id]).code, 0);
    assert!(rig.left().is_empty() && rig.groups().is_empty());
}

#[test]
fn a_created_container_is_deleted_without_force_and_its_process_ends() {
    let rig = Rig::new(&["sleep", "1000"]);
    let id = rig.id("a");
    rig.create(&id);
    let process = format!("/proc/{}/stat", rig.pid(&id));
    rig.call(&["delete", &id]).text();
    eventually("its process ends", || {
        std::fs::read_to_string(&process).is_ok_and(|stat| stat.contains(") Z"))
            || !std::path::Path::new(&process).exists()
    });
    assert!(rig.left().is_empty() && rig.groups().is_empty());
}

#[test]
fn run_answers_the_status_of_the_program_and_leaves_nothing() {
    let rig = Rig::new(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    let id = rig.id("a");
    let said = rig.call(&["run", "--bundle", &rig.text("bundle"), &id]);
    assert_eq!((said.code, &*said.out, &*said.err), (7, "out\n", "err\n"));
    assert!(rig.left().is_empty() && rig.groups().is_empty());
    // The first process of a pid namespace cannot kill itself: another one does it, and its status is handed on.
    rig.change(|spec| spec["process"]["args"] = json!(["sh", "-c", "sh -c 'kill -9 $$'; exit $?"]));
    assert_eq!(rig.call(&["run", "--bundle", &rig.text("bundle"), &id]).code, 137);
}

#[test]
fn run_keeps_the_record_when_asked_to() {
    let rig = Rig::new(&["true"]);
    let id = rig.id("a");
    rig.call(&["run", "--keep", "--bundle", &rig.text("bundle"), &id]).text();
    assert_eq!(rig.status(&id), "stopped");
    rig.call(&["delete", &id]).text();
}

#[test]
fn signals_to_a_foreground_run_reach_the_program() {
    let script = "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let rig = Rig::new(&["sh", "-c", script]);
    let mut command = rig.command(&["run", "--bundle", &rig.text("bundle"), &rig.id("a")]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    let sent = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).unwrap();
    assert_eq!((rest.as_str(), finish(child).status.code()), ("got\n", Some(3)));
}

#[test]
fn a_name_is_taken_once_also_by_calls_at_the_same_moment() {
    let rig = Rig::new(&["sleep", "1000"]);
    let id = rig.id("a");
    let bundle = rig.text("bundle");
    let children: Vec<_> = (0..8)
        .map(|_| {
            let mut command = rig.command(&["create", "--bundle", &bundle, &id]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let codes: Vec<_> = children.into_iter().map(|child| finish(child).status.code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(rig.status(&id), "created");
    let said = rig.call(&["create", "--bundle", &bundle, &id]);
    assert_eq!(
        said.errors(),
        "coffer-runtime create failed: container with given ID already exists"
    );
}

#[test]
fn what_is_wrong_is_said_in_one_line_and_nothing_is_made() {
    let rig = Rig::new(&["true"]);
    let id = rig.id("a");
    let bundle = rig.text("bundle");
    let refused = |change: fn(&mut Value), wanted: &str| {
        let path = rig.path("bundle/config.json");
        let before = std::fs::read(&path).unwrap();
        rig.change(change);
        let said = rig.call(&["create", "--bundle", &bundle, &id]);
        std::fs::write(&path, before).unwrap();
        assert!(said.errors().contains(wanted), "{:?} lacks {wanted:?}", said.err);
        assert_eq!(said.err.lines().count(), 1, "{}", said.err);
        assert!(rig.left().is_empty() && rig.groups().is_empty(), "{wanted}");
    };
    refused(|spec| spec["ociVersion"] = json!("2.0.0"), "invalid ociVersion \"2.0.0\": must be");
    refused(|spec| spec["process"]["cwd"] = json!("x"), "invalid process.cwd \"x\": must be");
    refused(
        |spec| spec["process"]["args"] = json!("x"),
        "parse config.json: process.args: invalid type: string",
    );
    refused(
        |spec| spec["process"]["args"] = json!(["nosuch"]),
        "executable file not found in $PATH",
    );
    refused(|spec| spec["root"]["path"] = json!("nosuch"), "nosuch: no such file or directory");
    refused(|spec| spec["linux"]["cgroupsPath"] = json!("/a/../b"), "invalid linux.cgroupsPath");
    refused(
        |spec| spec["linux"]["namespaces"][0]["path"] = json!("/dev/null"),
        "it is no namespace",
    );
    refused(
        |spec| {
            spec["mounts"][0] = json!({"destination": "/x", "type": "bind", "source": "/nosuch"})
        },
        "open /nosuch for mount \"/x\": no such file or directory",
    );
}

#[test]
fn unknown_capabilities_are_warned_of_and_left_out() {
    let rig = Rig::new(&["true"]);
    rig.change(|spec| spec["process"]["capabilities"]["bounding"] = json!(["CAP_NOSUCH"]));
    let said = rig.call(&["run", "--bundle", &rig.text("bundle"), &rig.id("a")]);
    assert_eq!(said.code, 0);
    assert!(said.err.contains("level=warning msg=\"ignoring unknown capability"), "{}", said.err);
}

#[test]
fn hooks_before_and_after_read_the_state() {
    let rig = Rig::new(&["true"]);
    let id = rig.id("a");
    let log = rig.text("hooks");
    rig.change(|spec| {
        for point in ["createRuntime", "poststart", "poststop"] {
            let script = format!("(cat; echo) >> {log}");
            spec["hooks"][point] = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
        }
    });
    rig.create(&id);
    rig.call(&["start", &id]).text();
    eventually("it stops", || rig.status(&id) == "stopped");
    rig.call(&["delete", &id]).text();
    let text = std::fs::read_to_string(&log).unwrap();
    let states: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(states.len(), 3, "{text}");
    assert!(states.iter().all(|state| state["id"] == *id));
    assert_eq!(states[0]["status"], "creating");
    assert_eq!(states[2]["status"], "stopped");
}

#[test]
fn the_pid_file_and_preserved_descriptors_are_as_asked() {
    let rig = Rig::new(&["sh", "-c", "cat <&3; readlink /proc/self/fd/4 || echo none"]);
    let id = rig.id("a");
    std::fs::write(rig.path("given"), "given\n").unwrap();
    let program = e2e::program("coffer-runtime");
    let script = format!(
        "exec {} --root {} run --preserve-fds 1 --pid-file {} --bundle {} {id} 3<{}",
        program.display(),
        rig.text("root"),
        rig.text("pid"),
        rig.text("bundle"),
        rig.text("given"),
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "given\nnone\n");
    let pid: u32 = std::fs::read_to_string(rig.path("pid")).unwrap().parse().unwrap();
    assert!(pid > 1);
}

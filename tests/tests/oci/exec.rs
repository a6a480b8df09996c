//! Processes in a running container.

use crate::rig::Rig;
use serde_json::json;

#[test]
fn a_process_gets_what_its_flags_say() {
    let rig = Rig::new(&["sleep", "1000"]);
    let id = rig.id("a");
    rig.start(&id);
    let script = "id -u; id -g; pwd; echo $A; grep NoNewPrivs /proc/self/status; exit 5";
    let said = rig.call(&[
        "exec",
        "-u",
        "5:6",
        "-g",
        "7",
        "--cwd",
        "/tmp",
        "-e",
        "A=b",
        "--no-new-privs",
        &id,
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(said.code, 5, "{}", said.err);
    assert_eq!(said.out, "5\n6\n/tmp\nb\nNoNewPrivs:\t1\n");
}

#[test]
fn a_process_from_a_file_is_run_as_the_file_says() {
    let rig = Rig::new(&["sleep", "1000"]);
    let id = rig.id("a");
    rig.start(&id);
    let process = json!({
        "args": ["sh", "-c", "echo $B; cat /proc/self/status | grep CapEff"],
        "env": ["PATH=/bin", "B=c"], "cwd": "/", "user": {"uid": 0, "gid": 0},
        "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
    });
    std::fs::write(rig.path("process.json"), process.to_string()).unwrap();
    let said = rig.call(&["exec", "--process", &rig.text("process.json"), &id]);
    assert_eq!(said.out, "c\nCapEff:\t0000000000000020\n", "{}", said.err);
}

#[test]
fn a_detached_process_is_left_and_its_number_written() {
    let rig = Rig::new(&["sleep", "1000"]);
    let id = rig.id("a");
    rig.start(&id);
    rig.call(&["exec", "-d", "--pid-file", &rig.text("pid"), &id, "sleep", "999"]).text();
    let pid = std::fs::read_to_string(rig.path("pid")).unwrap();
    let pids: Vec<i64> =
        serde_json::from_str(&rig.call(&["ps", "-f", "json", &id]).text()).unwrap();
    assert_eq!(pids.len(), 2);
    assert!(pids.contains(&pid.parse().unwrap()));
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(command.ends_with(b"sleep\x00999\x00"));
    let table = rig.call(&["ps", &id, "-o", "pid,comm"]).text();
    assert_eq!(table.lines().count(), 3, "{table}");
}

#[test]
fn refusals_are_those_that_engines_know() {
    let rig = Rig::new(&["sleep", "1000"]);
    let id = rig.id("a");
    let refused = |arguments: &[&str], wanted: &str| {
        let said = rig.call(arguments);
        assert_eq!(said.errors(), wanted);
        assert_eq!(said.code, 255);
    };
    refused(&["exec", &id, "true"], "exec failed: container does not exist");
    rig.start(&id);
    refused(&["exec", &id], "exec failed: process args cannot be empty");
    refused(
        &["exec", &id, "nosuch"],
        "exec failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH",
    );
    refused(
        &["exec", "-t", "-d", &id, "true"],
        "exec failed: cannot allocate tty if runc will detach without setting console socket",
    );
    rig.call(&["pause", &id]).text();
    assert_eq!(rig.status(&id), "paused");
    refused(
        &["exec", &id, "true"],
        "exec failed: cannot exec in a paused container (use --ignore-paused to override)",
    );
    assert_eq!(rig.call(&["pause", &id]).errors(), "container not running");
    rig.call(&["resume", &id]).text();
    assert_eq!(rig.call(&["resume", &id]).errors(), "container not paused");
    assert_eq!(rig.call(&["exec", &id, "true"]).code, 0);
}

#[test]
fn a_terminal_is_the_container_s_own_and_its_output_comes_through() {
    let rig = Rig::new(&["sleep", "1000"]);
    let id = rig.id("a");
    rig.start(&id);
    let said = rig.call(&[
        "exec",
        "-t",
        &id,
        "sh",
        "-c",
        "test -t 0 && test -t 1 && readlink /proc/self/fd/0",
    ]);
    assert_eq!(said.out.trim_end(), "/dev/pts/0", "{}", said.err);
}

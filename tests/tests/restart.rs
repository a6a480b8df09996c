//! The daemon stops, is killed, or is upgraded while containers run: they run on, and everything is right afterwards.
#![expect(clippy::unwrap_used, reason = "tests")]

use e2e::{Engine, eventually};

fn state(engine: &Engine, name: &str) -> String {
    let format = "{{.State.Status}} {{.State.ExitCode}}";
    engine.docker(&["inspect", name, "--format", format]).text()
}

#[test]
fn containers_run_on_while_no_daemon_does_and_can_be_used_afterwards() {
    let mut engine = Engine::with_busybox();
    let script = "i=0; while :; do echo $i; i=$((i+1)); usleep 1000; done";
    engine.docker(&["run", "-d", "--name", "counter", "busybox", "sh", "-c", script]).text();
    let pid = engine.docker(&["inspect", "counter", "--format", "{{.State.Pid}}"]).text();
    for signal in ["TERM", "KILL"] {
        engine.restart(signal);
        assert_eq!(state(&engine, "counter"), "running 0", "after {signal}");
        let after = engine.docker(&["inspect", "counter", "--format", "{{.State.Pid}}"]).text();
        assert_eq!(after, pid, "after {signal}");
        assert_eq!(
            engine.docker(&["exec", "counter", "echo", "in"]).ok(),
            "in\n",
            "after {signal}"
        );
    }
    engine.docker(&["kill", "counter"]).text();
    let lines = engine.docker(&["logs", "counter"]).ok();
    for (expected, line) in lines.lines().enumerate() {
        assert_eq!(line, expected.to_string(), "no line was lost or came twice");
    }
    assert!(lines.lines().count() > 100, "{}", lines.lines().count());
    assert_eq!(state(&engine, "counter"), "exited 137");
}

#[test]
fn an_exit_while_no_daemon_runs_keeps_its_code_and_time() {
    let mut engine = Engine::with_busybox();
    engine
        .docker(&["run", "-d", "--name", "brief", "busybox", "sh", "-c", "sleep 1; exit 7"])
        .text();
    engine.end("KILL");
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let ended = std::time::SystemTime::now();
    engine.launch();
    assert_eq!(state(&engine, "brief"), "exited 7");
    let finished = engine.docker(&["inspect", "brief", "--format", "{{.State.FinishedAt}}"]).text();
    let printed =
        std::process::Command::new("date").args(["-d", &finished, "+%s%3N"]).output().unwrap();
    let finished: u128 = String::from_utf8(printed.stdout).unwrap().trim().parse().unwrap();
    let ended = ended.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert!(
        finished + 1000 < ended,
        "finished at {finished}, the daemon was started after {ended}"
    );
}

#[test]
fn restart_policies_hold_over_a_restart_of_the_daemon() {
    let mut engine = Engine::with_busybox();
    let run = |name: &str, policy: &str, script: &str| {
        let flags =
            ["run", "-d", "--name", name, "--restart", policy, "busybox", "sh", "-c", script];
        engine.docker(&flags).text();
    };
    run("always", "always", "sleep 1; exit 1");
    run("stopped", "unless-stopped", "sleep 300");
    run("failing", "on-failure:2", "exit 3");
    engine.docker(&["stop", "-t", "0", "stopped"]).text();
    eventually("the failing one gives up", || state(&engine, "failing") == "exited 3");
    let count = engine.docker(&["inspect", "failing", "--format", "{{.RestartCount}}"]).text();
    assert_eq!(count, "2");
    engine.end("KILL");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    engine.launch();
    eventually("the always one runs again", || state(&engine, "always").starts_with("running"));
    assert_eq!(state(&engine, "stopped"), "exited 137", "what was stopped by hand stays stopped");
    assert_eq!(state(&engine, "failing"), "exited 3");
}

#[test]
fn a_worker_that_dies_is_replaced_and_no_container_notices() {
    let engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "steady", "busybox", "sleep", "300"]).text();
    let pid = engine.docker(&["inspect", "steady", "--format", "{{.State.Pid}}"]).text();
    for role in ["storage", "network", "task", "api"] {
        let (victim, _) = engine.workers().into_iter().find(|(_, have)| have == role).unwrap();
        std::process::Command::new("kill").args(["-9", &victim.to_string()]).status().unwrap();
        eventually(role, || {
            engine.workers().iter().any(|(pid, have)| have == role && *pid != victim)
        });
        eventually("the engine answers", || engine.docker(&["ps", "-q"]).code == 0);
        assert_eq!(
            engine.docker(&["run", "--rm", "busybox", "echo", role]).ok(),
            format!("{role}\n")
        );
        let after = engine.docker(&["inspect", "steady", "--format", "{{.State.Pid}}"]).text();
        assert_eq!(after, pid, "after the death of the {role} worker");
        assert_eq!(engine.docker(&["exec", "steady", "echo", "in"]).ok(), "in\n");
    }
}

#[test]
fn what_was_created_removed_and_renamed_before_a_kill_stays_so() {
    let mut engine = Engine::with_busybox();
    for name in ["kept", "removed", "before"] {
        engine.docker(&["create", "--name", name, "busybox", "true"]).text();
    }
    engine.docker(&["rm", "removed"]).text();
    engine.docker(&["rename", "before", "after"]).text();
    engine.docker(&["tag", "busybox", "tagged:v1"]).text();
    engine.restart("KILL");
    let names = engine.docker(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    let mut names: Vec<_> = names.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["after", "kept"]);
    assert_eq!(engine.docker(&["images", "-q", "tagged:v1"]).text().len(), 12);
    assert_eq!(engine.docker(&["run", "--rm", "tagged:v1", "echo", "x"]).ok(), "x\n");
}

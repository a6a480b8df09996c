//! The daemon stops, is killed, or is upgraded while containers run: they run on, and everything is right afterwards.
#![expect(clippy::unwrap_used, reason = "tests")]

use e2e::{Engine, Kind, eventually, send};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

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
    run("stopped", "unless-stopped", "sleep 3000");
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
    engine.docker(&["run", "-d", "--name", "steady", "busybox", "sleep", "3000"]).text();
    let pid = engine.docker(&["inspect", "steady", "--format", "{{.State.Pid}}"]).text();
    for role in ["storage", "network", "task", "api"] {
        let (victim, _) = engine.workers().into_iter().find(|(_, have)| have == role).unwrap();
        send("KILL", victim);
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

#[test]
fn policies_restart_what_ended_while_no_daemon_ran() {
    let mut engine = Engine::with_busybox();
    let run = |name: &str, policy: &str, script: &str| {
        let script = format!("while [ ! -e /go ]; do usleep 10000; done; {script}");
        let flags =
            ["run", "-d", "--name", name, "--restart", policy, "busybox", "sh", "-c", &script];
        engine.docker(&flags).text();
        let pid = engine.docker(&["inspect", name, "--format", "{{.State.Pid}}"]).text();
        format!("/proc/{pid}/root/go")
    };
    let files = [
        run("always", "always", "rm /go; exit 0"),
        run("failed", "on-failure", "rm /go; exit 4"),
        run("fine", "on-failure", "exit 0"),
        run("never", "no", "exit 4"),
    ];
    engine.end("KILL");
    for file in &files {
        std::fs::write(file, "").unwrap();
    }
    for file in &files {
        eventually("it ends", || !std::path::Path::new(file).exists());
    }
    let payload = |engine: &Engine| {
        let family = engine.family();
        family.into_iter().filter(|member| member.kind == Kind::Payload && !member.zombie).count()
    };
    eventually("all have ended", || payload(&engine) == 0);
    engine.launch();
    for name in ["always", "failed"] {
        eventually(name, || state(&engine, name) == "running 0");
    }
    assert_eq!(state(&engine, "fine"), "exited 0");
    assert_eq!(state(&engine, "never"), "exited 4");
}

#[test]
fn programs_that_are_replaced_on_disk_take_over_at_the_next_start() {
    let programs = tempfile::TempDir::new().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(programs.path(), open).unwrap();
    let install = || {
        for name in ["cofferd", "coffer-shim", "coffer-init"] {
            // As a package manager does: another file under the same name.
            let new = programs.path().join("new");
            std::fs::copy(e2e::program(name), &new).unwrap();
            std::fs::rename(&new, programs.path().join(name)).unwrap();
        }
    };
    install();
    let mut engine = Engine::start_from(programs.path());
    engine.import_busybox();
    engine.docker(&["run", "-d", "--name", "steady", "busybox", "sleep", "3000"]).text();
    let pid = engine.docker(&["inspect", "steady", "--format", "{{.State.Pid}}"]).text();
    install();
    // The old engine goes on with its old programs, also for a worker that it has to start again.
    send("KILL", engine.worker("task"));
    send("KILL", engine.worker("api"));
    eventually("the engine answers", || engine.docker(&["ps", "-q"]).code == 0);
    assert_eq!(engine.docker(&["run", "--rm", "busybox", "echo", "old"]).ok(), "old\n");
    engine.restart("TERM");
    assert_eq!(engine.docker(&["run", "--rm", "busybox", "echo", "new"]).ok(), "new\n");
    let after = engine.docker(&["inspect", "steady", "--format", "{{.State.Pid}}"]).text();
    assert_eq!(after, pid);
    assert_eq!(engine.docker(&["exec", "steady", "echo", "in"]).ok(), "in\n");
    engine.docker(&["stop", "-t", "0", "steady"]).text();
    assert_eq!(state(&engine, "steady"), "exited 137");
}

#[test]
fn a_daemon_that_starts_with_fifty_containers_shows_all_as_they_are() {
    let mut engine = Engine::with_busybox();
    std::thread::scope(|scope| {
        for part in 0..5 {
            let engine = &engine;
            scope.spawn(move || {
                for number in 0..10 {
                    let name = format!("many-{part}-{number}");
                    engine
                        .docker(&["run", "-d", "--name", &name, "busybox", "sleep", "3000"])
                        .text();
                }
            });
        }
    });
    let pids = |engine: &Engine| {
        let ids = engine.docker(&["ps", "-q"]).ok();
        let mut arguments = vec!["inspect", "--format", "{{.Name}} {{.State.Pid}}"];
        arguments.extend(ids.lines());
        let mut lines: Vec<_> = engine.docker(&arguments).ok().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let before = pids(&engine);
    assert_eq!(before.len(), 50);
    for signal in ["KILL", "TERM"] {
        engine.restart(signal);
        assert_eq!(pids(&engine), before, "after {signal}");
    }
}

/// A client that works while something else happens.
fn background(engine: &Engine, arguments: &[&str]) -> Child {
    let mut client = engine.client("docker", arguments);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The processes that serve one request of the storage worker.
fn jobs(engine: &Engine) -> Vec<u32> {
    let storage = engine.worker("storage");
    let family = engine.family();
    let jobs = family.into_iter().filter(|member| member.kind == Kind::Job && !member.zombie);
    jobs.filter(|member| member.parent == storage).map(|member| member.pid).collect()
}

#[test]
fn a_copy_whose_process_is_killed_fails_with_a_sentence_and_the_next_one_works() {
    let engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "box", "busybox", "sleep", "3000"]).text();
    for victim in ["job", "enclosed", "storage", "api"] {
        let mut client = background(&engine, &["cp", "-", "box:/tmp"]);
        // The archive has begun and does not go on.
        let mut stdin = client.stdin.take().unwrap();
        let mut header = [0u8; 512];
        header[..4].copy_from_slice(b"name");
        std::io::Write::write_all(&mut stdin, &header[..100]).unwrap();
        // The copy's job, not the one before it that has looked at the destination and ends at once.
        let reading = || {
            jobs(&engine).into_iter().find_map(|job| {
                let enclosed = engine.family().into_iter().find(|member| member.parent == job)?;
                Some((job, enclosed.pid))
            })
        };
        let mut found = None;
        eventually("the archive is read", || {
            let before = std::mem::replace(&mut found, reading());
            std::thread::sleep(std::time::Duration::from_millis(100));
            found.is_some() && found == before
        });
        let (job, enclosed) = found.unwrap();
        send(
            "KILL",
            match victim {
                "job" => job,
                "enclosed" => enclosed,
                role => engine.worker(role),
            },
        );
        if victim == "api" {
            drop(stdin);
            assert_ne!(client.wait().unwrap().code(), Some(0));
        } else {
            // The client writes on until it is told.
            let writer = std::thread::spawn(move || {
                while std::io::Write::write_all(&mut stdin, &[0u8; 512]).is_ok() {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            });
            let output = client.wait_with_output().unwrap();
            writer.join().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{text}");
            assert!(text.starts_with("Error response from daemon: "), "{victim}: {text}");
        }
        eventually("the engine answers", || engine.docker(&["ps", "-q"]).code == 0);
        let tar = e2e::image::tar_of("file", "content");
        assert_eq!(engine.docker_with_input(&["cp", "-", "box:/tmp"], &tar).ok(), "", "{victim}");
        assert_eq!(engine.docker(&["exec", "box", "cat", "/tmp/file"]).ok(), "content");
        eventually("no job is left", || jobs(&engine).is_empty());
    }
}

#[test]
fn a_load_that_is_cut_off_leaves_nothing_and_can_be_repeated() {
    let engine = Engine::with_busybox();
    let archive = engine.path("saved.tar");
    engine.docker(&["tag", "busybox", "other"]).text();
    engine.docker(&["save", "-o", &archive.display().to_string(), "other"]).text();
    engine.docker(&["rmi", "other", "busybox"]).text();
    let bytes = std::fs::read(&archive).unwrap();
    for role in ["storage", "api"] {
        let mut client = background(&engine, &["load"]);
        let mut stdin = client.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, &bytes[..bytes.len() / 2]).unwrap();
        let killed = engine.worker(role);
        send("KILL", killed);
        eventually(role, || engine.workers().iter().any(|(pid, r)| r == role && *pid != killed));
        let rest = bytes[bytes.len() / 2..].to_owned();
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &rest).ok());
        let output = client.wait_with_output().unwrap();
        writer.join().unwrap();
        // Nothing was asked of the storage worker yet, so its successor does it.
        assert_eq!(output.status.success(), role == "storage", "{output:?}");
        if output.status.success() {
            engine.docker(&["rmi", "other"]).text();
        }
        eventually("the engine answers", || engine.docker(&["images", "-q"]).code == 0);
        assert_eq!(engine.docker(&["images", "-aq"]).ok(), "");
        eventually("no layer is left", || {
            let snapshots = e2e::Traces::of(&engine);
            let data = engine.path("data").display().to_string();
            snapshots.0.iter().all(|line| {
                let name = line.rsplit('/').next().unwrap_or_default();
                !line.starts_with(&format!("file {data}")) || name.len() != 64
            })
        });
    }
    engine.docker(&["load", "-i", &archive.display().to_string()]).text();
    assert_eq!(engine.docker(&["run", "--rm", "other", "echo", "x"]).ok(), "x\n");
}

#[test]
fn clients_of_running_processes_are_told_when_the_api_worker_dies_and_others_go_on() {
    let engine = Engine::with_busybox();
    let script = "read x; echo got $x; sleep 3000";
    engine.docker(&["run", "-di", "--name", "box", "busybox", "sh", "-c", script]).text();
    let mut attached = background(&engine, &["attach", "box"]);
    let mut exec = background(&engine, &["exec", "-i", "box", "sh", "-c", script]);
    let execs = || {
        let ids = engine.docker(&["inspect", "box", "--format", "{{len .ExecIDs}}"]).text();
        ids.parse::<u32>().unwrap()
    };
    eventually("the exec runs", || execs() == 1);
    let payload = || {
        let family = engine.family();
        family.iter().filter(|member| member.kind == Kind::Payload && !member.zombie).count()
    };
    eventually("its process runs too", || payload() == 2);
    let running = payload();
    // Neither the death of the task worker nor of the storage and network workers touches them.
    for role in ["task", "storage", "network"] {
        let killed = engine.worker(role);
        send("KILL", killed);
        eventually(role, || engine.workers().iter().any(|(pid, r)| r == role && *pid != killed));
    }
    let read = |client: &mut Child| {
        let stdin = client.stdin.as_mut().unwrap();
        std::io::Write::write_all(stdin, b"word\n").unwrap();
        let mut line = String::new();
        let out = client.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        line
    };
    assert_eq!(read(&mut attached), "got word\n");
    assert_eq!(read(&mut exec), "got word\n");
    send("KILL", engine.worker("api"));
    for client in [attached, exec] {
        // The stream ends; how Docker's client calls that differs, but it does not hang.
        client.wait_with_output().unwrap();
    }
    eventually("the engine answers", || engine.docker(&["ps", "-q"]).code == 0);
    assert_eq!(payload(), running, "the processes themselves go on");
    engine.docker(&["rm", "-f", "box"]).text();
    eventually("no shim is left", || engine.family().len() == 5);
}

#[test]
fn the_shim_of_an_exec_ends_with_it_although_the_engine_was_restarted() {
    let mut engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "box", "busybox", "sleep", "3000"]).text();
    let script = "while [ ! -e /go ]; do usleep 10000; done";
    engine.docker(&["exec", "-d", "box", "sh", "-c", script]).text();
    let shims = |engine: &Engine| {
        engine.family().into_iter().filter(|member| member.kind == Kind::Shim).count()
    };
    engine.restart("KILL");
    assert_eq!(shims(&engine), 2);
    engine.docker(&["exec", "box", "touch", "/go"]).text();
    eventually("its shim ends", || shims(&engine) == 1);
    // And one that ended while nobody was there.
    engine.docker(&["exec", "-d", "box", "sleep", "0.2"]).text();
    engine.end("KILL");
    std::thread::sleep(std::time::Duration::from_millis(500));
    engine.launch();
    eventually("its shim ends too", || shims(&engine) == 1);
}

#[test]
fn a_shim_that_is_killed_takes_its_container_along_which_is_shown_and_can_be_removed() {
    let mut engine = Engine::with_busybox();
    for daemon in ["runs", "does not run"] {
        engine.docker(&["run", "-d", "--name", "box", "busybox", "sleep", "3000"]).text();
        engine.docker(&["exec", "-d", "box", "sleep", "3000"]).text();
        let family = engine.family();
        let shims: Vec<_> = family.iter().filter(|m| m.kind == Kind::Shim).collect();
        assert_eq!(shims.len(), 2);
        if daemon != "runs" {
            engine.end("KILL");
        }
        shims.iter().for_each(|shim| send("KILL", shim.pid));
        if daemon != "runs" {
            engine.launch();
        }
        eventually("it is shown", || state(&engine, "box") == "exited 137");
        eventually("no process is left", || engine.family().len() == 5);
        let payload = family.iter().filter(|member| member.kind == Kind::Payload);
        for process in payload {
            let path = format!("/proc/{}/ns/pid", process.pid);
            eventually("it is gone", || std::fs::read_link(&path).is_err());
        }
        engine.docker(&["start", "box"]).text();
        assert_eq!(engine.docker(&["exec", "box", "echo", "in"]).ok(), "in\n");
        engine.docker(&["rm", "-f", "box"]).text();
    }
}

#[test]
fn a_container_that_is_frozen_for_a_commit_goes_on_and_one_that_was_paused_stays_so() {
    let mut engine = Engine::with_busybox();
    for name in ["copied", "paused"] {
        let script = "head -c 30000000 /dev/urandom > /big; sleep 3000";
        engine.docker(&["run", "-d", "--name", name, "busybox", "sh", "-c", script]).text();
    }
    engine.docker(&["pause", "paused"]).text();
    let commit = background(&engine, &["commit", "copied", "copy"]);
    eventually("it is frozen", || state(&engine, "copied").starts_with("paused"));
    engine.restart("KILL");
    drop(commit.wait_with_output());
    assert_eq!(state(&engine, "copied"), "running 0");
    assert_eq!(engine.docker(&["exec", "copied", "echo", "in"]).ok(), "in\n");
    assert_eq!(state(&engine, "paused"), "paused 0");
    engine.docker(&["unpause", "paused"]).text();
    assert_eq!(engine.docker(&["exec", "paused", "echo", "in"]).ok(), "in\n");
}

#[test]
fn starts_during_which_the_task_worker_or_its_children_die_fail_or_run_and_none_is_stuck() {
    let engine = Engine::with_busybox();
    for victim in ["worker", "children"] {
        let stop = AtomicBool::new(false);
        let name = |number: u32| format!("{victim}-{number}");
        let codes: Vec<i32> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..20)
                .map(|number| {
                    let (engine, name) = (&engine, name(number));
                    scope.spawn(move || {
                        engine
                            .docker(&["create", "--name", &name, "busybox", "sleep", "3000"])
                            .text();
                        engine.docker(&["start", &name]).code
                    })
                })
                .collect();
            let killer = scope.spawn(|| {
                let mut kills = 0;
                while !stop.load(Ordering::Relaxed) && kills < 6 {
                    let family = engine.family();
                    let wanted = |kind: &Kind| match kind {
                        Kind::Worker(role) => victim == "worker" && role == "task",
                        Kind::Job => victim == "children",
                        _ => false,
                    };
                    let found = family.iter().find(|member| wanted(&member.kind));
                    if let Some(found) = found {
                        send("KILL", found.pid);
                        kills += 1;
                        std::thread::sleep(std::time::Duration::from_millis(60));
                    }
                }
            });
            let codes = starts.into_iter().map(|start| start.join().unwrap()).collect();
            stop.store(true, Ordering::Relaxed);
            killer.join().unwrap();
            codes
        });
        for (number, code) in (0..).zip(codes) {
            // A child may have answered and be on its way to be the shim when it is killed.
            let expected: &[&str] = match (code, victim) {
                (0, "children") => &["running 0", "exited 137"],
                (0, _) => &["running 0"],
                _ => &["created 128"],
            };
            eventually("a settled state", || {
                expected.contains(&state(&engine, &name(number)).as_str())
            });
        }
        for number in 0..20 {
            engine.docker(&["start", &name(number)]).text();
            assert_eq!(state(&engine, &name(number)), "running 0");
        }
        let mut arguments = vec!["rm", "-f"];
        let names: Vec<_> = (0..20).map(name).collect();
        arguments.extend(names.iter().map(String::as_str));
        engine.docker(&arguments).text();
        eventually("nothing is left", || engine.family().len() == 5);
    }
}

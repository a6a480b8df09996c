//! The main job, as a user does it: images in, containers out.
#![expect(clippy::unwrap_used, reason = "tests")]

use e2e::{Engine, eventually, image};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

#[test]
fn a_container_prints_and_its_exit_code_is_the_clients() {
    let engine = Engine::with_busybox();
    assert_eq!(engine.docker(&["run", "--rm", "busybox", "echo", "hello"]).ok(), "hello\n");
    let said =
        engine.docker(&["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (7, "out\n", "err\n"));
    assert_eq!(engine.coffer(&["run", "--rm", "busybox", "echo", "hello"]).ok(), "hello\n");
    assert_eq!(engine.coffer(&["run", "--rm", "busybox", "sh", "-c", "exit 9"]).code, 9);
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "", "--rm leaves nothing");
}

#[test]
fn standard_input_reaches_the_container_and_its_end_too() {
    let engine = Engine::with_busybox();
    let input: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let said = engine.docker_with_input(&["run", "--rm", "-i", "busybox", "md5sum"], &input);
    let local = engine.client("busybox", &["md5sum"]).stdin(std::process::Stdio::piped()).output();
    assert!(local.is_ok());
    let path = engine.path("input");
    std::fs::write(&path, &input).unwrap();
    let expected = std::process::Command::new("md5sum").arg(&path).output().unwrap();
    let expected = String::from_utf8(expected.stdout).unwrap();
    assert_eq!(said.ok().split_whitespace().next(), expected.split_whitespace().next());
}

#[test]
fn megabytes_of_output_arrive_whole_and_in_order() {
    let engine = Engine::with_busybox();
    let script = "i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done";
    let out = engine.docker(&["run", "--name", "chatty", "busybox", "sh", "-c", script]).ok();
    let expected: String = (0..20_000).map(|i| format!("line-{i}\n")).collect();
    assert!(out == expected, "attached output");
    assert!(engine.docker(&["logs", "chatty"]).ok() == expected, "logged output");
    assert_eq!(engine.docker(&["logs", "--tail", "1", "chatty"]).ok(), "line-19999\n");
}

#[test]
fn a_terminal_has_a_size_and_signals_reach_its_programs() {
    let engine = Engine::with_busybox();
    let host = engine.host();
    let inner = format!(
        "stty rows 33 cols 111; docker -H {host} run --rm -it busybox sh -c 'tty; stty size; test -t 0 && echo terminal'"
    );
    let said = engine.client("script", &["-qec", &inner, "/dev/null"]).output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout).replace('\r', "");
    assert!(text.contains("/dev/pts/0\n"), "{text}");
    assert!(text.contains("33 111\n"), "{text}");
    assert!(text.contains("terminal\n"), "{text}");
}

#[test]
fn a_detached_container_can_be_attached_left_by_keys_and_attached_again() {
    let engine = Engine::with_busybox();
    engine.docker(&["run", "-dit", "--name", "shell", "busybox", "sh"]).text();
    let host = engine.host();
    let inner = format!(
        "(sleep 1; printf 'echo in-$((40+2))\\n'; sleep 1; printf '\\020\\021') | docker -H {host} attach shell"
    );
    let said = engine.client("script", &["-qec", &inner, "/dev/null"]).output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(text.contains("input device is not a TTY") || text.contains("in-42"), "{text}");
    assert_eq!(
        engine.docker(&["inspect", "shell", "--format", "{{.State.Running}}"]).text(),
        "true"
    );
    assert_eq!(engine.docker(&["exec", "shell", "echo", "still there"]).ok(), "still there\n");
}

#[test]
fn limits_are_what_the_container_was_given_and_can_be_changed() {
    let engine = Engine::with_busybox();
    let flags = [
        "run",
        "-d",
        "--name",
        "limited",
        "--memory",
        "32m",
        "--pids-limit",
        "25",
        "--cpus",
        "0.5",
    ];
    engine.docker(&[&flags[..], &["busybox", "sleep", "300"]].concat()).text();
    let read = |v1: &str, v2: &str| {
        let script = format!("cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}");
        engine.docker(&["exec", "limited", "sh", "-c", &script]).text()
    };
    assert_eq!(read("memory/memory.limit_in_bytes", "memory.max"), "33554432");
    assert_eq!(read("pids/pids.max", "pids.max"), "25");
    let quota = read("cpu/cpu.cfs_quota_us", "cpu.max");
    assert!(quota == "50000" || quota == "50000 100000", "{quota}");
    engine.docker(&["update", "--memory", "48m", "--memory-swap", "96m", "limited"]).text();
    assert_eq!(read("memory/memory.limit_in_bytes", "memory.max"), "50331648");
}

#[test]
fn an_init_passes_the_exit_code_and_signals_on() {
    let engine = Engine::with_busybox();
    let out = engine.docker(&[
        "run",
        "--rm",
        "--init",
        "busybox",
        "sh",
        "-c",
        "cat /proc/1/comm; exit 3",
    ]);
    assert_eq!((out.code, out.out.as_str(), out.err.as_str()), (3, "docker-init\n", ""));
    let script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done";
    engine
        .docker(&["run", "-d", "--init", "--name", "waits", "busybox", "sh", "-c", script])
        .text();
    eventually("the trap", || engine.docker(&["logs", "waits"]).ok() == "ready\n");
    engine.docker(&["stop", "waits"]).text();
    assert_eq!(engine.docker(&["inspect", "waits", "--format", "{{.State.ExitCode}}"]).text(), "5");
}

#[test]
fn memory_beyond_the_limit_kills_and_is_reported() {
    let engine = Engine::with_busybox();
    let script = "x=a; while :; do x=$x$x; done";
    let flags = ["run", "--name", "hungry", "--memory", "8m", "--memory-swap", "8m"];
    let said = engine.docker(&[&flags[..], &["busybox", "sh", "-c", script]].concat());
    assert_eq!(said.code, 137);
    let format = "{{.State.OOMKilled}} {{.State.ExitCode}}";
    assert_eq!(engine.docker(&["inspect", "hungry", "--format", format]).text(), "true 137");
}

#[test]
fn containers_on_the_bridge_reach_each_other_and_the_host() {
    let engine = Engine::with_busybox();
    let serve = "mkdir /w; echo served > /w/file; httpd -f -h /w -p 80";
    engine.docker(&["run", "-d", "--name", "server", "busybox", "sh", "-c", serve]).text();
    let format = "{{.NetworkSettings.Networks.bridge.IPAddress}}";
    let address = engine.docker(&["inspect", "server", "--format", format]).text();
    let url = format!("http://{address}/file");
    eventually("the server answers", || {
        engine.docker(&["run", "--rm", "busybox", "wget", "-qO-", &url]).out == "served\n"
    });
    let from_host =
        engine.space().command("busybox").args(["wget", "-qO-", &url]).output().unwrap();
    assert_eq!(from_host.stdout, b"served\n");
}

#[test]
fn an_image_survives_save_and_load_and_skopeo_reads_it() {
    let engine = Engine::with_busybox();
    let archive = engine.path("saved.tar").display().to_string();
    let id = engine.docker(&["images", "-q", "--no-trunc", "busybox"]).text();
    engine.docker(&["save", "-o", &archive, "busybox"]).ok();
    engine.docker(&["rmi", "busybox"]).text();
    assert_eq!(engine.docker(&["images", "-q"]).ok(), "");
    assert_eq!(engine.docker(&["load", "-i", &archive]).ok(), "Loaded image: busybox:latest\n");
    assert_eq!(engine.docker(&["images", "-q", "--no-trunc", "busybox"]).text(), id);
    assert_eq!(engine.docker(&["run", "--rm", "busybox", "echo", "again"]).ok(), "again\n");
}

#[test]
fn a_committed_container_is_an_image_with_its_changes() {
    let engine = Engine::with_busybox();
    let script =
        "echo new > /etc/added; rm /etc/group; rm -r /home; mkdir /home; touch /home/fresh";
    engine.docker(&["run", "--name", "changed", "busybox", "sh", "-c", script]).ok();
    let changes = engine.docker(&["diff", "changed"]).ok();
    for line in ["C /etc", "A /etc/added", "D /etc/group", "A /home/fresh"] {
        assert!(changes.lines().any(|have| have == line), "{line} in {changes}");
    }
    engine.docker(&["commit", "changed", "changed:v1"]).text();
    let script = "cat /etc/added; ls /etc/group /home 2>&1";
    let out = engine.docker(&["run", "--rm", "changed:v1", "sh", "-c", script]).out;
    assert!(out.starts_with("new\n"), "{out}");
    assert!(out.contains("/etc/group: No such file") && out.contains("fresh"), "{out}");
}

#[test]
fn files_are_copied_into_and_out_of_running_and_stopped_containers() {
    let engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "box", "busybox", "sleep", "300"]).text();
    let file = engine.path("file");
    std::fs::write(&file, "content").unwrap();
    let file = file.display().to_string();
    for target in ["box:/tmp/running", "box:/tmp/"] {
        engine.docker(&["cp", &file, target]).text();
    }
    assert_eq!(
        engine.docker(&["exec", "box", "cat", "/tmp/running", "/tmp/file"]).ok(),
        "contentcontent"
    );
    engine.docker(&["kill", "box"]).text();
    engine.docker(&["cp", &file, "box:/root/stopped"]).text();
    let back = engine.path("back").display().to_string();
    engine.docker(&["cp", "box:/root/stopped", &back]).text();
    assert_eq!(std::fs::read_to_string(&back).unwrap(), "content");
}

#[test]
fn debians_root_file_system_runs_its_programs() {
    if std::env::var_os("COFFER_BIN").is_some() {
        return; // The test machine has no archive of packages to make one from.
    }
    let engine = Engine::start();
    let root = engine.path("debian");
    let made = std::process::Command::new("debootstrap")
        .args(["--variant=minbase", "bookworm"])
        .arg(&root)
        .args(image::debian_mirror())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    let archive = engine.path("debian.tar");
    image::tar(&root, &archive);
    engine.docker(&["import", &archive.display().to_string(), "debian:bookworm"]).text();
    let out = engine.docker(&["run", "--rm", "debian:bookworm", "apt-get", "--version"]).ok();
    assert!(out.starts_with("apt "), "{out}");
    let out = engine
        .docker(&["run", "--rm", "debian:bookworm", "sh", "-c", "id; su nobody -s /bin/sh -c id"])
        .ok();
    assert!(out.contains("uid=65534(nobody)"), "{out}");
}

/// One request on a connection of its own; what has come back is read by the caller.
fn ask(engine: &Engine, head: &str, body: &str) -> UnixStream {
    let mut stream = UnixStream::connect(engine.path("docker.sock")).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// docker-py reads the head of the answer by a reader with a buffer, and takes the socket away from it: what came right
/// behind the head would be lost. So the head goes out first, and then the process starts.
#[test]
fn a_client_knows_that_there_will_be_a_stream_before_the_process_of_an_exec_starts() {
    let engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "one", "busybox", "sleep", "300"]).text();
    let body = r#"{"AttachStdout":true,"Cmd":["echo","out"]}"#;
    let mut made = ask(&engine, "POST /v1.41/containers/one/exec", body);
    made.write_all(format!("Connection: close\r\n\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    made.read_to_string(&mut answer).unwrap();
    let id = answer.split('"').nth(3).unwrap();
    // Nothing can be started while the one that starts stands still.
    let task = engine.worker("task");
    e2e::send("STOP", task);
    let mut stream = ask(&engine, &format!("POST /v1.41/exec/{id}/start"), "{}");
    stream.write_all(b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n{}").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        let read = stream.read(&mut byte);
        if !matches!(read, Ok(1)) {
            e2e::send("CONT", task);
        }
        assert_eq!(read.unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    e2e::send("CONT", task);
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    let mut output = Vec::new();
    stream.read_to_end(&mut output).unwrap();
    assert_eq!(output, b"\x01\0\0\0\0\0\0\x04out\n");
}

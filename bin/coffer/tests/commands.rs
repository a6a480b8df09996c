#![expect(clippy::unwrap_used, reason = "tests")]
//! The program against a tiny engine on a socket of its own, which answers what it was told to and records what it was
//! asked: what users see, what the engine gets, and in which order.

mod engine;

use engine::{Engine, Reply};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn created() -> Reply {
    Reply::json(201, &format!(r#"{{"Id":"{ID}","Warnings":[]}}"#))
}

#[test]
fn run_attaches_and_waits_before_it_starts_and_ends_with_the_program_s_status() {
    let engine = Engine::start(vec![
        ("POST /containers/create", created()),
        (
            "POST /containers/ID/attach",
            Reply::upgrade(b"\x01\0\0\0\0\0\0\x04out\n\x02\0\0\0\0\0\0\x04err\n"),
        ),
        ("POST /containers/ID/wait", Reply::json(200, r#"{"StatusCode":7}"#)),
        ("POST /containers/ID/start", Reply::empty(204)),
    ]);
    let done = engine.run(&["run", "--rm", "busybox", "sh", "-c", "exit 7"]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (7, "out\n", "err\n"));
    let calls = engine.calls();
    assert_eq!(
        calls,
        [
            "HEAD /_ping".to_owned(),
            "POST /v1.50/containers/create".into(),
            format!("POST /v1.50/containers/{ID}/attach?stderr=1&stdout=1&stream=1"),
            format!("POST /v1.50/containers/{ID}/wait?condition=removed"),
            format!("POST /v1.50/containers/{ID}/start"),
        ]
    );
    let body = engine.body("containers/create");
    assert_eq!(body["Cmd"], serde_json::json!(["sh", "-c", "exit 7"]));
    assert_eq!(body["HostConfig"]["AutoRemove"], true);
    assert_eq!(body["HostConfig"]["MemorySwappiness"], -1);
    assert_eq!(body["HostConfig"]["NetworkMode"], "default");
}

#[test]
fn a_program_that_is_not_there_gives_127_and_the_hint() {
    let message = r#"{"message":"exec: \"x\": executable file not found in $PATH"}"#;
    let engine = Engine::start(vec![
        ("POST /containers/create", created()),
        ("POST /containers/ID/attach", Reply::upgrade(b"")),
        ("POST /containers/ID/wait", Reply::json(200, r#"{"StatusCode":127}"#)),
        ("POST /containers/ID/start", Reply::json(400, message)),
    ]);
    let done = engine.run(&["run", "busybox", "x"]);
    assert_eq!(done.code, 127);
    assert_eq!(
        done.err,
        "docker: Error response from daemon: exec: \"x\": executable file not found in $PATH\n\n\
         Run 'docker run --help' for more information\n"
    );
}

#[test]
fn a_missing_image_is_pulled_and_the_container_made_again() {
    let engine = Engine::start(vec![
        (
            "POST /containers/create",
            Reply::json(404, r#"{"message":"No such image: busybox:latest"}"#),
        ),
        (
            "POST /images/create",
            Reply::json(200, "{\"status\":\"Pulling from library/busybox\",\"id\":\"latest\"}\r\n"),
        ),
        ("POST /containers/create", created()),
        ("POST /containers/ID/wait", Reply::json(200, r#"{"StatusCode":0}"#)),
        ("POST /containers/ID/start", Reply::empty(204)),
    ]);
    let done = engine.run(&["run", "-d", "busybox"]);
    assert_eq!((done.code, done.out.trim()), (0, ID));
    assert_eq!(
        done.err,
        "Unable to find image 'busybox:latest' locally\nlatest: Pulling from library/busybox\n"
    );
    assert!(engine.calls().contains(
        &"POST /v1.50/images/create?fromImage=docker.io%2Flibrary%2Fbusybox&tag=latest".to_owned()
    ));
}

#[test]
fn input_goes_to_the_container_and_its_end_is_told() {
    let engine = Engine::start(vec![
        ("POST /containers/create", created()),
        ("POST /containers/ID/attach", Reply::Echo),
        ("POST /containers/ID/wait", Reply::json(200, r#"{"StatusCode":0}"#)),
        ("POST /containers/ID/start", Reply::empty(204)),
    ]);
    let done = engine.run_with(&["run", "-i", "busybox", "cat"], b"typed\n");
    assert_eq!((done.code, done.out.as_str()), (0, "typed\n"));
}

#[test]
fn ps_prints_docker_s_table() {
    let containers = format!(
        r#"[{{"Id":"{ID}","Names":["/one"],"Image":"busybox","Command":"sleep 300","Created":0,"State":"running",
            "Status":"Up 3 seconds","Ports":[{{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}}]}}]"#
    );
    let engine = Engine::start(vec![
        ("GET /containers/json", Reply::json(200, &containers)),
        ("GET /containers/json", Reply::json(200, &containers)),
    ]);
    let done = engine.run(&["ps"]);
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>().join(" "),
        "CONTAINER ID IMAGE COMMAND CREATED STATUS PORTS NAMES"
    );
    assert!(lines[1].starts_with("0123456789ab   busybox   \"sleep 300\"   "), "{}", lines[1]);
    assert!(lines[1].ends_with("Up 3 seconds   0.0.0.0:8080->80/tcp   one"), "{}", lines[1]);
    assert_eq!(engine.run(&["ps", "--format", "{{.Names}} {{upper .State}}"]).out, "one RUNNING\n");
}

#[test]
fn inspect_shows_what_it_found_and_fails_for_the_rest() {
    let engine = Engine::start(vec![
        ("GET /containers/one/json", Reply::json(200, r#"{"Name":"/one","Id":"x"}"#)),
        ("GET /containers/two/json", Reply::json(404, r#"{"message":"No such container: two"}"#)),
    ]);
    let done = engine.run(&["container", "inspect", "one", "two"]);
    assert_eq!(
        done.out,
        "[\n    {\n        \"Name\": \"/one\",\n        \"Id\": \"x\"\n    }\n]\n"
    );
    assert_eq!(
        (done.code, done.err.as_str()),
        (1, "Error response from daemon: No such container: two\n")
    );
}

#[test]
fn several_names_are_removed_and_each_failure_is_told() {
    let engine = Engine::start(vec![
        ("DELETE /containers/one", Reply::empty(204)),
        ("DELETE /containers/two", Reply::json(404, r#"{"message":"No such container: two"}"#)),
    ]);
    let done = engine.run(&["rm", "one", "two"]);
    assert_eq!(done.out, "one\n");
    assert_eq!(
        (done.code, done.err.as_str()),
        (1, "Error response from daemon: No such container: two\n")
    );
}

#[test]
fn an_engine_that_is_older_is_spoken_to_in_its_version() {
    let engine = Engine::start_speaking("1.41", vec![("GET /images/json", Reply::json(200, "[]"))]);
    assert_eq!(engine.run(&["images", "-q"]).code, 0);
    assert_eq!(engine.calls(), ["HEAD /_ping", "GET /v1.41/images/json"]);
}

#[test]
fn mistakes_on_the_command_line_never_reach_the_engine() {
    let engine = Engine::start(Vec::new());
    for (words, code, first) in [
        (&["ps", "--nosuch"][..], 125, "unknown flag: --nosuch"),
        (&["rm"], 1, "docker: 'docker rm' requires at least 1 argument"),
        (&["nosuch"], 1, "docker: unknown command: docker nosuch"),
        (
            &["run", "-m", "x", "busybox"],
            125,
            "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'",
        ),
        (
            &["run", "-d", "-a", "stdout", "busybox"],
            1,
            "conflicting options: cannot specify both --attach and --detach",
        ),
    ] {
        let done = engine.run(words);
        assert_eq!((done.code, done.err.lines().next()), (code, Some(first)), "{words:?}");
    }
    assert_eq!(engine.calls(), Vec::<String>::new());
}

#[test]
fn an_engine_that_is_not_there_is_named() {
    let done = engine::program(&["-H", "unix:///nosuch/socket", "ps"], &[], b"");
    let text = "Cannot connect to the Docker daemon at unix:///nosuch/socket. Is the docker daemon running?\n";
    assert_eq!((done.code, done.err.as_str()), (1, text));
}

#[test]
fn contexts_are_files_that_choose_the_engine() {
    let engine = Engine::start(vec![(
        "GET /volumes",
        Reply::json(200, r#"{"Volumes":[],"Warnings":null}"#),
    )]);
    let host = format!("host=unix://{}", engine.socket().display());
    let config = engine.directory().join("config");
    let config = config.to_str().unwrap();
    let docker = |words: &[&str]| {
        let words: Vec<&str> = ["--config", config].iter().chain(words).copied().collect();
        engine::program(&words, &[], b"")
    };
    assert_eq!(docker(&["context", "create", "other", "--docker", &host]).out, "other\n");
    assert_eq!(docker(&["context", "use", "other"]).out, "other\n");
    assert_eq!(docker(&["context", "show"]).out, "other\n");
    assert_eq!(docker(&["volume", "ls", "-q"]).code, 0);
    assert_eq!(docker(&["context", "rm", "other"]).code, 1);
    assert_eq!(docker(&["context", "rm", "-f", "other"]).out, "other\n");
    assert_eq!(docker(&["context", "show"]).out, "default\n");
}

#[test]
fn completion_scripts_know_the_commands() {
    let done = engine::program(&["completion", "bash"], &[], b"");
    assert_eq!(done.code, 0);
    assert!(done.out.contains("--publish-all") && done.out.contains("unpause"));
}

use super::Bench;
use crate::{AttachOptions, ListOptions, LogOptions, WaitCondition};
use spec::Class;
use std::time::Duration;

#[tokio::test]
async fn a_container_runs_ends_and_tells_its_code() {
    let bench = Bench::new().await;
    bench.create("web", "{}").await;
    let wait = bench.engine.wait("web", WaitCondition::NextExit).await.unwrap();
    bench.engine.start("web").await.unwrap();
    let shown = bench.engine.inspect("web", false).await.unwrap();
    assert_eq!((shown.state.status.as_str(), shown.state.pid), ("running", 4711));
    assert_eq!(shown.network_settings.networks["bridge"].ip_address, "172.17.0.2");
    assert_eq!(bench.engine.start("web").await.unwrap_err().class, Class::NotModified);
    bench.world.exit(&shown.id, 3);
    assert_eq!(wait.finish().await.status_code, 3);
    let shown = bench.engine.inspect("web", false).await.unwrap();
    assert_eq!(
        (shown.state.status.as_str(), shown.state.exit_code, shown.state.pid),
        ("exited", 3, 0)
    );
    assert_eq!(shown.network_settings.networks["bridge"].ip_address, "");
    assert_eq!(bench.engine.stop("web", None, None).await.unwrap_err().class, Class::NotModified);
    assert_eq!(bench.actions(), ["create", "start", "die"]);
    // The task is cleaned up and can be started again.
    bench.engine.start("web").await.unwrap();
    assert_eq!(bench.status("web").await, "running");
}

#[tokio::test]
async fn waiting_answers_at_once_for_what_does_not_run() {
    let bench = Bench::new().await;
    bench.create("web", "{}").await;
    let wait = bench.engine.wait("web", WaitCondition::NotRunning).await.unwrap();
    assert_eq!(wait.finish().await.status_code, 0);
    assert_eq!(
        bench.engine.wait("x", WaitCondition::NotRunning).await.unwrap_err().class,
        Class::NotFound
    );
}

#[tokio::test]
async fn attaching_before_the_start_goes_along_with_it() {
    let bench = Bench::new().await;
    let id = bench.create("web", "{}").await;
    let options =
        AttachOptions { stdout: true, stderr: true, stream: true, ..AttachOptions::default() };
    let attached = bench.engine.attach("web", options.clone()).await.unwrap();
    assert!(!attached.tty);
    bench.engine.start("web").await.unwrap();
    let key = (spec::ContainerId::parse(&id).unwrap(), None);
    assert_eq!(bench.world.lock().tasks[&key].attaches, 1);
    bench.engine.pause("web").await.unwrap();
    let failure = bench.engine.attach("web", options).await.unwrap_err();
    assert_eq!(failure.message, "container web is paused, unpause the container before attach");
}

#[tokio::test]
async fn stop_sends_the_stop_signal_and_kills_what_does_not_listen() {
    let bench = Bench::new().await;
    bench.started("web", "{}").await;
    bench.engine.stop("web", Some(5), None).await.unwrap();
    assert_eq!(bench.status("web").await, "exited");
    assert_eq!(bench.engine.inspect("web", false).await.unwrap().state.exit_code, 143);
    bench.world.lock().stubborn = true;
    bench.engine.start("web").await.unwrap();
    bench.engine.stop("web", Some(0), None).await.unwrap();
    assert_eq!(bench.engine.inspect("web", false).await.unwrap().state.exit_code, 137);
    assert_eq!(bench.world.lock().signals, [15, 15, 9]);
    assert_eq!(
        bench.actions(),
        ["create", "start", "kill", "die", "stop", "start", "kill", "kill", "die", "stop"]
    );
}

#[tokio::test]
async fn a_paused_container_can_be_killed_and_shows_its_conflicts() {
    let bench = Bench::new().await;
    let id = bench.started("web", "{}").await;
    bench.engine.pause("web").await.unwrap();
    assert_eq!(bench.status("web").await, "paused");
    let twice = bench.engine.pause("web").await.unwrap_err();
    assert_eq!(
        (twice.class, twice.message),
        (Class::Conflict, format!("Container {id} is already paused"))
    );
    let start = bench.engine.start("web").await.unwrap_err();
    assert_eq!(start.message, "cannot start a paused container, try unpause instead");
    bench.engine.kill("web", None).await.unwrap();
    assert_eq!(bench.status("web").await, "exited");
    let dead = bench.engine.kill("web", None).await.unwrap_err();
    assert_eq!(dead.message, format!("Cannot kill container: web: Container {id} is not running"));
    assert_eq!(
        bench.engine.kill("web", Some("NOPE".into())).await.unwrap_err().message,
        "Invalid signal: NOPE"
    );
}

#[tokio::test]
async fn a_restart_policy_starts_it_again_with_a_growing_pause_and_a_stop_disarms_it() {
    let bench = Bench::new().await;
    let id = bench.started("web", r#"{"HostConfig":{"RestartPolicy":{"Name":"always"}}}"#).await;
    for count in 1..=3 {
        bench.world.exit(&id, 1);
        bench.until("web", "restarting").await;
        bench.until("web", "running").await;
        assert_eq!(bench.engine.inspect("web", false).await.unwrap().restart_count, count);
    }
    bench.engine.stop("web", Some(1), None).await.unwrap();
    assert_eq!(bench.status("web").await, "exited");
    bench.engine.start("web").await.unwrap();
    assert_eq!(bench.engine.inspect("web", false).await.unwrap().restart_count, 0);
}

#[tokio::test]
async fn a_stop_while_it_waits_for_its_restart_cancels_it() {
    let bench = Bench::new().await;
    let id = bench
        .started(
            "web",
            r#"{"HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":5}}}"#,
        )
        .await;
    // The second start fails for ever, so that it stays between two tries.
    bench.world.fail("start container", Class::Internal);
    bench.world.exit(&id, 1);
    bench.until("web", "restarting").await;
    bench.engine.stop("web", None, None).await.unwrap();
    assert_eq!(bench.status("web").await, "exited");
    bench.world.heal();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.status("web").await, "exited");
}

#[tokio::test]
async fn a_program_that_cannot_be_started_sets_dockers_exit_codes_and_texts() {
    let bench = Bench::new().await;
    bench.create("web", "{}").await;
    for (class, code, text) in [
        (Class::CommandNotFound, 127, "start container broke"),
        (Class::CommandNotExecutable, 126, "start container broke: permission denied"),
        (Class::Internal, 128, "error during container init: start container broke"),
    ] {
        let text = format!(
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: {text}: unknown"
        );
        bench.world.fail("start container", class);
        let failure = bench.engine.start("web").await.unwrap_err();
        assert_eq!((failure.class, failure.message.as_str()), (class, text.as_str()));
        let state = bench.engine.inspect("web", false).await.unwrap().state;
        assert_eq!(
            (state.status.as_str(), state.exit_code, state.error.as_str()),
            ("created", code, text.as_str())
        );
    }
    bench.world.heal();
    bench.engine.start("web").await.unwrap();
    // The address of the failed starts came back.
    let shown = bench.engine.inspect("web", false).await.unwrap();
    assert_eq!(shown.network_settings.networks["bridge"].ip_address, "172.17.0.2");
}

#[tokio::test]
async fn the_death_of_a_shim_is_an_exit_with_137() {
    let bench = Bench::new().await;
    bench.started("web", "{}").await;
    for process in bench.world.lock().tasks.values_mut() {
        process.shim_dead = true;
        process.connections.clear();
    }
    bench.until("web", "exited").await;
    assert_eq!(bench.engine.inspect("web", false).await.unwrap().state.exit_code, 137);
}

#[tokio::test]
async fn a_container_that_hangs_does_not_keep_the_others_from_being_listed() {
    let bench = Bench::new().await;
    bench.world.lock().immortal = true;
    bench.started("stuck", "{}").await;
    bench.create("other", "{}").await;
    let engine = bench.engine.clone();
    let kill = tokio::spawn(async move { engine.kill("stuck", None).await });
    tokio::task::yield_now().await;
    let listed =
        bench.engine.list(ListOptions { all: true, ..ListOptions::default() }).await.unwrap();
    let names: Vec<_> = listed.iter().map(|row| row.summary().names[0].clone()).collect();
    assert_eq!(names, ["/other", "/stuck"]);
    assert!(listed[1].summary().status.starts_with("Up "));
    kill.abort();
}

#[tokio::test]
async fn a_container_whose_image_lost_its_name_shows_the_images_id() {
    let bench = Bench::new().await;
    bench.create("web", "{}").await;
    let all = || ListOptions { all: true, ..ListOptions::default() };
    assert_eq!(bench.engine.list(all()).await.unwrap()[0].summary().image, "busybox");
    let import = images::NewImport {
        name: Some(("busybox".into(), "latest".into())),
        changes: vec!["CMD [\"other\"]".into()],
        ..images::NewImport::default()
    };
    bench.engine.0.images.import(std::io::Cursor::new(vec![0u8; 1024]), import).await.unwrap();
    assert!(bench.engine.list(all()).await.unwrap()[0].summary().image.starts_with("sha256:"));
}

#[tokio::test]
async fn lists_are_filtered_as_dockers_are() {
    let bench = Bench::new().await;
    let web =
        bench.started("web", r#"{"Labels":{"tier":"front"},"ExposedPorts":{"80/tcp":{}}}"#).await;
    bench.create("db", r#"{"Labels":{"tier":"back"},"HostConfig":{"Binds":["data:/d"]}}"#).await;
    bench.started("job", "{}").await;
    let job = bench.engine.inspect("job", false).await.unwrap().id;
    bench.world.exit(&job, 5);
    bench.until("job", "exited").await;
    for (key, value, expected) in [
        ("label", "tier", vec!["/db", "/web"]),
        ("label", "tier=back", vec!["/db"]),
        ("name", "^/?w", vec!["/web"]),
        ("name", "b", vec!["/db", "/job", "/web"]),
        ("status", "created", vec!["/db"]),
        ("exited", "5", vec!["/job"]),
        ("id", &web[..10], vec!["/web"]),
        ("ancestor", "busybox", vec!["/db", "/job", "/web"]),
        ("ancestor", "nope", vec![]),
        ("volume", "data", vec!["/db"]),
        ("before", "db", vec!["/web"]),
        ("since", "web", vec!["/db", "/job"]),
        ("expose", "80", vec!["/web"]),
        ("network", "bridge", vec!["/db", "/job", "/web"]),
        ("health", "healthy", vec![]),
    ] {
        let filters = crate::Filters::new([(key.to_owned(), vec![value.to_owned()])]);
        let rows = bench
            .engine
            .list(ListOptions { all: true, filters, ..ListOptions::default() })
            .await
            .unwrap();
        let mut names: Vec<_> = rows.iter().map(|row| row.summary().names[0].clone()).collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{key}={value}");
    }
    let filters = crate::Filters::new([("colour".to_owned(), vec!["red".to_owned()])]);
    let failure =
        bench.engine.list(ListOptions { filters, ..ListOptions::default() }).await.unwrap_err();
    assert_eq!(failure.message, "Invalid filter 'colour'");
    let running = bench.engine.list(ListOptions::default()).await.unwrap();
    assert_eq!(running.len(), 1);
    let last =
        bench.engine.list(ListOptions { limit: Some(2), ..ListOptions::default() }).await.unwrap();
    assert_eq!(last.len(), 2);
}

#[tokio::test]
async fn rename_and_update_are_seen_and_kept() {
    let mut bench = Bench::new().await;
    bench.started("web", "{}").await;
    bench.create("db", "{}").await;
    bench.engine.rename("web", "front").await.unwrap();
    assert_eq!(bench.engine.rename("front", "db").await.unwrap_err().class, Class::Conflict);
    assert_eq!(
        bench.engine.rename("front", "front").await.unwrap_err().message,
        "Renaming a container with the same name as its current name"
    );
    let body =
        serde_json::from_str(r#"{"Memory":67108864,"RestartPolicy":{"Name":"always"}}"#).unwrap();
    bench.engine.update("front", body).await.unwrap();
    bench.create("web", "{}").await;
    bench.crash().await;
    let shown = bench.engine.inspect("front", false).await.unwrap();
    assert_eq!(
        (shown.host_config.memory, shown.host_config.restart_policy.name.as_str()),
        (64 << 20, "always")
    );
    assert!(bench.engine.inspect("web", false).await.is_ok());
}

#[tokio::test]
async fn logs_ask_for_a_stream_and_end_with_the_run() {
    let bench = Bench::new().await;
    let id = bench.started("web", "{}").await;
    let none = bench.engine.logs("web", LogOptions::default()).await.unwrap_err();
    assert_eq!(none.message, "You must choose at least one stream");
    let path = bench.directory.path().join(format!("containers/{id}/{id}-json.log"));
    std::fs::write(
        &path,
        "{\"log\":\"hi\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}\n",
    )
    .unwrap();
    let options = LogOptions { stdout: true, follow: true, ..LogOptions::default() };
    let mut stream = bench.engine.logs("web", options).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), &b"\x01\0\0\0\0\0\0\x03hi\n"[..]);
    bench.world.exit(&id, 0);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn top_and_changes_are_what_the_workers_say() {
    let bench = Bench::new().await;
    let id = bench.create("web", "{}").await;
    let failure = bench.engine.top("web", "").await.unwrap_err();
    assert_eq!(
        (failure.class, failure.message),
        (Class::Conflict, format!("Container {id} is not running"))
    );
    bench.engine.start("web").await.unwrap();
    assert_eq!(bench.engine.top("web", "-ef").await.unwrap().processes, [["root", "4711", "sh"]]);
    let changes = bench.engine.changes("web").await.unwrap();
    assert_eq!((changes[0].kind, changes[0].path.as_str()), (0, "/etc"));
}

#[tokio::test]
async fn commit_pauses_and_makes_an_image_with_the_containers_configuration() {
    let bench = Bench::new().await;
    bench.started("web", r#"{"Env":["A=1"],"Cmd":["serve"]}"#).await;
    let options = crate::CommitOptions {
        container: "web".into(),
        repo: "mine".into(),
        pause: true,
        ..Default::default()
    };
    let id = bench.engine.commit(options, None).await.unwrap();
    let image = bench.engine.0.images.resolve("mine:latest").unwrap();
    assert_eq!(image.id.to_string(), id);
    let config = bench.engine.0.images.config(&image.id).unwrap().config;
    assert_eq!(
        (config.cmd, config.env),
        (Some(vec!["serve".to_owned()]), vec!["A=1".to_owned(), "IMAGE=1".into()])
    );
    assert_eq!(
        (bench.world.count("pause container"), bench.world.count("unpause container")),
        (1, 1)
    );
    assert_eq!(bench.status("web").await, "running");
}

#[tokio::test]
async fn statistics_are_zero_for_a_container_that_does_not_run() {
    let bench = Bench::new().await;
    bench.create("web", "{}").await;
    let mut stats = bench.engine.stats("web", crate::StatsMode::Single).await.unwrap();
    let sample = stats.next().await.unwrap().unwrap();
    assert_eq!((sample.name.as_str(), sample.memory_stats.limit), ("/web", 0));
    assert!(stats.next().await.is_none());
    bench.engine.start("web").await.unwrap();
    let mut stats = bench.engine.stats("web", crate::StatsMode::OneShot).await.unwrap();
    let sample = stats.next().await.unwrap().unwrap();
    assert!(sample.cpu_stats.system_cpu_usage > 0 && sample.precpu_stats.system_cpu_usage == 0);
    assert!(stats.next().await.is_none());
}

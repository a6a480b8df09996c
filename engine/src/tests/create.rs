use super::{Bench, body};
use crate::RemoveOptions;
use spec::Class;

#[tokio::test]
async fn a_created_container_shows_what_was_asked_for_and_what_the_image_adds() {
    let bench = Bench::new().await;
    let id = bench
        .create(
            "web",
            r#"{"Env":["A=1"],"HostConfig":{"Binds":["data:/data"]},"Volumes":{"/v":{}}}"#,
        )
        .await;
    let shown = bench.engine.inspect("/web", false).await.unwrap();
    assert_eq!(
        (shown.id.as_str(), shown.name.as_str(), shown.path.as_str()),
        (id.as_str(), "/web", "sh")
    );
    assert_eq!(*shown.config.env, ["A=1", "IMAGE=1"]);
    assert_eq!(shown.config.hostname, id[..12]);
    assert_eq!(shown.state.status, "created");
    assert_eq!(shown.state.started_at, "0001-01-01T00:00:00Z");
    let mounts: Vec<_> = shown
        .mounts
        .iter()
        .map(|mount| (mount.destination.as_str(), mount.kind.as_str()))
        .collect();
    assert_eq!(mounts, [("/data", "volume"), ("/v", "volume")]);
    assert_eq!(shown.mounts[1].name.len(), 64);
    assert_eq!(bench.world.lock().volumes.len(), 2);
    assert_eq!(bench.actions(), ["create"]);
    assert_eq!(bench.engine.inspect(&id[..6], false).await.unwrap().id, id);
}

#[tokio::test]
async fn a_missing_image_and_a_taken_name_are_told_in_dockers_words() {
    let bench = Bench::new().await;
    let missing = bench.engine.create(None, None, body(r#"{"Image":"nope"}"#)).await.unwrap_err();
    assert_eq!(
        (missing.class, missing.message.as_str()),
        (Class::NotFound, "No such image: nope:latest")
    );
    let id = bench.create("web", "{}").await;
    let taken = bench.engine.create(Some("web".into()), None, body("{}")).await.unwrap_err();
    assert_eq!(taken.class, Class::Conflict);
    assert_eq!(
        taken.message,
        format!(
            "Conflict. The container name \"/web\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
        )
    );
    let bad = bench.engine.create(Some("-x".into()), None, body("{}")).await.unwrap_err();
    assert_eq!(
        bad.message,
        "Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    );
    let gone = bench.engine.inspect("nothing", false).await.unwrap_err();
    assert_eq!(
        (gone.class, gone.message.as_str()),
        (Class::NotFound, "No such container: nothing")
    );
}

#[tokio::test]
async fn a_container_without_a_name_gets_a_fresh_one() {
    let bench = Bench::new().await;
    let id = bench.engine.create(None, None, body("{}")).await.unwrap().id;
    let shown = bench.engine.inspect(&id, false).await.unwrap();
    assert!(shown.name.starts_with('/') && shown.name.contains('_'), "{}", shown.name);
}

#[tokio::test]
async fn a_bind_source_of_mount_must_exist_and_one_of_volume_is_made() {
    let bench = Bench::new().await;
    let mount = r#"{"HostConfig":{"Mounts":[{"Type":"bind","Source":"/missing","Target":"/x"}]}}"#;
    let failure = bench.engine.create(None, None, body(mount)).await.unwrap_err();
    assert_eq!(
        failure.message,
        "invalid mount config for type \"bind\": bind source path does not exist: /missing"
    );
    bench.started("ok", r#"{"HostConfig":{"Binds":["/missing:/x"]}}"#).await;
}

#[tokio::test]
async fn a_create_that_fails_leaves_nothing_and_frees_the_name() {
    let bench = Bench::new().await;
    bench.world.fail("prepare snapshot", Class::Internal);
    let asked = body(r#"{"Volumes":{"/v":{}}}"#);
    assert!(bench.engine.create(Some("web".into()), None, asked).await.is_err());
    bench.world.heal();
    let directories = std::fs::read_dir(bench.directory.path().join("containers")).unwrap().count();
    let left = {
        let world = bench.world.lock();
        (directories, world.volumes.len(), world.snapshots.len())
    };
    assert_eq!(left, (0, 0, 0));
    bench.create("web", "{}").await;
    bench.engine.remove("web", RemoveOptions::default()).await.unwrap();
}

#[tokio::test]
async fn the_users_name_is_resolved_in_the_container() {
    let bench = Bench::new().await;
    bench.started("web", r#"{"User":"web"}"#).await;
    {
        let world = bench.world.lock();
        let process = world.launches[0].spec.process.as_ref().unwrap();
        assert_eq!((process.user.uid, process.user.gid), (33, 33));
        assert!(process.env.contains(&"HOME=/srv".to_owned()));
    }
    bench.create("bad", r#"{"User":"nobody"}"#).await;
    let failure = bench.engine.start("bad").await.unwrap_err();
    assert_eq!(failure.message, "unable to find user nobody: no matching entries in passwd file");
    assert_eq!(bench.status("bad").await, "created");
}

#[tokio::test]
async fn what_a_container_joins_is_only_looked_for_at_the_start() {
    let bench = Bench::new().await;
    let join = |mode: &str| format!("{{\"HostConfig\":{{{mode}}}}}");
    for (name, modes, text) in [
        ("one-a", r#""NetworkMode":"container:nosuch""#, "No such container: nosuch"),
        ("one-b", r#""PidMode":"container:nosuch""#, "No such container: nosuch"),
        ("one-c", r#""IpcMode":"container:nosuch""#, "No such container: nosuch"),
        ("one-d", r#""NetworkMode":"nosuch""#, "network nosuch not found"),
    ] {
        bench.create(name, &join(modes)).await;
        let failure = bench.engine.start(name).await.unwrap_err();
        assert_eq!((failure.class, failure.message.as_str()), (Class::NotFound, text));
    }
    let id = bench.create("still", "{}").await;
    bench.create("one-e", &join(r#""NetworkMode":"container:still""#)).await;
    let failure = bench.engine.start("one-e").await.unwrap_err();
    assert_eq!(failure.message, format!("cannot join network of a non running container: {id}"));
    let linked = body(r#"{"HostConfig":{"Links":["nosuch:db"]}}"#);
    assert_eq!(
        bench.engine.create(None, None, linked).await.unwrap_err().message,
        "could not get container for nosuch: No such container: nosuch"
    );
}

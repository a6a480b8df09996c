use super::Bench;
use crate::{Filters, ListOptions, RemoveOptions, WaitCondition};
use spec::Class;

#[tokio::test]
async fn a_running_container_is_only_removed_by_force() {
    let bench = Bench::new().await;
    bench.started("web", r#"{"Volumes":{"/v":{}}}"#).await;
    let id = bench.engine.inspect("web", false).await.unwrap().id;
    let refused = bench.engine.remove("web", RemoveOptions::default()).await.unwrap_err();
    assert_eq!(refused.class, Class::Conflict);
    assert_eq!(
        refused.message,
        format!(
            "You cannot remove a running container {id}. Stop the container before attempting removal or force remove"
        )
    );
    let options = RemoveOptions { force: true, volumes: true, link: false };
    bench.engine.remove("web", options).await.unwrap();
    assert_eq!(bench.engine.inspect("web", false).await.unwrap_err().class, Class::NotFound);
    let world = bench.world.lock();
    assert!(world.tasks.is_empty() && world.snapshots.is_empty() && world.volumes.is_empty());
    drop(world);
    assert_eq!(bench.actions(), ["create", "start", "kill", "die", "destroy"]);
    assert_eq!(std::fs::read_dir(bench.directory.path().join("containers")).unwrap().count(), 0);
}

#[tokio::test]
async fn without_v_the_volumes_stay() {
    let bench = Bench::new().await;
    bench.create("web", r#"{"Volumes":{"/v":{}},"HostConfig":{"Binds":["data:/d"]}}"#).await;
    bench.engine.remove("web", RemoveOptions::default()).await.unwrap();
    assert_eq!(bench.world.lock().volumes.len(), 2);
}

#[tokio::test]
async fn an_automatic_removal_is_seen_by_who_waits_for_it() {
    let bench = Bench::new().await;
    let id =
        bench.started("web", r#"{"HostConfig":{"AutoRemove":true},"Volumes":{"/v":{}}}"#).await;
    let wait = bench.engine.wait("web", WaitCondition::Removed).await.unwrap();
    bench.world.exit(&id, 4);
    assert_eq!(wait.finish().await.status_code, 4);
    assert!(
        bench
            .engine
            .list(ListOptions { all: true, ..ListOptions::default() })
            .await
            .unwrap()
            .is_empty()
    );
    assert!(bench.world.lock().volumes.is_empty());
}

#[tokio::test]
async fn a_start_that_fails_removes_what_removes_itself() {
    let bench = Bench::new().await;
    bench.create("web", r#"{"HostConfig":{"AutoRemove":true}}"#).await;
    bench.world.fail("start container", Class::CommandNotFound);
    assert_eq!(bench.engine.start("web").await.unwrap_err().class, Class::CommandNotFound);
    assert_eq!(bench.engine.inspect("web", false).await.unwrap_err().class, Class::NotFound);
}

#[tokio::test]
async fn a_removal_that_fails_frees_the_name_shows_dead_and_is_finished_by_the_reaper() {
    let bench = Bench::new().await;
    let id = bench.create("web", "{}").await;
    let wait = bench.engine.wait("web", WaitCondition::Removed).await.unwrap();
    bench.world.fail("remove snapshot", Class::Internal);
    let failure = bench.engine.remove("web", RemoveOptions::default()).await.unwrap_err();
    assert_eq!(failure.message, "cannot remove container \"web\": remove snapshot broke");
    assert_eq!(wait.finish().await.error.unwrap().message, "remove snapshot broke");
    assert_eq!(bench.status(&id).await, "dead");
    let other = bench.create("web", "{}").await;
    assert_ne!(other, id);
    bench.world.heal();
    let handle = bench.engine.0.containers.find(&id).unwrap();
    handle.view.clone().wait_for(|view| view.removed).await.unwrap();
    assert_eq!(bench.engine.inspect("web", false).await.unwrap().id, other);
}

#[tokio::test]
async fn prune_removes_what_does_not_run_and_matches() {
    let bench = Bench::new().await;
    bench.started("up", r#"{"Labels":{"x":"1"}}"#).await;
    let gone = bench.create("gone", r#"{"Labels":{"x":"1"}}"#).await;
    bench.create("kept", "{}").await;
    let filters = Filters::new([("label".to_owned(), vec!["x=1".to_owned()])]);
    let reply = bench.engine.prune(&filters).await.unwrap();
    assert_eq!(*reply.containers_deleted, [gone]);
    assert_eq!(reply.space_reclaimed, 7);
    assert_eq!(
        bench.engine.list(ListOptions { all: true, ..ListOptions::default() }).await.unwrap().len(),
        2
    );
    let filters = Filters::new([("until".to_owned(), vec!["1h".to_owned()])]);
    assert!(bench.engine.prune(&filters).await.unwrap().containers_deleted.is_empty());
}

#[tokio::test]
async fn a_volume_that_a_create_is_about_to_use_is_never_pruned() {
    let bench = Bench::new().await;
    let all = crate::Filters::new([("all".to_owned(), vec!["true".to_owned()])]);
    for round in 0..20 {
        let (name, body) = (format!("web{round}"), r#"{"HostConfig":{"Binds":["data:/d"]}}"#);
        let prune = async {
            for _ in 0..4 {
                bench.engine.volume_prune(&all).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(bench.create(&name, body), prune);
        assert_eq!(bench.world.lock().volumes.len(), 1, "{round}");
        bench.engine.volume_inspect("data").await.unwrap();
        let refused = bench.engine.volume_remove("data", true).await.unwrap_err();
        assert_eq!(refused.class, Class::Conflict);
        bench.engine.remove(&name, RemoveOptions::default()).await.unwrap();
    }
}

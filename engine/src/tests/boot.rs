//! What an engine makes of what another left: each crash point of create, start and remove, and everything that may
//! have happened to the tasks meanwhile.

use super::Bench;
use crate::store::{self, Intent};
use crate::{ListOptions, RemoveOptions};
use metadata::Read;
use spec::{Class, ContainerId, SnapshotKey, VolumeName};

fn id_of(byte: u8) -> ContainerId {
    ContainerId::from_bytes(&[byte; 32])
}

#[tokio::test]
async fn a_container_that_runs_is_taken_over_with_its_address() {
    let mut bench = Bench::new().await;
    let id = bench.started("web", "{}").await;
    bench.create("idle", "{}").await;
    bench.crash().await;
    let shown = bench.engine.inspect("web", false).await.unwrap();
    assert_eq!((shown.id.as_str(), shown.state.status.as_str()), (id.as_str(), "running"));
    assert_eq!(shown.network_settings.networks["bridge"].ip_address, "172.17.0.2");
    bench.engine.start("idle").await.unwrap();
    let other = bench.engine.inspect("idle", false).await.unwrap();
    assert_eq!(other.network_settings.networks["bridge"].ip_address, "172.17.0.3");
    bench.world.exit(&id, 9);
    bench.until("web", "exited").await;
    assert_eq!(bench.engine.inspect("web", false).await.unwrap().state.exit_code, 9);
}

#[tokio::test]
async fn a_paused_container_is_still_paused() {
    let mut bench = Bench::new().await;
    bench.started("web", "{}").await;
    bench.engine.pause("web").await.unwrap();
    bench.crash().await;
    assert_eq!(bench.status("web").await, "paused");
    bench.engine.unpause("web").await.unwrap();
    assert_eq!(bench.status("web").await, "running");
}

#[tokio::test]
async fn an_exit_that_nobody_saw_keeps_its_code_and_time() {
    let mut bench = Bench::new().await;
    let (alive, dead) = (bench.started("alive", "{}").await, bench.started("dead", "{}").await);
    bench.engine.0.containers.clear();
    bench.world.cut();
    for (id, shim_dead) in [(&alive, false), (&dead, true)] {
        bench.world.exit(id, 7);
        let key = (ContainerId::parse(id).unwrap(), None);
        let mut world = bench.world.lock();
        let process = world.tasks.get_mut(&key).unwrap();
        process.shim_dead = shim_dead;
        process.exit.as_mut().unwrap().at = 1_000_000_000;
    }
    bench.crash().await;
    for name in ["alive", "dead"] {
        bench.until(name, "exited").await;
        let state = bench.engine.inspect(name, false).await.unwrap().state;
        assert_eq!(
            (state.exit_code, state.finished_at.as_str()),
            (7, "1970-01-01T00:00:01Z"),
            "{name}"
        );
    }
    bench.until_world(|world| world.tasks.is_empty()).await;
}

#[tokio::test]
async fn a_task_that_vanished_with_the_host_is_exited_255_and_its_policy_decides() {
    let mut bench = Bench::new().await;
    bench.started("plain", "{}").await;
    bench.started("always", r#"{"HostConfig":{"RestartPolicy":{"Name":"always"}}}"#).await;
    bench.started("stopped", r#"{"HostConfig":{"RestartPolicy":{"Name":"unless-stopped"}}}"#).await;
    bench.engine.stop("stopped", Some(1), None).await.unwrap();
    bench.engine.0.containers.clear();
    bench.world.cut();
    bench.world.lock().tasks.clear();
    bench.crash().await;
    bench.until("always", "running").await;
    let plain = bench.engine.inspect("plain", false).await.unwrap().state;
    assert_eq!((plain.status.as_str(), plain.exit_code), ("exited", 255));
    let stopped = bench.engine.inspect("stopped", false).await.unwrap().state;
    assert_eq!((stopped.status.as_str(), stopped.exit_code), ("exited", 143));
}

#[tokio::test]
async fn an_end_in_between_is_answered_by_the_restart_policy() {
    let mut bench = Bench::new().await;
    let id =
        bench.started("web", r#"{"HostConfig":{"RestartPolicy":{"Name":"on-failure"}}}"#).await;
    bench.engine.0.containers.clear();
    bench.world.cut();
    bench.world.exit(&id, 1);
    bench.crash().await;
    let mut view = bench.engine.0.containers.find("web").unwrap().view.clone();
    view.wait_for(|view| view.outcome.restarts == 1 && view.state.word() == "running")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_start_that_was_cut_after_the_launch_is_a_running_container() {
    let mut bench = Bench::new().await;
    bench.started("web", "{}").await;
    // The commit before the launch is all that was written.
    let id = ContainerId::parse(&bench.engine.inspect("web", false).await.unwrap().id).unwrap();
    let mut outcome =
        bench.engine.0.store.read().unwrap().get(store::OUTCOMES, &id).unwrap().unwrap();
    outcome.started_at = None;
    store::change(&bench.engine.0.store, |writer| writer.put(store::OUTCOMES, &id, &outcome))
        .unwrap();
    bench.crash().await;
    assert_eq!(bench.status("web").await, "running");
}

#[tokio::test]
async fn a_start_that_was_cut_before_the_launch_is_a_created_container_with_no_address() {
    let mut bench = Bench::new().await;
    bench.started("web", "{}").await;
    bench.engine.0.containers.clear();
    bench.world.cut();
    let id = bench.engine.0.store.read().unwrap().list(store::CONTAINERS).unwrap()[0].0.clone();
    let mut outcome =
        bench.engine.0.store.read().unwrap().get(store::OUTCOMES, &id).unwrap().unwrap();
    outcome.started_at = None;
    store::change(&bench.engine.0.store, |writer| writer.put(store::OUTCOMES, &id, &outcome))
        .unwrap();
    bench.world.lock().tasks.clear();
    bench.crash().await;
    assert_eq!(bench.status("web").await, "created");
    bench.engine.start("web").await.unwrap();
    let shown = bench.engine.inspect("web", false).await.unwrap();
    assert_eq!(shown.network_settings.networks["bridge"].ip_address, "172.17.0.2");
}

#[tokio::test]
async fn tasks_snapshots_and_directories_without_a_record_are_removed() {
    let mut bench = Bench::new().await;
    bench.started("web", "{}").await;
    let stray = id_of(9);
    bench.world.lock().tasks.insert((stray.clone(), None), super::world::Process::default());
    bench.world.lock().snapshots.insert(SnapshotKey::from(&stray));
    let directory = bench.directory.path().join("containers").join(stray.as_str());
    std::fs::create_dir(&directory).unwrap();
    bench.crash().await;
    bench.until_world(|world| world.snapshots.len() == 1).await;
    assert_eq!((bench.world.lock().tasks.len(), directory.exists()), (1, false));
}

#[tokio::test]
async fn a_create_that_was_cut_is_undone_with_its_volumes() {
    let mut bench = Bench::new().await;
    let (id, volume) = (id_of(5), VolumeName::parse(&"ab".repeat(32)).unwrap());
    let intent = Intent::Create { volumes: vec![volume.clone()] };
    store::change(&bench.engine.0.store, |writer| {
        writer.put(store::VOLUMES, &volume, &store::VolumeRecord::default())?;
        writer.put(store::INTENTS, &id, &intent)
    })
    .unwrap();
    bench.world.lock().volumes.insert(volume.clone());
    bench.world.lock().snapshots.insert(SnapshotKey::from(&id));
    bench.crash().await;
    let world = bench.world.lock();
    assert!(world.volumes.is_empty() && world.snapshots.is_empty());
    let reader = bench.engine.0.store.read().unwrap();
    assert_eq!(
        (reader.count(store::INTENTS).unwrap(), reader.count(store::VOLUMES).unwrap()),
        (0, 0)
    );
}

#[tokio::test]
async fn a_removal_that_was_cut_at_any_step_is_finished() {
    for step in ["delete task", "remove snapshot", "remove volume"] {
        let mut bench = Bench::new().await;
        let id = bench.started("web", r#"{"Volumes":{"/v":{}}}"#).await;
        bench.world.exit(&id, 0);
        bench.until("web", "exited").await;
        bench.world.fail(step, Class::Unavailable);
        let options = RemoveOptions { volumes: true, ..RemoveOptions::default() };
        let removed = bench.engine.remove("web", options).await;
        bench.world.heal();
        bench.crash().await;
        let listed =
            bench.engine.list(ListOptions { all: true, ..ListOptions::default() }).await.unwrap();
        assert!(listed.is_empty(), "{step}: {removed:?}");
        let world = bench.world.lock();
        assert!(
            world.tasks.is_empty() && world.snapshots.is_empty() && world.volumes.is_empty(),
            "{step}"
        );
    }
}

#[tokio::test]
async fn a_removal_that_still_cannot_be_finished_is_dead_and_goes_on() {
    let mut bench = Bench::new().await;
    let id = bench.create("web", "{}").await;
    bench.world.fail("remove snapshot", Class::Internal);
    bench.engine.remove("web", RemoveOptions::default()).await.unwrap_err();
    bench.crash().await;
    bench.until(&id, "dead").await;
    bench.create("web", "{}").await;
    bench.world.heal();
    let handle = bench.engine.0.containers.find(&id).unwrap();
    handle.view.clone().wait_for(|view| view.removed).await.unwrap();
}

#[tokio::test]
async fn an_acknowledged_create_is_there_after_a_crash() {
    let mut bench = Bench::new().await;
    let id = bench.create("web", "{}").await;
    bench.crash().await;
    let shown = bench.engine.inspect("web", false).await.unwrap();
    assert_eq!((shown.id, shown.state.status), (id, "created".to_owned()));
}

#[tokio::test]
async fn events_are_kept_over_an_orderly_restart() {
    let bench = Bench::new().await;
    bench.create("web", "{}").await;
    bench.engine.close().unwrap();
    bench.world.cut();
    let engine = super::open(&bench.world, &bench.directory).await;
    let (past, _) = engine.events().subscribe();
    assert!(past.iter().any(|event| event.action == "create" && event.kind == "container"));
}

#[tokio::test]
async fn a_restarted_task_worker_that_lost_a_task_ends_the_container() {
    let bench = Bench::new().await;
    bench.started("web", "{}").await;
    bench.world.lock().tasks.clear();
    bench.engine.peer_replaced(messages::control::Role::Task).await;
    bench.until("web", "exited").await;
    assert_eq!(bench.engine.inspect("web", false).await.unwrap().state.exit_code, 137);
}

#[tokio::test]
async fn a_worker_that_does_not_answer_changes_no_state() {
    let bench = Bench::new().await;
    bench.started("web", "{}").await;
    bench.world.fail("pause container", Class::Unavailable);
    assert_eq!(bench.engine.pause("web").await.unwrap_err().class, Class::Unavailable);
    assert_eq!(bench.status("web").await, "running");
}

//! Health checks against workers that are not there: the tests end the checks' processes themselves.

use super::Bench;
use crate::ListOptions;
use spec::{ContainerId, ExecId};

/// An interval of a millisecond, the shortest.
const CHECKED: &str =
    r#"{"Healthcheck":{"Test":["CMD","check","-x"],"Interval":1000000,"Retries":2}}"#;

impl Bench {
    /// Waits for the next check and ends its process.
    async fn answer(&self, code: i32) {
        let running = |world: &super::world::State| {
            let waits =
                |(key, process): (&(ContainerId, Option<ExecId>), &super::world::Process)| {
                    (key.1.is_some() && process.exit.is_none()).then(|| key.clone())
                };
            world.tasks.iter().find_map(waits)
        };
        self.until_world(|world| running(world).is_some()).await;
        let key = running(&self.world.lock()).unwrap();
        self.world.lock().end(&key, code);
    }

    async fn until_health(&self, name: &str, status: &str, log: usize) {
        let mut view = self.engine.0.containers.find(name).unwrap().view.clone();
        view.wait_for(|view| {
            view.health.as_ref().is_some_and(|h| h.status.word() == status && h.log.len() >= log)
        })
        .await
        .unwrap();
    }

    async fn row(&self) -> String {
        self.engine.list(ListOptions::default()).await.unwrap()[0].summary().status
    }
}

#[tokio::test]
async fn checks_make_a_container_healthy_and_failures_unhealthy_and_both_are_told() {
    let bench = Bench::new().await;
    bench.started("web", CHECKED).await;
    assert!(bench.row().await.ends_with(" (health: starting)"));
    bench.answer(0).await;
    bench.until_health("web", "healthy", 1).await;
    assert!(bench.row().await.ends_with(" (healthy)"));
    bench.answer(3).await;
    bench.answer(4).await;
    bench.until_health("web", "unhealthy", 3).await;
    let shown = bench.engine.inspect("web", false).await.unwrap().state.health.unwrap();
    assert_eq!((shown.status.as_str(), shown.failing_streak), ("unhealthy", 2));
    let codes: Vec<_> = shown.log.iter().map(|result| result.exit_code).collect();
    assert_eq!(codes[..3], [0, 3, 4]);
    let actions = bench.actions();
    let of = |wanted: &str| actions.iter().filter(|action| *action == wanted).count();
    assert_eq!((of("health_status: healthy"), of("health_status: unhealthy")), (1, 1));
    assert!(of("exec_create: check -x") >= 3 && of("exec_start: check -x") >= 3);
    assert!(of("exec_die") >= 3);
}

#[tokio::test]
async fn nobody_asks_a_container_that_is_paused_or_has_ended() {
    let bench = Bench::new().await;
    let id = bench.started("web", CHECKED).await;
    bench.answer(0).await;
    bench.until_health("web", "healthy", 1).await;
    bench.engine.pause("web").await.unwrap();
    bench.until_health("web", "unhealthy", 1).await;
    bench.engine.unpause("web").await.unwrap();
    bench.answer(0).await;
    bench.until_health("web", "healthy", 2).await;
    bench.world.exit(&id, 0);
    bench.until("web", "exited").await;
    let shown = bench.engine.inspect("web", false).await.unwrap().state.health.unwrap();
    assert_eq!(shown.status, "unhealthy");
    bench.engine.start("web").await.unwrap();
    let shown = bench.engine.inspect("web", false).await.unwrap().state.health.unwrap();
    assert_eq!((shown.status.as_str(), shown.failing_streak), ("starting", 0));
    assert!(shown.log.len() >= 2);
}

#[tokio::test]
async fn a_check_that_takes_too_long_is_killed_and_counts_as_failed() {
    let bench = Bench::new().await;
    let health = r#"{"Healthcheck":{"Test":["CMD-SHELL","sleep 9"],"Interval":1000000,"Timeout":2000000,"Retries":1}}"#;
    bench.started("web", health).await;
    bench.until_health("web", "unhealthy", 1).await;
    let shown = bench.engine.inspect("web", false).await.unwrap().state.health.unwrap();
    assert_eq!(shown.log[0].exit_code, -1);
    assert_eq!(shown.log[0].output, "Health check exceeded timeout (2ms)");
    assert!(bench.world.lock().signals.contains(&9));
}

#[tokio::test]
async fn a_container_without_a_check_has_no_health() {
    let bench = Bench::new().await;
    bench.started("web", r#"{"Healthcheck":{"Test":["NONE"]}}"#).await;
    assert_eq!(bench.engine.inspect("web", false).await.unwrap().state.health, None);
    for (wanted, count) in [("none", 1), ("starting", 0)] {
        let filters = crate::Filters::new([("health".to_owned(), vec![wanted.to_owned()])]);
        let options = ListOptions { filters, ..ListOptions::default() };
        assert_eq!(bench.engine.list(options).await.unwrap().len(), count, "{wanted}");
    }
}

#[tokio::test]
async fn health_outlasts_the_engine_and_is_asked_for_by_the_next() {
    let mut bench = Bench::new().await;
    bench.started("web", CHECKED).await;
    bench.answer(0).await;
    bench.until_health("web", "healthy", 1).await;
    bench.crash().await;
    let shown = bench.engine.inspect("web", false).await.unwrap().state.health.unwrap();
    assert_eq!(shown.status, "healthy");
    assert!(!shown.log.is_empty());
    let keys: Vec<(ContainerId, Option<ExecId>)> =
        bench.world.lock().tasks.keys().filter(|(_, exec)| exec.is_some()).cloned().collect();
    for key in keys {
        bench.world.lock().end(&key, 0);
    }
    bench.answer(1).await;
    bench.answer(1).await;
    bench.until_health("web", "unhealthy", 3).await;
    let id = bench.engine.inspect("web", false).await.unwrap().id;
    bench.world.exit(&id, 0);
    bench.until("web", "exited").await;
    bench.engine.remove("web", crate::RemoveOptions::default()).await.unwrap();
    use metadata::Read as _;
    assert!(bench.engine.0.store.read().unwrap().list(crate::store::HEALTH).unwrap().is_empty());
}

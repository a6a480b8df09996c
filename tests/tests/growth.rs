//! Work that is done leaves nothing in the processes that did it: neither descriptors nor memory.
#![expect(clippy::unwrap_used, reason = "tests")]

use e2e::{Engine, happens, send};
use std::collections::BTreeMap;

/// Containers that run from the first to the last count. The long run of 500 is started with COFFER_RUNS.
fn runs() -> usize {
    std::env::var("COFFER_RUNS").map_or(40, |text| text.parse().unwrap())
}

/// Open descriptors of the supervisor and of each worker.
fn descriptors(engine: &Engine) -> BTreeMap<String, usize> {
    let mut processes = engine.workers();
    processes.push((engine.pid(), "supervisor".into()));
    let count = |pid: u32| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    processes.into_iter().map(|(pid, role)| (role, count(pid))).collect()
}

/// KiB of memory that a process has of its own.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn work(engine: &Engine, times: usize) {
    for _ in 0..times {
        engine.docker(&["run", "--rm", "busybox", "true"]).text();
        engine.docker(&["exec", "steady", "true"]).text();
    }
}

#[test]
fn descriptors_and_memory_do_not_grow_with_what_was_done() {
    let engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "steady", "busybox", "sleep", "3000"]).text();
    work(&engine, 10);
    let before = descriptors(&engine);
    let (api, memory) = (engine.worker("api"), resident(engine.worker("api")));
    work(&engine, runs());
    // One more or less is what happens to be under way, a keep-alive connection for instance.
    let mut after = BTreeMap::new();
    let same = || {
        after = descriptors(&engine);
        before.iter().all(|(role, count)| after.get(role).is_some_and(|now| *now <= count + 2))
    };
    assert!(happens(same), "{before:?}, then {after:?}");
    assert_eq!(engine.worker("api"), api);
    let grown = resident(api).saturating_sub(memory);
    assert!(grown < 20 << 10, "{grown} KiB more after {} runs", runs());
}

#[test]
fn workers_that_are_started_again_cost_the_supervisor_nothing() {
    let engine = Engine::start();
    let of_supervisor = || descriptors(&engine).remove("supervisor");
    let before = of_supervisor();
    for role in ["storage", "network", "task", "api", "storage", "task"] {
        let killed = engine.worker(role);
        send("KILL", killed);
        assert!(happens(|| engine.workers().iter().any(|(pid, r)| r == role && *pid != killed)));
    }
    let same = || engine.docker(&["ps", "-q"]).code == 0 && of_supervisor() == before;
    assert!(happens(same), "{before:?}, then {:?}", of_supervisor());
}

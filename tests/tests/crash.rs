//! kill -9 of each process of the engine at random moments under load: nothing leaks, nothing acknowledged is lost, and
//! `ps` is right afterwards.
#![expect(clippy::unwrap_used, reason = "tests")]

use e2e::{Engine, eventually};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often something is killed. The long run of 200 is started with COFFER_KILLS.
fn kills() -> u32 {
    std::env::var("COFFER_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

/// A small generator, so that a failing run can be repeated by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// What a client was told.
#[derive(Default)]
struct Acknowledged {
    created: BTreeSet<String>,
    removed: BTreeSet<String>,
}

/// Creates, starts, and sometimes removes containers until told to stop; failures are expected while daemons die.
fn load(engine: &Engine, worker: usize, stop: &AtomicBool, told: &Mutex<Acknowledged>) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let name = format!("load-{worker}-{number}");
        let script = "sleep 0.0$RANDOM; exit 5";
        let created = engine.docker(&["create", "--name", &name, "busybox", "sh", "-c", script]);
        if created.code != 0 {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        told.lock().unwrap().created.insert(name.clone());
        engine.docker(&["start", &name]);
        if number % 3 != 0 && engine.docker(&["rm", "-f", &name]).code == 0 {
            told.lock().unwrap().removed.insert(name);
        }
    }
}

fn kill(pid: u32) {
    std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
}

#[test]
fn killing_any_process_under_load_leaks_nothing_and_loses_nothing() {
    let mut engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "steady", "busybox", "sleep", "3000"]).text();
    let steady = engine.docker(&["inspect", "steady", "--format", "{{.State.Pid}}"]).text();
    let seed = u64::from(std::process::id()) | 1 << 40;
    println!("seed {seed}");
    let mut random = Random(seed);
    let told = Mutex::new(Acknowledged::default());
    for _ in 0..kills().div_ceil(10) {
        storm(&mut engine, &mut random, &told);
    }
    let after = engine.docker(&["inspect", "steady", "--format", "{{.State.Pid}}"]).text();
    assert_eq!(after, steady, "the steady container was never touched");
    check_told(&engine, &told.lock().unwrap());
    remove_all(&engine);
    check_no_leak(&engine);
}

/// Ten kills under load: workers while the supervisor lives, and at the end the supervisor itself.
fn storm(engine: &mut Engine, random: &mut Random, told: &Mutex<Acknowledged>) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (engine, stop) = (&*engine, &stop);
            scope.spawn(move || load(engine, worker + 10 * random_base(), stop, told));
        }
        for _ in 0..9 {
            std::thread::sleep(Duration::from_millis(random.next(300)));
            let workers = engine.workers();
            if let Some((pid, _)) = workers.get(random.next(workers.len().max(1) as u64) as usize) {
                kill(*pid);
            }
        }
        std::thread::sleep(Duration::from_millis(random.next(200)));
        kill(engine.pid());
        stop.store(true, Ordering::Relaxed);
    });
    engine.end("KILL");
    engine.launch();
}

/// A number that no earlier storm has used in names.
fn random_base() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What was acknowledged holds: created ones exist unless their removal was asked for, removed ones are gone.
fn check_told(engine: &Engine, told: &Acknowledged) {
    let names: BTreeSet<String> = engine
        .docker(&["ps", "-a", "--format", "{{.Names}}"])
        .ok()
        .lines()
        .map(str::to_owned)
        .collect();
    for name in &told.removed {
        assert!(!names.contains(name), "{name} was removed and is back");
    }
    for name in &told.created {
        // The third of each worker's containers is never asked to be removed.
        let number: u32 = name.rsplit('-').next().unwrap().parse().unwrap();
        if number.is_multiple_of(3) {
            assert!(names.contains(name), "{name} was created and is lost");
        }
    }
    // No state disagrees with the kernel: what is shown as running has a living process.
    let running = engine.docker(&["ps", "-q", "--no-trunc"]).ok();
    for id in running.lines() {
        let pid = engine.docker(&["inspect", id, "--format", "{{.State.Pid}}"]).text();
        assert!(Path::new(&format!("/proc/{pid}")).exists(), "{id} is shown as running");
    }
}

fn remove_all(engine: &Engine) {
    let ids = engine.docker(&["ps", "-aq"]).ok();
    let mut arguments = vec!["rm", "-f"];
    arguments.extend(ids.split_whitespace());
    engine.docker(&arguments).text();
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "");
}

fn check_no_leak(engine: &Engine) {
    eventually("no shim is left", || shims(engine) == 0);
    eventually("no record of a task is left", || entries(&engine.path("exec/task")) == 0);
    eventually("no snapshot of a container is left", || {
        // One committed layer: the image's.
        entries(&engine.path("data/snapshots")) <= 4 && snapshots(engine) == 1
    });
    eventually("no directory of a container is left", || {
        entries(&engine.path("data/containers")) == 0
    });
    eventually("no veth is left", || {
        let links = engine.space().command("ip").args(["-o", "link"]).output().unwrap();
        !String::from_utf8_lossy(&links.stdout).contains("veth")
    });
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = engine.path("").display().to_string();
    assert!(!mounts.contains(root.trim_end_matches('/')), "a mount is left");
    eventually("no cgroup of a container is left", || {
        !Path::new("/sys/fs/cgroup").join("memory").join(engine.cgroup()).exists()
            || entries(&Path::new("/sys/fs/cgroup/memory").join(engine.cgroup())) == 0
    });
}

/// Directories only: cgroups have files that are always there.
fn entries(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count()
}

/// Directories of 64 hexadecimal digits anywhere in the snapshot store.
fn snapshots(engine: &Engine) -> usize {
    fn walk(directory: &Path, depth: u32) -> usize {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .map(|entry| {
                let name = entry.file_name();
                let key = name.len() == 64;
                usize::from(key)
                    + if depth > 0 && !key { walk(&entry.path(), depth - 1) } else { 0 }
            })
            .sum()
    }
    walk(&engine.path("data/snapshots"), 2)
}

/// Shims of this engine's containers: forks of its task worker other than the worker itself.
fn shims(engine: &Engine) -> usize {
    let root = engine.path("exec").display().to_string();
    let workers: BTreeSet<u32> = engine.workers().into_iter().map(|(pid, _)| pid).collect();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| {
            let pid: Option<u32> = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let text = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            pid.is_some_and(|pid| !workers.contains(&pid))
                && text.starts_with("coffer-shim")
                && text.contains(&root)
        })
        .count()
}

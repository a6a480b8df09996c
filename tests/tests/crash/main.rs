//! kill -9 of each process of the engine at random moments under load: nothing leaks, nothing acknowledged is lost, and
//! `ps` is right afterwards.
#![expect(clippy::unwrap_used, reason = "tests")]

mod check;
mod load;

use e2e::{Engine, Kind, Member, Traces, eventually, image, send};
use load::{Client, Told};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often something is killed. The long run of 200 is started with COFFER_KILLS.
fn kills() -> u32 {
    number("COFFER_KILLS").unwrap_or(20).try_into().unwrap()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// A small generator, so that the choices of a failing run can be made again with COFFER_SEED.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = number("COFFER_SEED").unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            u64::from(now.unwrap().subsec_nanos())
        });
        println!("COFFER_SEED={seed}");
        // Small seeds differ in a few bits only.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn pause(&mut self, most: u64) {
        std::thread::sleep(Duration::from_millis(self.next(most)));
    }
}

/// An image that nothing is shared with, in a file, so that loading it unpacks a layer.
fn make_other_image(engine: &Engine) {
    let root = tempfile::TempDir::new().unwrap();
    image::busybox_root(root.path());
    std::fs::write(root.path().join("file"), "other\n").unwrap();
    let archive = engine.path("root.tar");
    image::tar(root.path(), &archive);
    engine.docker(&["import", &archive.display().to_string(), "other"]).text();
    engine.docker(&["save", "-o", &engine.path("other.tar").display().to_string(), "other"]).text();
    engine.docker(&["rmi", "other"]).text();
}

#[test]
fn killing_any_process_under_load_leaks_nothing_and_loses_nothing() {
    let mut engine = Engine::with_busybox();
    make_other_image(&engine);
    // What the first container of all makes for good is there before.
    engine.docker(&["run", "--rm", "-v", "/data", "busybox", "true"]).text();
    let mut before = Traces::of(&engine);
    eventually("the engine is at rest", || {
        std::mem::replace(&mut before, Traces::of(&engine)) == before && engine.family().len() == 5
    });
    for name in ["steady", "resting"] {
        engine.docker(&["run", "-d", "--name", name, "busybox", "sleep", "3000"]).text();
    }
    let pids = check::pids(&engine);
    let mut random = Random::new();
    let told = Mutex::new(Told::default());
    let mut killed = std::collections::BTreeMap::new();
    for round in 0..kills().div_ceil(10) {
        for kind in storm(&mut engine, &mut random, &told, round) {
            *killed.entry(kind).or_insert(0) += 1;
        }
        assert_eq!(check::pids(&engine), pids, "what was not killed runs on");
        check::told(&engine, &told.lock().unwrap());
        check::running(&engine);
    }
    println!("killed {killed:?}");
    check::usable(&engine);
    check::remove_all(&engine);
    eventually("every container's process has gone", || engine.family().len() == 5);
    let mut difference = Vec::new();
    let same = || {
        difference = Traces::of(&engine).difference(&before);
        difference.is_empty()
    };
    if !e2e::happens(same) {
        assert_eq!(difference, [""; 0], "what is there now and was not there before");
    }
    check::ends_without_a_trace(&mut engine);
}

/// Ten kills under load: anything while the supervisor lives, and at the end the supervisor itself.
fn storm(
    engine: &mut Engine,
    random: &mut Random,
    told: &Mutex<Told>,
    round: u32,
) -> Vec<&'static str> {
    let stop = AtomicBool::new(false);
    let mut killed = Vec::new();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let name = format!("load-{round}-{number}");
            let client = Client { engine, name, stop: &stop, told };
            scope.spawn(move || match number {
                0 | 1 => client.containers(),
                2 => client.attached(),
                _ => client.images(),
            });
        }
        while killed.len() < 9 {
            random.pause(300);
            killed.extend(kill_one(engine, random));
        }
        random.pause(200);
        send("KILL", engine.pid());
        killed.push("supervisor");
        stop.store(true, Ordering::Relaxed);
    });
    // Either way must do: a service that is started again at once, whose old workers may still be at work, and later.
    if random.next(2) == 0 {
        engine.end("KILL")
    } else {
        engine.end_at_once("KILL")
    }
    engine.launch();
    killed
}

/// Kills something that is neither the supervisor nor one of the two containers that shall notice nothing.
fn kill_one(engine: &Engine, random: &mut Random) -> Option<&'static str> {
    let family = engine.family();
    let spared: Vec<u32> = check::spared(&family);
    let wanted = random.next(10);
    let of_class = |member: &&Member| {
        let class = match member.kind {
            Kind::Supervisor => return false,
            Kind::Worker(_) => 0..4,
            Kind::Job => 4..7,
            Kind::Shim => 7..9,
            Kind::Payload => 9..10,
        };
        class.contains(&wanted) && !spared.contains(&member.pid)
    };
    let victims: Vec<&Member> = family.iter().filter(of_class).collect();
    let victim = victims.get(random.next(victims.len().max(1) as u64) as usize)?;
    send("KILL", victim.pid);
    Some(match &victim.kind {
        Kind::Worker(role) => match role.as_str() {
            "api" => "api",
            "storage" => "storage",
            "network" => "network",
            _ => "task",
        },
        Kind::Job => "job",
        Kind::Shim => "shim",
        _ => "payload",
    })
}

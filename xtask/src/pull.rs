//! Times an image's way into an engine and out of it, beside a reference engine when there is one: the two take turns.
//!
//! Pull, save, load, push of what was loaded to another repository, push again; wall time, the engine's processor
//! time, and the most memory that all its processes had together during a pull.

use crate::budget::cpu::Account;
use crate::budget::http::Engine;
use crate::budget::memory;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str = "usage: cargo xtask pull [--rounds N] IMAGE SOCKET [REFERENCE-SOCKET]";
/// What is measured, with the ratio to the reference that it should have at most.
const BUDGETS: [(&str, f64); 7] = [
    ("pull: ms", 0.5),
    ("pull: cpu ms", 0.6),
    ("pull: peak PSS in KiB", f64::INFINITY),
    ("push, nothing there: ms", 1.0 / 3.0),
    ("push, all there: ms", 1.0),
    ("save: ms", 0.5),
    ("load: ms", 0.5),
];

type Times = BTreeMap<&'static str, Vec<f64>>;

struct Subject {
    engine: Engine,
    daemon: i32,
    account: Account,
    times: Times,
}

/// Runs the chore.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let (mut rounds, mut rest) = (5, Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => {
                let number = words.next().and_then(|text| text.parse().ok());
                rounds = number.ok_or(USAGE)?;
            }
            _ => rest.push(word.clone()),
        }
    }
    let [image, sockets @ ..] = &rest[..] else { return Err(USAGE.into()) };
    if sockets.is_empty() || sockets.len() > 2 {
        return Err(USAGE.into());
    }
    let mut subjects = Vec::new();
    for socket in sockets {
        let engine = Engine { socket: socket.into() };
        let daemon = first(memory::daemon(&engine)?);
        let account = Account::open(daemon)?;
        subjects.push(Subject { engine, daemon, account, times: Times::new() });
    }
    for round in 0..rounds {
        for subject in &mut subjects {
            subject.round(image, round)?;
        }
    }
    print(&subjects);
    Ok(())
}

/// The first process of an engine: the one that listens may be the child of another.
fn first(listener: i32) -> i32 {
    let name = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match memory::parent(i64::from(listener)) {
        Some(parent) if name(parent) == name(listener) => parent,
        _ => listener,
    }
}

impl Subject {
    fn round(&mut self, image: &str, round: usize) -> Result<(), String> {
        // What is not there cannot be removed.
        self.docker(&["image", "rm", "-f", image]).ok();
        let peak = AtomicU64::new(0);
        let over = AtomicBool::new(false);
        let before = self.account.used()?;
        let pulled = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    peak.fetch_max(memory::tree(self.daemon).pss, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let pulled = self.docker(&["pull", "-q", image]);
            over.store(true, Ordering::Relaxed);
            pulled
        })?;
        let used = self.account.used()? - before;
        self.note("pull: ms", pulled);
        self.note("pull: cpu ms", used);
        // A number of KiB fits.
        self.note("pull: peak PSS in KiB", peak.load(Ordering::Relaxed) as f64);
        let archive = std::env::temp_dir().join(format!("xtask-pull-{}.tar", std::process::id()));
        let path = archive.display().to_string();
        let saved = self.docker(&["save", "-o", &path, image])?;
        self.note("save: ms", saved);
        self.docker(&["image", "rm", "-f", image])?;
        let loaded = self.docker(&["load", "-q", "-i", &path]);
        std::fs::remove_file(archive).map_err(|e| format!("remove {path}: {e}"))?;
        self.note("load: ms", loaded?);
        // What was loaded is not known to be in a registry: it is sent, not mounted.
        // By the other name of a loopback registry, so that no engine knows that its layers are there.
        let image_there = image.replacen("127.0.0.1:", "localhost:", 1);
        let repository = image_there.rsplit_once(':').map_or(image, |(repository, _)| repository);
        let copy = format!("{repository}-copy-{}-{}-{round}:x", std::process::id(), self.daemon);
        self.docker(&["tag", image, &copy])?;
        let pushed = self.docker(&["push", "-q", &copy])?;
        self.note("push, nothing there: ms", pushed);
        let pushed = self.docker(&["push", "-q", &copy])?;
        self.note("push, all there: ms", pushed);
        self.docker(&["image", "rm", &copy])?;
        Ok(())
    }

    fn note(&mut self, name: &'static str, value: f64) {
        self.times.entry(name).or_default().push(value);
    }

    /// Runs the client; how many milliseconds it took.
    fn docker(&self, arguments: &[&str]) -> Result<f64, String> {
        let start = Instant::now();
        let output = Command::new("docker")
            .env("DOCKER_HOST", format!("unix://{}", self.engine.socket.display()))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output()
            .map_err(|e| format!("docker: {e}"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(format!("docker {}: {text}", arguments.join(" ")));
        }
        Ok(start.elapsed().as_secs_f64() * 1000.0)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn print(subjects: &[Subject]) {
    println!("{:28}{:>10}{:>11}{:>8}{:>8}", "median", "this", "reference", "ratio", "budget");
    for (name, budget) in BUDGETS {
        let of = |subject: &Subject| subject.times.get(name).map_or(0.0, |values| median(values));
        let Some(own) = subjects.first().map(of) else { return };
        let theirs = subjects.get(1).map(of);
        let ratio = theirs.map(|theirs| own / theirs);
        let text = |value: Option<f64>, digits| {
            let value = value.filter(|value| value.is_finite());
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        println!(
            "{name:28}{own:>10.0}{:>11}{:>8}{:>8}",
            text(theirs, 0),
            text(ratio, 2),
            text(Some(budget), 2)
        );
    }
}

//! Times an engine over its socket, operation by operation, beside a reference engine: the two take turns, so that the
//! machine's drift hits both. Prints medians, and the ratio with what it should be at most.
//!
//! Both engines need an image `busybox:latest`. Nothing is left behind.

mod http;
mod memory;

use http::Engine;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

/// Ratios to the reference that the design asks for (docs/ARCHITECTURE.md, budgets).
const BUDGETS: [(&str, f64); 4] = [
    ("bridge: create + start + wait + delete", 1.0 / 12.0),
    ("bridge: engine cpu of these", 1.0 / 15.0),
    ("exec: create + start + inspect", 1.0 / 6.0),
    ("20 parallel create + start, bridge", 1.0 / 8.0),
];

type Times = BTreeMap<String, Vec<f64>>;

/// Runs the benchmark with the arguments of the command line.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let mut rounds = 15;
    let mut sockets = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--rounds" => {
                let number = rest.next().and_then(|text| text.parse().ok());
                rounds = number.ok_or("--rounds needs a number")?;
            }
            socket => sockets.push(socket.trim_start_matches("unix://").to_owned()),
        }
    }
    if sockets.is_empty() {
        sockets.push("/var/run/docker.sock".into());
    }
    let engines: Vec<Engine> =
        sockets.iter().take(2).map(|socket| Engine { socket: socket.into() }).collect();
    let mut results = vec![Times::new(); engines.len()];
    for engine in &engines {
        round(engine, &mut Times::new())?;
    }
    for _ in 0..rounds {
        for (engine, times) in engines.iter().zip(&mut results) {
            round(engine, times)?;
        }
    }
    for _ in 0..3 {
        for (engine, times) in engines.iter().zip(&mut results) {
            parallel(engine, times, 20)?;
        }
    }
    for (engine, times) in engines.iter().zip(&mut results) {
        weigh(engine, times)?;
    }
    print(&results);
    Ok(())
}

fn note(times: &mut Times, name: &str, value: f64) {
    times.entry(name.to_owned()).or_default().push(value);
}

fn timed<T>(
    times: &mut Times,
    name: &str,
    act: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let start = Instant::now();
    let result = act()?;
    note(times, name, start.elapsed().as_secs_f64() * 1e3);
    Ok(result)
}

fn create(engine: &Engine, network: &str, command: &[&str]) -> Result<String, String> {
    let body = json!({"Image": "busybox", "Cmd": command, "HostConfig": {"NetworkMode": network}});
    let reply = engine.call("POST", "/containers/create", Some(&body))?;
    text(&reply, "Id")
}

fn text(value: &Value, key: &str) -> Result<String, String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned).ok_or(format!("answer without {key}"))
}

fn post(engine: &Engine, path: &str) -> Result<Value, String> {
    engine.call("POST", path, None)
}

fn round(engine: &Engine, times: &mut Times) -> Result<(), String> {
    timed(times, "ping", || engine.call("GET", "/_ping", None))?;
    for network in ["bridge", "none", "host"] {
        life(engine, times, network)?;
    }
    let id = create(engine, "none", &["sleep", "300"])?;
    post(engine, &format!("/containers/{id}/start"))?;
    timed(times, "exec: create + start + inspect", || exec(engine, &id))?;
    timed(times, "inspect", || engine.call("GET", &format!("/containers/{id}/json"), None))?;
    timed(times, "pause + unpause", || {
        post(engine, &format!("/containers/{id}/pause"))?;
        post(engine, &format!("/containers/{id}/unpause"))
    })?;
    timed(times, "delete of a running one", || {
        engine.call("DELETE", &format!("/containers/{id}?force=1"), None)
    })?;
    timed(times, "list", || engine.call("GET", "/containers/json?all=1", None))?;
    Ok(())
}

fn life(engine: &Engine, times: &mut Times, network: &str) -> Result<(), String> {
    let cpu = cpu_of(engine)?;
    let start = Instant::now();
    let id = timed(times, &format!("{network}: create"), || create(engine, network, &["true"]))?;
    timed(times, &format!("{network}: start"), || {
        post(engine, &format!("/containers/{id}/start"))
    })?;
    timed(times, &format!("{network}: wait"), || post(engine, &format!("/containers/{id}/wait")))?;
    timed(times, &format!("{network}: delete"), || {
        engine.call("DELETE", &format!("/containers/{id}"), None)
    })?;
    let total = start.elapsed().as_secs_f64() * 1e3;
    note(times, &format!("{network}: create + start + wait + delete"), total);
    note(times, &format!("{network}: engine cpu of these"), cpu_of(engine)? - cpu);
    Ok(())
}

/// Milliseconds of processor time of the daemon with all that it has started and reaped.
///
/// The kernel counts in ticks of 10 ms, so one round says little and the mean over the rounds is what counts. Shims are
/// no descendants of the daemon; what they use is in the container's start-up, not here.
fn cpu_of(engine: &Engine) -> Result<f64, String> {
    let daemon = memory::daemon(engine)?;
    Ok(memory::cpu(daemon))
}

fn exec(engine: &Engine, id: &str) -> Result<(), String> {
    let body = json!({"Cmd": ["true"], "AttachStdout": true});
    let reply = engine.call("POST", &format!("/containers/{id}/exec"), Some(&body))?;
    let exec = text(&reply, "Id")?;
    let body = json!({"Detach": false, "Tty": false});
    engine.call("POST", &format!("/exec/{exec}/start"), Some(&body))?;
    engine.call("GET", &format!("/exec/{exec}/json"), None)?;
    Ok(())
}

fn parallel(engine: &Engine, times: &mut Times, count: usize) -> Result<(), String> {
    let one = || -> Result<String, String> {
        let id = create(engine, "bridge", &["sleep", "300"])?;
        post(engine, &format!("/containers/{id}/start"))?;
        Ok(id)
    };
    let ids = timed(times, &format!("{count} parallel create + start, bridge"), || {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| "thread".to_owned())?)
                .collect::<Result<Vec<_>, String>>()
        })
    })?;
    for id in ids {
        engine.call("DELETE", &format!("/containers/{id}?force=1"), None)?;
    }
    Ok(())
}

/// Memory: idle, and of the process that watches one container.
fn weigh(engine: &Engine, times: &mut Times) -> Result<(), String> {
    let daemon = memory::daemon(engine)?;
    note(times, "idle, all processes: PSS in KiB", memory::tree(daemon).pss as f64);
    let id = create(engine, "none", &["sleep", "300"])?;
    post(engine, &format!("/containers/{id}/start"))?;
    let inspected = engine.call("GET", &format!("/containers/{id}/json"), None)?;
    let pid = inspected.pointer("/State/Pid").and_then(Value::as_i64).unwrap_or(0);
    if let Some(shim) = memory::parent(pid) {
        note(times, "shim of a container: private KiB", memory::of(shim).private as f64);
    }
    engine.call("DELETE", &format!("/containers/{id}?force=1"), None)?;
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn figure(name: &str, values: &[f64]) -> f64 {
    if name.contains("cpu") {
        values.iter().sum::<f64>() / values.len().max(1) as f64
    } else {
        median(values)
    }
}

fn print(results: &[Times]) {
    println!("{:44}{:>10}{:>11}{:>8}{:>8}", "median ms", "this", "reference", "ratio", "budget");
    let Some(ours) = results.first() else { return };
    for (name, values) in ours {
        let own = figure(name, values);
        let mut line = format!("{name:44}{own:>10.2}");
        if let Some(theirs) = results.get(1).and_then(|times| times.get(name)) {
            let ratio = own / figure(name, theirs);
            line += &format!("{:>11.2}{ratio:>8.3}", figure(name, theirs));
            if let Some((_, budget)) = BUDGETS.iter().find(|(of, _)| of == name) {
                let verdict = if ratio <= *budget { "" } else { "  over" };
                line += &format!("{budget:>8.3}{verdict}");
            }
        }
        println!("{line}");
    }
}

//! Operations over the API.

use super::cpu::Account;
use super::http::Engine;
use super::{Times, memory, note, timed};
use serde_json::{Value, json};
use std::time::Instant;

/// Containers over which the memory of a shim is averaged.
const WEIGHED: usize = 20;

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

fn start(engine: &Engine, network: &str) -> Result<String, String> {
    let id = create(engine, network, &["sleep", "300"])?;
    post(engine, &format!("/containers/{id}/start"))?;
    Ok(id)
}

fn delete(engine: &Engine, id: &str) -> Result<Value, String> {
    engine.call("DELETE", &format!("/containers/{id}?force=1"), None)
}

/// Each operation once.
pub(crate) fn round(engine: &Engine, account: &Account, times: &mut Times) -> Result<(), String> {
    timed(times, "ping", || engine.call("GET", "/_ping", None))?;
    for network in ["bridge", "none", "host"] {
        life(engine, account, times, network)?;
    }
    let id = start(engine, "none")?;
    let before = account.used()?;
    timed(times, "exec: create + start + inspect", || exec(engine, &id))?;
    note(times, "exec: engine cpu", account.used()? - before);
    timed(times, "inspect", || engine.call("GET", &format!("/containers/{id}/json"), None))?;
    timed(times, "pause + unpause", || {
        post(engine, &format!("/containers/{id}/pause"))?;
        post(engine, &format!("/containers/{id}/unpause"))
    })?;
    timed(times, "delete of a running one", || delete(engine, &id))?;
    timed(times, "list", || engine.call("GET", "/containers/json?all=1", None))?;
    Ok(())
}

fn life(
    engine: &Engine,
    account: &Account,
    times: &mut Times,
    network: &str,
) -> Result<(), String> {
    let before = account.used()?;
    let begun = Instant::now();
    let id = timed(times, &format!("{network}: create"), || create(engine, network, &["true"]))?;
    timed(times, &format!("{network}: start"), || {
        post(engine, &format!("/containers/{id}/start"))
    })?;
    timed(times, &format!("{network}: wait"), || post(engine, &format!("/containers/{id}/wait")))?;
    timed(times, &format!("{network}: delete"), || {
        engine.call("DELETE", &format!("/containers/{id}"), None)
    })?;
    let total = begun.elapsed().as_secs_f64() * 1e3;
    note(times, &format!("{network}: create + start + wait + delete"), total);
    note(times, &format!("{network}: engine cpu of these"), account.used()? - before);
    Ok(())
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

/// `count` clients at once.
pub(crate) fn parallel(engine: &Engine, times: &mut Times, count: usize) -> Result<(), String> {
    let name = format!("{count} parallel create + start, bridge");
    let ids = timed(times, &name, || {
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..count).map(|_| scope.spawn(|| start(engine, "bridge"))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| "thread".to_owned())?)
                .collect::<Result<Vec<_>, String>>()
        })
    })?;
    ids.iter().try_for_each(|id| delete(engine, id).map(drop))
}

/// The memory of the processes that each watch one container.
pub(crate) fn weigh_containers(engine: &Engine, times: &mut Times) -> Result<(), String> {
    let ids = (0..WEIGHED).map(|_| start(engine, "none")).collect::<Result<Vec<_>, String>>()?;
    // Long enough for a process that gives memory back when it has nothing to do.
    std::thread::sleep(std::time::Duration::from_secs(3));
    for id in &ids {
        let inspected = engine.call("GET", &format!("/containers/{id}/json"), None)?;
        let pid = inspected.pointer("/State/Pid").and_then(Value::as_i64).unwrap_or(0);
        if let Some(shim) = memory::parent(pid) {
            note(times, "shim of a container: private KiB", memory::of(shim).private as f64);
        }
    }
    ids.iter().try_for_each(|id| delete(engine, id).map(drop))
}

/// The list of `count` containers that do not run.
pub(crate) fn list_many(engine: &Engine, times: &mut Times, count: usize) -> Result<(), String> {
    let ids = (0..count)
        .map(|_| create(engine, "bridge", &["true"]))
        .collect::<Result<Vec<_>, String>>()?;
    for _ in 0..10 {
        // Read, not understood: that would be the client's time.
        timed(times, &format!("list of {count}"), || engine.count("/containers/json?all=1"))?;
    }
    ids.iter().try_for_each(|id| delete(engine, id).map(drop))
}

/// A container writes `count` lines of 100 bytes; they are read back.
pub(crate) fn log_lines(
    engine: &Engine,
    account: &Account,
    times: &mut Times,
    count: usize,
) -> Result<(), String> {
    let line = "x".repeat(99);
    let script = format!("yes {line} | head -n {count}");
    for _ in 0..3 {
        let id = create(engine, "none", &["sh", "-c", &script])?;
        let before = account.used()?;
        timed(times, &format!("{count} lines: written"), || {
            post(engine, &format!("/containers/{id}/start"))?;
            post(engine, &format!("/containers/{id}/wait"))
        })?;
        note(times, &format!("{count} lines: engine cpu of writing"), account.used()? - before);
        let path = format!("/containers/{id}/logs?stdout=1");
        let read = timed(times, &format!("{count} lines: read back"), || engine.count(&path))?;
        // Each line has a head of eight bytes.
        let expected = count as u64 * 108;
        if read < expected {
            return Err(format!("{path}: {read} bytes instead of {expected}"));
        }
        delete(engine, &id)?;
    }
    Ok(())
}

//! Statistics of cgroup v2.

use super::{CpuStats, IoEntry, MemoryStats, Stats, device, number, pairs, pids};
use crate::CgroupError;
use crate::dir::Dir;

pub(super) fn read(dir: &Dir, stats: &mut Stats) -> Result<(), CgroupError> {
    stats.cpu = cpu(dir)?;
    stats.memory = memory(dir)?;
    stats.pids = pids(dir)?;
    let text = dir.read_if_there("io.stat")?.unwrap_or_default();
    for (key, operation) in [("rbytes", "read"), ("wbytes", "write"), ("dbytes", "discard")] {
        stats.io_bytes.extend(io(&text, key, operation));
    }
    for (key, operation) in [("rios", "read"), ("wios", "write"), ("dios", "discard")] {
        stats.io_operations.extend(io(&text, key, operation));
    }
    Ok(())
}

/// `cpu.stat` is there without the controller; times are in microseconds.
fn cpu(dir: &Dir) -> Result<Option<CpuStats>, CgroupError> {
    let Some(text) = dir.read_if_there("cpu.stat")? else { return Ok(None) };
    let stat = pairs(&text);
    let get = |word: &str| stat.get(word).copied().unwrap_or(0);
    Ok(Some(CpuStats {
        total: get("usage_usec").saturating_mul(1000),
        user: get("user_usec").saturating_mul(1000),
        kernel: get("system_usec").saturating_mul(1000),
        per_cpu: Vec::new(),
        periods: get("nr_periods"),
        throttled_periods: get("nr_throttled"),
        throttled: get("throttled_usec").saturating_mul(1000),
    }))
}

fn memory(dir: &Dir) -> Result<Option<MemoryStats>, CgroupError> {
    let Some(usage) = number(dir, "memory.current")? else { return Ok(None) };
    let events = pairs(&dir.read_if_there("memory.events")?.unwrap_or_default());
    let event = |word: &str| events.get(word).copied().unwrap_or(0);
    Ok(Some(MemoryStats {
        usage,
        max_usage: number(dir, "memory.peak")?.unwrap_or(0),
        limit: number(dir, "memory.max")?,
        failures: event("max"),
        swap: number(dir, "memory.swap.current")?,
        oom_kills: event("oom_kill"),
        details: pairs(&dir.read_if_there("memory.stat")?.unwrap_or_default()),
    }))
}

/// Lines as `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn io<'a>(text: &'a str, key: &'a str, operation: &'a str) -> impl Iterator<Item = IoEntry> + 'a {
    text.lines().filter_map(move |line| {
        let mut fields = line.split_whitespace();
        let (major, minor) = device(fields.next()?)?;
        let value =
            fields.find_map(|field| field.split_once('=').filter(|(word, _)| *word == key))?.1;
        Some(IoEntry { major, minor, operation: operation.to_owned(), value: value.parse().ok()? })
    })
}

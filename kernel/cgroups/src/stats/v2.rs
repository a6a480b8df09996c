//! Statistics of cgroup v2.

use super::Files;
use super::{
    CpuStats, IoEntry, MemoryPart, MemoryStats, MiscStats, Pressure, Stall, Stats, device, number,
    pairs, pids,
};
use crate::CgroupError;
use std::collections::BTreeMap;

pub(super) fn read(dir: &dyn Files, stats: &mut Stats) -> Result<(), CgroupError> {
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
    let details = &mut stats.io_details;
    for (key, table) in [
        ("cost.usage", &mut details.cost_usage),
        ("cost.wait", &mut details.cost_wait),
        ("cost.indebt", &mut details.cost_debt),
        ("cost.indelay", &mut details.cost_delay),
    ] {
        table.extend(io(&text, key, "count"));
    }
    stats.cpu_pressure = pressure(dir, "cpu.pressure")?;
    stats.memory_pressure = pressure(dir, "memory.pressure")?;
    stats.io_pressure = pressure(dir, "io.pressure")?;
    stats.misc = misc(dir)?;
    Ok(())
}

/// Lines as `some avg10=0.12 avg60=0.00 avg300=0.00 total=17`. The file is missing or cannot be read (EOPNOTSUPP) where
/// this is switched off.
fn pressure(dir: &dyn Files, file: &str) -> Result<Option<Pressure>, CgroupError> {
    let Some(text) = dir.read_if_there(file)? else { return Ok(None) };
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let stall = match fields.next() {
            Some("some") => &mut pressure.some,
            Some("full") => &mut pressure.full,
            _ => continue,
        };
        *stall = fields.filter_map(|field| field.split_once('=')).fold(*stall, stalled);
    }
    Ok(Some(pressure))
}

fn stalled(mut stall: Stall, (key, value): (&str, &str)) -> Stall {
    match key {
        "avg10" => stall.average_10 = hundredths(value),
        "avg60" => stall.average_60 = hundredths(value),
        "avg300" => stall.average_300 = hundredths(value),
        "total" => stall.total = value.parse().unwrap_or(0),
        _ => {}
    }
    stall
}

/// `12.34`, which the kernel always writes with two digits behind the point.
fn hundredths(text: &str) -> u32 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, "00"));
    let number = |text: &str| text.parse::<u32>().unwrap_or(0);
    number(whole).saturating_mul(100).saturating_add(number(rest).min(99))
}

/// `misc.current` has lines as `sev 3`, `misc.events` as `sev.max 2`.
fn misc(dir: &dyn Files) -> Result<BTreeMap<String, MiscStats>, CgroupError> {
    let mut found: BTreeMap<String, MiscStats> = BTreeMap::new();
    for (name, usage) in pairs(&dir.read_if_there("misc.current")?.unwrap_or_default()) {
        found.entry(name).or_default().usage = usage;
    }
    for (name, events) in pairs(&dir.read_if_there("misc.events")?.unwrap_or_default()) {
        let name = name.strip_suffix(".max").unwrap_or(&name).to_owned();
        found.entry(name).or_default().events = events;
    }
    Ok(found)
}

/// `cpu.stat` is there without the controller; times are in microseconds.
fn cpu(dir: &dyn Files) -> Result<Option<CpuStats>, CgroupError> {
    let Some(text) = dir.read_if_there("cpu.stat")? else { return Ok(None) };
    let stat = pairs(&text);
    let get = |word: &str| stat.get(word).copied().unwrap_or(0);
    Ok(Some(CpuStats {
        total: get("usage_usec").saturating_mul(1000),
        user: get("user_usec").saturating_mul(1000),
        kernel: get("system_usec").saturating_mul(1000),
        burst_periods: get("nr_bursts"),
        burst: get("burst_usec").saturating_mul(1000),
        periods: get("nr_periods"),
        throttled_periods: get("nr_throttled"),
        throttled: get("throttled_usec").saturating_mul(1000),
        ..CpuStats::default()
    }))
}

fn memory(dir: &dyn Files) -> Result<Option<MemoryStats>, CgroupError> {
    let Some(usage) = number(dir, "memory.current")? else { return Ok(None) };
    let events = pairs(&dir.read_if_there("memory.events")?.unwrap_or_default());
    let event = |word: &str| events.get(word).copied().unwrap_or(0);
    let limit = number(dir, "memory.max")?;
    let swap = number(dir, "memory.swap.current")?;
    let swap_limit = number(dir, "memory.swap.max")?;
    let swap_alone = MemoryPart {
        usage: swap.unwrap_or(0),
        // Linux 6.5.
        max_usage: number(dir, "memory.swap.peak")?.unwrap_or(0),
        limit: swap_limit,
        failures: 0,
    };
    let with_swap = MemoryPart {
        usage: usage.saturating_add(swap_alone.usage),
        max_usage: 0,
        limit: limit.zip(swap_limit).map(|(memory, swap)| memory.saturating_add(swap)),
        failures: 0,
    };
    Ok(Some(MemoryStats {
        usage,
        max_usage: number(dir, "memory.peak")?.unwrap_or(0),
        limit,
        failures: event("max"),
        swap,
        with_swap: swap.map(|_| with_swap),
        swap_alone: swap.map(|_| swap_alone),
        kernel: None,
        kernel_tcp: None,
        hierarchical: true,
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

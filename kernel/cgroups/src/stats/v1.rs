//! Statistics of cgroup v1.

use super::Files;
use super::{
    CpuStats, CpusetStats, IoDetails, IoEntry, MemoryPart, MemoryStats, device, number, pairs,
};
use crate::CgroupError;

/// The kernel's "no limit": the largest number of whole pages. Pages have at most 64 KiB.
const NO_LIMIT: u64 = (i64::MAX as u64) & !0xffff;

pub(super) fn cpu(
    account: Option<&dyn Files>,
    quota: Option<&dyn Files>,
) -> Result<Option<CpuStats>, CgroupError> {
    let Some(account) = account else { return Ok(None) };
    let Some(total) = number(account, "cpuacct.usage")? else { return Ok(None) };
    let per_cpu = account.read_if_there("cpuacct.usage_percpu")?.unwrap_or_default();
    let mut cpu = CpuStats {
        total,
        // In nanoseconds since Linux 4.6; cpuacct.stat has ticks of 10 ms.
        user: number(account, "cpuacct.usage_user")?.unwrap_or(0),
        kernel: number(account, "cpuacct.usage_sys")?.unwrap_or(0),
        per_cpu: per_cpu.split_whitespace().filter_map(|word| word.parse().ok()).collect(),
        ..CpuStats::default()
    };
    // A line of heads, then `cpu user system` for each processor (Linux 4.7).
    let all = account.read_if_there("cpuacct.usage_all")?.unwrap_or_default();
    for line in all.lines().skip(1) {
        let mut fields = line.split_whitespace().map(|field| field.parse().unwrap_or(0)).skip(1);
        cpu.per_cpu_user.push(fields.next().unwrap_or(0));
        cpu.per_cpu_kernel.push(fields.next().unwrap_or(0));
    }
    if let Some(text) = quota.map(|dir| dir.read_if_there("cpu.stat")).transpose()?.flatten() {
        let stat = pairs(&text);
        let get = |word: &str| stat.get(word).copied().unwrap_or(0);
        cpu.periods = get("nr_periods");
        cpu.throttled_periods = get("nr_throttled");
        cpu.throttled = get("throttled_time");
        cpu.burst_periods = get("nr_bursts");
        cpu.burst = get("burst_time");
    }
    Ok(Some(cpu))
}

pub(super) fn memory(dir: &dyn Files) -> Result<Option<MemoryStats>, CgroupError> {
    let Some(usage) = number(dir, "memory.usage_in_bytes")? else { return Ok(None) };
    let part = |prefix: &str| part(dir, prefix);
    let with_swap = part("memory.memsw")?;
    let control = pairs(&dir.read_if_there("memory.oom_control")?.unwrap_or_default());
    let all = part("memory")?.unwrap_or_default();
    Ok(Some(MemoryStats {
        usage,
        max_usage: all.max_usage,
        limit: all.limit,
        failures: all.failures,
        swap: with_swap.map(|with_swap| with_swap.usage.saturating_sub(usage)),
        with_swap,
        swap_alone: None,
        kernel: part("memory.kmem")?,
        kernel_tcp: part("memory.kmem.tcp")?,
        hierarchical: number(dir, "memory.use_hierarchy")? == Some(1),
        oom_kills: control.get("oom_kill").copied().unwrap_or(0),
        details: pairs(&dir.read_if_there("memory.stat")?.unwrap_or_default()),
    }))
}

/// The four files that v1 has of each kind of memory.
fn part(dir: &dyn Files, prefix: &str) -> Result<Option<MemoryPart>, CgroupError> {
    let file = |file: &str| number(dir, &format!("{prefix}.{file}"));
    let Some(usage) = file("usage_in_bytes")? else { return Ok(None) };
    Ok(Some(MemoryPart {
        usage,
        max_usage: file("max_usage_in_bytes")?.unwrap_or(0),
        limit: file("limit_in_bytes")?.filter(|limit| *limit < NO_LIMIT),
        failures: file("failcnt")?.unwrap_or(0),
    }))
}

/// The state of a `cpuset`.
pub(super) fn cpuset(dir: &dyn Files) -> Result<Option<CpusetStats>, CgroupError> {
    let Some(cpus) = dir.read_if_there("cpuset.cpus")? else { return Ok(None) };
    let flag = |file: &str| Ok::<_, CgroupError>(number(dir, file)?.unwrap_or(0));
    let level = dir.read_if_there("cpuset.sched_relax_domain_level")?.unwrap_or_default();
    Ok(Some(CpusetStats {
        cpus: list(&cpus),
        cpu_exclusive: flag("cpuset.cpu_exclusive")?,
        mems: list(&dir.read_if_there("cpuset.mems")?.unwrap_or_default()),
        mem_hardwall: flag("cpuset.mem_hardwall")?,
        mem_exclusive: flag("cpuset.mem_exclusive")?,
        memory_migrate: flag("cpuset.memory_migrate")?,
        memory_spread_page: flag("cpuset.memory_spread_page")?,
        memory_spread_slab: flag("cpuset.memory_spread_slab")?,
        memory_pressure: flag("cpuset.memory_pressure")?,
        sched_load_balance: flag("cpuset.sched_load_balance")?,
        sched_relax_domain_level: level.trim().parse().unwrap_or(-1),
    }))
}

/// A list as `0-3,7`.
fn list(text: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().take(8192).collect()
}

/// The tables that only some schedulers fill.
pub(super) fn io_details(dir: &dyn Files) -> Result<IoDetails, CgroupError> {
    if !dir.has("blkio.bfq.io_queued_recursive") && !dir.has("blkio.io_queued_recursive") {
        return Ok(IoDetails::default());
    }
    Ok(IoDetails {
        queued: io(dir, "io_queued_recursive")?,
        service_time: io(dir, "io_service_time_recursive")?,
        wait_time: io(dir, "io_wait_time_recursive")?,
        merged: io(dir, "io_merged_recursive")?,
        time: io(dir, "time_recursive")?,
        sectors: io(dir, "sectors_recursive")?,
        ..IoDetails::default()
    })
}

/// A table of block devices: BFQ's where that scheduler has counted something, then CFQ's of older kernels, else the
/// general one.
pub(super) fn io(dir: &dyn Files, table: &str) -> Result<Vec<IoEntry>, CgroupError> {
    for prefix in ["blkio.bfq", "blkio", "blkio.throttle"] {
        let text = dir.read_if_there(&format!("{prefix}.{table}"))?.unwrap_or_default();
        let entries: Vec<IoEntry> = text.lines().filter_map(entry).collect();
        if !entries.is_empty() {
            return Ok(entries);
        }
    }
    Ok(Vec::new())
}

/// `8:0 Read 4096`, or `8:0 4096` where there is no direction; the line `Total 4096` at the end is of no device.
fn entry(line: &str) -> Option<IoEntry> {
    let mut fields = line.split_whitespace();
    let (major, minor) = device(fields.next()?)?;
    let word = fields.next()?;
    let (operation, value) = match fields.next() {
        Some(value) => (word.to_lowercase(), value),
        None => ("count".to_owned(), word),
    };
    Some(IoEntry { major, minor, operation, value: value.parse().ok()? })
}

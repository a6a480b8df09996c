//! Statistics of cgroup v1.

use super::{CpuStats, IoEntry, MemoryStats, device, number, pairs};
use crate::CgroupError;
use crate::dir::Dir;

/// The kernel's "no limit": the largest number of whole pages. Pages have at most 64 KiB.
const NO_LIMIT: u64 = (i64::MAX as u64) & !0xffff;

pub(super) fn cpu(
    account: Option<&Dir>,
    quota: Option<&Dir>,
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
    if let Some(text) = quota.map(|dir| dir.read_if_there("cpu.stat")).transpose()?.flatten() {
        let stat = pairs(&text);
        let get = |word: &str| stat.get(word).copied().unwrap_or(0);
        cpu.periods = get("nr_periods");
        cpu.throttled_periods = get("nr_throttled");
        cpu.throttled = get("throttled_time");
    }
    Ok(Some(cpu))
}

pub(super) fn memory(dir: &Dir) -> Result<Option<MemoryStats>, CgroupError> {
    let Some(usage) = number(dir, "memory.usage_in_bytes")? else { return Ok(None) };
    let together = number(dir, "memory.memsw.usage_in_bytes")?;
    let control = pairs(&dir.read_if_there("memory.oom_control")?.unwrap_or_default());
    Ok(Some(MemoryStats {
        usage,
        max_usage: number(dir, "memory.max_usage_in_bytes")?.unwrap_or(0),
        limit: number(dir, "memory.limit_in_bytes")?.filter(|limit| *limit < NO_LIMIT),
        failures: number(dir, "memory.failcnt")?.unwrap_or(0),
        swap: together.map(|together| together.saturating_sub(usage)),
        oom_kills: control.get("oom_kill").copied().unwrap_or(0),
        details: pairs(&dir.read_if_there("memory.stat")?.unwrap_or_default()),
    }))
}

/// A table of block devices: BFQ's where that scheduler has counted something, else the general one.
pub(super) fn io(dir: &Dir, table: &str) -> Result<Vec<IoEntry>, CgroupError> {
    for prefix in ["blkio.bfq", "blkio.throttle"] {
        let text = dir.read_if_there(&format!("{prefix}.{table}"))?.unwrap_or_default();
        let entries: Vec<IoEntry> = text.lines().filter_map(entry).collect();
        if !entries.is_empty() {
            return Ok(entries);
        }
    }
    Ok(Vec::new())
}

/// `8:0 Read 4096`; the line `Total 4096` at the end is of no device.
fn entry(line: &str) -> Option<IoEntry> {
    let mut fields = line.split_whitespace();
    let (major, minor) = device(fields.next()?)?;
    let operation = fields.next()?.to_lowercase();
    Some(IoEntry { major, minor, operation, value: fields.next()?.parse().ok()? })
}

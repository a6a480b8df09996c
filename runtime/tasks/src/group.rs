//! Requests about the cgroup of a container.

use crate::host::Host;
use crate::records::{Name, group, of_cgroup, process};
use cgroups::{IoEntry, Stats};
use messages::task::Statistics;
use spec::oci::Resources;
use spec::{ContainerId, Failure};
use std::time::Duration;

/// How long processes may take to stand or to go on. Those that wait for a disk or a network file system cannot be
/// stopped before that answers.
const FREEZE: Duration = Duration::from_secs(10);

/// Stops all processes.
pub(crate) fn freeze(host: &Host, id: &ContainerId) -> Result<(), Failure> {
    process(host, Name(id, None))?;
    group(host, id)?.freeze(FREEZE).map_err(|error| of_cgroup(&error))
}

/// Lets all processes go on.
pub(crate) fn thaw(host: &Host, id: &ContainerId) -> Result<(), Failure> {
    process(host, Name(id, None))?;
    group(host, id)?.thaw(FREEZE).map_err(|error| of_cgroup(&error))
}

/// Changes limits. Devices were given at the start, by the policy, and are not changed.
pub(crate) fn update(host: &Host, id: &ContainerId, resources: &Resources) -> Result<(), Failure> {
    if !resources.devices.is_empty() || !resources.unified.is_empty() {
        let name = Name(id, None);
        return Err(Failure::invalid(format!("update {name}: only limits can be changed")));
    }
    group(host, id)?.update(resources).map_err(|error| of_cgroup(&error))
}

/// The ids of all processes.
pub(crate) fn processes(host: &Host, id: &ContainerId) -> Result<Vec<i32>, Failure> {
    group(host, id)?.pids().map_err(|error| of_cgroup(&error))
}

/// Figures.
pub(crate) fn statistics(host: &Host, id: &ContainerId) -> Result<Statistics, Failure> {
    let stats = group(host, id)?.stats().map_err(|error| of_cgroup(&error))?;
    Ok(convert(stats))
}

fn convert(stats: Stats) -> Statistics {
    let memory = stats.memory.unwrap_or_default();
    let cpu = stats.cpu.unwrap_or_default();
    let pids = stats.pids.unwrap_or_default();
    Statistics {
        memory_usage: memory.usage,
        memory_max_usage: memory.max_usage,
        memory_limit: memory.limit.unwrap_or(u64::MAX),
        memory_stat: memory.details.into_iter().collect(),
        cpu_usage: cpu.total,
        cpu_kernel: cpu.kernel,
        cpu_user: cpu.user,
        cpu_per: cpu.per_cpu,
        cpu_throttling: (cpu.periods, cpu.throttled_periods, cpu.throttled),
        pids: pids.current,
        pids_limit: pids.limit.unwrap_or_default(),
        io_bytes: stats.io_bytes.into_iter().map(entry).collect(),
        io_operations: stats.io_operations.into_iter().map(entry).collect(),
        oom_kills: memory.oom_kills,
    }
}

fn entry(entry: IoEntry) -> (u32, u32, String, u64) {
    (entry.major, entry.minor, entry.operation, entry.value)
}

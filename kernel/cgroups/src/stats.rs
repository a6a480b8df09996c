//! What a group uses, read at once from all its files.

mod v1;
mod v2;

use crate::dir::Dir;
use crate::{CgroupError, Group};
use std::collections::BTreeMap;

/// What a group uses. A part is `None` where the host does not count it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// Processor time.
    pub cpu: Option<CpuStats>,
    /// Memory.
    pub memory: Option<MemoryStats>,
    /// Tasks.
    pub pids: Option<PidsStats>,
    /// Bytes of block devices by device and direction, the groups below included.
    pub io_bytes: Vec<IoEntry>,
    /// Operations of block devices, likewise.
    pub io_operations: Vec<IoEntry>,
}

/// Processor time, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuStats {
    /// All.
    pub total: u64,
    /// In the program.
    pub user: u64,
    /// In the kernel.
    pub kernel: u64,
    /// Of each processor; empty on v2, which does not tell.
    pub per_cpu: Vec<u64>,
    /// Periods of the quota that have passed.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// Time that was spent waiting for the next period.
    pub throttled: u64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryStats {
    /// In use, caches included.
    pub usage: u64,
    /// The most that was in use at once; 0 where the kernel does not tell (v2 before Linux 5.19).
    pub max_usage: u64,
    /// The limit; `None`: there is none.
    pub limit: Option<u64>,
    /// How often the limit was met.
    pub failures: u64,
    /// Swap in use; `None` where it is not counted.
    pub swap: Option<u64>,
    /// How many processes were ended because memory was exhausted.
    pub oom_kills: u64,
    /// `memory.stat` as it is.
    pub details: BTreeMap<String, u64>,
}

/// Tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PidsStats {
    /// How many there are.
    pub current: u64,
    /// How many there may be; `None`: any number.
    pub limit: Option<u64>,
}

/// A counter of one block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IoEntry {
    /// Major number of the device.
    pub major: u32,
    /// Minor number of the device.
    pub minor: u32,
    /// `read`, `write`, `discard`; on v1 also `sync`, `async` and `total`.
    pub operation: String,
    /// Bytes or operations.
    pub value: u64,
}

impl Group {
    /// What the group uses now.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        let mut stats = Stats::default();
        if let Some(dir) = self.v2().filter(|_| self.mode == crate::Mode::V2) {
            v2::read(dir, &mut stats)?;
            return Ok(stats);
        }
        stats.cpu = v1::cpu(self.v1("cpuacct"), self.v1("cpu"))?;
        if let Some(dir) = self.v1("memory") {
            stats.memory = v1::memory(dir)?;
        }
        if let Some(dir) = self.v1("pids") {
            stats.pids = pids(dir)?;
        }
        if let Some(dir) = self.v1("blkio") {
            stats.io_bytes = v1::io(dir, "io_service_bytes_recursive")?;
            stats.io_operations = v1::io(dir, "io_serviced_recursive")?;
        }
        Ok(stats)
    }

    /// How many processes of the group were ended because memory was exhausted.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let count = |dir: &Dir, file: &str| {
            Ok(dir
                .read_if_there(file)?
                .map_or(0, |text| pairs(&text).get("oom_kill").copied().unwrap_or(0)))
        };
        match (self.v1("memory"), self.v2()) {
            (Some(dir), _) => count(dir, "memory.oom_control"),
            (None, Some(dir)) => count(dir, "memory.events"),
            (None, None) => Ok(0),
        }
    }
}

fn pids(dir: &Dir) -> Result<Option<PidsStats>, CgroupError> {
    let Some(current) = number(dir, "pids.current")? else { return Ok(None) };
    Ok(Some(PidsStats { current, limit: number(dir, "pids.max")? }))
}

/// A file with one number; `None` also for `max`.
fn number(dir: &Dir, file: &str) -> Result<Option<u64>, CgroupError> {
    Ok(dir.read_if_there(file)?.and_then(|text| text.trim().parse().ok()))
}

/// Lines of a word and a number.
fn pairs(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (word, number) = line.split_once(' ')?;
        Some((word.to_owned(), number.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

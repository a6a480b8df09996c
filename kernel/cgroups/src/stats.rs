//! What a group uses, read at once from all its files.

mod more;
mod v1;
mod v2;

use crate::dir::Dir;
use crate::layout::Kind;
use crate::places::Places;
use crate::settings::Version;
use crate::{CgroupError, Group};
use std::collections::BTreeMap;

/// What a group uses. A part is `None` or empty where the host does not count it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// Processor time.
    pub cpu: Option<CpuStats>,
    /// Which processors and memory nodes may be used (v1).
    pub cpuset: Option<CpusetStats>,
    /// Memory.
    pub memory: Option<MemoryStats>,
    /// Tasks.
    pub pids: Option<PidsStats>,
    /// Bytes of block devices by device and direction, the groups below included.
    pub io_bytes: Vec<IoEntry>,
    /// Operations of block devices, likewise.
    pub io_operations: Vec<IoEntry>,
    /// What else the scheduler of block devices counts.
    pub io_details: IoDetails,
    /// Waiting for processors (Linux 4.20, v2).
    pub cpu_pressure: Option<Pressure>,
    /// Waiting for memory, likewise.
    pub memory_pressure: Option<Pressure>,
    /// Waiting for block devices, likewise.
    pub io_pressure: Option<Pressure>,
    /// Huge pages by size as `2MB`.
    pub hugetlb: BTreeMap<String, HugetlbStats>,
    /// RDMA devices by name.
    pub rdma: BTreeMap<String, RdmaStats>,
    /// Resources of the `misc` controller by name (Linux 5.13, v2).
    pub misc: BTreeMap<String, MiscStats>,
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
    /// Of each processor in the program; empty on v2.
    pub per_cpu_user: Vec<u64>,
    /// Of each processor in the kernel; empty on v2.
    pub per_cpu_kernel: Vec<u64>,
    /// Periods of the quota that have passed.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// Time that was spent waiting for the next period.
    pub throttled: u64,
    /// Periods in which saved-up time was used (Linux 5.14).
    pub burst_periods: u64,
    /// Time above the quota in those.
    pub burst: u64,
}

/// The state of a v1 `cpuset`. Flags are 0 or 1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpusetStats {
    /// Processors.
    pub cpus: Vec<u16>,
    /// No other group has these processors.
    pub cpu_exclusive: u64,
    /// Memory nodes.
    pub mems: Vec<u16>,
    /// Allocations of the kernel stay in the nodes, too.
    pub mem_hardwall: u64,
    /// No other group has these nodes.
    pub mem_exclusive: u64,
    /// Pages move when the nodes change.
    pub memory_migrate: u64,
    /// Page cache is spread over the nodes.
    pub memory_spread_page: u64,
    /// Slabs are spread over the nodes.
    pub memory_spread_slab: u64,
    /// Rate of direct reclaims, times 1000.
    pub memory_pressure: u64,
    /// The scheduler balances over the processors.
    pub sched_load_balance: u64,
    /// How far the scheduler looks for idle processors; -1 is the default.
    pub sched_relax_domain_level: i64,
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
    /// Memory and swap together; `None` where swap is not counted. v2 knows neither the maximum nor the failures.
    pub with_swap: Option<MemoryPart>,
    /// Swap alone, which only v2 limits.
    pub swap_alone: Option<MemoryPart>,
    /// Memory of the kernel (v1).
    pub kernel: Option<MemoryPart>,
    /// Buffers of TCP (v1).
    pub kernel_tcp: Option<MemoryPart>,
    /// Whether the groups below count here too; always on v2.
    pub hierarchical: bool,
    /// How many processes were ended because memory was exhausted.
    pub oom_kills: u64,
    /// `memory.stat` as it is.
    pub details: BTreeMap<String, u64>,
}

/// One kind of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryPart {
    /// In use.
    pub usage: u64,
    /// The most that was in use at once.
    pub max_usage: u64,
    /// The limit; `None`: there is none.
    pub limit: Option<u64>,
    /// How often the limit was met.
    pub failures: u64,
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
    /// `read`, `write`, `discard`; on v1 also `sync`, `async` and `total`; `count` where there is no direction.
    pub operation: String,
    /// Bytes or operations.
    pub value: u64,
}

/// Tables that only some schedulers of block devices have (BFQ with debugging, CFQ before Linux 5.0; `io.cost` on v2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IoDetails {
    /// Operations that wait.
    pub queued: Vec<IoEntry>,
    /// Nanoseconds between dispatch and completion.
    pub service_time: Vec<IoEntry>,
    /// Nanoseconds in queues.
    pub wait_time: Vec<IoEntry>,
    /// Operations that were merged into others.
    pub merged: Vec<IoEntry>,
    /// Milliseconds of the device.
    pub time: Vec<IoEntry>,
    /// Sectors.
    pub sectors: Vec<IoEntry>,
    /// Microseconds of the device by the cost model.
    pub cost_usage: Vec<IoEntry>,
    /// Microseconds of waiting by the cost model.
    pub cost_wait: Vec<IoEntry>,
    /// Microseconds in debt.
    pub cost_debt: Vec<IoEntry>,
    /// Microseconds of delay because of debt.
    pub cost_delay: Vec<IoEntry>,
}

/// Time lost by waiting (Documentation/accounting/psi.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Stall,
    /// All tasks waited at once.
    pub full: Stall,
}

/// How much time was lost. Shares are in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stall {
    /// Share of the last 10 seconds.
    pub average_10: u32,
    /// Share of the last minute.
    pub average_60: u32,
    /// Share of the last five minutes.
    pub average_300: u32,
    /// Microseconds in all.
    pub total: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HugetlbStats {
    /// In use; reservations where the kernel counts them (Linux 5.7).
    pub usage: u64,
    /// The most that was in use at once (v1).
    pub max_usage: u64,
    /// How often the limit was met.
    pub failures: u64,
}

/// What of an RDMA device is used and may be used; a limit that is `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RdmaStats {
    /// Handles in use.
    pub handles: u32,
    /// Objects in use.
    pub objects: u32,
    /// At most so many handles.
    pub handles_limit: Option<u32>,
    /// At most so many objects.
    pub objects_limit: Option<u32>,
}

/// A resource of the `misc` controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MiscStats {
    /// In use.
    pub usage: u64,
    /// How often the limit was met.
    pub events: u64,
}

impl Group {
    /// What the group uses now.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        fn files(dir: Option<&Dir>) -> Option<&dyn Files> {
            dir.map(|dir| dir as &dyn Files)
        }
        if self.mode == crate::Mode::V2 {
            let Some(dir) = self.v2() else { return Ok(Stats::default()) };
            return read(&self.places, true, &|_| Some(dir));
        }
        let v2 = || self.v2().filter(|_| self.places.version("hugetlb") == Some(Version::V2));
        read(&self.places, false, &|controller| match controller {
            "hugetlb" => files(self.v1("hugetlb").or_else(v2)),
            other => files(self.v1(other)),
        })
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

/// The files of a group.
pub(crate) trait Files {
    /// The content; `None` when there is no such file.
    fn read_if_there(&self, file: &str) -> Result<Option<String>, CgroupError>;
    /// Whether it is there.
    fn has(&self, file: &str) -> bool;
    /// The names that begin with `prefix`.
    fn files(&self, prefix: &str) -> Result<Vec<String>, CgroupError>;
}

impl Files for Dir {
    fn read_if_there(&self, file: &str) -> Result<Option<String>, CgroupError> {
        Self::read_if_there(self, file)
    }

    fn has(&self, file: &str) -> bool {
        Self::has(self, file)
    }

    fn files(&self, prefix: &str) -> Result<Vec<String>, CgroupError> {
        Self::files(self, prefix)
    }
}

impl Files for BTreeMap<String, String> {
    fn read_if_there(&self, file: &str) -> Result<Option<String>, CgroupError> {
        Ok(self.get(file).cloned())
    }

    fn has(&self, file: &str) -> bool {
        self.contains_key(file)
    }

    fn files(&self, prefix: &str) -> Result<Vec<String>, CgroupError> {
        Ok(self.keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }
}

impl Stats {
    /// What the contents of a group's files say, by their names: those of cgroup v2 (`v2`), or those of all controllers
    /// of v1 together. What is not there is not counted; a line that is none is passed over.
    pub fn of_files(v2: bool, files: &BTreeMap<String, String>) -> Self {
        let controllers = ["hugetlb", "rdma"].map(str::to_owned).to_vec();
        let kinds = [Kind::V1 { controllers }];
        let places = Places::new(v2, kinds.iter().take(usize::from(!v2)), "hugetlb rdma");
        // Only the kernel's files can fail.
        read(&places, v2, &|_| Some(files)).unwrap_or_default()
    }
}

/// Reads all parts. `of` has the files of a controller.
fn read<'a>(
    places: &Places,
    v2: bool,
    of: &dyn Fn(&str) -> Option<&'a dyn Files>,
) -> Result<Stats, CgroupError> {
    let mut stats = Stats::default();
    more::read(places, of("hugetlb"), of("rdma"), &mut stats)?;
    if v2 {
        if let Some(dir) = of("") {
            v2::read(dir, &mut stats)?;
        }
        return Ok(stats);
    }
    stats.cpu = v1::cpu(of("cpuacct"), of("cpu"))?;
    if let Some(dir) = of("memory") {
        stats.memory = v1::memory(dir)?;
    }
    if let Some(dir) = of("pids") {
        stats.pids = pids(dir)?;
    }
    if let Some(dir) = of("blkio") {
        stats.io_bytes = v1::io(dir, "io_service_bytes_recursive")?;
        stats.io_operations = v1::io(dir, "io_serviced_recursive")?;
        stats.io_details = v1::io_details(dir)?;
    }
    if let Some(dir) = of("cpuset") {
        stats.cpuset = v1::cpuset(dir)?;
    }
    Ok(stats)
}

fn pids(dir: &dyn Files) -> Result<Option<PidsStats>, CgroupError> {
    let Some(current) = number(dir, "pids.current")? else { return Ok(None) };
    Ok(Some(PidsStats { current, limit: number(dir, "pids.max")? }))
}

/// A file with one number; `None` also for `max`.
fn number(dir: &dyn Files, file: &str) -> Result<Option<u64>, CgroupError> {
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

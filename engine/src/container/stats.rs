//! `docker stats`: what a container's cgroup counts, now and then.

use super::config::ContainerConfig;
use super::live::View;
use super::registry::Handle;
use crate::event::{now, time_text};
use crate::open::Engine;
use api_types::stats::{
    BlkioEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats, Stats,
    ThrottlingData,
};
use api_types::{List, Map};
use messages::task::Statistics;
use spec::{Class, Failure};
use std::sync::Arc;
use std::time::Duration;

/// The pause between two samples.
const PAUSE: Duration = Duration::from_secs(1);

/// Which samples are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatsMode {
    /// One a second until the container is removed; a container that does not run gives one and waits.
    Stream,
    /// One that holds the sample of a second before, too.
    Single,
    /// One, at once.
    OneShot,
}

/// Samples of one container.
#[derive(Debug)]
pub struct StatsStream {
    engine: Engine,
    handle: Handle,
    mode: StatsMode,
    last: Option<(CpuStats, String)>,
    given: bool,
    idle: bool,
}

impl Engine {
    /// Begins to sample a container.
    pub async fn stats(&self, name: &str, mode: StatsMode) -> Result<StatsStream, Failure> {
        let handle = self.0.containers.find(name)?;
        Ok(StatsStream {
            engine: self.clone(),
            handle,
            mode,
            last: None,
            given: false,
            idle: false,
        })
    }

    async fn sample(&self, view: &View) -> Result<Stats, Failure> {
        if !view.state.has_process() {
            return Ok(empty(&view.config));
        }
        match self.0.workers.statistics(view.config.id.clone()).await {
            Ok(counted) => {
                let networks = self.network_stats(view).await;
                Ok(Stats { networks, ..shown(&view.config, &counted) })
            }
            // It ended meanwhile.
            Err(failure) if matches!(failure.class, Class::NotFound | Class::Conflict) => {
                Ok(empty(&view.config))
            }
            Err(failure) => Err(failure),
        }
    }
}

impl Engine {
    /// What the interfaces have counted; nothing for a container without any of its own, or that ends just now.
    async fn network_stats(&self, view: &View) -> Map<NetworkStats> {
        if view.outcome.endpoints.is_empty() {
            return Map::default();
        }
        let workers = &self.0.workers;
        let counted = async {
            let sandbox = workers.open_network(view.config.id.clone()).await?;
            workers.network_statistics(sandbox).await
        };
        let Ok(counted) = counted.await else { return Map::default() };
        let shown = |one: messages::network::Counters| {
            let [rx_bytes, rx_packets, rx_errors, rx_dropped] = one.received;
            let [tx_bytes, tx_packets, tx_errors, tx_dropped] = one.sent;
            let stats = NetworkStats {
                rx_bytes,
                rx_packets,
                rx_errors,
                rx_dropped,
                tx_bytes,
                tx_packets,
                tx_errors,
                tx_dropped,
            };
            (one.interface, stats)
        };
        counted.into_iter().map(shown).collect()
    }
}

impl StatsStream {
    /// The next sample; `None` at the end. Waits between samples as long as it must.
    pub async fn next(&mut self) -> Option<Result<Stats, Failure>> {
        if self.given && self.mode != StatsMode::Stream {
            return None;
        }
        if self.given {
            tokio::time::sleep(PAUSE).await;
        }
        if self.idle {
            let mut view = self.handle.view.clone();
            view.wait_for(|view| view.state.has_process() || view.removed).await.ok()?;
        }
        let view = self.handle.view();
        if view.removed {
            return None;
        }
        self.idle = !view.state.has_process();
        if self.mode == StatsMode::Single
            && !self.idle
            && let Err(failure) = self.remember(&view).await
        {
            self.given = true;
            return Some(Err(failure));
        }
        self.given = true;
        let mut stats = match self.engine.sample(&self.handle.view()).await {
            Ok(stats) => stats,
            Err(failure) => return Some(Err(failure)),
        };
        let this = (stats.cpu_stats.clone(), stats.read.clone());
        if let Some((cpu, read)) = self.last.replace(this) {
            (stats.precpu_stats, stats.preread) = (cpu, read);
        }
        Some(Ok(stats))
    }

    async fn remember(&mut self, view: &Arc<View>) -> Result<(), Failure> {
        let first = self.engine.sample(view).await?;
        self.last = Some((first.cpu_stats, first.read));
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

fn empty(config: &ContainerConfig) -> Stats {
    Stats {
        id: config.id.to_string(),
        name: format!("/{}", config.name),
        os_type: "linux".into(),
        ..Stats::default()
    }
}

fn shown(config: &ContainerConfig, counted: &Statistics) -> Stats {
    let (periods, throttled_periods, throttled_time) = counted.cpu_throttling;
    let limit = counted.memory_limit.min(total_memory().unwrap_or(u64::MAX));
    Stats {
        read: time_text(Some(now())),
        cpu_stats: CpuStats {
            cpu_usage: CpuUsage {
                total_usage: counted.cpu_usage,
                percpu_usage: counted.cpu_per.clone(),
                usage_in_kernelmode: counted.cpu_kernel,
                usage_in_usermode: counted.cpu_user,
            },
            system_cpu_usage: system_time().unwrap_or_default(),
            online_cpus: std::thread::available_parallelism()
                .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX)),
            throttling_data: ThrottlingData { periods, throttled_periods, throttled_time },
        },
        memory_stats: MemoryStats {
            usage: counted.memory_usage,
            max_usage: counted.memory_max_usage,
            stats: counted.memory_stat.iter().cloned().collect(),
            failcnt: 0,
            limit,
        },
        pids_stats: PidsStats {
            current: counted.pids,
            limit: if counted.pids_limit == 0 { u64::MAX } else { counted.pids_limit },
        },
        blkio_stats: BlkioStats {
            io_service_bytes_recursive: entries(&counted.io_bytes),
            io_serviced_recursive: entries(&counted.io_operations),
            ..BlkioStats::default()
        },
        ..empty(config)
    }
}

fn entries(lines: &[(u32, u32, String, u64)]) -> List<BlkioEntry> {
    let entry = |(major, minor, op, value): &(u32, u32, String, u64)| BlkioEntry {
        major: u64::from(*major),
        minor: u64::from(*minor),
        op: op.clone(),
        value: *value,
    };
    if lines.is_empty() { List::default() } else { lines.iter().map(entry).collect() }
}

/// Nanoseconds of processor time of the whole host (`/proc/stat`, ticks of 10 ms).
fn system_time() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let words = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(7);
    words.map(|word| word.parse::<u64>().ok()).sum::<Option<u64>>()?.checked_mul(10_000_000)
}

/// Bytes of memory of the host.
fn total_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

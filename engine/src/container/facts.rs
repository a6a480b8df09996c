//! What the host's kernel can do, looked up once when the engine opens.

use std::collections::BTreeSet;
use std::path::Path;

/// What the host can do. What cannot be found out counts as possible: the runtime will say so if it is not.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Whether the unified hierarchy is the host's only one.
    pub cgroup_v2: bool,
    /// Processors.
    pub cpus: usize,
    /// Processors that a cpuset may name.
    pub cpuset_cpus: String,
    /// Memory nodes that a cpuset may name.
    pub cpuset_mems: String,
    /// A limit of memory.
    pub memory: bool,
    /// A limit of memory and swap together.
    pub swap: bool,
    /// A soft limit of memory.
    pub reservation: bool,
    /// Swappiness per group.
    pub swappiness: bool,
    /// Switching the OOM killer off.
    pub oom_kill_disable: bool,
    /// Shares of processor time.
    pub cpu_shares: bool,
    /// Periods and quotas of processor time.
    pub cpu_cfs: bool,
    /// Sets of processors.
    pub cpuset: bool,
    /// A limit of processes.
    pub pids: bool,
    /// Block I/O weight.
    pub blkio_weight: bool,
    /// Block I/O weight per device.
    pub blkio_weight_device: bool,
    /// Block I/O throttling.
    pub blkio_throttle: bool,
    /// The host's name.
    pub hostname: String,
}

impl Facts {
    /// A host that can do everything.
    pub fn everything() -> Self {
        Self {
            cgroup_v2: true,
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            cpuset_cpus: String::new(),
            cpuset_mems: String::new(),
            memory: true,
            swap: true,
            reservation: true,
            swappiness: true,
            oom_kill_disable: true,
            cpu_shares: true,
            cpu_cfs: true,
            cpuset: true,
            pids: true,
            blkio_weight: true,
            blkio_weight_device: true,
            blkio_throttle: true,
            hostname: "localhost".into(),
        }
    }

    /// Looks at this host.
    pub fn probe() -> Self {
        let text =
            |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
        let mut facts = Self::everything();
        if let Some(name) = text("/proc/sys/kernel/hostname") {
            facts.hostname = name;
        }
        if let Some(online) = text("/sys/devices/system/cpu/online") {
            facts.cpus = parse_list(&online).map_or(facts.cpus, |cpus| cpus.len().max(1));
            facts.cpuset_cpus = online;
        }
        facts.cpuset_mems = text("/sys/devices/system/node/online").unwrap_or_default();
        let root = Path::new("/sys/fs/cgroup");
        if root.join("cgroup.controllers").exists() {
            facts.swappiness = false;
            facts.oom_kill_disable = false;
            return facts;
        }
        facts.cgroup_v2 = false;
        if std::fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some()) {
            facts.probe_v1(root);
        }
        facts
    }

    fn probe_v1(&mut self, root: &Path) {
        let has = |controller: &str, file: &str| root.join(controller).join(file).exists();
        self.memory = has("memory", "memory.limit_in_bytes");
        self.swap = has("memory", "memory.memsw.limit_in_bytes");
        self.reservation = has("memory", "memory.soft_limit_in_bytes");
        self.swappiness = has("memory", "memory.swappiness");
        self.oom_kill_disable = has("memory", "memory.oom_control");
        self.cpu_shares = has("cpu", "cpu.shares");
        self.cpu_cfs = has("cpu", "cpu.cfs_quota_us");
        self.cpuset = has("cpuset", "cpuset.cpus");
        self.pids = root.join("pids").is_dir();
        self.blkio_weight = has("blkio", "blkio.weight");
        self.blkio_weight_device = has("blkio", "blkio.weight_device");
        self.blkio_throttle = has("blkio", "blkio.throttle.read_bps_device");
    }
}

/// Reads a list such as `0-2,5`; `None` when it is none. Numbers above 8191 are refused, as the kernel does.
pub fn parse_list(text: &str) -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    if text.is_empty() {
        return Some(numbers);
    }
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= 8191);
    for part in text.split(',') {
        match part.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last {
                    return None;
                }
                numbers.extend(first..=last);
            }
            None => {
                numbers.insert(number(part)?);
            }
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read_and_wrong_ones_refused() {
        let read = |text| parse_list(text).map(|set| set.into_iter().collect::<Vec<_>>());
        assert_eq!(read("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(read(""), Some(vec![]));
        for bad in ["a", "1-", "-", "2-1", "1,,2", "0-99999999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}

//! Files of cgroup v1 (Documentation/admin-guide/cgroup-v1).

use super::{Setting, Version, check_word, device_numbers, limit, throttles};
use crate::CgroupError;
use spec::oci::{BlockIo, Memory, Resources};

const V1: Version = Version::V1;

pub(super) fn cpu(resources: &Resources) -> Result<Vec<Setting>, CgroupError> {
    let Some(cpu) = &resources.cpu else { return Ok(Vec::new()) };
    let mut settings = Vec::new();
    let mut add = |file: &str, value: Option<String>| {
        settings.extend(value.map(|value| Setting::new("cpu", V1, file, value)));
    };
    match cpu.shares {
        // The kernel would take the nearest possible value and say nothing.
        Some(1) => return Err(limit("cpu.shares", "the minimum allowed cpu-shares is 2")),
        Some(shares) if shares > 262_144 => {
            return Err(limit("cpu.shares", "the maximum allowed cpu-shares is 262144"));
        }
        // The kernel refuses shares of a group that only runs when nobody else does.
        shares => {
            let shares = shares.filter(|shares| *shares != 0 && cpu.idle != Some(1));
            add("cpu.shares", shares.map(|shares| shares.to_string()));
        }
    }
    add(
        "cpu.cfs_period_us",
        cpu.period.filter(|period| *period != 0).map(|period| period.to_string()),
    );
    add(
        "cpu.cfs_quota_us",
        cpu.quota.filter(|quota| *quota != 0).map(|quota| quota.max(-1).to_string()),
    );
    add(
        "cpu.rt_period_us",
        cpu.realtime_period.filter(|period| *period != 0).map(|period| period.to_string()),
    );
    add(
        "cpu.rt_runtime_us",
        cpu.realtime_runtime.filter(|runtime| *runtime != 0).map(|time| time.to_string()),
    );
    add("cpu.idle", cpu.idle.map(|idle| idle.to_string()));
    // Linux 5.14.
    settings.extend(
        cpu.burst.map(|burst| Setting::new("cpu", V1, "cpu.cfs_burst_us", burst).or_skip()),
    );
    Ok(settings)
}

pub(super) fn memory(resources: &Resources) -> Result<Vec<Setting>, CgroupError> {
    let Some(memory) = &resources.memory else { return Ok(Vec::new()) };
    let set = |value: Option<i64>| value.filter(|value| *value != 0).map(|value| value.max(-1));
    let (size, swap) = (set(memory.limit), set(memory.swap));
    let mut settings = Vec::new();
    settings.extend(size.map(|size| Setting::new("memory", V1, "memory.limit_in_bytes", size)));
    match (size, swap) {
        (_, Some(swap)) => {
            settings.push(Setting::new("memory", V1, "memory.memsw.limit_in_bytes", swap))
        }
        // Memory without a limit means swap without one, where swap is counted at all.
        (Some(-1), None) => {
            settings.push(Setting::new("memory", V1, "memory.memsw.limit_in_bytes", -1).or_skip());
        }
        _ => {}
    }
    let reservation = set(memory.reservation);
    settings.extend(
        reservation.map(|size| Setting::new("memory", V1, "memory.soft_limit_in_bytes", size)),
    );
    settings.extend(kernel_memory(memory));
    if memory.disable_oom_killer == Some(true) {
        settings.push(Setting::new("memory", V1, "memory.oom_control", 1));
    }
    settings.extend(
        swappiness(memory)?.map(|value| Setting::new("memory", V1, "memory.swappiness", value)),
    );
    Ok(settings)
}

/// Kernels from 5.16 take no limit of kernel memory and say so with EOPNOTSUPP; the specification advises against both.
fn kernel_memory(memory: &Memory) -> impl Iterator<Item = Setting> {
    let one = |file: &'static str, value: Option<i64>| {
        let value = value.filter(|value| *value != 0).map(|value| value.max(-1));
        value.map(|value| Setting::new("memory", V1, file, value).or_skip())
    };
    let kernel = one("memory.kmem.limit_in_bytes", memory.kernel);
    let tcp = one("memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp);
    // A group without groups in it shares its memory with none of them anyway; kernels from 5.10 always do.
    let hierarchy = memory.use_hierarchy.filter(|on| *on);
    let hierarchy =
        hierarchy.map(|_| Setting::new("memory", V1, "memory.use_hierarchy", 1).or_skip());
    hierarchy.into_iter().chain(kernel).chain(tcp)
}

/// The swappiness that is asked for, in the bounds of the specification. -1 of clients means "unset", as an unsigned
/// number.
pub(super) fn swappiness(memory: &Memory) -> Result<Option<u64>, CgroupError> {
    match memory.swappiness.filter(|value| *value != u64::MAX) {
        Some(value) if value > 100 => {
            Err(limit("memory.swappiness", format!("{value} is not between 0 and 100")))
        }
        other => Ok(other),
    }
}

pub(super) fn block_io(io: &BlockIo) -> Result<Vec<Setting>, CgroupError> {
    let mut settings = Vec::new();
    if let Some(weight) = io.weight.filter(|weight| *weight != 0) {
        let setting = Setting::new("blkio", V1, "blkio.weight", weight);
        settings.push(setting.or_write("blkio.bfq.weight", weight));
    }
    if let Some(weight) = io.leaf_weight.filter(|weight| *weight != 0) {
        settings.push(Setting::new("blkio", V1, "blkio.leaf_weight", weight));
    }
    for device in &io.weight_device {
        let numbers = device_numbers(device.major, device.minor)?;
        if let Some(weight) = device.weight.filter(|weight| *weight != 0) {
            let value = format!("{numbers} {weight}");
            let setting = Setting::new("blkio", V1, "blkio.weight_device", &value);
            settings.push(setting.or_write("blkio.bfq.weight_device", value));
        }
        if let Some(weight) = device.leaf_weight.filter(|weight| *weight != 0) {
            settings.push(Setting::new(
                "blkio",
                V1,
                "blkio.leaf_weight_device",
                format!("{numbers} {weight}"),
            ));
        }
    }
    for (file, _, devices) in throttles(io) {
        for device in devices {
            let value = format!("{} {}", device_numbers(device.major, device.minor)?, device.rate);
            settings.push(Setting::new("blkio", V1, file, value));
        }
    }
    Ok(settings)
}

pub(super) fn net_cls(resources: &Resources) -> Vec<Setting> {
    let class =
        resources.network.as_ref().and_then(|network| network.class_id).filter(|class| *class != 0);
    class.map(|class| Setting::new("net_cls", V1, "net_cls.classid", class)).into_iter().collect()
}

pub(super) fn net_prio(resources: &Resources) -> Result<Vec<Setting>, CgroupError> {
    let mut settings = Vec::new();
    for interface in resources.network.iter().flat_map(|network| &network.priorities) {
        check_word("network.priorities.name", &interface.name)?;
        let value = format!("{} {}", interface.name, interface.priority);
        settings.push(Setting::new("net_prio", V1, "net_prio.ifpriomap", value));
    }
    Ok(settings)
}

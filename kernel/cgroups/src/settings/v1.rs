//! Files of cgroup v1 (Documentation/admin-guide/cgroup-v1).

use super::{Setting, Version, check_word, device_numbers, limit, throttles};
use crate::CgroupError;
use spec::oci::{BlockIo, Resources};

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
        shares => {
            add("cpu.shares", shares.filter(|shares| *shares != 0).map(|shares| shares.to_string()))
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
    if memory.disable_oom_killer == Some(true) {
        settings.push(Setting::new("memory", V1, "memory.oom_control", 1));
    }
    match memory.swappiness {
        // -1 of clients for "unset", as an unsigned number.
        None | Some(u64::MAX) => {}
        Some(swappiness) if swappiness <= 100 => {
            settings.push(Setting::new("memory", V1, "memory.swappiness", swappiness));
        }
        Some(swappiness) => {
            return Err(limit(
                "memory.swappiness",
                format!("{swappiness} is not between 0 and 100"),
            ));
        }
    }
    Ok(settings)
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

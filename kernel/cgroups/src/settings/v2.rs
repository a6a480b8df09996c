//! Files of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst). The specification's fields were made for v1; what they
//! mean here is what runC makes of them.

use super::{Missing, Setting, Version, device_numbers, limit, throttles};
use crate::CgroupError;
use spec::oci::{BlockIo, Resources};

const V2: Version = Version::V2;

/// Shares of v1 (2 to 262144, usually 1024) as a weight of v2 (1 to 10000, usually 100). The curve goes through all
/// three pairs; the straight line that was used until 2025 made 39 of the usual 1024, less than every service of the
/// host has.
pub fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10_f64.powf(exponent).ceil() as u64
        }
    }
}

/// A weight of v1's `blkio` (10 to 1000) as one of `io.weight` (1 to 10000).
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990
}

fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

pub(super) fn cpu(resources: &Resources) -> Result<Vec<Setting>, CgroupError> {
    let Some(cpu) = &resources.cpu else { return Ok(Vec::new()) };
    let mut settings = Vec::new();
    // Linux 5.15.
    settings.extend(cpu.idle.map(|idle| Setting::new("cpu", V2, "cpu.idle", idle)));
    // The kernel refuses a weight of a group that only runs when nobody else does.
    let shares = cpu.shares.filter(|shares| *shares != 0 && cpu.idle != Some(1));
    settings.extend(
        shares.map(|shares| Setting::new("cpu", V2, "cpu.weight", weight_of_shares(shares))),
    );
    let quota = cpu.quota.filter(|quota| *quota != 0).map(or_max);
    let period = cpu.period.filter(|period| *period != 0);
    let value = match (quota, period) {
        (Some(quota), Some(period)) => Some(format!("{quota} {period}")),
        // The kernel keeps the period when only the quota is written.
        (Some(quota), None) => Some(quota),
        (None, Some(period)) => Some(format!("max {period}")),
        (None, None) => None,
    };
    settings.extend(value.map(|value| Setting::new("cpu", V2, "cpu.max", value)));
    // Linux 5.14.
    settings.extend(cpu.burst.map(|burst| Setting::new("cpu", V2, "cpu.max.burst", burst)));
    Ok(settings)
}

pub(super) fn memory(resources: &Resources) -> Result<Vec<Setting>, CgroupError> {
    let Some(memory) = &resources.memory else { return Ok(Vec::new()) };
    let set = |value: Option<i64>| value.filter(|value| *value != 0);
    let size = set(memory.limit);
    super::v1::swappiness(memory)?;
    let mut settings = Vec::new();
    if let Some(swap) = swap_alone(size, set(memory.swap))? {
        let mut setting = Setting::new("memory", V2, "memory.swap.max", &swap);
        if swap == "0" || swap == "max" {
            // A kernel that does not count swap has none of the file.
            setting.missing = Missing::Skip;
        }
        settings.push(setting);
    }
    settings.extend(size.map(|size| Setting::new("memory", V2, "memory.max", or_max(size))));
    let reservation = set(memory.reservation);
    settings.extend(reservation.map(|size| Setting::new("memory", V2, "memory.low", or_max(size))));
    Ok(settings)
}

/// The specification limits memory and swap together, v2 limits swap alone.
fn swap_alone(size: Option<i64>, together: Option<i64>) -> Result<Option<String>, CgroupError> {
    let error = |cause: &str| Err(limit("memory.swap", cause));
    match (size, together) {
        (Some(..0), None) | (_, Some(..0)) => Ok(Some("max".to_owned())),
        (_, None) => Ok(None),
        (Some(..0), Some(together)) => Ok(Some(together.to_string())),
        (None, Some(_)) => error("a limit of swap needs a limit of memory"),
        (Some(size), Some(together)) if together < size => {
            error("the limit of memory and swap is less than that of memory")
        }
        (Some(size), Some(together)) => Ok(Some((together - size).to_string())),
    }
}

pub(super) fn block_io(io: &BlockIo) -> Result<Vec<Setting>, CgroupError> {
    let mut settings = Vec::new();
    // The BFQ scheduler has a file of its own with v1's scale.
    if let Some(weight) = io.weight.filter(|weight| *weight != 0) {
        let setting = Setting::new("io", V2, "io.bfq.weight", weight);
        settings.push(setting.or_write("io.weight", io_weight(weight)));
    }
    for device in &io.weight_device {
        let numbers = device_numbers(device.major, device.minor)?;
        if let Some(weight) = device.weight.filter(|weight| *weight != 0) {
            let setting = Setting::new("io", V2, "io.bfq.weight", format!("{numbers} {weight}"));
            settings
                .push(setting.or_write("io.weight", format!("{numbers} {}", io_weight(weight))));
        }
    }
    for (_, key, devices) in throttles(io) {
        for device in devices {
            let rate = if device.rate == 0 { "max".to_owned() } else { device.rate.to_string() };
            let value = format!("{} {key}={rate}", device_numbers(device.major, device.minor)?);
            settings.push(Setting::new("io", V2, "io.max", value));
        }
    }
    Ok(settings)
}

//! Limits of the cgroup.

use api_types::host::HostConfig;
use spec::Failure;
use spec::oci::{BlockIo, Cpu, Memory, Pids, Resources, ThrottleDevice, WeightDevice};
use std::collections::BTreeMap;

/// The period to which `--cpus` is converted: 100 milliseconds in microseconds.
const PERIOD: u64 = 100_000;

/// Numbers of block devices by their path on the host, for weights and throttles.
pub type BlockDevices = BTreeMap<String, (i64, i64)>;

/// The limits without devices. Fails for a block device that is not in `devices`.
pub fn resources(host: &HostConfig, devices: &BlockDevices) -> Result<Resources, Failure> {
    Ok(Resources {
        memory: memory(host),
        cpu: cpu(host),
        pids: host
            .pids_limit
            .map(|limit| Pids { limit: Some(if limit <= 0 { -1 } else { limit }) }),
        block_io: Some(block_io(host, devices)?),
        ..Resources::default()
    })
}

/// Paths of block devices that [`resources`] will want the numbers of.
pub fn block_devices(host: &HostConfig) -> Vec<String> {
    let throttles = [
        &host.blkio_device_read_bps,
        &host.blkio_device_write_bps,
        &host.blkio_device_read_iops,
        &host.blkio_device_write_iops,
    ];
    let mut paths: Vec<String> =
        host.blkio_weight_device.iter().map(|device| device.path.clone()).collect();
    paths.extend(
        throttles.into_iter().flat_map(|list| list.iter()).map(|device| device.path.clone()),
    );
    paths.sort();
    paths.dedup();
    paths
}

fn positive(value: i64) -> Option<i64> {
    (value > 0).then_some(value)
}

fn set(value: i64) -> Option<i64> {
    (value != 0).then_some(value)
}

fn memory(host: &HostConfig) -> Option<Memory> {
    let memory = Memory {
        limit: positive(host.memory),
        reservation: positive(host.memory_reservation),
        // -1, no limit of swap, is only said when memory is limited; a fresh group has none anyway.
        swap: set(host.memory_swap).filter(|swap| *swap > 0 || host.memory > 0),
        swappiness: host.memory_swappiness.and_then(|value| u64::try_from(value).ok()),
        disable_oom_killer: host.oom_kill_disable.filter(|disable| *disable),
        ..Memory::default()
    };
    (memory != Memory::default()).then_some(memory)
}

fn cpu(host: &HostConfig) -> Option<Cpu> {
    let mut cpu = Cpu {
        shares: u64::try_from(host.cpu_shares).ok().filter(|shares| *shares > 0),
        cpus: Some(host.cpuset_cpus.clone()).filter(|list| !list.is_empty()),
        mems: Some(host.cpuset_mems.clone()).filter(|list| !list.is_empty()),
        realtime_period: u64::try_from(host.cpu_realtime_period).ok().filter(|period| *period > 0),
        realtime_runtime: set(host.cpu_realtime_runtime),
        ..Cpu::default()
    };
    if host.nano_cpus > 0 {
        cpu.period = Some(PERIOD);
        cpu.quota = Some((i128::from(host.nano_cpus) * i128::from(PERIOD) / 1_000_000_000) as i64);
    }
    if let Some(period) = u64::try_from(host.cpu_period).ok().filter(|period| *period > 0) {
        cpu.period = Some(period);
    }
    if let Some(quota) = set(host.cpu_quota) {
        cpu.quota = Some(quota);
    }
    (cpu != Cpu::default()).then_some(cpu)
}

fn block_io(host: &HostConfig, devices: &BlockDevices) -> Result<BlockIo, Failure> {
    let number = |path: &String| {
        devices.get(path).copied().ok_or_else(|| {
            Failure::invalid(format!("block device {path}: no such device on the host"))
        })
    };
    let throttles = |list: &[api_types::host::ThrottleDevice]| {
        let one = |device: &api_types::host::ThrottleDevice| {
            let (major, minor) = number(&device.path)?;
            Ok(ThrottleDevice { major, minor, rate: device.rate })
        };
        list.iter().map(one).collect::<Result<Vec<_>, Failure>>()
    };
    let weight = |device: &api_types::host::WeightDevice| {
        let (major, minor) = number(&device.path)?;
        Ok(WeightDevice { major, minor, weight: Some(device.weight), leaf_weight: None })
    };
    Ok(BlockIo {
        weight: (host.blkio_weight != 0).then_some(host.blkio_weight),
        weight_device: host
            .blkio_weight_device
            .iter()
            .map(weight)
            .collect::<Result<Vec<_>, Failure>>()?,
        throttle_read_bps_device: throttles(&host.blkio_device_read_bps)?,
        throttle_write_bps_device: throttles(&host.blkio_device_write_bps)?,
        throttle_read_iops_device: throttles(&host.blkio_device_read_iops)?,
        throttle_write_iops_device: throttles(&host.blkio_device_write_iops)?,
        ..BlockIo::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_become_a_quota_and_nothing_stays_nothing() {
        let host = HostConfig { nano_cpus: 1_500_000_000, ..HostConfig::default() };
        let cpu = cpu(&host).unwrap();
        assert_eq!((cpu.period, cpu.quota), (Some(100_000), Some(150_000)));
        let nothing = resources(&HostConfig::default(), &BlockDevices::new()).unwrap();
        assert_eq!((nothing.memory, nothing.cpu, nothing.pids), (None, None, None));
    }

    #[test]
    fn unlimited_swap_is_said_only_with_a_limit_of_memory() {
        let host = HostConfig { memory_swap: -1, ..HostConfig::default() };
        assert_eq!(memory(&host), None);
        let host = HostConfig { memory: 1 << 30, memory_swap: -1, ..HostConfig::default() };
        assert_eq!(memory(&host).unwrap().swap, Some(-1));
    }

    #[test]
    fn throttles_need_a_device_that_exists() {
        let mut host = HostConfig::default();
        host.blkio_device_read_bps
            .push(api_types::host::ThrottleDevice { path: "/dev/sda".into(), rate: 7 });
        assert_eq!(block_devices(&host), ["/dev/sda"]);
        let devices = BlockDevices::from([("/dev/sda".to_owned(), (8, 0))]);
        let io = resources(&host, &devices).unwrap().block_io.unwrap();
        assert_eq!(io.throttle_read_bps_device, [ThrottleDevice { major: 8, minor: 0, rate: 7 }]);
        assert_eq!(
            resources(&host, &BlockDevices::new()).unwrap_err().message,
            "block device /dev/sda: no such device on the host"
        );
    }
}

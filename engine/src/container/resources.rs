//! Judging resource limits: what is wrong, and what this kernel cannot do and is left out with a warning.

use super::facts::{Facts, parse_list};
use api_types::List;
use api_types::host::HostConfig;
use spec::Failure;

/// Docker's smallest memory limit: below it the runtime itself does not fit.
const LEAST_MEMORY: i64 = 6 << 20;

fn refuse<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::invalid(text))
}

/// Checks the limits in `host` and takes those out that the kernel lacks. `update` is whether a container exists
/// already that keeps what is not set.
pub fn check(host: &mut HostConfig, facts: &Facts, update: bool) -> Result<Vec<String>, Failure> {
    let mut warnings = Vec::new();
    check_memory(host, facts, update, &mut warnings)?;
    check_cpu(host, facts, &mut warnings)?;
    check_cpuset(host, facts, &mut warnings)?;
    check_blkio(host, facts, &mut warnings)?;
    Ok(warnings)
}

fn check_memory(
    host: &mut HostConfig,
    facts: &Facts,
    update: bool,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    if host.memory_swappiness == Some(-1) {
        host.memory_swappiness = None;
    }
    if host.memory != 0 && host.memory < LEAST_MEMORY {
        return refuse("Minimum memory limit allowed is 6MB");
    }
    if host.memory > 0 && !facts.memory {
        warnings.push("Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.".into());
        host.memory = 0;
        host.memory_swap = -1;
    }
    if host.memory > 0 && host.memory_swap != -1 && !facts.swap {
        warnings.push("Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.".into());
        host.memory_swap = -1;
    }
    if host.memory > 0 && host.memory_swap > 0 && host.memory_swap < host.memory {
        return refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if host.memory == 0 && host.memory_swap > 0 && !update {
        return refuse(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if host.memory_swappiness.is_some() && !facts.swappiness {
        warnings.push("Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.".into());
        host.memory_swappiness = None;
    }
    if let Some(swappiness) = host.memory_swappiness.filter(|value| !(0..=100).contains(value)) {
        return refuse(format!(
            "Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        ));
    }
    if host.memory_reservation > 0 && !facts.reservation {
        warnings.push("Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.".into());
        host.memory_reservation = 0;
    }
    if host.memory_reservation > 0 && host.memory_reservation < LEAST_MEMORY {
        return refuse("Minimum memory reservation allowed is 6MB");
    }
    if host.memory > 0 && host.memory < host.memory_reservation {
        return refuse(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    check_oom_and_pids(host, facts, warnings);
    Ok(())
}

fn check_oom_and_pids(host: &mut HostConfig, facts: &Facts, warnings: &mut Vec<String>) {
    if host.oom_kill_disable.is_some() && !facts.oom_kill_disable {
        if host.oom_kill_disable == Some(true) {
            warnings.push(
                "Your kernel does not support OomKillDisable. OomKillDisable discarded.".into(),
            );
        }
        host.oom_kill_disable = None;
    }
    if host.oom_kill_disable == Some(true) && host.memory == 0 {
        warnings.push("OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.".into());
    }
    if host.pids_limit.is_some() && !facts.pids {
        if host.pids_limit.is_some_and(|limit| limit > 0) {
            warnings.push("Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.".into());
        }
        host.pids_limit = None;
    }
}

fn check_cpu(
    host: &mut HostConfig,
    facts: &Facts,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    if host.nano_cpus > 0 && host.cpu_period > 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if host.nano_cpus > 0 && host.cpu_quota > 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    if host.nano_cpus > 0 && !facts.cpu_cfs {
        return refuse(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
        );
    }
    let cpus = facts.cpus as i64;
    if host.nano_cpus < 0 || host.nano_cpus > cpus.saturating_mul(1_000_000_000) {
        return refuse(format!(
            "Range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
        ));
    }
    if host.cpu_shares < 0 {
        return refuse(format!(
            "invalid CPU shares ({}): value must be a positive integer",
            host.cpu_shares
        ));
    }
    if host.cpu_shares > 0 && !facts.cpu_shares {
        warnings.push("Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.".into());
        host.cpu_shares = 0;
    }
    if (host.cpu_period != 0 || host.cpu_quota != 0) && !facts.cpu_cfs {
        warnings.push(
            "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.".into(),
        );
        host.cpu_period = 0;
        host.cpu_quota = 0;
    }
    if host.cpu_period != 0 && !(1_000..=1_000_000).contains(&host.cpu_period) {
        return refuse(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if host.cpu_quota > 0 && host.cpu_quota < 1_000 {
        return refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    if host.cpu_percent > 0 {
        warnings.push("linux does not support CPU percent. Percent discarded.".into());
        host.cpu_percent = 0;
    }
    Ok(())
}

fn check_cpuset(
    host: &mut HostConfig,
    facts: &Facts,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let asked = !host.cpuset_cpus.is_empty() || !host.cpuset_mems.is_empty();
    if asked && !facts.cpuset {
        warnings.push(
            "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded."
                .into(),
        );
        host.cpuset_cpus.clear();
        host.cpuset_mems.clear();
    }
    let available = |wanted: &str, have: &str| -> Option<bool> {
        let wanted = parse_list(wanted)?;
        Some(have.is_empty() || parse_list(have).is_none_or(|have| wanted.is_subset(&have)))
    };
    match available(&host.cpuset_cpus, &facts.cpuset_cpus) {
        None => {
            return refuse(format!(
                "Invalid value {text} for cpuset cpus: invalid format: {text}",
                text = host.cpuset_cpus
            ));
        }
        Some(false) => {
            return refuse(format!(
                "Requested CPUs are not available - requested {}, available: {}",
                host.cpuset_cpus, facts.cpuset_cpus
            ));
        }
        Some(true) => {}
    }
    match available(&host.cpuset_mems, &facts.cpuset_mems) {
        None => refuse(format!(
            "Invalid value {text} for cpuset mems: invalid format: {text}",
            text = host.cpuset_mems
        )),
        Some(false) => refuse(format!(
            "Requested memory nodes are not available - requested {}, available: {}",
            host.cpuset_mems, facts.cpuset_mems
        )),
        Some(true) => Ok(()),
    }
}

fn check_blkio(
    host: &mut HostConfig,
    facts: &Facts,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    if host.blkio_weight > 0 && !facts.blkio_weight {
        warnings.push("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.".into());
        host.blkio_weight = 0;
    }
    if host.blkio_weight > 0 && !(10..=1000).contains(&host.blkio_weight) {
        return refuse("Range of blkio weight is from 10 to 1000");
    }
    if host.io_maximum_bandwidth != 0 || host.io_maximum_iops != 0 {
        return refuse(
            "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
        );
    }
    if !host.blkio_weight_device.is_empty() && !facts.blkio_weight_device {
        warnings.push("Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.".into());
        host.blkio_weight_device = List::empty();
    }
    let lists = [
        (&mut host.blkio_device_read_bps, "BPS Block I/O read limit", "Block I/O BPS read limit"),
        (
            &mut host.blkio_device_write_bps,
            "BPS Block I/O write limit",
            "Block I/O BPS write limit",
        ),
        (&mut host.blkio_device_read_iops, "IOPS Block read limit", "Block I/O IOPS read limit"),
        (&mut host.blkio_device_write_iops, "IOPS Block write limit", "Block I/O IOPS write limit"),
    ];
    for (list, what, short) in lists {
        if !list.is_empty() && !facts.blkio_throttle {
            warnings.push(format!(
                "Your kernel does not support {what} or the cgroup is not mounted. {short} discarded."
            ));
            *list = List::empty();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts { cpus: 2, cpuset_cpus: "0-1".into(), cpuset_mems: "0".into(), ..Facts::everything() }
    }

    fn refusal(change: impl FnOnce(&mut HostConfig)) -> String {
        let mut host = HostConfig::default();
        change(&mut host);
        check(&mut host, &facts(), false).unwrap_err().message
    }

    #[test]
    fn wrong_limits_are_refused_in_dockers_words() {
        assert_eq!(refusal(|host| host.memory = 1 << 20), "Minimum memory limit allowed is 6MB");
        assert_eq!(
            refusal(|host| host.memory_swap = 1 << 30),
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        );
        assert_eq!(
            refusal(|host| (host.memory, host.memory_swap) = (64 << 20, 32 << 20)),
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        );
        assert_eq!(
            refusal(|host| host.nano_cpus = 3_000_000_000),
            "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"
        );
        assert_eq!(
            refusal(|host| host.cpuset_cpus = "0,7".into()),
            "Requested CPUs are not available - requested 0,7, available: 0-1"
        );
        assert_eq!(
            refusal(|host| host.cpuset_mems = "x".into()),
            "Invalid value x for cpuset mems: invalid format: x"
        );
        assert_eq!(
            refusal(|host| host.blkio_weight = 5),
            "Range of blkio weight is from 10 to 1000"
        );
        assert_eq!(
            refusal(|host| host.memory_swappiness = Some(101)),
            "Invalid value: 101, valid memory swappiness range is 0-100"
        );
        assert_eq!(
            refusal(|host| host.cpu_quota = 10),
            "CPU cfs quota can not be less than 1ms (i.e. 1000)"
        );
    }

    #[test]
    fn what_the_kernel_lacks_is_left_out_with_a_warning() {
        let facts =
            Facts { swap: false, blkio_throttle: false, oom_kill_disable: false, ..facts() };
        let mut host =
            HostConfig { memory: 64 << 20, oom_kill_disable: Some(false), ..HostConfig::default() };
        host.blkio_device_read_bps
            .push(api_types::host::ThrottleDevice { path: "/dev/sda".into(), rate: 1 });
        let warnings = check(&mut host, &facts, false).unwrap();
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].ends_with("Memory limited without swap."));
        assert_eq!(
            warnings[1],
            "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded."
        );
        assert_eq!((host.memory_swap, host.oom_kill_disable), (-1, None));
        assert!(host.blkio_device_read_bps.is_empty());
    }

    #[test]
    fn the_clients_sentinels_mean_unset() {
        let mut host = HostConfig { memory_swappiness: Some(-1), ..HostConfig::default() };
        assert!(check(&mut host, &facts(), false).unwrap().is_empty());
        assert_eq!(host.memory_swappiness, None);
    }
}

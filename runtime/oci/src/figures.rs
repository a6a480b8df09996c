//! What a group uses, in runc's form (`types/events.go`): a limit that is none is the largest number.

use cgroups::{
    CpusetStats, IoEntry, MemoryPart, MemoryStats, MiscStats, Pressure, RdmaStats, Stall, Stats,
};
use serde_json::{Map, Value, json};

/// All of it.
pub(crate) fn data(stats: &Stats) -> Value {
    let mut all = json!({
        "cpu": cpu(stats),
        "cpuset": stats.cpuset.as_ref().map_or_else(|| json!({}), cpuset),
        "memory": stats.memory.as_ref().map_or_else(|| json!({}), memory),
        "pids": pids(stats),
        "blkio": blkio(stats),
        "hugetlb": hugetlb(stats),
        "intel_rdt": {},
        "network_interfaces": null,
    });
    pressure(&mut all["cpu"], stats.cpu_pressure);
    pressure(&mut all["memory"], stats.memory_pressure);
    pressure(&mut all["blkio"], stats.io_pressure);
    if !stats.rdma.is_empty() {
        all["rdma"] =
            stats.rdma.iter().map(|(name, device)| (name.clone(), rdma(device))).collect();
    }
    if !stats.misc.is_empty() {
        let one =
            |MiscStats { usage, events }: &MiscStats| json!({ "usage": usage, "events": events });
        all["misc"] = stats.misc.iter().map(|(name, part)| (name.clone(), one(part))).collect();
    }
    all
}

fn cpu(stats: &Stats) -> Value {
    let cpu = stats.cpu.clone().unwrap_or_default();
    json!({
        "usage": {
            "total": cpu.total, "percpu": cpu.per_cpu, "percpu_kernel": cpu.per_cpu_kernel,
            "percpu_user": cpu.per_cpu_user, "kernel": cpu.kernel, "user": cpu.user,
        },
        "throttling": {
            "periods": cpu.periods,
            "throttledPeriods": cpu.throttled_periods,
            "throttledTime": cpu.throttled,
        },
        "burst": { "burstsPeriods": cpu.burst_periods, "burstTime": cpu.burst },
    })
}

fn cpuset(cpuset: &CpusetStats) -> Value {
    json!({
        "cpus": cpuset.cpus,
        "cpu_exclusive": cpuset.cpu_exclusive,
        "mems": cpuset.mems,
        "mem_hardwall": cpuset.mem_hardwall,
        "mem_exclusive": cpuset.mem_exclusive,
        "memory_migrate": cpuset.memory_migrate,
        "memory_spread_page": cpuset.memory_spread_page,
        "memory_spread_slab": cpuset.memory_spread_slab,
        "memory_pressure": cpuset.memory_pressure,
        "sched_load_balance": cpuset.sched_load_balance,
        "sched_relax_domain_level": cpuset.sched_relax_domain_level,
    })
}

fn memory(memory: &MemoryStats) -> Value {
    let detail = |name: &str| memory.details.get(name).copied().unwrap_or(0);
    let all = MemoryPart {
        usage: memory.usage,
        max_usage: memory.max_usage,
        limit: memory.limit,
        failures: memory.failures,
    };
    let kernel = MemoryPart { usage: detail("kernel"), ..MemoryPart::default() };
    json!({
        "cache": detail("cache").max(detail("file")),
        "usage": part(&all),
        "swap": part(&memory.with_swap.unwrap_or_default()),
        "kernel": part(&memory.kernel.unwrap_or(kernel)),
        "kernelTCP": part(&memory.kernel_tcp.unwrap_or_default()),
        "raw": memory.details,
    })
}

fn part(part: &MemoryPart) -> Value {
    json!({
        "limit": part.limit.unwrap_or(u64::MAX),
        "usage": part.usage,
        "max": part.max_usage,
        "failcnt": part.failures,
    })
}

fn pids(stats: &Stats) -> Value {
    let pids = stats.pids.unwrap_or_default();
    let mut value = Map::new();
    value.insert("current".to_owned(), pids.current.into());
    if let Some(limit) = pids.limit {
        value.insert("limit".to_owned(), limit.into());
    }
    Value::Object(value)
}

fn blkio(stats: &Stats) -> Value {
    let more = &stats.io_details;
    let mut value = json!({
        "ioServiceBytesRecursive": io(&stats.io_bytes),
        "ioServicedRecursive": io(&stats.io_operations),
    });
    for (name, table) in [
        ("ioQueueRecursive", &more.queued),
        ("ioServiceTimeRecursive", &more.service_time),
        ("ioWaitTimeRecursive", &more.wait_time),
        ("ioMergedRecursive", &more.merged),
        ("ioTimeRecursive", &more.time),
        ("sectorsRecursive", &more.sectors),
        ("ioCostUsage", &more.cost_usage),
        ("ioCostWait", &more.cost_wait),
        ("ioCostIndebt", &more.cost_debt),
        ("ioCostIndelay", &more.cost_delay),
    ] {
        if !table.is_empty() {
            value[name] = io(table);
        }
    }
    value
}

fn io(entries: &[IoEntry]) -> Value {
    entries
        .iter()
        .map(|IoEntry { major, minor, operation, value }| {
            let mut name = operation.clone();
            if let Some(first) = name.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            json!({ "major": major, "minor": minor, "op": name, "value": value })
        })
        .collect()
}

fn hugetlb(stats: &Stats) -> Value {
    let pages = stats.hugetlb.iter().map(|(size, pages)| {
        let value =
            json!({ "usage": pages.usage, "max": pages.max_usage, "failcnt": pages.failures });
        (size.clone(), value)
    });
    Value::Object(pages.collect())
}

fn rdma(device: &RdmaStats) -> Value {
    json!({
        "hcaHandles": device.handles,
        "hcaObjects": device.objects,
        "hcaHandlesLimit": device.handles_limit,
        "hcaObjectsLimit": device.objects_limit,
    })
}

/// Shares are percents with two digits.
fn pressure(part: &mut Value, pressure: Option<Pressure>) {
    let Some(Pressure { some, full }) = pressure else { return };
    let percents = |hundredths: u32| f64::from(hundredths) / 100.0;
    let stall = |stall: Stall| {
        json!({
            "avg10": percents(stall.average_10),
            "avg60": percents(stall.average_60),
            "avg300": percents(stall.average_300),
            "total": stall.total,
        })
    };
    part["psi"] = json!({ "some": stall(some), "full": stall(full) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_names_of_runc() {
        let files = [
            ("cpu.stat", "usage_usec 5\nnr_periods 2\n"),
            ("cpu.pressure", "some avg10=1.25 avg60=0.00 avg300=0.00 total=9\n"),
            ("memory.current", "100\n"),
            ("memory.max", "max\n"),
            ("memory.stat", "file 7\nkernel 3\n"),
            ("memory.swap.current", "20\n"),
            ("memory.swap.max", "max\n"),
            ("pids.current", "4\n"),
            ("pids.max", "9\n"),
            ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4\n"),
            ("hugetlb.2MB.max", "max\n"),
            ("hugetlb.2MB.current", "2097152\n"),
            ("rdma.current", "mlx5_0 hca_handle=2 hca_object=3\n"),
            ("misc.current", "sev 1\n"),
        ];
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let data = data(&Stats::of_files(true, &files));
        assert_eq!(data["cpu"]["usage"]["total"], 5000);
        assert_eq!(data["cpu"]["psi"]["some"]["avg10"], 1.25);
        assert_eq!(data["memory"]["usage"]["limit"], u64::MAX);
        assert_eq!(data["memory"]["swap"]["usage"], 120);
        assert_eq!(
            (&data["memory"]["cache"], &data["memory"]["kernel"]["usage"]),
            (&json!(7), &json!(3))
        );
        assert_eq!(data["pids"], json!({"current": 4, "limit": 9}));
        assert_eq!(
            data["blkio"]["ioServiceBytesRecursive"][1],
            json!({"major": 8, "minor": 0, "op": "Write", "value": 2})
        );
        assert_eq!(data["hugetlb"]["2MB"]["usage"], 2_097_152);
        assert_eq!(data["rdma"]["mlx5_0"]["hcaHandles"], 2);
        assert_eq!(data["misc"]["sev"]["usage"], 1);
    }
}

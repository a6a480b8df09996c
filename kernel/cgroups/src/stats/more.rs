//! Controllers of which the files are nearly the same on v1 and v2: huge pages, RDMA.

use super::Files;
use super::{HugetlbStats, RdmaStats, Stats, number, pairs};
use crate::CgroupError;
use crate::places::Places;
use std::collections::BTreeMap;

/// Reads what of these the group has.
pub(super) fn read(
    places: &Places,
    hugetlb: Option<&dyn Files>,
    rdma: Option<&dyn Files>,
    stats: &mut Stats,
) -> Result<(), CgroupError> {
    if let Some(hugetlb) = hugetlb.filter(|_| places.version("hugetlb").is_some()) {
        for name in hugetlb.files("hugetlb.")? {
            let Some((size, file)) =
                name.strip_prefix("hugetlb.").and_then(|name| name.split_once('.'))
            else {
                continue;
            };
            if matches!(file, "max" | "limit_in_bytes") {
                stats.hugetlb.insert(size.to_owned(), pages(hugetlb, size)?);
            }
        }
    }
    if let Some(rdma) = rdma.filter(|_| places.version("rdma").is_some()) {
        stats.rdma = devices(rdma)?;
    }
    Ok(())
}

fn pages(dir: &dyn Files, size: &str) -> Result<HugetlbStats, CgroupError> {
    let file = |file: &str| number(dir, &format!("hugetlb.{size}.{file}"));
    // Reservations (Linux 5.7) are what the limit is held by.
    let either = |reserved: &str, used: &str| Ok(file(reserved)?.or(file(used)?).unwrap_or(0));
    if dir.has(&format!("hugetlb.{size}.max")) {
        let events = dir.read_if_there(&format!("hugetlb.{size}.events"))?.unwrap_or_default();
        return Ok(HugetlbStats {
            usage: either("rsvd.current", "current")?,
            max_usage: 0,
            failures: pairs(&events).get("max").copied().unwrap_or(0),
        });
    }
    Ok(HugetlbStats {
        usage: either("rsvd.usage_in_bytes", "usage_in_bytes")?,
        max_usage: either("rsvd.max_usage_in_bytes", "max_usage_in_bytes")?,
        failures: either("rsvd.failcnt", "failcnt")?,
    })
}

/// Lines as `mlx4_0 hca_handle=2 hca_object=2000`; a limit may be `max`.
fn devices(dir: &dyn Files) -> Result<BTreeMap<String, RdmaStats>, CgroupError> {
    let mut devices: BTreeMap<String, RdmaStats> = BTreeMap::new();
    for (file, limits) in [("rdma.current", false), ("rdma.max", true)] {
        for line in dir.read_if_there(file)?.unwrap_or_default().lines() {
            let mut fields = line.split_whitespace();
            let Some(name) = fields.next() else { continue };
            let stats = devices.entry(name.to_owned()).or_default();
            for (key, value) in fields.filter_map(|field| field.split_once('=')) {
                let value: Option<u32> = value.parse().ok();
                match (key, limits) {
                    ("hca_handle", false) => stats.handles = value.unwrap_or(0),
                    ("hca_object", false) => stats.objects = value.unwrap_or(0),
                    ("hca_handle", true) => stats.handles_limit = value,
                    ("hca_object", true) => stats.objects_limit = value,
                    _ => {}
                }
            }
        }
    }
    Ok(devices)
}

//! Limits as writes to files. Pure: which file gets which text is decided here, before anything is written.

mod v1;
mod v2;

use crate::CgroupError;
use spec::oci::{BlockIo, Resources, ThrottleDevice};
use std::borrow::Cow;

pub use v2::weight_of_shares;

/// The version of the hierarchy in which a controller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// What happens when the kernel does not have the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The limit cannot be set: an error.
    Refuse,
    /// The kernel does already what is asked, or the file is new and the limit a refinement.
    Skip,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) controller: Cow<'static, str>,
    pub(crate) version: Version,
    pub(crate) file: String,
    pub(crate) value: String,
    pub(crate) missing: Missing,
    /// What is written when `file` is missing: another file, and the text for it.
    pub(crate) instead: Option<(String, String)>,
}

impl Setting {
    fn new(
        controller: impl Into<Cow<'static, str>>,
        version: Version,
        file: impl Into<String>,
        value: impl ToString,
    ) -> Self {
        Self {
            controller: controller.into(),
            version,
            file: file.into(),
            value: value.to_string(),
            missing: Missing::Refuse,
            instead: None,
        }
    }

    fn or_skip(mut self) -> Self {
        self.missing = Missing::Skip;
        self
    }

    fn or_write(mut self, file: &str, value: impl ToString) -> Self {
        self.instead = Some((file.to_owned(), value.to_string()));
        self
    }
}

/// The writes for `resources` but for devices, which are not plain writes. `version` says in which hierarchy a
/// controller is; a limit without its controller is an error about `group`.
pub(crate) fn plan(
    group: &str,
    resources: &Resources,
    version: &dyn Fn(&str) -> Option<Version>,
) -> Result<Vec<Setting>, CgroupError> {
    // Where v2 is all there is, devices are filtered by it.
    let v2_only = version("devices") == Some(Version::V2);
    let mut settings = Vec::new();
    for (controller, plan) in PLANS {
        // blkio is called io on v2.
        let place = match (version(controller), *controller) {
            (None, "blkio") => version("io"),
            (place, _) => place,
        };
        let planned =
            plan(resources, place.unwrap_or(if v2_only { Version::V2 } else { Version::V1 }))?;
        match (planned.first(), place) {
            (Some(first), None) => {
                return Err(CgroupError::NoController {
                    group: group.to_owned(),
                    file: first.file.clone(),
                    controller: (*controller).to_owned(),
                });
            }
            _ => settings.extend(planned),
        }
    }
    for setting in v1::net_cls(resources).into_iter().chain(v1::net_prio(resources)?) {
        // v2 has no marks of packets, and nothing takes their place: a bundle that is made for both is not refused.
        match version(&setting.controller) {
            Some(_) => settings.push(setting),
            None if v2_only => {}
            None => return Err(missing(group, &setting)),
        }
    }
    for setting in unified(resources, v2_only)? {
        // What every group has belongs to no controller.
        if setting.controller != "cgroup" && version(&setting.controller).is_none() {
            return Err(missing(group, &setting));
        }
        settings.push(setting);
    }
    Ok(settings)
}

fn missing(group: &str, setting: &Setting) -> CgroupError {
    CgroupError::NoController {
        group: group.to_owned(),
        file: setting.file.clone(),
        controller: setting.controller.to_string(),
    }
}

type Plan = fn(&Resources, Version) -> Result<Vec<Setting>, CgroupError>;

/// The controllers, in the order in which they are written.
const PLANS: &[(&str, Plan)] = &[
    ("cpuset", cpuset),
    ("cpu", |resources, version| match version {
        Version::V1 => v1::cpu(resources),
        Version::V2 => v2::cpu(resources),
    }),
    ("memory", |resources, version| match version {
        Version::V1 => v1::memory(resources),
        Version::V2 => v2::memory(resources),
    }),
    ("pids", pids),
    ("blkio", |resources, version| {
        let Some(io) = &resources.block_io else { return Ok(Vec::new()) };
        check_weight("blockIO.weight", io.weight)?;
        for device in &io.weight_device {
            check_weight("blockIO.weightDevice", device.weight)?;
        }
        match version {
            Version::V1 => v1::block_io(io),
            Version::V2 => v2::block_io(io),
        }
    }),
    ("hugetlb", hugetlb),
    ("rdma", rdma),
];

fn limit(field: &'static str, cause: impl Into<String>) -> CgroupError {
    CgroupError::Limit { field, cause: cause.into() }
}

/// A list as `0-3,7`, which both versions take.
fn check_list(field: &'static str, list: &str) -> Result<(), CgroupError> {
    let good = |byte: u8| byte.is_ascii_digit() || matches!(byte, b',' | b'-');
    if list.len() <= 4096 && list.bytes().all(good) {
        Ok(())
    } else {
        Err(limit(
            field,
            format!("{:?} is not a list of numbers and ranges", list.get(..40).unwrap_or(list)),
        ))
    }
}

fn cpuset(resources: &Resources, version: Version) -> Result<Vec<Setting>, CgroupError> {
    let Some(cpu) = &resources.cpu else { return Ok(Vec::new()) };
    let mut settings = Vec::new();
    for (field, file, list) in
        [("cpu.cpus", "cpuset.cpus", &cpu.cpus), ("cpu.mems", "cpuset.mems", &cpu.mems)]
    {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            check_list(field, list)?;
            settings.push(Setting::new("cpuset", version, file, list));
        }
    }
    Ok(settings)
}

fn pids(resources: &Resources, version: Version) -> Result<Vec<Setting>, CgroupError> {
    let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) else {
        return Ok(Vec::new());
    };
    let value = match limit {
        ..0 => "max".to_owned(),
        // The first process is counted when it is made in its group. systemd does not take 0 either.
        0 => "1".to_owned(),
        _ => limit.to_string(),
    };
    Ok(vec![Setting::new("pids", version, "pids.max", value)])
}

fn hugetlb(resources: &Resources, version: Version) -> Result<Vec<Setting>, CgroupError> {
    let mut settings = Vec::new();
    for hugepage in &resources.hugepage_limits {
        let size = &hugepage.page_size;
        if !(1..=16).contains(&size.len()) || !size.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(limit("hugepageLimits.pageSize", "must be a size as 2MB or 1GB"));
        }
        // The second file limits reservations (Linux 5.7); without it a reservation beyond the limit ends the process
        // with SIGBUS at its first use.
        let (file, reserved) = match version {
            Version::V1 => ("limit_in_bytes", "rsvd.limit_in_bytes"),
            Version::V2 => ("max", "rsvd.max"),
        };
        settings.push(Setting::new(
            "hugetlb",
            version,
            format!("hugetlb.{size}.{file}"),
            hugepage.limit,
        ));
        settings.push(
            Setting::new("hugetlb", version, format!("hugetlb.{size}.{reserved}"), hugepage.limit)
                .or_skip(),
        );
    }
    Ok(settings)
}

fn rdma(resources: &Resources, version: Version) -> Result<Vec<Setting>, CgroupError> {
    let mut settings = Vec::new();
    for (device, limits) in &resources.rdma {
        check_word("rdma", device)?;
        let text =
            |number: Option<u32>| number.map_or("max".to_owned(), |number| number.to_string());
        let (handles, objects) = (text(limits.hca_handles), text(limits.hca_objects));
        let value = format!("{device} hca_handle={handles} hca_object={objects}");
        settings.push(Setting::new("rdma", version, "rdma.max", value));
    }
    Ok(settings)
}

/// A device or interface name: no space, which would make two fields of it.
fn check_word(field: &'static str, word: &str) -> Result<(), CgroupError> {
    if (1..=64).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(limit(
            field,
            format!("{:?} is not a device name", word.chars().take(40).collect::<String>()),
        ))
    }
}

/// The kernel takes 10 to 1000; 0 means unset.
fn check_weight(field: &'static str, weight: Option<u16>) -> Result<(), CgroupError> {
    match weight {
        None | Some(0 | 10..=1000) => Ok(()),
        Some(weight) => Err(limit(field, format!("{weight} is not between 10 and 1000"))),
    }
}

/// The four lists of throttles, each with its v1 file and its key in v2's `io.max`.
fn throttles(io: &BlockIo) -> [(&'static str, &'static str, &[ThrottleDevice]); 4] {
    [
        ("blkio.throttle.read_bps_device", "rbps", &io.throttle_read_bps_device),
        ("blkio.throttle.write_bps_device", "wbps", &io.throttle_write_bps_device),
        ("blkio.throttle.read_iops_device", "riops", &io.throttle_read_iops_device),
        ("blkio.throttle.write_iops_device", "wiops", &io.throttle_write_iops_device),
    ]
}

/// Device numbers as `8:0`.
fn device_numbers(major: i64, minor: i64) -> Result<String, CgroupError> {
    match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) => Ok(format!("{major}:{minor}")),
        _ => Err(limit("blockIO", format!("{major}:{minor} are not device numbers"))),
    }
}

/// Files that every group of v2 has and that limit it. Those through which processes come, go, stand still and end, and
/// what decides who may make groups, are not limits.
const COMMON: [&str; 3] = ["cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure"];

/// Files of v2 by their names. The administrator's own words: the kernel judges the values.
fn unified(resources: &Resources, v2_only: bool) -> Result<Vec<Setting>, CgroupError> {
    let mut settings = Vec::new();
    for (file, value) in &resources.unified {
        if !v2_only {
            return Err(limit("unified", "needs a host with cgroup v2 only"));
        }
        let short = file.chars().take(40).collect::<String>();
        if file.contains('/') {
            return Err(limit(
                "unified",
                format!("{short:?} is not a file's name: it has a slash"),
            ));
        }
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let controller = file.split_once('.').map_or("", |(controller, _)| controller);
        let forbidden = controller == "cgroup" && !COMMON.contains(&file.as_str());
        if file.len() > 64 || !file.bytes().all(safe) || controller.is_empty() || forbidden {
            return Err(limit("unified", format!("{short:?} is not a controller's file")));
        }
        if value.len() > 4096 {
            let cause = format!("{file}: {} bytes, at most 4096 are written", value.len());
            return Err(limit("unified", cause));
        }
        // One line is one write: files with a line per device take one device at a time.
        settings.extend(
            value
                .lines()
                .map(|line| Setting::new(controller.to_owned(), Version::V2, file.clone(), line)),
        );
    }
    Ok(settings)
}

#[cfg(test)]
mod tests;

//! Limits as properties of a unit (systemd.resource-control(5)). Pure.
//!
//! The manager writes what it knows of a group whenever it reads its configuration anew: a limit that it was not told
//! would then be gone. What it has no property for is written to the files alone; the scope is delegated, so that the
//! manager leaves those.

use crate::error::SystemdError;
use crate::wire::Value;
use cgroups::Mode;
use spec::oci::{Cpu, Memory, Resources};

/// The kernel's and the manager's default period of a quota, in microseconds.
const PERIOD: u64 = 100_000;
/// The manager counts a quota in percent of a processor: hundredths of a second per second.
const PERCENT: u64 = 10_000;
/// The highest number of a processor or memory node.
const MAX_BIT: usize = 8191;

/// A property of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

impl Property {
    /// A property.
    pub fn new(name: impl Into<String>, value: Value) -> Self {
        Self { name: name.into(), value }
    }

    /// As the manager's methods take it.
    pub(crate) fn pair(&self) -> Value {
        Value::Struct(vec![Value::text(&self.name), Value::Variant(Box::new(self.value.clone()))])
    }
}

/// What the manager is told of `resources`, and the resources to write to the files afterwards: a quota is rounded up as
/// the manager rounds it, so that both agree. `version` is the manager's.
pub fn properties(
    resources: &Resources,
    mode: Mode,
    version: u32,
    device_table: &str,
) -> Result<(Vec<Property>, Resources), SystemdError> {
    let mut rounded = resources.clone();
    let mut all = crate::devices::properties(&resources.devices, device_table)?;
    if let Some(memory) = &resources.memory {
        all.extend(memory_properties(memory, mode));
    }
    if let Some(cpu) = &mut rounded.cpu {
        all.extend(cpu_properties(cpu, mode, version));
        all.extend(quota(cpu, version));
        for (name, field, list) in [
            ("AllowedCPUs", "linux.resources.cpu.cpus", &cpu.cpus),
            ("AllowedMemoryNodes", "linux.resources.cpu.mems", &cpu.mems),
        ] {
            if let Some(list) = list.as_deref().filter(|list| !list.is_empty() && version >= 244) {
                all.push(Property::new(name, bits(field, list)?));
            }
        }
    }
    if let Some(limit) = resources.pids.and_then(|pids| pids.limit) {
        all.push(Property::new("TasksMax", Value::U64(tasks(limit))));
    }
    if mode != Mode::V2 {
        let weight = resources.block_io.as_ref().and_then(|io| io.weight);
        let weight = weight.filter(|weight| *weight != 0);
        all.extend(weight.map(|weight| Property::new("BlockIOWeight", Value::U64(weight.into()))));
    }
    for (file, value) in &resources.unified {
        all.extend(unified(file, value.trim(), version)?);
    }
    Ok((all, rounded))
}

/// The manager takes no 0; the largest number is "infinity".
fn tasks(limit: i64) -> u64 {
    if limit < 0 { u64::MAX } else { limit.max(1).cast_unsigned() }
}

fn or_infinity(bytes: i64) -> Value {
    Value::U64(if bytes < 0 { u64::MAX } else { bytes.cast_unsigned() })
}

fn memory_properties(memory: &Memory, mode: Mode) -> Vec<Property> {
    let set = |value: Option<i64>| value.filter(|value| *value != 0);
    let mut all = Vec::new();
    let limit = set(memory.limit);
    if mode != Mode::V2 {
        all.extend(limit.map(|limit| Property::new("MemoryLimit", or_infinity(limit))));
        return all;
    }
    all.extend(limit.map(|limit| Property::new("MemoryMax", or_infinity(limit))));
    let low = set(memory.reservation);
    all.extend(low.map(|low| Property::new("MemoryLow", or_infinity(low))));
    // What contradicts itself here is refused, with its field, when the files are written.
    let swap = match (limit, set(memory.swap)) {
        (Some(..0), None) | (_, Some(..0)) => Some(-1),
        (Some(..0), Some(swap)) => Some(swap),
        (Some(limit), Some(swap)) if swap >= limit => Some(swap - limit),
        _ => None,
    };
    all.extend(swap.map(|swap| Property::new("MemorySwapMax", or_infinity(swap))));
    all
}

fn cpu_properties(cpu: &Cpu, mode: Mode, version: u32) -> Option<Property> {
    let shares = cpu.shares.filter(|shares| *shares != 0);
    if mode != Mode::V2 {
        return shares.map(|shares| Property::new("CPUShares", Value::U64(shares)));
    }
    // A weight of 0 is the manager's word for a group that only runs when nobody else does.
    if cpu.idle == Some(1) {
        return (version >= 252).then(|| Property::new("CPUWeight", Value::U64(0)));
    }
    shares.map(|shares| Property::new("CPUWeight", Value::U64(cgroups::weight_of_shares(shares))))
}

/// The quota, rounded up in `cpu` to what the manager can say.
fn quota(cpu: &mut Cpu, version: u32) -> Vec<Property> {
    let quota = cpu.quota.filter(|quota| *quota != 0);
    let period = cpu.period.filter(|period| *period != 0);
    let mut all = Vec::new();
    if let Some(period) = period.filter(|_| version >= 242) {
        all.push(Property::new("CPUQuotaPeriodUSec", Value::U64(period)));
    }
    if quota.is_none() && period.is_none() {
        return all;
    }
    let mut each_second = u64::MAX;
    if let Some(quota) = quota.filter(|quota| *quota > 0) {
        let period = period.unwrap_or(PERIOD);
        let exact = quota.cast_unsigned().saturating_mul(1_000_000) / period;
        each_second = exact.next_multiple_of(PERCENT);
        if each_second != exact {
            let rounded = each_second.saturating_mul(period) / 1_000_000;
            cpu.quota = Some(i64::try_from(rounded).unwrap_or(i64::MAX));
        }
    }
    all.push(Property::new("CPUQuotaPerSecUSec", Value::U64(each_second)));
    all
}

/// A list as `0-3,7` as a set of bits, the lowest of the first byte first.
fn bits(field: &str, list: &str) -> Result<Value, SystemdError> {
    let invalid = || SystemdError::Limit {
        field: field.to_owned(),
        cause: format!("{:?} is not a list of numbers and ranges", list.get(..40).unwrap_or(list)),
    };
    let mut bytes = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|bit| *bit <= MAX_BIT);
        let (first, last) = number(first).zip(number(last)).ok_or_else(invalid)?;
        if last < first {
            return Err(invalid());
        }
        if bytes.len() <= last / 8 {
            bytes.resize(last / 8 + 1, 0);
        }
        (first..=last).for_each(|bit| bytes[bit / 8] |= 1_u8 << (bit % 8));
    }
    if bytes.is_empty() {
        return Err(invalid());
    }
    Ok(Value::list("y", bytes.into_iter().map(Value::Byte).collect()))
}

/// The files of v2 for which the manager has a property.
fn unified(file: &str, value: &str, version: u32) -> Result<Vec<Property>, SystemdError> {
    let field = format!("linux.resources.unified[{file:?}]");
    let invalid = || SystemdError::Limit {
        field: field.clone(),
        cause: format!("{:?} is not a number", value.get(..40).unwrap_or(value)),
    };
    let number = |text: &str| match text {
        "max" => Ok(u64::MAX),
        _ => text.parse::<u64>().map_err(|_| invalid()),
    };
    let one = |name: &str, value: Value| Ok(vec![Property::new(name, value)]);
    match file {
        "cpu.idle" if value == "1" && version >= 252 => one("CPUWeight", Value::U64(0)),
        "cpu.weight" => one("CPUWeight", Value::U64(number(value)?)),
        "cpu.max" => {
            let mut words = value.split_whitespace();
            let quota = words.next().map(number).transpose()?.ok_or_else(invalid)?;
            let period = words.next().map(number).transpose()?;
            // Without a limit, 0 is the field's word for it, and the period alone is told.
            let quota =
                if quota == u64::MAX { 0 } else { i64::try_from(quota).unwrap_or(i64::MAX) };
            let mut cpu =
                Cpu { quota: Some(quota), period: period.or(Some(PERIOD)), ..Cpu::default() };
            Ok(self::quota(&mut cpu, version))
        }
        "cpuset.cpus" if version >= 244 => one("AllowedCPUs", bits(&field, value)?),
        "cpuset.mems" if version >= 244 => one("AllowedMemoryNodes", bits(&field, value)?),
        "memory.high" => one("MemoryHigh", Value::U64(number(value)?)),
        "memory.low" => one("MemoryLow", Value::U64(number(value)?)),
        "memory.min" => one("MemoryMin", Value::U64(number(value)?)),
        "memory.max" => one("MemoryMax", Value::U64(number(value)?)),
        "memory.swap.max" => one("MemorySwapMax", Value::U64(number(value)?)),
        "pids.max" => one("TasksMax", Value::U64(number(value)?.max(1))),
        _ => Ok(Vec::new()),
    }
}

/// What is said once, when a unit is made, and cannot be changed: whether all end when one is ended for memory.
pub(crate) fn oom_policy(resources: &Resources, version: u32) -> Option<Property> {
    let word = match resources.unified.get("memory.oom.group").map(|value| value.trim()) {
        Some("0") => "continue",
        Some("1") => "kill",
        _ => return None,
    };
    (version >= 253).then(|| Property::new("OOMPolicy", Value::text(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::oci::{BlockIo, Pids};

    fn told(resources: &Resources, mode: Mode, version: u32) -> Vec<(String, Value)> {
        let (all, _) = properties(resources, mode, version, "").unwrap();
        all.into_iter().map(|property| (property.name, property.value)).collect()
    }

    fn number(name: &str, value: u64) -> (String, Value) {
        (name.to_owned(), Value::U64(value))
    }

    fn bytes(name: &str, bytes: &[u8]) -> (String, Value) {
        (name.to_owned(), Value::list("y", bytes.iter().copied().map(Value::Byte).collect()))
    }

    fn all_limits() -> Resources {
        Resources {
            memory: Some(Memory {
                limit: Some(100),
                swap: Some(300),
                reservation: Some(50),
                ..Memory::default()
            }),
            cpu: Some(Cpu {
                shares: Some(1024),
                quota: Some(50_000),
                period: Some(100_000),
                cpus: Some("0-1,9".into()),
                mems: Some("0".into()),
                ..Cpu::default()
            }),
            pids: Some(Pids { limit: Some(0) }),
            block_io: Some(BlockIo { weight: Some(500), ..BlockIo::default() }),
            ..Resources::default()
        }
    }

    #[test]
    fn limits_are_told_by_the_names_of_their_version() {
        assert_eq!(
            told(&all_limits(), Mode::V2, 252),
            [
                number("MemoryMax", 100),
                number("MemoryLow", 50),
                number("MemorySwapMax", 200),
                number("CPUWeight", 100),
                number("CPUQuotaPeriodUSec", 100_000),
                number("CPUQuotaPerSecUSec", 500_000),
                bytes("AllowedCPUs", &[3, 2]),
                bytes("AllowedMemoryNodes", &[1]),
                number("TasksMax", 1),
            ]
        );
        assert_eq!(
            told(&all_limits(), Mode::Hybrid, 241),
            [
                number("MemoryLimit", 100),
                number("CPUShares", 1024),
                number("CPUQuotaPerSecUSec", 500_000),
                number("TasksMax", 1),
                number("BlockIOWeight", 500),
            ]
        );
    }

    #[test]
    fn no_limit_is_infinity() {
        let resources = Resources {
            memory: Some(Memory { limit: Some(-1), ..Memory::default() }),
            cpu: Some(Cpu { quota: Some(-1), ..Cpu::default() }),
            pids: Some(Pids { limit: Some(-1) }),
            ..Resources::default()
        };
        let names = ["MemoryMax", "MemorySwapMax", "CPUQuotaPerSecUSec", "TasksMax"];
        assert_eq!(told(&resources, Mode::V2, 252), names.map(|name| number(name, u64::MAX)));
        assert!(told(&Resources::default(), Mode::V2, 252).is_empty());
    }

    #[test]
    fn a_quota_is_rounded_up_to_whole_percents_for_both() {
        let cpu = Cpu { quota: Some(33_333), ..Cpu::default() };
        let resources = Resources { cpu: Some(cpu), ..Resources::default() };
        let (all, rounded) = properties(&resources, Mode::V2, 252, "").unwrap();
        assert_eq!(all, [Property::new("CPUQuotaPerSecUSec", Value::U64(340_000))]);
        assert_eq!(rounded.cpu.unwrap().quota, Some(34_000));
    }

    #[test]
    fn files_of_v2_are_told_where_there_is_a_property() {
        let unified = [
            ("memory.high", "max"),
            ("cpu.max", "50000 100000"),
            ("cpuset.cpus", "1"),
            ("pids.max", "0"),
            ("memory.oom.group", "1"),
            ("io.max", "8:0 rbps=1"),
        ];
        let resources = Resources {
            unified: unified.map(|(file, value)| (file.to_owned(), value.to_owned())).into(),
            ..Resources::default()
        };
        assert_eq!(
            told(&resources, Mode::V2, 253),
            [
                number("CPUQuotaPeriodUSec", 100_000),
                number("CPUQuotaPerSecUSec", 500_000),
                bytes("AllowedCPUs", &[2]),
                number("MemoryHigh", u64::MAX),
                number("TasksMax", 1),
            ]
        );
        let policy = oom_policy(&resources, 253).unwrap();
        assert_eq!((policy.name.as_str(), policy.value), ("OOMPolicy", Value::text("kill")));
        assert_eq!(oom_policy(&resources, 252), None);
    }

    #[test]
    fn what_is_no_number_or_list_is_refused_with_its_field() {
        let list = |cpus: &str| Resources {
            cpu: Some(Cpu { cpus: Some(cpus.into()), ..Cpu::default() }),
            ..Resources::default()
        };
        let unified = Resources {
            unified: [("memory.max".to_owned(), "lots".to_owned())].into(),
            ..Resources::default()
        };
        let cases = [
            (list("3-1"), "linux.resources.cpu.cpus: \"3-1\" is not a list of numbers and ranges"),
            (
                list("99999"),
                "linux.resources.cpu.cpus: \"99999\" is not a list of numbers and ranges",
            ),
            (unified, "linux.resources.unified[\"memory.max\"]: \"lots\" is not a number"),
        ];
        for (resources, message) in cases {
            let error = properties(&resources, Mode::V2, 252, "").unwrap_err();
            assert_eq!(error.to_string(), format!("invalid {message}"));
        }
    }
}

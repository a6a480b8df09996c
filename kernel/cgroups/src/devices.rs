//! Rules on devices: of all that fit a device, the last one decides, for each of reading, writing and making a node by
//! itself; what no rule fits is denied (runtime specification, "Allowed Device list").
//!
//! On v2 a [`crate::program`] in the kernel reads the rules so. On v1 the kernel has a default and a list of exceptions
//! to it and knows no order; [`Policy`] is what the rules come to there. A rule that would have to make a hole in an
//! exception of a wider one cannot be said on v1 and is an error: the kernel would ignore it.

use crate::CgroupError;
use spec::oci::DeviceRule;
use std::collections::BTreeMap;
use std::fmt;

/// May be read.
pub const READ: u8 = 2;
/// May be written.
pub const WRITE: u8 = 4;
/// A node may be made.
pub const MKNOD: u8 = 1;
/// All three (`BPF_DEVCG_ACC_*`, linux/bpf.h).
pub const ALL: u8 = READ | WRITE | MKNOD;

/// More rules than this are refused; Docker's default has 13.
const MAX_RULES: usize = 1024;

/// Character or block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Block devices (`b`).
    Block,
    /// Character devices (`c`).
    Character,
}

/// The devices that a rule fits: one, all with a major number, or all of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Devices {
    /// The kind.
    pub kind: Kind,
    /// The major number; any if `None`.
    pub major: Option<u32>,
    /// The minor number; any if `None`.
    pub minor: Option<u32>,
}

/// One rule, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Everything from here on is allowed or denied, and all rules before are forgotten.
    Everything {
        /// Allowed?
        allow: bool,
    },
    /// Some access to some devices.
    Some {
        /// Allowed?
        allow: bool,
        /// The devices.
        devices: Devices,
        /// The access, of [`READ`], [`WRITE`] and [`MKNOD`].
        access: u8,
    },
}

/// Checks rules as the specification has them.
pub fn check(rules: &[DeviceRule]) -> Result<Vec<Rule>, CgroupError> {
    if rules.len() > MAX_RULES {
        return Err(error(format!("{} rules, at most {MAX_RULES} are taken", rules.len())));
    }
    rules.iter().map(check_one).collect()
}

fn error(cause: String) -> CgroupError {
    CgroupError::Limit { field: "devices", cause }
}

fn check_one(rule: &DeviceRule) -> Result<Rule, CgroupError> {
    let kind = match rule.kind.as_deref() {
        // As v1's kernel does, numbers and access of such a rule are not looked at.
        None | Some("a" | "") => return Ok(Rule::Everything { allow: rule.allow }),
        Some("b") => Kind::Block,
        Some("c" | "u") => Kind::Character,
        Some(other) => {
            return Err(error(format!(
                "{:?} is not a type of device",
                other.get(..10).unwrap_or(other)
            )));
        }
    };
    let number = |number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| error(format!("{number} is not a device number"))),
    };
    let mut access = 0;
    for letter in rule.access.as_deref().unwrap_or("rwm").chars() {
        access |= match letter {
            'r' => READ,
            'w' => WRITE,
            'm' => MKNOD,
            other => return Err(error(format!("{other:?} is not an access"))),
        };
    }
    let devices = Devices { kind, major: number(rule.major)?, minor: number(rule.minor)? };
    Ok(Rule::Some { allow: rule.allow, devices, access })
}

impl Devices {
    fn covers(&self, other: &Self) -> bool {
        let wider = |mine: Option<u32>, theirs: Option<u32>| mine.is_none() || mine == theirs;
        self.kind == other.kind && wider(self.major, other.major) && wider(self.minor, other.minor)
    }

    fn meets(&self, other: &Self) -> bool {
        let meet = |mine: Option<u32>, theirs: Option<u32>| {
            mine.is_none() || theirs.is_none() || mine == theirs
        };
        self.kind == other.kind && meet(self.major, other.major) && meet(self.minor, other.minor)
    }
}

/// What rules come to on v1: a default, and the exceptions to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// What is not an exception is allowed.
    pub allow: bool,
    /// The exceptions and the access that each is about.
    pub exceptions: BTreeMap<Devices, u8>,
}

impl Policy {
    /// What `rules` come to, one after the other.
    pub fn of(rules: &[Rule]) -> Result<Self, CgroupError> {
        let mut policy = Self::default();
        for rule in rules {
            match *rule {
                Rule::Everything { allow } => policy = Self { allow, exceptions: BTreeMap::new() },
                Rule::Some { devices, access, allow } if allow == policy.allow => {
                    policy.take_back(devices, access)?;
                }
                Rule::Some { devices, access, .. } => {
                    *policy.exceptions.entry(devices).or_default() |= access
                }
            }
        }
        policy.exceptions.retain(|_, access| *access != 0);
        Ok(policy)
    }

    /// The default holds again for `access` to `devices`.
    fn take_back(&mut self, devices: Devices, access: u8) -> Result<(), CgroupError> {
        for (exception, has) in &mut self.exceptions {
            if devices.covers(exception) {
                *has &= !access;
            } else if devices.meets(exception) && *has & access != 0 {
                return Err(error(format!(
                    "a rule on {} cannot follow a rule on {} on cgroup v1",
                    Line(&devices, access),
                    Line(exception, *has)
                )));
            }
        }
        Ok(())
    }

    /// Reads `devices.list` of v1. Of a group where everything is allowed the kernel does not tell the exceptions.
    pub(crate) fn parse(list: &str) -> Option<Self> {
        let mut policy = Self::default();
        for line in list.lines().filter(|line| !line.is_empty()) {
            let mut fields = line.split([' ', ':']);
            let (kind, major, minor, access) =
                (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            let number =
                |field: &str| if field == "*" { Some(None) } else { field.parse().ok().map(Some) };
            let rule = DeviceRule {
                allow: true,
                kind: Some(kind.to_owned()),
                major: number(major)?,
                minor: number(minor)?,
                access: Some(access.to_owned()),
            };
            match check_one(&rule).ok()? {
                Rule::Everything { .. } => policy.allow = true,
                Rule::Some { devices, access, .. } => {
                    *policy.exceptions.entry(devices).or_default() |= access
                }
            }
        }
        Some(policy)
    }

    /// The writes of (file, line) that bring a v1 group from `current` to this. Where the default stays, only what
    /// differs is written, so that processes in the group never lack a device that they have before and after.
    pub(crate) fn writes(&self, current: Option<&Self>) -> Vec<(&'static str, String)> {
        let (grant, except) = ("devices.allow", "devices.deny");
        let (to_default, to_exception) = if self.allow { (grant, except) } else { (except, grant) };
        let mut writes = Vec::new();
        let nothing = BTreeMap::new();
        let former = match current {
            Some(current) if current.allow == self.allow && !self.allow => &current.exceptions,
            _ => {
                writes.push((to_default, "a".to_owned()));
                &nothing
            }
        };
        for (devices, access) in former {
            let gone = access & !self.exceptions.get(devices).copied().unwrap_or(0);
            if gone != 0 {
                writes.push((to_default, Line(devices, gone).to_string()));
            }
        }
        for (devices, access) in &self.exceptions {
            let new = access & !former.get(devices).copied().unwrap_or(0);
            if new != 0 {
                writes.push((to_exception, Line(devices, new).to_string()));
            }
        }
        writes
    }
}

/// A line of v1's files: `c 1:3 rwm`.
struct Line<'a>(&'a Devices, u8);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number =
            |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        let kind = if self.0.kind == Kind::Block { 'b' } else { 'c' };
        write!(f, "{kind} {}:{} ", number(self.0.major), number(self.0.minor))?;
        for (bit, letter) in [(READ, "r"), (WRITE, "w"), (MKNOD, "m")] {
            if self.1 & bit != 0 {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "devices/tests.rs"]
mod tests;

//! The program and the rights that it runs with: for a container's first process and for those that join it.

use crate::schedule::{self, SchedulePlan};
use crate::text::{absolute, c_string};
use crate::{Given, Plan, PlanError};
use spec::oci::{Capabilities, Linux, Process, Rlimit};
use std::ffi::{CStr, CString};
use sys::caps::{Cap, CapSet};
use sys::limits::{Limit, Resource};
use sys::seccomp::FilterFlags;

/// A process.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessPlan {
    /// The program as it was called, and its arguments; never empty.
    pub argv: Vec<CString>,
    /// `NAME=value`.
    pub env: Vec<CString>,
    /// Where the program may be, in the order in which it is looked for.
    pub candidates: Vec<CString>,
    /// How it is looked for.
    pub search: Search,
    /// The working directory.
    pub cwd: CString,
    /// The terminal, if it gets one.
    pub terminal: Option<Terminal>,
    /// User id in its user namespace.
    pub uid: u32,
    /// Group id in its user namespace.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Bits that new files lack.
    pub umask: u32,
    /// Capabilities.
    pub caps: CapsPlan,
    /// Names of capabilities that nobody knows; they are left out.
    pub unknown_caps: Vec<String>,
    /// Whether no execve may gain a right.
    pub no_new_privs: bool,
    /// Resource limits.
    pub rlimits: Vec<(Resource, Limit)>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Scheduling.
    pub schedule: SchedulePlan,
    /// What the program is confined by.
    pub label: Option<Label>,
    /// The system call filter and how it is loaded.
    pub filter: Option<(Vec<u8>, FilterFlags)>,
    /// The name of the new session keyring.
    pub keyring: Option<CString>,
}

/// What is written to `exec` of an attribute directory in procfs, so that execve confines the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label {
    /// `exec PROFILE`.
    AppArmor(CString),
    /// A label.
    Selinux(CString),
}

impl Label {
    /// The bytes that are written.
    pub fn text(&self) -> &CStr {
        match self {
            Self::AppArmor(text) | Self::Selinux(text) => text,
        }
    }
}

/// How the program is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// Its name has a slash: it is exactly that file.
    Exact,
    /// In the directories of PATH.
    Path,
}

/// The size of a terminal in characters; zero leaves it to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// The capability sets of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapsPlan {
    /// What execve can give at most.
    pub bounding: CapSet,
    /// What is in use.
    pub effective: CapSet,
    /// What may be used.
    pub permitted: CapSet,
    /// What programs without file capabilities keep.
    pub ambient: CapSet,
    /// What is handed on to files that ask for it: the ambient set, and only for the administrator's own bundle what it
    /// says. A larger one lets an unprivileged program gain by a file's capabilities what nobody asked for
    /// (CVE-2022-29162, CVE-2022-27650).
    pub inheritable: CapSet,
}

impl ProcessPlan {
    /// The plan of a process that joins a running container. `given` says the filter and the keyring.
    pub fn joining(process: &Process, given: &Given) -> Result<Self, PlanError> {
        plan(process, None, given)
    }
}

impl Plan {
    pub(crate) fn process(
        process: Option<&Process>,
        linux: &Linux,
        given: &Given,
    ) -> Result<ProcessPlan, PlanError> {
        let process = process.ok_or_else(|| PlanError::Missing { field: "process".to_owned() })?;
        plan(process, Some(linux), given)
    }
}

fn plan(process: &Process, linux: Option<&Linux>, given: &Given) -> Result<ProcessPlan, PlanError> {
    let (caps, unknown_caps) = caps(process.capabilities.as_ref(), given);
    let argv = strings("process.args", &process.args)?;
    let (candidates, search) = candidates(process)?;
    Ok(ProcessPlan {
        argv,
        env: env(&process.env)?,
        candidates,
        search,
        cwd: c_string("process.cwd", &absolute("process.cwd", &process.cwd)?)?,
        terminal: terminal(process)?,
        uid: id("process.user.uid", process.user.uid)?,
        gid: id("process.user.gid", process.user.gid)?,
        groups: groups(&process.user.additional_gids)?,
        umask: umask(process.user.umask)?,
        caps,
        unknown_caps,
        no_new_privs: process.no_new_privileges,
        rlimits: rlimits(&process.rlimits)?,
        oom_score_adj: oom_score_adj(process.oom_score_adj)?,
        schedule: schedule::plan(process, linux)?,
        label: label(process)?,
        filter: filter(given)?,
        keyring: given.keyring.as_ref().map(|name| c_string("keyring", name)).transpose()?,
    })
}

fn strings(field: &str, list: &[String]) -> Result<Vec<CString>, PlanError> {
    list.iter()
        .enumerate()
        .map(|(index, text)| c_string(&format!("{field}[{index}]"), text))
        .collect()
}

fn env(list: &[String]) -> Result<Vec<CString>, PlanError> {
    for (index, entry) in list.iter().enumerate() {
        if entry.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
            return Err(PlanError::value(format!("process.env[{index}]"), entry, "NAME=value"));
        }
    }
    strings("process.env", list)
}

/// Where the program may be: itself if its name has a slash, otherwise in each absolute directory of the last PATH in the
/// environment. Relative directories are passed over, as Go's LookPath refuses what it finds there.
fn candidates(process: &Process) -> Result<(Vec<CString>, Search), PlanError> {
    let missing = || PlanError::Missing { field: "process.args".to_owned() };
    let program = process.args.first().ok_or_else(missing)?;
    if program.contains('/') {
        return Ok((vec![c_string("process.args[0]", program)?], Search::Exact));
    }
    let path = process.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    let directories = path.unwrap_or_default().split(':').filter(|dir| dir.starts_with('/'));
    let found: Result<Vec<_>, _> = match program.as_str() {
        "" => Ok(Vec::new()),
        name => directories
            .map(|dir| {
                c_string("process.env PATH", &format!("{}/{name}", dir.trim_end_matches('/')))
            })
            .collect(),
    };
    Ok((found?, Search::Path))
}

fn terminal(process: &Process) -> Result<Option<Terminal>, PlanError> {
    if !process.terminal {
        return Ok(None);
    }
    let size = process.console_size.unwrap_or_default();
    let fits = |number: u32| {
        u16::try_from(number)
            .map_err(|_| PlanError::value("process.consoleSize", number.to_string(), "0 to 65535"))
    };
    Ok(Some(Terminal { rows: fits(size.height)?, columns: fits(size.width)? }))
}

fn id(field: &str, id: u32) -> Result<u32, PlanError> {
    // The largest number is the kernel's "no change".
    match id {
        u32::MAX => Err(PlanError::value(field, id.to_string(), "0 to 4294967294")),
        id => Ok(id),
    }
}

fn groups(list: &[u32]) -> Result<Vec<u32>, PlanError> {
    // NGROUPS_MAX.
    if list.len() > 65_536 {
        let field = "process.user.additionalGids";
        return Err(PlanError::value(
            field,
            format!("{} groups", list.len()),
            "at most 65536 groups",
        ));
    }
    list.iter().map(|gid| id("process.user.additionalGids", *gid)).collect()
}

fn umask(umask: Option<u32>) -> Result<u32, PlanError> {
    match umask.unwrap_or(0o022) {
        bits if bits <= 0o777 => Ok(bits),
        bits => Err(PlanError::value("process.user.umask", format!("{bits:o}"), "0 to 0777")),
    }
}

fn caps(caps: Option<&Capabilities>, given: &Given) -> (CapsPlan, Vec<String>) {
    let Some(caps) = caps else { return (CapsPlan::default(), Vec::new()) };
    let mut unknown: Vec<String> = Vec::new();
    let mut set = |names: &[String]| -> CapSet {
        let known = |name: &String| {
            let cap = Cap::parse(name);
            if cap.is_none() && !unknown.contains(name) {
                unknown.push(name.clone());
            }
            cap
        };
        names.iter().filter_map(known).collect()
    };
    let bounding = set(&caps.bounding);
    let permitted = set(&caps.permitted);
    let effective = set(&caps.effective).and(permitted);
    let ambient = set(&caps.ambient).and(permitted);
    let asked = set(&caps.inheritable);
    let inheritable = if given.administrator { asked.or(ambient) } else { ambient };
    (CapsPlan { bounding, effective, permitted, ambient, inheritable }, unknown)
}

fn rlimits(list: &[Rlimit]) -> Result<Vec<(Resource, Limit)>, PlanError> {
    let mut plans: Vec<(Resource, Limit)> = Vec::new();
    for (index, rlimit) in list.iter().enumerate() {
        let field = format!("process.rlimits[{index}]");
        let resource = Resource::parse(&rlimit.kind).ok_or_else(|| {
            PlanError::value(
                field.clone() + ".type",
                &rlimit.kind,
                "a limit of prlimit(2), such as RLIMIT_NOFILE",
            )
        })?;
        if plans.iter().any(|(known, _)| *known == resource) {
            return Err(PlanError::value(field + ".type", &rlimit.kind, "named once"));
        }
        if rlimit.soft > rlimit.hard {
            let value = rlimit.soft.to_string();
            let allowed = format!("at most the hard limit {}", rlimit.hard);
            return Err(PlanError::value(field + ".soft", value, allowed));
        }
        plans.push((resource, Limit { soft: rlimit.soft, hard: rlimit.hard }));
    }
    Ok(plans)
}

fn oom_score_adj(score: Option<i32>) -> Result<Option<i32>, PlanError> {
    match score {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(PlanError::value("process.oomScoreAdj", score.to_string(), "-1000 to 1000"))
        }
        score => Ok(score),
    }
}

fn label(process: &Process) -> Result<Option<Label>, PlanError> {
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (filled(&process.apparmor_profile), filled(&process.selinux_label)) {
        (Some(_), Some(label)) => {
            Err(PlanError::value("process.selinuxLabel", label, "empty beside an AppArmor profile"))
        }
        (Some(profile), None) if profile == "unconfined" => Ok(None),
        (Some(profile), None) => {
            let text = c_string("process.apparmorProfile", &format!("exec {profile}"))?;
            Ok(Some(Label::AppArmor(text)))
        }
        (None, Some(label)) => Ok(Some(Label::Selinux(c_string("process.selinuxLabel", &label)?))),
        (None, None) => Ok(None),
    }
}

fn filter(given: &Given) -> Result<Option<(Vec<u8>, FilterFlags)>, PlanError> {
    let Some(filter) = &given.filter else { return Ok(None) };
    let count = filter.program.len() / 8;
    if !filter.program.len().is_multiple_of(8) || !(1..=4096).contains(&count) {
        let value = format!("{} bytes", filter.program.len());
        return Err(PlanError::value("system call filter", value, "1 to 4096 records of 8 bytes"));
    }
    if filter.flags.contains(FilterFlags::NEW_LISTENER) && !given.administrator {
        return Err(PlanError::unsupported("system call filter", "no supervisor can be notified"));
    }
    // The process has one thread; with a listener the answer would be ambiguous.
    let flags = match filter.flags.contains(FilterFlags::NEW_LISTENER) {
        true => filter.flags.difference(FilterFlags::TSYNC),
        false => filter.flags,
    };
    Ok(Some((filter.program.clone(), flags)))
}

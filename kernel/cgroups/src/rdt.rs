//! Cache and memory bandwidth by class of service (Intel RDT and its likes), through the `resctrl` file system
//! (Documentation/filesystems/resctrl.rst; runtime specification, "IntelRdt").
//!
//! ```text
//! <mount>/                          the class of everything that is in no other
//!   <class>/{schemata,tasks}        named by closID, else by the container's id
//!     mon_groups/<id>/tasks         counts for one container
//! ```
//!
//! A class that a container names belongs to somebody else and is never removed here.

use crate::dir::{self, Dir};
use crate::{CgroupError, mountinfo};
use rustix::io::Errno;
use spec::oci::IntelRdt;
use std::collections::BTreeMap;
use std::path::Path;

/// The most lines that a container may write into `schemata`.
const MAX_LINES: usize = 64;
/// The longest of them, in bytes.
const MAX_LINE: usize = 1024;

/// Why a container cannot be put into its class of service.
#[derive(Debug, thiserror::Error)]
pub enum RdtError {
    /// No `resctrl` is mounted, or the processor has no such thing.
    #[error("set linux.intelRdt: no resctrl file system is mounted")]
    NotMounted,
    /// A name that is not one safe path component, or a line that is not one line of its kind.
    #[error("invalid linux.intelRdt.{field}: {cause}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// A class is named, nothing is said about it, and it does not exist.
    #[error("set linux.intelRdt.closID: the class {0} does not exist")]
    NoClass(String),
    /// A class is named that has another share than is asked for.
    #[error("set linux.intelRdt of class {class}: it has {present:?} in place of {wanted:?}")]
    Differs {
        /// The class.
        class: String,
        /// What was asked.
        wanted: String,
        /// What it has.
        present: String,
    },
    /// A file or directory cannot be made, read or written.
    #[error("{what} of class {class}{told}")]
    Failed {
        /// What was done.
        what: String,
        /// The class.
        class: String,
        /// What the kernel tells of its last refusal, after a colon, if it does.
        told: String,
        /// The failure.
        #[source]
        source: Box<CgroupError>,
    },
}

impl RdtError {
    /// The error class.
    pub fn class(&self) -> spec::Class {
        match self {
            Self::NotMounted => spec::Class::NotImplemented,
            Self::Invalid { .. } => spec::Class::InvalidArgument,
            Self::NoClass(_) => spec::Class::NotFound,
            Self::Differs { .. } => spec::Class::Conflict,
            Self::Failed { source, .. } => source.class(),
        }
    }
}

/// The mounted file system.
#[derive(Debug)]
pub struct Resctrl {
    top: Dir,
}

/// What was made for a container, to be kept with its state: [`Resctrl::remove`] wants it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The class; empty for the one at the top.
    pub class: String,
    /// Whether it was made for this container.
    pub made: bool,
    /// Whether there is a group that counts for this container.
    pub monitored: bool,
}

impl Resctrl {
    /// Finds where it is mounted.
    pub fn open() -> Result<Self, RdtError> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let point = mountinfo::first_of_kind(&mounts, "resctrl").ok_or(RdtError::NotMounted)?;
        Self::at(&point)
    }

    /// What is mounted at `path`.
    pub(crate) fn at(path: &Path) -> Result<Self, RdtError> {
        Dir::open_path(path, "").map(|top| Self { top }).map_err(|_| RdtError::NotMounted)
    }

    /// Puts the process `pid` of the container `id` into its class, which is made and limited as `rdt` says. Nothing that
    /// was made here remains after a failure.
    pub fn assign(&self, id: &str, rdt: &IntelRdt, pid: i32) -> Result<Assigned, RdtError> {
        let lines = lines(rdt)?;
        let name = class_name(id, rdt)?;
        let (class, made) = self.class(name, rdt, lines.is_empty())?;
        let assigned = Assigned { class: name.to_owned(), made, monitored: rdt.enable_monitoring };
        let result = self.fill(&class, &assigned, id, rdt, &lines, pid);
        if result.is_err() {
            // The first failure is what is reported.
            self.remove(id, &assigned).ok();
        }
        result.map(|()| assigned)
    }

    /// Opens the class, or makes it.
    fn class(&self, name: &str, rdt: &IntelRdt, plain: bool) -> Result<(Dir, bool), RdtError> {
        let failed = |source| self.failed("open the directory", name, source);
        if name.is_empty() {
            return self.top.share().map(|dir| (dir, false)).map_err(failed);
        }
        match self.top.open(name).map_err(failed)? {
            Some(dir) => Ok((dir, false)),
            None if rdt.clos_id.is_some() && plain => Err(RdtError::NoClass(name.to_owned())),
            None => {
                let made = self.top.create(name, true);
                made.map(|dir| (dir, true))
                    .map_err(|source| self.failed("make the directory", name, source))
            }
        }
    }

    fn fill(
        &self,
        class: &Dir,
        assigned: &Assigned,
        id: &str,
        rdt: &IntelRdt,
        lines: &[&str],
        pid: i32,
    ) -> Result<(), RdtError> {
        let name = &assigned.class;
        if !assigned.made && rdt.clos_id.is_some() && !lines.is_empty() {
            let read = class.read("schemata");
            let present = read.map_err(|source| self.failed("read schemata", name, source))?;
            compare(name, lines, &present)?;
        } else {
            for line in lines {
                let written = class.write("schemata", &format!("{line}\n"));
                written.map_err(|source| {
                    self.failed(&format!("write {line:?} to schemata"), name, source)
                })?;
            }
        }
        let join = |dir: &Dir| dir.write("tasks", &pid.to_string());
        join(class).map_err(|source| self.failed("write to tasks", name, source))?;
        if assigned.monitored {
            let failed = |source| self.failed("make the monitoring group", name, source);
            let groups = class.open("mon_groups").map_err(failed)?.ok_or_else(|| {
                failed(CgroupError::Open {
                    group: format!("{name}/mon_groups"),
                    errno: Errno::NOENT,
                })
            })?;
            join(&groups.create(id, true).map_err(failed)?).map_err(failed)?;
        }
        Ok(())
    }

    /// Removes what was made for the container `id`.
    pub fn remove(&self, id: &str, assigned: &Assigned) -> Result<(), RdtError> {
        let name = &assigned.class;
        let failed = |errno| {
            self.failed(
                "remove the directory",
                name,
                CgroupError::Remove { group: name.clone(), errno },
            )
        };
        if assigned.made {
            // The groups in it that count go with it.
            return match rustix::fs::unlinkat(
                &self.top,
                name.as_str(),
                rustix::fs::AtFlags::REMOVEDIR,
            ) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(errno) => Err(failed(errno)),
            };
        }
        if !assigned.monitored || dir::check_name(id).is_err() {
            return Ok(());
        }
        let path = if name.is_empty() {
            format!("mon_groups/{id}")
        } else {
            format!("{name}/mon_groups/{id}")
        };
        match rustix::fs::unlinkat(&self.top, path, rustix::fs::AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// With what the kernel tells of its refusal, which is more than the number.
    fn failed(&self, what: &str, class: &str, source: CgroupError) -> RdtError {
        let told = match self.top.open("info") {
            Ok(Some(info)) => info.try_read("last_cmd_status").unwrap_or_default(),
            _ => String::new(),
        };
        let told: String = told.trim().chars().take(200).collect();
        let told =
            if told.is_empty() || told == "ok" { String::new() } else { format!(": {told}") };
        let class = if class.is_empty() { "/" } else { class };
        RdtError::Failed {
            what: what.to_owned(),
            class: class.to_owned(),
            told,
            source: Box::new(source),
        }
    }
}

/// The directory of a container's class below the mount; empty for the top itself.
fn class_name<'a>(id: &'a str, rdt: &'a IntelRdt) -> Result<&'a str, RdtError> {
    let (field, name) = match rdt.clos_id.as_deref() {
        Some("/") => return Ok(""),
        Some(name) => ("closID", name),
        None => ("closID (the container's id)", id),
    };
    let reserved = ["info", "mon_groups", "mon_data"].contains(&name);
    match dir::check_name(name) {
        Ok(()) if !reserved => Ok(name),
        _ => Err(RdtError::Invalid { field, cause: format!("{:?} is not a class", cut(name)) }),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The lines for `schemata` in the order in which they are written.
fn lines(rdt: &IntelRdt) -> Result<Vec<&str>, RdtError> {
    let invalid = |field, cause: String| Err(RdtError::Invalid { field, cause });
    let mut lines = Vec::new();
    let one = [
        ("l3CacheSchema", "L3", rdt.l3_cache_schema.as_deref()),
        ("memBwSchema", "MB:", rdt.mem_bw_schema.as_deref()),
    ];
    for (field, begin, text) in one {
        let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
        if !text.starts_with(begin) {
            return invalid(field, format!("{:?} does not begin with {begin}", cut(text)));
        }
        lines.push((field, text));
    }
    lines.extend(rdt.schemata.iter().map(|line| ("schemata", line.as_str())));
    if lines.len() > MAX_LINES {
        return invalid(
            "schemata",
            format!("{} lines, at most {MAX_LINES} are taken", lines.len()),
        );
    }
    for (field, line) in &lines {
        if line.contains('\n') || line.len() > MAX_LINE || !line.contains(':') {
            return invalid(field, format!("{:?} is not one line as L3:0=7f0;1=1f", cut(line)));
        }
    }
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// `L3:0=7f0;1=1f` by domain, without the spaces and zeros with which the kernel aligns.
fn domains(line: &str) -> Option<(&str, BTreeMap<&str, &str>)> {
    let (resource, rest) = line.trim().split_once(':')?;
    let parts = rest.split(';').filter_map(|part| {
        let (id, value) = part.split_once('=')?;
        let value = value.trim().trim_start_matches('0');
        Some((id.trim(), value))
    });
    Some((resource.trim(), parts.collect()))
}

/// Whether a class has all that is asked for; what is not named may be anything.
fn compare(class: &str, wanted: &[&str], present: &str) -> Result<(), RdtError> {
    for line in wanted {
        let Some((resource, parts)) = domains(line) else { continue };
        let has =
            present.lines().find(|line| domains(line).is_some_and(|(name, _)| name == resource));
        let same = has
            .and_then(domains)
            .is_some_and(|(_, has)| parts.iter().all(|(id, value)| has.get(id) == Some(value)));
        if !same {
            return Err(RdtError::Differs {
                class: class.to_owned(),
                wanted: (*line).to_owned(),
                present: cut(has.unwrap_or_default().trim()),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "rdt/tests.rs"]
mod tests;

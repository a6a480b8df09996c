//! Which namespaces are new, joined or the host's.

use crate::text::c_string;
use crate::{Given, PlanError};
use spec::oci::{IdMapping, Linux};
use std::ffi::CString;
use sys::clone::Namespaces;

/// The namespaces of the container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespacePlan {
    /// Made for this container.
    pub new: Namespaces,
    /// Joined by a descriptor.
    pub joined: Namespaces,
    /// User ids of a new user namespace.
    pub uids: Vec<IdMap>,
    /// Group ids of a new user namespace.
    pub gids: Vec<IdMap>,
    /// What is written to `timens_offsets` of a new time namespace.
    pub time_offsets: Option<CString>,
}

impl NamespacePlan {
    /// Whether the container does not share `kind` with the host.
    pub fn separate(&self, kind: Namespaces) -> bool {
        (self.new | self.joined).contains(kind)
    }
}

/// A range of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMap {
    /// The first id in the container.
    pub inside: u32,
    /// The first id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

const KINDS: [(&str, Namespaces); 8] = [
    ("pid", Namespaces::PID),
    ("network", Namespaces::NET),
    ("mount", Namespaces::MOUNT),
    ("ipc", Namespaces::IPC),
    ("uts", Namespaces::UTS),
    ("user", Namespaces::USER),
    ("cgroup", Namespaces::CGROUP),
    ("time", Namespaces::TIME),
];

pub(crate) fn plan(linux: &Linux, given: &Given) -> Result<NamespacePlan, PlanError> {
    let mut named = Namespaces::empty();
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        let field = format!("linux.namespaces[{index}]");
        let kind = KINDS.iter().find(|(name, _)| *name == namespace.kind);
        let Some((_, bit)) = kind else {
            let names = KINDS.map(|(name, _)| name).join(", ");
            return Err(PlanError::value(
                field + ".type",
                &namespace.kind,
                format!("one of {names}"),
            ));
        };
        if named.contains(*bit) {
            return Err(PlanError::value(field + ".type", &namespace.kind, "named once"));
        }
        let has_path = namespace.path.as_ref().is_some_and(|path| !path.is_empty());
        if has_path && !given.joined.contains(*bit) {
            let path = namespace.path.as_deref().unwrap_or_default();
            return Err(PlanError::value(field + ".path", path, "given as a descriptor"));
        }
        named |= *bit;
    }
    let new = named - given.joined;
    if given.joined.contains(Namespaces::MOUNT) {
        return Err(PlanError::unsupported(
            "linux.namespaces mount",
            "its root is changed, which others in it would see",
        ));
    }
    if !new.contains(Namespaces::MOUNT) {
        return Err(PlanError::Missing { field: "linux.namespaces mount".to_owned() });
    }
    let (uids, gids) = maps(linux, new, given.joined)?;
    let time_offsets = time_offsets(linux, new)?;
    Ok(NamespacePlan { new, joined: given.joined, uids, gids, time_offsets })
}

/// One line for each clock, as the kernel reads them (time_namespaces(7)).
fn time_offsets(linux: &Linux, new: Namespaces) -> Result<Option<CString>, PlanError> {
    let mut text = String::new();
    for (clock, offset) in &linux.time_offsets {
        let field = format!("linux.timeOffsets.{clock}");
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            return Err(PlanError::value("linux.timeOffsets", clock, "monotonic or boottime"));
        }
        if !new.contains(Namespaces::TIME) {
            let value = format!("{} s {} ns", offset.secs, offset.nanosecs);
            return Err(PlanError::value(field, value, "absent without a new time namespace"));
        }
        if offset.nanosecs > 999_999_999 {
            let value = offset.nanosecs.to_string();
            return Err(PlanError::value(field + ".nanosecs", value, "0 to 999999999"));
        }
        text += &format!("{clock} {} {}\n", offset.secs, offset.nanosecs);
    }
    match text.as_str() {
        "" => Ok(None),
        text => c_string("linux.timeOffsets", text).map(Some),
    }
}

fn maps(
    linux: &Linux,
    new: Namespaces,
    joined: Namespaces,
) -> Result<(Vec<IdMap>, Vec<IdMap>), PlanError> {
    let uids = ranges("linux.uidMappings", &linux.uid_mappings)?;
    let gids = ranges("linux.gidMappings", &linux.gid_mappings)?;
    let user = new.contains(Namespaces::USER);
    for (field, maps) in [("linux.uidMappings", &uids), ("linux.gidMappings", &gids)] {
        match maps.is_empty() {
            true if user => return Err(PlanError::Missing { field: field.to_owned() }),
            // A joined one has its maps already.
            false if !user && !joined.contains(Namespaces::USER) => {
                let wanted = "empty without a new user namespace";
                return Err(PlanError::value(field, format!("{} ranges", maps.len()), wanted));
            }
            _ => {}
        }
    }
    Ok((uids, gids))
}

/// The ranges of a list of mappings; none may be empty or wrap around.
pub(crate) fn ranges(field: &str, list: &[IdMapping]) -> Result<Vec<IdMap>, PlanError> {
    // UID_GID_MAP_MAX_EXTENTS.
    if list.len() > 340 {
        return Err(PlanError::value(
            field,
            format!("{} ranges", list.len()),
            "at most 340 ranges",
        ));
    }
    let plans = list
        .iter()
        .enumerate()
        .map(|(index, map)| {
            let fits = |first: u32| map.size > 0 && first.checked_add(map.size).is_some();
            if fits(map.container_id) && fits(map.host_id) {
                Ok(IdMap { inside: map.container_id, outside: map.host_id, count: map.size })
            } else {
                let field = format!("{field}[{index}]");
                let value = format!("{} {} {}", map.container_id, map.host_id, map.size);
                Err(PlanError::value(field, value, "a range of 1 or more ids below 4294967295"))
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    match overlapping(&plans) {
        None => Ok(plans),
        Some(map) => {
            let value = format!("{} {} {}", map.inside, map.outside, map.count);
            Err(PlanError::value(field, value, "ranges that do not overlap"))
        }
    }
}

/// A range that has an id, inside or outside, with an earlier one in common.
fn overlapping(maps: &[IdMap]) -> Option<&IdMap> {
    for first in [|map: &IdMap| map.inside, |map: &IdMap| map.outside] {
        let mut sorted: Vec<&IdMap> = maps.iter().collect();
        sorted.sort_by_key(|map| first(map));
        let found = sorted.windows(2).find(|pair| first(pair[0]) + pair[0].count > first(pair[1]));
        if let Some(pair) = found {
            return Some(pair[1]);
        }
    }
    None
}

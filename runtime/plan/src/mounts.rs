//! The mounts of a container.

use crate::namespaces::{IdMap, ranges};
use crate::options::{self, AttrChange, Options};
use crate::text::{absolute, c_string, is_within};
use crate::{CgroupView, Given, Hierarchy, NamespacePlan, PlanError, SourceKind};
use spec::oci::{Linux, Mount};
use std::ffi::CString;
use sys::mount::{Attr, Extent, Propagation};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPlan {
    /// Where, absolute and cleaned.
    pub target: CString,
    /// What the target is made as if it is missing.
    pub target_kind: TargetKind,
    /// Whether a symbolic link on the way to the target is refused: `/dev`, `/proc`, `/sys` and what has their file
    /// systems (CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2026-41579).
    pub no_links: bool,
    /// Whether the target may be a file of procfs.
    pub may_cover_proc: bool,
    /// What is mounted.
    pub kind: MountKind,
}

/// What a mount's target is made as if it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A directory.
    Directory,
    /// An empty file.
    File,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A file or directory of the host.
    Bind(BindPlan),
    /// A file system that the kernel makes.
    Typed(TypedPlan),
    /// A tmpfs with one mount for each hierarchy of cgroup version 1 in it.
    Cgroups(CgroupsPlan),
}

/// A bind mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindPlan {
    /// The index of the source among the given ones: that of the mount in the specification.
    pub source: usize,
    /// Whether mounts below the source come along.
    pub extent: Extent,
    /// Attributes of the mount itself.
    pub own: AttrChange,
    /// Attributes of the mount and all below.
    pub tree: AttrChange,
    /// The propagation; private for the whole tree if nothing is said.
    pub propagation: (Propagation, Extent),
    /// Id maps.
    pub idmap: Option<IdmapPlan>,
}

/// Id maps of a bind mount: ids of the source's files are `inside`, what the container sees is `outside`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdmapPlan {
    /// User ids.
    pub uids: Vec<IdMap>,
    /// Group ids.
    pub gids: Vec<IdMap>,
    /// Whether mounts below are mapped too.
    pub extent: Extent,
}

/// A file system that the kernel makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedPlan {
    /// Its type.
    pub fs: CString,
    /// Options with their values; the first is `source`.
    pub options: Vec<(CString, Option<CString>)>,
    /// Attributes of the mount.
    pub attributes: Attr,
}

/// The hierarchies of cgroup version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupsPlan {
    /// One mount each, inside the tmpfs: the directory and what is mounted there.
    pub hierarchies: Vec<(CString, TypedPlan)>,
    /// Links in the tmpfs: `cpu` says `cpu,cpuacct`.
    pub links: Vec<(CString, CString)>,
    /// Attributes of the tmpfs once it is filled.
    pub attributes: Attr,
}

/// The file systems that may be asked for by type; others could make the kernel read what the image says.
const TYPES: [&str; 8] = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "bpf"];

/// Files of procfs that may be covered, for tools that show a container its limits. The list is runc's.
const COVERABLE: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

pub(crate) fn plan(
    mounts: &[Mount],
    linux: &Linux,
    namespaces: &NamespacePlan,
    given: &Given,
) -> Result<Vec<MountPlan>, PlanError> {
    // Linux allows 100,000 mounts in a namespace.
    if mounts.len() > 4096 {
        return Err(PlanError::value("mounts", format!("{} mounts", mounts.len()), "at most 4096"));
    }
    reject_labels(linux)?;
    let plan = |(index, mount)| one(index, mount, namespaces, given);
    mounts.iter().enumerate().map(plan).collect()
}

fn reject_labels(linux: &Linux) -> Result<(), PlanError> {
    match linux.mount_label.as_deref() {
        None | Some("") => Ok(()),
        Some(_) => Err(PlanError::unsupported("linux.mountLabel", "mounts are not labelled")),
    }
}

fn one(
    index: usize,
    mount: &Mount,
    namespaces: &NamespacePlan,
    given: &Given,
) -> Result<MountPlan, PlanError> {
    let field = format!("mounts[{index}]");
    let target = absolute(&format!("{field}.destination"), &mount.destination)?;
    if target == "/" {
        let field = format!("{field}.destination");
        return Err(PlanError::value(field, &mount.destination, "below the root"));
    }
    let options = options::parse(&format!("{field}.options"), &mount.options)?;
    let fs = mount.kind.as_deref().unwrap_or_default();
    let source = given.sources.get(index).copied().flatten();
    let is_bind = options.bind.is_some() || fs == "bind";
    let kind = match (is_bind, source) {
        (true, Some(_)) => bind(index, &field, mount, options, namespaces)?,
        (true, None) => {
            let allowed = "given as a descriptor";
            let source = mount.source.as_deref().unwrap_or_default();
            return Err(PlanError::value(format!("{field}.source"), source, allowed));
        }
        (false, _) => typed(&field, fs, mount, options, given)?,
    };
    reject_inside_proc(&target, fs, is_bind)?;
    let system = ["/proc", "/sys", "/dev"].contains(&target.as_str());
    let is_file = is_bind && source == Some(SourceKind::File);
    Ok(MountPlan {
        target: c_string(&field, &target)?,
        target_kind: if is_file { TargetKind::File } else { TargetKind::Directory },
        no_links: system || (!is_bind && matches!(fs, "proc" | "sysfs")),
        may_cover_proc: COVERABLE.contains(&target.as_str()),
        kind,
    })
}

/// Only procfs itself goes to `/proc`, and only files of runc's list are covered in it (CVE-2019-16884).
fn reject_inside_proc(target: &str, fs: &str, is_bind: bool) -> Result<(), PlanError> {
    let allowed = match target {
        "/proc" => fs == "proc" && !is_bind,
        inside if is_within(inside, "/proc") => is_bind && COVERABLE.contains(&inside),
        _ => true,
    };
    match allowed {
        true => Ok(()),
        false => Err(PlanError::InsideProc { destination: target.to_owned() }),
    }
}

fn bind(
    index: usize,
    field: &str,
    mount: &Mount,
    options: Options,
    namespaces: &NamespacePlan,
) -> Result<MountKind, PlanError> {
    // Options of a file system say nothing about a bind mount; the kernel ignores these two kinds.
    let harmless = ["sync", "async", "dirsync", "mand", "nomand", "lazytime", "nolazytime"];
    if let Some(option) = options.rest.iter().find(|option| !harmless.contains(&option.as_str())) {
        let allowed = "an option of bind mounts";
        return Err(PlanError::value(format!("{field}.options"), option, allowed));
    }
    let extent = options.bind.unwrap_or(Extent::Mount);
    Ok(MountKind::Bind(BindPlan {
        source: index,
        extent,
        own: options.own,
        tree: options.tree,
        propagation: options.propagation.unwrap_or((Propagation::Private, Extent::Tree)),
        idmap: idmap(field, mount, options.idmap, namespaces)?,
    }))
}

fn idmap(
    field: &str,
    mount: &Mount,
    option: Option<Extent>,
    namespaces: &NamespacePlan,
) -> Result<Option<IdmapPlan>, PlanError> {
    let uids = ranges(&format!("{field}.uidMappings"), &mount.uid_mappings)?;
    let gids = ranges(&format!("{field}.gidMappings"), &mount.gid_mappings)?;
    match (uids.is_empty(), gids.is_empty(), option) {
        (true, true, None) => Ok(None),
        (false, false, _) => {
            Ok(Some(IdmapPlan { uids, gids, extent: option.unwrap_or(Extent::Mount) }))
        }
        // Without maps of its own the mount takes the container's.
        (true, true, Some(extent)) if !namespaces.uids.is_empty() => {
            let (uids, gids) = (namespaces.uids.clone(), namespaces.gids.clone());
            Ok(Some(IdmapPlan { uids, gids, extent }))
        }
        _ => {
            let field = format!("{field}.uidMappings and {field}.gidMappings");
            Err(PlanError::value(
                field,
                "",
                "given both, or with a user namespace of the container",
            ))
        }
    }
}

fn typed(
    field: &str,
    fs: &str,
    mount: &Mount,
    options: Options,
    given: &Given,
) -> Result<MountKind, PlanError> {
    if !TYPES.contains(&fs) {
        let allowed = format!("bind or one of {}", TYPES.join(", "));
        return Err(PlanError::value(format!("{field}.type"), fs, allowed));
    }
    if options.idmap.is_some() || !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
        return Err(PlanError::unsupported(field, "only bind mounts can be idmapped"));
    }
    let attributes = options.own.set | options.tree.set;
    match (fs, &given.cgroups) {
        ("cgroup", CgroupView::Legacy(list)) => cgroups(field, list, attributes),
        ("cgroup", CgroupView::Unified) => {
            let source = mount.source.as_deref().unwrap_or("cgroup");
            typed_plan(field, "cgroup2", source, &options.rest, attributes).map(MountKind::Typed)
        }
        _ => {
            let source = mount.source.as_deref().filter(|name| !name.is_empty()).unwrap_or(fs);
            typed_plan(field, fs, source, &options.rest, attributes).map(MountKind::Typed)
        }
    }
}

fn typed_plan(
    field: &str,
    fs: &str,
    source: &str,
    rest: &[String],
    attributes: Attr,
) -> Result<TypedPlan, PlanError> {
    let field = format!("{field}.options");
    let mut options = vec![(c_string(&field, "source")?, Some(c_string(&field, source)?))];
    for option in rest {
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, Some(c_string(&field, value)?)),
            None => (option.as_str(), None),
        };
        if key.is_empty() || value.as_ref().is_some_and(|value| value.as_bytes().len() > 255) {
            return Err(PlanError::value(field, option, "NAME or NAME=value of at most 255 bytes"));
        }
        options.push((c_string(&field, key)?, value));
    }
    Ok(TypedPlan { fs: c_string(&field, fs)?, options, attributes })
}

fn cgroups(field: &str, list: &[Hierarchy], attributes: Attr) -> Result<MountKind, PlanError> {
    let mut plan = CgroupsPlan { hierarchies: Vec::new(), links: Vec::new(), attributes };
    for hierarchy in list {
        let directory = c_string(field, &hierarchy.directory)?;
        let (fs, mut options) = match hierarchy.options.is_empty() {
            true => ("cgroup2", Vec::new()),
            false => ("cgroup", hierarchy.options.clone()),
        };
        // A hierarchy without a controller has to say so.
        if options.iter().all(|option| option.starts_with("name=")) && fs == "cgroup" {
            options.insert(0, "none".to_owned());
        }
        let mount = typed_plan(field, fs, "cgroup", &options, attributes)?;
        for option in options.iter().filter(|option| {
            **option != hierarchy.directory && !option.contains('=') && *option != "none"
        }) {
            plan.links.push((c_string(field, option)?, directory.clone()));
        }
        plan.hierarchies.push((directory, mount));
    }
    Ok(MountKind::Cgroups(plan))
}

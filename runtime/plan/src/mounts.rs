//! The mounts of a container.

use crate::namespaces::{IdMap, ranges};
use crate::options::{self, AttrChange, Options};
use crate::text::{absolute, c_string, is_within};
use crate::{CgroupView, Given, Hierarchy, NamespacePlan, PlanError, SourceKind};
use spec::oci::{Linux, Mount};
use std::ffi::CString;
use sys::clone::Namespaces;
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
    /// Whether the source must be a procfs, which covers the container's own.
    pub proc_source: bool,
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
    /// The host's own file system, where the kernel makes none for a user namespace.
    Host(HostPlan),
    /// A file system of any type, by mount(2).
    Classic(ClassicPlan),
    /// A change of what is mounted at the target.
    Remount(RemountPlan),
}

/// A tree of the host that is bound, with all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlan {
    /// Where it is on the host.
    pub path: CString,
    /// Attributes of everything in it.
    pub attributes: Attr,
}

/// Arguments of mount(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicPlan {
    /// The type.
    pub fs: CString,
    /// A device, or what the type understands; resolved on the host.
    pub source: CString,
    /// MS_* bits.
    pub flags: u64,
    /// Options of the file system, separated by commas.
    pub data: CString,
}

/// A change of what is mounted already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemountPlan {
    /// Attributes of the mount itself.
    pub own: AttrChange,
    /// Attributes of the mount and all below.
    pub tree: AttrChange,
    /// The new propagation.
    pub propagation: Option<(Propagation, Extent)>,
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
    /// The propagation, if it is not private.
    pub propagation: Option<(Propagation, Extent)>,
    /// Whether it starts with a copy of what is at its target.
    pub copy_up: bool,
    /// What is mounted if the container's user namespace has no right to make the file system (EPERM).
    pub fallback: Option<HostPlan>,
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

/// The file systems that may be asked for by type; others, which could make the kernel read what the image says, are for
/// the administrator's bundle.
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
    reject_labels(linux, given)?;
    let label = linux.mount_label.as_deref().unwrap_or_default();
    let plan = |(index, mount)| one(index, mount, namespaces, given, label);
    mounts.iter().enumerate().map(plan).collect()
}

fn reject_labels(linux: &Linux, given: &Given) -> Result<(), PlanError> {
    match linux.mount_label.as_deref() {
        None | Some("") => Ok(()),
        Some(_) if given.selinux => Ok(()),
        Some(_) => Err(PlanError::unsupported("linux.mountLabel", "SELinux is not enabled")),
    }
}

fn one(
    index: usize,
    mount: &Mount,
    namespaces: &NamespacePlan,
    given: &Given,
    label: &str,
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
    let proc_source = is_bind && target == "/proc" && given.administrator;
    let kind = match (is_bind, source) {
        _ if options.remount => remount(&field, mount, &options)?,
        (true, Some(_)) => bind(index, &field, mount, options, namespaces, given)?,
        (true, None) => {
            let allowed = "given as a descriptor";
            let source = mount.source.as_deref().unwrap_or_default();
            return Err(PlanError::value(format!("{field}.source"), source, allowed));
        }
        (false, _) => typed(&field, fs, mount, options, (namespaces, given, label))?,
    };
    if !matches!(kind, MountKind::Remount(_)) && !proc_source {
        reject_inside_proc(&target, fs, is_bind)?;
    }
    let system = ["/proc", "/sys", "/dev"].contains(&target.as_str());
    let is_file = is_bind && source == Some(SourceKind::File);
    Ok(MountPlan {
        target: c_string(&field, &target)?,
        target_kind: if is_file { TargetKind::File } else { TargetKind::Directory },
        no_links: system || (!is_bind && matches!(fs, "proc" | "sysfs")),
        may_cover_proc: COVERABLE.contains(&target.as_str()),
        proc_source,
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

/// A change of the mount at the target; what is there must be one.
fn remount(field: &str, mount: &Mount, options: &Options) -> Result<MountKind, PlanError> {
    if options.idmap.is_some() || !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
        return Err(PlanError::unsupported(field, "what is mounted already cannot be idmapped"));
    }
    let (own, tree, propagation) = (options.own, options.tree, options.propagation);
    Ok(MountKind::Remount(RemountPlan { own, tree, propagation }))
}

fn bind(
    index: usize,
    field: &str,
    mount: &Mount,
    options: Options,
    namespaces: &NamespacePlan,
    given: &Given,
) -> Result<MountKind, PlanError> {
    if options.copy_up {
        return Err(PlanError::value(format!("{field}.options"), "tmpcopyup", "on a tmpfs only"));
    }
    // Options of a file system say nothing about a bind mount; the kernel ignores them. The administrator's engines are
    // used to that.
    let harmless = |option: &&String| {
        given.administrator || SUPERBLOCK.iter().any(|(name, _)| name == &option.as_str())
    };
    if let Some(option) = options.rest.iter().find(|option| !harmless(option)) {
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
    (namespaces, given, label): (&NamespacePlan, &Given, &str),
) -> Result<MountKind, PlanError> {
    if !TYPES.contains(&fs) && (!given.administrator || matches!(fs, "" | "none")) {
        let allowed = format!("bind or one of {}", TYPES.join(", "));
        return Err(PlanError::value(format!("{field}.type"), fs, allowed));
    }
    if options.idmap.is_some() || !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
        return Err(PlanError::unsupported(field, "only bind mounts can be idmapped"));
    }
    if options.copy_up && fs != "tmpfs" {
        return Err(PlanError::value(format!("{field}.options"), "tmpcopyup", "on a tmpfs only"));
    }
    let attributes = options.own.set | options.tree.set;
    let is_cgroup = matches!(fs, "cgroup" | "cgroup2");
    let in_user = namespaces.separate(Namespaces::USER);
    // Only who has the cgroup namespace may mount; the tree is the host's then, and nobody writes to it (CVE-2023-25809).
    if is_cgroup && in_user && !namespaces.separate(Namespaces::CGROUP) {
        return host(c_string(field, "/sys/fs/cgroup")?, attributes | Attr::RDONLY);
    }
    let source = mount.source.as_deref().filter(|name| !name.is_empty()).unwrap_or(fs);
    if !TYPES.contains(&fs) {
        return classic(field, fs, source, &options.rest, (attributes, label));
    }
    let mut plan = match (fs, &given.cgroups) {
        ("cgroup", CgroupView::Legacy(list)) => return cgroups(field, list, attributes),
        ("cgroup", CgroupView::Unified) => {
            let rest = options.rest.iter().filter(|option| !is_superblock(option));
            let rest: Vec<_> = rest.cloned().collect();
            typed_plan(field, "cgroup2", source, &rest, attributes)?
        }
        _ => typed_plan(field, fs, source, &options.rest, attributes)?,
    };
    if !label.is_empty() && matches!(fs, "tmpfs" | "devpts") {
        plan.options.push((c_string(field, "context")?, Some(c_string(field, label)?)));
    }
    plan.copy_up = options.copy_up;
    plan.propagation = options.propagation.filter(|(kind, _)| *kind != Propagation::Private);
    plan.fallback = fallback(fs, attributes, namespaces).filter(|_| in_user);
    Ok(MountKind::Typed(plan))
}

fn host(path: CString, attributes: Attr) -> Result<MountKind, PlanError> {
    Ok(MountKind::Host(HostPlan { path, attributes }))
}

/// The host's file system, where the container's user namespace does not own what the kernel asks for. The host's
/// processes are only for a container that sees them in any case. What shows the host is read-only with all below it,
/// the cgroups among that too (CVE-2023-25809).
fn fallback(fs: &str, attributes: Attr, namespaces: &NamespacePlan) -> Option<HostPlan> {
    let closed = Attr::NOSUID | Attr::NOEXEC | Attr::NODEV;
    let (path, attributes) = match fs {
        "sysfs" => (c"/sys", attributes | closed | Attr::RDONLY),
        "cgroup" | "cgroup2" => (c"/sys/fs/cgroup", attributes | closed | Attr::RDONLY),
        "mqueue" => (c"/dev/mqueue", attributes | closed),
        "proc" if !namespaces.separate(Namespaces::PID) => (c"/proc", attributes | closed),
        _ => return None,
    };
    Some(HostPlan { path: path.to_owned(), attributes })
}

/// Options that are bits of a file system's own flags (MS_* of mount(2)); 0 for the absence of one.
const SUPERBLOCK: [(&str, u64); 10] = [
    ("sync", 1 << 4),
    ("async", 0),
    ("dirsync", 1 << 7),
    ("mand", 1 << 6),
    ("nomand", 0),
    ("lazytime", 1 << 25),
    ("nolazytime", 0),
    ("iversion", 1 << 23),
    ("noiversion", 0),
    ("rw", 0),
];

fn is_superblock(option: &str) -> bool {
    SUPERBLOCK.iter().any(|(name, _)| *name == option)
}

fn classic(
    field: &str,
    fs: &str,
    source: &str,
    rest: &[String],
    (attributes, label): (Attr, &str),
) -> Result<MountKind, PlanError> {
    const ATTRIBUTES: [(Attr, u64); 8] = [
        (Attr::RDONLY, 1),
        (Attr::NOSUID, 1 << 1),
        (Attr::NODEV, 1 << 2),
        (Attr::NOEXEC, 1 << 3),
        (Attr::NOSYMFOLLOW, 1 << 8),
        (Attr::NOATIME, 1 << 10),
        (Attr::NODIRATIME, 1 << 11),
        (Attr::STRICTATIME, 1 << 24),
    ];
    let mut flags = 0;
    for (attribute, bit) in ATTRIBUTES {
        if attributes.contains(attribute) {
            flags |= bit;
        }
    }
    let mut data: Vec<&str> = Vec::new();
    for option in rest {
        match SUPERBLOCK.iter().find(|(name, _)| name == option) {
            Some((_, bit)) => flags |= bit,
            None => data.push(option),
        }
    }
    let context = format!("context=\"{label}\"");
    if !label.is_empty() {
        data.push(&context);
    }
    let data = data.join(",");
    // The kernel reads one page.
    if data.len() >= 4096 {
        let value = format!("{} bytes", data.len());
        return Err(PlanError::value(format!("{field}.options"), value, "less than 4096 bytes"));
    }
    Ok(MountKind::Classic(ClassicPlan {
        fs: c_string(&format!("{field}.type"), fs)?,
        source: c_string(&format!("{field}.source"), source)?,
        flags,
        data: c_string(&format!("{field}.options"), &data)?,
    }))
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
    // The version counter of inodes is not an option of a file system that is made here.
    for option in rest.iter().filter(|option| !option.ends_with("iversion")) {
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, Some(c_string(&field, value)?)),
            None => (option.as_str(), None),
        };
        if key.is_empty() || value.as_ref().is_some_and(|value| value.as_bytes().len() > 255) {
            return Err(PlanError::value(field, option, "NAME or NAME=value of at most 255 bytes"));
        }
        options.push((c_string(&field, key)?, value));
    }
    let fs = c_string(&field, fs)?;
    Ok(TypedPlan { fs, options, attributes, propagation: None, copy_up: false, fallback: None })
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

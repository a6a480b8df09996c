//! What a container shall see of the host's cgroup file systems.

use mounts::mountinfo::Mount;
use plan::{CgroupView, Hierarchy};
use spec::oci::Spec;

/// Where every host mounts them.
const ROOT: &str = "/sys/fs/cgroup/";

/// What the kernel shows among a hierarchy's options that is no controller and no name.
const OTHER: [&str; 6] = ["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode"];

/// The hierarchies of version 1 and a version 2 beside them, or version 2 alone. Looked at only if the specification has
/// a mount that shows them.
pub(crate) fn view(spec: &Spec) -> CgroupView {
    let shown = |mount: &spec::oci::Mount| mount.kind.as_deref() == Some("cgroup");
    if !spec.mounts.iter().any(shown) {
        return CgroupView::Unified;
    }
    let mounts = mounts::mountinfo::read("/proc/self/mountinfo").unwrap_or_default();
    let hierarchies: Vec<_> = mounts.iter().filter_map(hierarchy).collect();
    match hierarchies.iter().any(|hierarchy| !hierarchy.options.is_empty()) {
        true => CgroupView::Legacy(hierarchies),
        false => CgroupView::Unified,
    }
}

fn hierarchy(mount: &Mount) -> Option<Hierarchy> {
    let point = std::str::from_utf8(&mount.mount_point).ok()?;
    let directory = point.strip_prefix(ROOT)?;
    if directory.is_empty() || directory.contains(['/', '\\']) {
        return None;
    }
    let options = String::from_utf8_lossy(&mount.super_options);
    let options = match mount.kind.as_str() {
        "cgroup2" => Vec::new(),
        "cgroup" => options
            .split(',')
            .filter(|option| !OTHER.contains(option) && !option.starts_with("release_agent="))
            .map(str::to_owned)
            .collect(),
        _ => return None,
    };
    Some(Hierarchy { directory: directory.to_owned(), options })
}

//! What a container shall see of the host's cgroup file systems.

use plan::{CgroupView, Hierarchy};

/// Where every host mounts them.
const ROOT: &str = "/sys/fs/cgroup/";

/// What the kernel shows among a hierarchy's options that is no controller and no name.
const OTHER: [&str; 6] = ["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode"];

/// Reads `/proc/self/mountinfo` (proc(5)): hierarchies of version 1 and a version 2 beside them, or version 2 alone.
pub(crate) fn view(mountinfo: &str) -> CgroupView {
    let hierarchies: Vec<_> = mountinfo.lines().filter_map(hierarchy).collect();
    let any_v1 = hierarchies.iter().any(|hierarchy| !hierarchy.options.is_empty());
    if any_v1 { CgroupView::Legacy(hierarchies) } else { CgroupView::Unified }
}

fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount, file_system) = line.split_once(" - ")?;
    let directory = mount.split(' ').nth(4)?.strip_prefix(ROOT)?;
    let mut fields = file_system.split(' ');
    let kind = fields.next()?;
    let options = fields.nth(1)?;
    if directory.is_empty() || directory.contains(['/', '\\']) {
        return None;
    }
    let options = match kind {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_version_1_are_found_with_the_version_2_beside_them() {
        let text = "\
24 1 0:5 / /proc rw - proc proc rw
30 29 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
31 29 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
32 29 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
33 29 0:29 / /mnt/cpuset rw - cgroup cgroup rw,cpuset
";
        let of = |directory: &str, options: &[&str]| Hierarchy {
            directory: directory.to_owned(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
        };
        let expected = vec![
            of("cpu,cpuacct", &["cpu", "cpuacct"]),
            of("systemd", &["name=systemd"]),
            of("unified", &[]),
        ];
        assert_eq!(view(text), CgroupView::Legacy(expected));
    }

    #[test]
    fn version_2_alone_is_unified() {
        let text = "30 29 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        assert_eq!(view(text), CgroupView::Unified);
    }
}

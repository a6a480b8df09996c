//! Where the hierarchies are mounted and which group of each is our own. Pure: text in, values out.

use std::path::PathBuf;

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// Controllers and `name=`; `None` for cgroup v2.
    pub(crate) controllers: Option<Vec<String>>,
    /// The group of the hierarchy that is visible at the mount point.
    pub(crate) root: String,
    pub(crate) point: PathBuf,
}

/// Reads `/proc/self/mountinfo` (proc(5)). Of several mounts of one hierarchy the first counts.
pub(crate) fn parse_mounts(mountinfo: &str) -> Vec<Mounted> {
    let mut found: Vec<Mounted> = Vec::new();
    for mounted in mountinfo.lines().filter_map(parse_mount) {
        if !found.iter().any(|other| other.controllers == mounted.controllers) {
            found.push(mounted);
        }
    }
    found
}

fn parse_mount(line: &str) -> Option<Mounted> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
    let mut fields = after.split(' ');
    let controllers = match fields.next()? {
        "cgroup2" => None,
        "cgroup" => {
            let options = fields.nth(1)?.split(',');
            let controllers = options.filter(|option| is_controller(option));
            Some(controllers.map(str::to_owned).collect())
        }
        _ => return None,
    };
    Some(Mounted { controllers, root, point: point.into() })
}

/// Where a file system of this type is first mounted.
pub(crate) fn first_of_kind(mountinfo: &str, kind: &str) -> Option<PathBuf> {
    let point = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let same = after.split(' ').next() == Some(kind);
        same.then(|| before.split(' ').nth(4).map(unescape)).flatten()
    };
    mountinfo.lines().find_map(point).map(PathBuf::from)
}

/// The super options of a cgroup v1 mount are its controllers and a few words that are not.
fn is_controller(option: &str) -> bool {
    let other =
        ["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "none", "all"];
    !other.contains(&option)
        && !option.starts_with("release_agent=")
        && !option.starts_with("seclabel")
}

/// Space, tab, line end and backslash are written as three octal digits.
fn unescape(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let digits = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match digits {
            Some(byte) => {
                text.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                text.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    text + rest
}

/// The path of our own group in the hierarchy with these controllers, out of `/proc/self/cgroup` (cgroups(7)).
pub(crate) fn own_group<'a>(
    proc_cgroup: &'a str,
    controllers: Option<&[String]>,
) -> Option<&'a str> {
    proc_cgroup.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let same = match controllers {
            None => id == "0" && names.is_empty(),
            Some(controllers) => {
                !names.is_empty()
                    && names.split(',').all(|name| controllers.iter().any(|other| other == name))
            }
        };
        same.then_some(path)
    })
}

/// The way from a mount's top to our own group, as components. Empty when our group is not below what is mounted, as
/// in a container that sees the host's names through a mount of its own group.
pub(crate) fn relative<'a>(own: &'a str, root: &str) -> Vec<&'a str> {
    let root = root.trim_end_matches('/');
    let Some(rest) = own.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    else {
        return Vec::new();
    };
    let components: Vec<&str> = rest.split('/').filter(|component| !component.is_empty()).collect();
    if components.contains(&"..") { Vec::new() } else { components }
}

/// The group, of those that lead to our own, below which ours are made.
///
/// A service manager starts a unit anew only in a group without groups in it, and a scope has the processes of whoever
/// started us: ours are not made there but, as dockerd does, beside the manager's own at the `top`, if that can be
/// written. From the group into which we have moved it is one up: a daemon that is started anew finds its containers.
pub(crate) fn base<'a>(own: &'a [&'a str], leaf: &str, top: bool) -> &'a [&'a str] {
    let unit = |name: &&str| name.ends_with(".service") || name.ends_with(".scope");
    match own {
        _ if top && own.iter().any(unit) => &[],
        [above @ .., last] if *last == leaf => above,
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 /docker/abc /sys/fs/cgroup/mem\\040ory rw - cgroup cgroup rw,memory
34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
35 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
36 31 0:29 / /mnt/again rw - cgroup cgroup rw,cpu,cpuacct
";

    #[test]
    fn every_hierarchy_is_found_once_with_its_controllers() {
        let found = parse_mounts(MOUNTINFO);
        let words =
            |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let seen: Vec<_> = found.iter().map(|one| one.controllers.clone()).collect();
        assert_eq!(
            seen,
            [words(&["cpu", "cpuacct"]), words(&["memory"]), words(&["name=systemd"]), None]
        );
        assert_eq!(found[1].point, PathBuf::from("/sys/fs/cgroup/mem ory"));
        assert_eq!(found[1].root, "/docker/abc");
    }

    #[test]
    fn a_file_system_is_found_by_its_type() {
        let text =
            format!("{MOUNTINFO}37 31 0:40 / /sys/fs/res\\040ctrl rw - resctrl resctrl rw\n");
        assert_eq!(first_of_kind(&text, "resctrl"), Some(PathBuf::from("/sys/fs/res ctrl")));
        assert_eq!(first_of_kind(MOUNTINFO, "resctrl"), None);
    }

    #[test]
    fn groups_are_made_where_a_daemon_that_is_started_anew_makes_them_too() {
        assert_eq!(base(&["a", "engine"], "init", true), ["a", "engine"]);
        assert_eq!(base(&["a", "engine", "init"], "init", true), ["a", "engine"]);
        assert_eq!(base(&["init"], "init", true), [""; 0]);
        assert_eq!(base(&[], "init", true), [""; 0]);
        for unit in ["coffer.service", "session-1.scope"] {
            assert_eq!(base(&["system.slice", unit], "init", true), [""; 0]);
            assert_eq!(base(&["system.slice", unit], "init", false), ["system.slice", unit]);
            assert_eq!(
                base(&["system.slice", unit, "init"], "init", false),
                ["system.slice", unit]
            );
        }
    }

    #[test]
    fn own_group_is_that_of_the_hierarchy() {
        let text = "4:memory:/a/b\n2:cpu,cpuacct:/c\n1:name=systemd:/\n0::/d\n";
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(own_group(text, Some(&words(&["memory"]))), Some("/a/b"));
        assert_eq!(own_group(text, Some(&words(&["cpu", "cpuacct"]))), Some("/c"));
        assert_eq!(own_group(text, None), Some("/d"));
        assert_eq!(own_group(text, Some(&words(&["pids"]))), None);
    }

    #[test]
    fn the_way_to_our_own_group_starts_at_what_is_mounted() {
        assert_eq!(relative("/a/b", "/"), ["a", "b"]);
        assert_eq!(relative("/docker/abc/x", "/docker/abc"), ["x"]);
        assert!(relative("/docker/abcd", "/docker/abc").is_empty());
        assert!(relative("/../other", "/").is_empty());
        assert!(relative("/", "/").is_empty());
    }
}

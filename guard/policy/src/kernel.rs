//! The kernel's own file systems in a container that is not privileged: each in its one place, with what reaches the
//! host covered. Root in a container is root to procfs and sysfs, whatever its capabilities: a second procfs, or a list
//! of covered paths that leaves one out, and it writes `kernel.core_pattern` or `uevent_helper`.

use crate::launch::forbidden;
use spec::Failure;
use spec::linux::{MASKED, READONLY};
use spec::oci::{Linux, Mount};
use std::path::Path;

/// File systems with their one place, and whether they must be read-only there.
const PLACES: [(&str, &str, bool); 4] = [
    ("proc", "/proc", false),
    ("sysfs", "/sys", true),
    ("cgroup", "/sys/fs/cgroup", true),
    ("cgroup2", "/sys/fs/cgroup", true),
];

pub(crate) fn check(mounts: &[Mount], linux: &Linux) -> Result<(), Failure> {
    mounts.iter().try_for_each(place)?;
    covered("masked", &MASKED, &linux.masked_paths)?;
    covered("read-only", &READONLY, &linux.readonly_paths)
}

fn place(mount: &Mount) -> Result<(), Failure> {
    let kind = mount.kind.as_deref().unwrap_or_default();
    let Some((_, place, read_only)) = PLACES.iter().find(|(known, ..)| *known == kind) else {
        return Ok(());
    };
    let shown: String = mount.destination.chars().take(200).collect();
    if mount.destination != *place {
        return Err(forbidden(&format!("a mount of type {kind} at {shown:?}")));
    }
    if *read_only && !is_read_only(&mount.options) {
        return Err(forbidden(&format!("a writable mount of type {kind}")));
    }
    Ok(())
}

/// The last word about it counts.
fn is_read_only(options: &[String]) -> bool {
    let last = options.iter().rev().find_map(|option| match option.as_str() {
        "ro" | "rro" => Some(true),
        "rw" | "rrw" => Some(false),
        _ => None,
    });
    last.unwrap_or(false)
}

fn covered(how: &str, required: &[&str], given: &[String]) -> Result<(), Failure> {
    let is = |path: &&&str| given.iter().any(|above| Path::new(**path).starts_with(above));
    match required.iter().find(|path| !is(path)) {
        Some(path) => Err(forbidden(&format!("a container whose {path} is not {how}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, destination: &str, options: &[&str]) -> Mount {
        Mount {
            destination: destination.into(),
            kind: Some(kind.into()),
            options: options.iter().map(|&option| option.into()).collect(),
            ..Mount::default()
        }
    }

    fn covering() -> Linux {
        let all = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
        Linux { masked_paths: all(&MASKED), readonly_paths: all(&READONLY), ..Linux::default() }
    }

    #[test]
    fn the_kernels_file_systems_have_one_place_each() {
        let usual = [
            mount("proc", "/proc", &["nosuid"]),
            mount("sysfs", "/sys", &["nosuid", "ro"]),
            mount("cgroup", "/sys/fs/cgroup", &["ro"]),
            mount("tmpfs", "/data", &[]),
        ];
        check(&usual, &covering()).unwrap();
        for (mount, what) in [
            (mount("proc", "/mnt", &[]), "a mount of type proc at \"/mnt\""),
            (mount("proc", "/proc/", &[]), "a mount of type proc at \"/proc/\""),
            (mount("sysfs", "/mnt", &["ro"]), "a mount of type sysfs at \"/mnt\""),
            (mount("sysfs", "/sys", &[]), "a writable mount of type sysfs"),
            (mount("sysfs", "/sys", &["ro", "rw"]), "a writable mount of type sysfs"),
            (mount("cgroup", "/sys/fs/cgroup", &["rw"]), "a writable mount of type cgroup"),
            (mount("cgroup2", "/cg", &["ro"]), "a mount of type cgroup2 at \"/cg\""),
        ] {
            let failure = check(&[mount], &covering()).unwrap_err();
            assert_eq!(failure.message, format!("{what} is not allowed: the policy forbids it"));
        }
    }

    #[test]
    fn each_path_that_reaches_the_host_must_be_covered() {
        for (position, path) in MASKED.iter().enumerate() {
            let mut linux = covering();
            linux.masked_paths[position] = "/nothing".into();
            let failure = check(&[], &linux).unwrap_err();
            assert!(
                failure.message.starts_with(&format!("a container whose {path} is not masked"))
            );
        }
        for (position, path) in READONLY.iter().enumerate() {
            let mut linux = covering();
            linux.readonly_paths[position] = format!("{path}x");
            let failure = check(&[], &linux).unwrap_err();
            assert!(failure.message.contains(&format!("{path} is not read-only")), "{failure}");
        }
    }
}

//! Host paths: which may be bound into containers.

use crate::Policy;
use spec::{Class, Failure};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Whether a path is absolute and has no `.`, `..` or empty component, and no zero byte.
pub(crate) fn is_clean(path: &Path) -> bool {
    if path.as_os_str().as_bytes().contains(&0) {
        return false;
    }
    let mut components = path.components();
    if components.next() != Some(Component::RootDir) {
        return false;
    }
    let mut rebuilt = PathBuf::from("/");
    for component in components {
        match component {
            Component::Normal(name) => rebuilt.push(name),
            _ => return false,
        }
    }
    // `components` silently drops `.` and doubled slashes; comparing the bytes notices them.
    rebuilt.as_os_str() == path.as_os_str()
}

fn below(path: &Path, list: &[PathBuf]) -> bool {
    list.iter().any(|prefix| path.starts_with(prefix))
}

impl Policy {
    /// Whether the host path may be bound into a container.
    ///
    /// The caller asks twice: for the path as it was requested, and for where the opened descriptor really is
    /// (`/proc/self/fd/N`), because a symbolic link below an allowed directory may lead out of it.
    pub fn check_bind(&self, path: &[u8], read_only: bool) -> Result<(), Failure> {
        let shown = String::from_utf8_lossy(path);
        let path = Path::new(OsStr::from_bytes(path));
        if !is_clean(path) {
            return Err(Failure::invalid(format!(
                "invalid mount source {shown:?}: must be a clean absolute path"
            )));
        }
        let denied = below(path, &self.host_paths_denied)
            // A directory above a denied one would show it.
            || self.host_paths_denied.iter().any(|denied| denied.starts_with(path));
        let allowed =
            below(path, &self.host_paths) || (read_only && below(path, &self.host_paths_read_only));
        if denied || !allowed {
            let how = if read_only { "bound" } else { "bound writable" };
            return Err(Failure::new(
                Class::Forbidden,
                format!("host path {shown:?} may not be {how}: the policy forbids it"),
            ));
        }
        Ok(())
    }

    /// Whether a device node at this host path may be given to a container.
    pub fn check_device_path(&self, path: &[u8]) -> Result<(), Failure> {
        let shown = String::from_utf8_lossy(path);
        let path = Path::new(OsStr::from_bytes(path));
        if is_clean(path) && below(path, &self.devices) {
            return Ok(());
        }
        Err(Failure::new(
            Class::Forbidden,
            format!("device {shown:?} may not be given to a container: the policy forbids it"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_any_clean_path_may_be_bound() {
        let policy = Policy::default();
        for path in ["/", "/etc", "/var/run/docker.sock"] {
            policy.check_bind(path.as_bytes(), false).unwrap();
        }
    }

    #[test]
    fn paths_that_are_not_clean_are_refused_before_any_list_is_read() {
        let policy = Policy::default();
        for path in ["", "etc", "/etc/../root", "/a/./b", "/a//b", "/a/", "/a\0b"] {
            let failure = policy.check_bind(path.as_bytes(), true).unwrap_err();
            assert_eq!(failure.class, Class::InvalidArgument, "{path}");
        }
    }

    #[test]
    fn only_listed_paths_and_what_is_below_may_be_bound() {
        let policy = Policy::of(
            "host-paths = [\"/srv\"]\nhost-paths-read-only = [\"/usr\"]\nhost-paths-denied = [\"/srv/secret\"]",
        );
        policy.check_bind(b"/srv/data", false).unwrap();
        policy.check_bind(b"/usr/share", true).unwrap();
        for (path, read_only) in [
            ("/", true),
            ("/srvx", true),
            ("/usr", false),
            ("/srv/secret", true),
            ("/srv/secret/key", true),
            ("/srv", false),
        ] {
            let failure = policy.check_bind(path.as_bytes(), read_only).unwrap_err();
            assert_eq!(failure.class, Class::Forbidden, "{path}");
        }
    }

    #[test]
    fn devices_outside_the_list_are_refused() {
        let policy = Policy::of("devices = [\"/dev/dri\"]");
        policy.check_device_path(b"/dev/dri/card0").unwrap();
        assert!(policy.check_device_path(b"/dev/sda").is_err());
        assert!(policy.check_device_path(b"/dev/dri/../sda").is_err());
    }
}

//! Reading the file, and refusing one that others than root could have written.

use crate::Policy;
use crate::devices::Numbers;
use rustix::fs::{Mode, OFlags};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where the policy is looked for.
pub const DEFAULT_PATH: &str = "/etc/docker/policy.toml";

/// Bytes of a policy file at most.
const LIMIT: u64 = 1024 * 1024;

/// Why a policy file is not used. The engine does not start then: guessing would open what the file closes.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("read policy {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others than root could have written it.
    #[error("policy {} must be a regular file of root that nobody else can write", path.display())]
    NotRoots {
        /// The file.
        path: PathBuf,
    },
    /// It is not what the documentation says.
    #[error("policy {}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A path in it is not absolute, or has `.` or `..` in it.
    #[error("policy {}: {:?} is not a clean absolute path", path.display(), value)]
    Path {
        /// The file.
        path: PathBuf,
        /// The path in it.
        value: PathBuf,
    },
}

impl Policy {
    /// Reads the policy at `path`. When there is no file at [`DEFAULT_PATH`], the default policy holds; a file that
    /// was named by the administrator must exist.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let read = |source| PolicyError::Read { path: path.to_owned(), source };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) if path == Path::new(DEFAULT_PATH) => {
                return Ok(Self::default());
            }
            Err(errno) => return Err(read(errno.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|errno| read(errno.into()))?;
        let regular = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
        if !regular || stat.st_uid != 0 || stat.st_mode & 0o022 != 0 {
            return Err(PolicyError::NotRoots { path: path.to_owned() });
        }
        let mut text = String::new();
        std::fs::File::from(file).take(LIMIT).read_to_string(&mut text).map_err(read)?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, PolicyError> {
        let mut policy: Self = toml::from_str(text).map_err(|source| PolicyError::Syntax {
            path: path.to_owned(),
            source: source.into(),
        })?;
        let lists = [
            &policy.host_paths,
            &policy.host_paths_read_only,
            &policy.host_paths_denied,
            &policy.devices,
        ];
        for value in lists.into_iter().flatten() {
            if !crate::paths::is_clean(value) {
                return Err(PolicyError::Path { path: path.to_owned(), value: value.clone() });
            }
        }
        policy.device_numbers = Numbers::look_up(&policy.devices);
        Ok(policy)
    }

    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self::parse(text, Path::new("policy.toml")).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn write(directory: &Path, text: &str, mode: u32) -> PathBuf {
        let path = directory.join("policy.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), "", 0o666);
        assert!(matches!(Policy::load(&path), Err(PolicyError::NotRoots { .. })));
        let path = write(directory.path(), "", 0o644);
        Policy::load(&path).unwrap();
    }

    #[test]
    fn a_file_that_was_named_must_exist_and_must_not_be_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing.toml");
        assert!(matches!(Policy::load(&missing), Err(PolicyError::Read { .. })));
        let path = write(directory.path(), "", 0o644);
        let link = directory.path().join("link.toml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(Policy::load(&link), Err(PolicyError::Read { .. })));
    }

    #[test]
    fn a_key_that_is_not_known_is_refused_since_it_may_be_a_misspelt_prohibition() {
        let path = Path::new("p");
        assert!(matches!(
            Policy::parse("priviledged = false", path),
            Err(PolicyError::Syntax { .. })
        ));
    }

    #[test]
    fn a_path_that_is_not_clean_is_refused() {
        let path = Path::new("p");
        for value in ["srv", "/srv/../etc", "/srv/./x", ""] {
            let text = format!("host-paths = [{value:?}]");
            assert!(matches!(Policy::parse(&text, path), Err(PolicyError::Path { .. })), "{value}");
        }
    }
}

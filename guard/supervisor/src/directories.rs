//! The data root and the exec root: made, owned as they must be, and held against a second engine.

use rustix::fs::{FlockOperation, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The format of the data root that this engine writes and reads.
const FORMAT: u64 = 1;

/// What another engine's data root has in it.
const FOREIGN: [&str; 5] = ["overlay2", "image", "buildkit", "engine-id", "containerd"];

/// Directories of the data root that the api worker owns.
const API_OWNED: [&str; 3] = ["meta", "content", "containers"];

/// Directories of the data root that root owns.
const ROOT_OWNED: [&str; 2] = ["snapshots", "volumes"];

/// Why the engine does not work in a directory.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another engine wrote it.
    #[error(
        "data root {} was written by another container engine (it has {found:?} in it): choose another with --data-root, or move it away",
        path.display()
    )]
    Foreign {
        /// The data root.
        path: PathBuf,
        /// What gave it away.
        found: &'static str,
    },
    /// A newer version of this engine wrote it.
    #[error("data root {} has format {found}, this engine knows format {FORMAT}", path.display())]
    Newer {
        /// The data root.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// Its marker cannot be read.
    #[error("data root {}: coffer.json is damaged", path.display())]
    Marker {
        /// The data root.
        path: PathBuf,
    },
    /// Another process of this engine works in it.
    #[error("data root {} is in use by another cofferd", path.display())]
    Locked {
        /// The data root.
        path: PathBuf,
    },
    /// The api worker's user cannot reach its directories.
    #[error(
        "data root {}: {} may not be entered by the api worker's user ({uid}): give it mode 0711 or choose another --data-root",
        path.display(),
        closed.display()
    )]
    Closed {
        /// The data root.
        path: PathBuf,
        /// The directory above it that is closed.
        closed: PathBuf,
        /// The api worker's user.
        uid: u32,
    },
    /// A system call failed.
    #[error("prepare {}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The data root, locked for as long as this lives.
#[derive(Debug)]
pub struct DataRoot {
    _lock: OwnedFd,
}

fn io(path: &Path) -> impl Fn(Errno) -> DirectoryError {
    move |errno| DirectoryError::Io { path: path.to_owned(), source: errno.into() }
}

/// Makes or takes over the data root and the exec root. `ids` are the api worker's user and group.
pub fn prepare(data: &Path, exec: &Path, ids: (u32, u32)) -> Result<DataRoot, DirectoryError> {
    make(data, 0o711, None)?;
    check_reachable(data, ids)?;
    check_marker(data)?;
    let lock = lock(data)?;
    for name in API_OWNED {
        make(&data.join(name), 0o700, Some(ids))?;
    }
    for name in ROOT_OWNED {
        make(&data.join(name), 0o711, None)?;
    }
    make(exec, 0o700, None)?;
    Ok(DataRoot { _lock: lock })
}

/// Makes a directory with its parents; the last one gets this mode and owner, also when it existed.
fn make(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<(), DirectoryError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|source| DirectoryError::Io { path: parent.to_owned(), source })?;
    }
    match rustix::fs::mkdir(path, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(io(path)(errno)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(io(path))?;
    let (uid, gid) = owner.unwrap_or((0, 0));
    rustix::fs::fchown(&directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .map_err(io(path))?;
    rustix::fs::fchmod(&directory, Mode::from_raw_mode(mode)).map_err(io(path))
}

/// Whether the api worker can enter every directory above its own. Without this it would end at once, again and again.
fn check_reachable(data: &Path, (uid, gid): (u32, u32)) -> Result<(), DirectoryError> {
    let path = std::path::absolute(data)
        .map_err(|source| DirectoryError::Io { path: data.to_owned(), source })?;
    for above in path.ancestors().skip(1) {
        let stat = rustix::fs::stat(above).map_err(io(above))?;
        let bit = match (stat.st_uid == uid, stat.st_gid == gid) {
            (true, _) => 0o100,
            (_, true) => 0o010,
            _ => 0o001,
        };
        if stat.st_mode & bit == 0 {
            let (path, closed) = (data.to_owned(), above.to_owned());
            return Err(DirectoryError::Closed { path, closed, uid });
        }
    }
    Ok(())
}

/// Whose directory this is: ours by `coffer.json`; another engine's by its well-known entries; else new, and marked.
fn check_marker(data: &Path) -> Result<(), DirectoryError> {
    let path = data.join("coffer.json");
    let damaged = || DirectoryError::Marker { path: data.to_owned() };
    match std::fs::File::open(&path) {
        Ok(file) => {
            let mut text = String::new();
            file.take(4096).read_to_string(&mut text).map_err(|_| damaged())?;
            let value: serde_json::Value = serde_json::from_str(&text).map_err(|_| damaged())?;
            let found = value.get("format").and_then(serde_json::Value::as_u64);
            match found.ok_or_else(damaged)? {
                found if found > FORMAT => {
                    Err(DirectoryError::Newer { path: data.to_owned(), found })
                }
                _ => Ok(()),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(found) = FOREIGN.into_iter().find(|name| data.join(name).exists()) {
                return Err(DirectoryError::Foreign { path: data.to_owned(), found });
            }
            write_marker(data).map_err(|source| DirectoryError::Io { path, source })
        }
        Err(source) => Err(DirectoryError::Io { path, source }),
    }
}

/// Whole or not at all, also when the power fails.
fn write_marker(data: &Path) -> std::io::Result<()> {
    let temporary = data.join("coffer.json.new");
    let mut file = std::fs::File::create(&temporary)?;
    writeln!(file, "{}", serde_json::json!({ "format": FORMAT, "engine": "coffer" }))?;
    file.sync_all()?;
    std::fs::rename(&temporary, data.join("coffer.json"))?;
    std::fs::File::open(data)?.sync_all()
}

fn lock(data: &Path) -> Result<OwnedFd, DirectoryError> {
    let path = data.join("lock");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)).map_err(io(&path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(DirectoryError::Locked { path: data.to_owned() }),
        Err(errno) => Err(io(&path)(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_new_data_root_is_marked_and_its_directories_have_their_owners() {
        let root = tempfile::tempdir().unwrap();
        let (data, exec) = (root.path().join("a/data"), root.path().join("exec"));
        let held = prepare(&data, &exec, (60_600, 60_601)).unwrap();
        let owner = |name: &str| {
            let metadata = std::fs::metadata(data.join(name)).unwrap();
            (metadata.uid(), metadata.gid(), metadata.mode() & 0o777)
        };
        assert_eq!(owner("meta"), (60_600, 60_601, 0o700));
        assert_eq!(owner("snapshots"), (0, 0, 0o711));
        drop(held);
        prepare(&data, &exec, (60_600, 60_601)).unwrap();
    }

    #[test]
    fn a_data_root_that_the_api_worker_cannot_reach_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let prepare = |ids| prepare(&root.path().join("data"), &root.path().join("exec"), ids);
        rustix::fs::chmod(root.path(), Mode::from_raw_mode(0o700)).unwrap();
        let message = prepare((60_600, 60_600)).unwrap_err().to_string();
        let closed = format!(": {} may not be entered", root.path().display());
        assert!(message.contains(&closed), "{message}");
        rustix::fs::chmod(root.path(), Mode::from_raw_mode(0o711)).unwrap();
        prepare((60_600, 60_600)).unwrap();
    }

    #[test]
    fn a_data_root_of_another_engine_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("overlay2")).unwrap();
        let failure = prepare(root.path(), &root.path().join("exec"), (1, 1)).unwrap_err();
        assert!(matches!(failure, DirectoryError::Foreign { found: "overlay2", .. }));
        let left: Vec<_> = std::fs::read_dir(root.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn a_second_engine_is_refused_while_the_first_runs() {
        let root = tempfile::tempdir().unwrap();
        let exec = root.path().join("exec");
        let _first = prepare(root.path(), &exec, (1, 1)).unwrap();
        let second = prepare(root.path(), &exec, (1, 1));
        assert!(matches!(second, Err(DirectoryError::Locked { .. })));
    }

    #[test]
    fn a_data_root_of_a_newer_format_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("coffer.json"), "{\"format\": 2}").unwrap();
        let refused = prepare(root.path(), &root.path().join("exec"), (1, 1));
        assert!(matches!(refused, Err(DirectoryError::Newer { found: 2, .. })));
        std::fs::write(root.path().join("coffer.json"), "nonsense").unwrap();
        let refused = prepare(root.path(), &root.path().join("exec"), (1, 1));
        assert!(matches!(refused, Err(DirectoryError::Marker { .. })));
    }
}

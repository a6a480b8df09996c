//! `docker cp`, `docker export` and `docker diff`: what is in a container's root file system, with its volumes.

use super::actor::{Command, tell};
use super::config::{ContainerConfig, MountKind, clean_path};
use super::options::{ArchivePutOptions, TarStream};
use super::registry::Handle;
use super::state::State;
use crate::open::Engine;
use api_types::container::{ChangeItem, PathStat};
use messages::Fd;
use messages::storage::{self, ChangeKind, Root};
use spec::{Class, Failure, SnapshotKey, VolumeName};
use std::os::fd::OwnedFd;

/// A root file system with the descriptors that its name needs.
type Opened = (Root, Vec<OwnedFd>);

impl Engine {
    /// What a container changed in its image's files.
    pub async fn changes(&self, name: &str) -> Result<Vec<ChangeItem>, Failure> {
        let handle = self.0.containers.find(name)?;
        let changes = self.0.workers.changes(SnapshotKey::from(&handle.id)).await?;
        let item = |change: storage::Change| ChangeItem {
            kind: match change.kind {
                ChangeKind::Modified => 0,
                ChangeKind::Added => 1,
                ChangeKind::Deleted => 2,
            },
            path: String::from_utf8_lossy(&change.path).into_owned(),
        };
        Ok(changes.into_iter().map(item).collect())
    }

    /// A container's whole root file system as a tar, volumes left out.
    pub async fn export(&self, name: &str) -> Result<TarStream, Failure> {
        let handle = self.0.containers.find(name)?;
        let view = handle.view();
        match view.state {
            State::Dead => {
                let text = format!("You cannot export container {} which is Dead", handle.id);
                return Err(Failure::conflict(text));
            }
            State::Removing => {
                let text =
                    format!("You cannot export container {} which is being removed", handle.id);
                return Err(Failure::conflict(text));
            }
            _ => {}
        }
        // The snapshot alone: what is mounted over it is left out anyway.
        let root = Root::Stopped { key: SnapshotKey::from(&handle.id), mounts: Vec::new() };
        let (reader, writer) = pipe()?;
        let workers = self.0.workers.clone();
        let outcome = tokio::spawn(async move { workers.export(root, Vec::new(), writer).await });
        tell(&self.0, &view.config, "export", &[]);
        Ok(TarStream { reader, outcome })
    }

    /// What lies at a path in a container.
    pub async fn archive_stat(&self, name: &str, path: &str) -> Result<PathStat, Failure> {
        let handle = self.0.containers.find(name)?;
        let (root, fds) = self.root(&handle).await?;
        let stat = self.0.workers.stat(root, path.into(), fds).await;
        Ok(shown(&stat.map_err(|failure| missing(failure, name, path))?))
    }

    /// A tar of what lies at a path in a container; its entries begin with the path's last component.
    pub async fn archive_get(
        &self,
        name: &str,
        path: &str,
    ) -> Result<(PathStat, TarStream), Failure> {
        let stat = self.archive_stat(name, path).await?;
        let handle = self.0.containers.find(name)?;
        let (root, fds) = self.root(&handle).await?;
        let (reader, writer) = pipe()?;
        let (workers, bytes) = (self.0.workers.clone(), path.as_bytes().to_vec());
        let outcome = tokio::spawn(async move { workers.copy_out(root, bytes, fds, writer).await });
        tell(&self.0, &handle.view().config, "archive-path", &[("path", path.to_owned())]);
        Ok((stat, TarStream { reader, outcome }))
    }

    /// Unpacks a tar, already decompressed, that is read from a descriptor, into an existing directory.
    pub async fn archive_put(
        &self,
        name: &str,
        path: &str,
        options: ArchivePutOptions,
        archive: OwnedFd,
    ) -> Result<(), Failure> {
        let handle = self.0.containers.find(name)?;
        let view = handle.view();
        writable(&view.config, path)?;
        let (root, fds) = self.root(&handle).await?;
        handle.inbox.send(Command::Touched).await.map_err(|_| handle.gone())?;
        let how = storage::CopyIn {
            no_overwrite_dir_non_dir: options.no_overwrite_dir_non_dir,
            keep_owners: options.copy_uid_gid,
        };
        let copied = self.0.workers.copy_in(root, path.into(), how, fds, archive).await;
        copied.map_err(|failure| missing(failure, name, path))?;
        tell(&self.0, &view.config, "extract-to-dir", &[("path", path.to_owned())]);
        Ok(())
    }

    /// The root file system as the container's processes see it; with its volumes also when it does not run.
    async fn root(&self, handle: &Handle) -> Result<Opened, Failure> {
        let view = handle.view();
        if view.state.has_process() {
            let pidfd = self.0.workers.open_init(handle.id.clone()).await?;
            return Ok((Root::Running { id: handle.id.clone(), pidfd: Fd(0) }, vec![pidfd]));
        }
        let (mut mounts, mut fds) = (Vec::new(), Vec::new());
        for mount in &view.config.mounts {
            let source = match mount.kind {
                MountKind::Tmpfs => continue,
                MountKind::Bind => {
                    self.0.workers.open_host_path(&mount.source, false, !mount.writable).await
                }
                MountKind::Volume => {
                    let name = VolumeName::parse(&mount.name)
                        .map_err(|error| Failure::invalid(error.to_string()))?;
                    self.0.workers.open_volume(name, None).await
                }
            };
            match source {
                Ok(fd) => {
                    mounts.push((
                        mount.destination.clone().into_bytes(),
                        Fd(u16::try_from(fds.len()).unwrap_or(u16::MAX)),
                    ));
                    fds.push(fd);
                }
                // A bind source that does not exist yet is made at the start.
                Err(failure) if failure.class == Class::NotFound => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok((Root::Stopped { key: SnapshotKey::from(&handle.id), mounts }, fds))
    }
}

/// A pipe: reading end, writing end.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Failure> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| Failure::internal(format!("make a pipe: {error}")))
}

fn missing(failure: Failure, name: &str, path: &str) -> Failure {
    match failure.class {
        Class::NotFound => {
            Failure::not_found(format!("Could not find the file {path} in container {name}"))
        }
        _ => failure,
    }
}

/// Fails when the path lies on something that the container sees read-only.
fn writable(config: &ContainerConfig, path: &str) -> Result<(), Failure> {
    let path = clean_path(path);
    let holds = |destination: &str| {
        path == destination
            || path.strip_prefix(destination).is_some_and(|rest| rest.starts_with('/'))
    };
    let deepest = config
        .mounts
        .iter()
        .filter(|mount| holds(&mount.destination))
        .max_by_key(|mount| mount.destination.len());
    match deepest {
        Some(mount) if !mount.writable => {
            Err(Failure::invalid("mounted volume is marked read-only"))
        }
        None if config.host.readonly_rootfs => {
            Err(Failure::invalid("container rootfs is marked read-only"))
        }
        _ => Ok(()),
    }
}

fn shown(stat: &storage::PathStat) -> PathStat {
    PathStat {
        name: String::from_utf8_lossy(&stat.name).into_owned(),
        size: i64::try_from(stat.size).unwrap_or(i64::MAX),
        mode: go_mode(stat.mode),
        mtime: crate::event::time_text(Some(stat.modified)),
        link_target: String::from_utf8_lossy(&stat.link_target).into_owned(),
    }
}

/// `st_mode` as Go's `os.FileMode`.
fn go_mode(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        0o060_000 => 1 << 26,
        0o010_000 => 1 << 25,
        0o140_000 => 1 << 24,
        0o020_000 => 1 << 26 | 1 << 21,
        _ => 0,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let bits: u32 = special.iter().filter(|(bit, _)| mode & bit != 0).map(|(_, go)| go).sum();
    kind | bits | mode & 0o777
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        assert_eq!(go_mode(0o040_755), 1 << 31 | 0o755);
        assert_eq!(go_mode(0o120_777), 1 << 27 | 0o777);
        assert_eq!(go_mode(0o104_711), 1 << 23 | 0o711);
        assert_eq!(go_mode(0o041_777), 1 << 31 | 1 << 20 | 0o777);
        assert_eq!(go_mode(0o020_666), 1 << 26 | 1 << 21 | 0o666);
    }
}

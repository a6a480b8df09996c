//! Who a process runs as: the user and group names of a request, looked up in the container's own files.

use crate::open::Shared;
use messages::storage::Root;
use safepath::users;
use spec::Failure;
use spec::oci::User;
use std::collections::HashMap;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// A user file larger than this is refused.
const LIMIT: u64 = 8 << 20;
/// Images whose user files are remembered.
const REMEMBERED: usize = 64;

/// `/etc/passwd` and `/etc/group`; empty where there is none.
#[derive(Debug, Default)]
pub(crate) struct UserFiles {
    passwd: Vec<u8>,
    group: Vec<u8>,
}

/// User files of images, by the image's id: a container that has not run yet has the same.
#[derive(Debug, Default)]
pub(crate) struct UserCache(Mutex<HashMap<String, Arc<UserFiles>>>);

impl UserCache {
    fn get(&self, image: &str) -> Option<Arc<UserFiles>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(image).cloned()
    }

    fn put(&self, image: &str, files: Arc<UserFiles>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.clear();
        }
        all.insert(image.to_owned(), files);
    }
}

/// Reads the files from a root file system; `pidfd` goes with a running one.
pub(crate) async fn read(
    shared: &Shared,
    root: Root,
    pidfd: Option<OwnedFd>,
) -> Result<UserFiles, Failure> {
    let again = pidfd.as_ref().map(OwnedFd::try_clone).transpose();
    let again = again.map_err(|error| Failure::internal(format!("duplicate pidfd: {error}")))?;
    let (passwd, group) = tokio::try_join!(
        file(shared, root.clone(), "/etc/passwd", pidfd),
        file(shared, root, "/etc/group", again),
    )?;
    Ok(UserFiles { passwd, group })
}

/// The files of a container that does not run; those of its image when nobody has changed it yet.
pub(crate) async fn of_stopped(
    shared: &Shared,
    image: &str,
    key: spec::SnapshotKey,
    pristine: bool,
) -> Result<Arc<UserFiles>, Failure> {
    if let Some(files) = shared.users.get(image).filter(|_| pristine) {
        return Ok(files);
    }
    let root = Root::Stopped { key, mounts: Vec::new() };
    let files = Arc::new(read(shared, root, None).await?);
    if pristine {
        shared.users.put(image, Arc::clone(&files));
    }
    Ok(files)
}

async fn file(
    shared: &Shared,
    root: Root,
    path: &str,
    pidfd: Option<OwnedFd>,
) -> Result<Vec<u8>, Failure> {
    let fds = pidfd.into_iter().collect();
    let Some(file) = shared.workers.open_file(root, path, LIMIT, fds).await? else {
        return Ok(Vec::new());
    };
    let mut content = Vec::new();
    // The worker has checked that it is a regular file below the limit; it may have grown since.
    let read = std::fs::File::from(file).take(LIMIT).read_to_end(&mut content);
    read.map_err(|error| Failure::internal(format!("read {path} of the container: {error}")))?;
    Ok(content)
}

impl UserFiles {
    /// Resolves `user[:group]` and the additional groups.
    pub(crate) fn resolve(&self, user: &str, more_groups: &[String]) -> Result<User, Failure> {
        let refused = |error: users::UserError| Failure::invalid(error.to_string());
        let found = users::resolve(user, &self.passwd, &self.group).map_err(refused)?;
        let mut groups = found.groups;
        for name in more_groups {
            let group = users::group_id(name, &self.group).map_err(|error| match error {
                // Docker says this one with a capital.
                users::UserError::NoGroup { name } => Failure::invalid(format!(
                    "Unable to find group {name}: no matching entries in group file"
                )),
                error => refused(error),
            })?;
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        if !groups.contains(&found.gid) {
            groups.insert(0, found.gid);
        }
        Ok(User { uid: found.uid, gid: found.gid, additional_gids: groups, ..User::default() })
    }

    /// The user's home directory, for `HOME`.
    pub(crate) fn home(&self, user: &str) -> Option<String> {
        users::resolve(user, &self.passwd, &self.group).ok().map(|found| found.home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_group_is_among_the_additional_ones_as_docker_does_since_20_10_18() {
        let files = UserFiles {
            passwd: b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/srv:/bin/sh\n".to_vec(),
            group: b"root:x:0:\nadm:x:4:web\nweb:x:33:\n".to_vec(),
        };
        let user = files.resolve("web", &["12".into(), "adm".into()]).unwrap();
        assert_eq!((user.uid, user.gid, user.additional_gids), (33, 33, vec![33, 4, 12]));
        assert_eq!(files.home("web").as_deref(), Some("/srv"));
        let failure = files.resolve("nobody", &[]).unwrap_err();
        assert_eq!(
            failure.message,
            "unable to find user nobody: no matching entries in passwd file"
        );
    }
}

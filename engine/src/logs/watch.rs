//! Waiting for a directory's files to change: inotify, or a short sleep where the kernel has no instance left.

use rustix::fs::inotify;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;

/// How often is looked without inotify.
const POLL: Duration = Duration::from_millis(100);

/// Something that waits for a directory to change.
#[derive(Debug)]
pub struct Watch {
    /// Read as a pipe: an inotify descriptor is polled and read alike.
    events: Option<Receiver>,
}

impl Watch {
    /// Watches `directory`. Changes before this call are not seen, so look at the files after it once.
    pub fn new(directory: &Path) -> Self {
        Self {
            events: Self::inotify(directory)
                .and_then(|fd| Receiver::from_owned_fd_unchecked(fd).ok()),
        }
    }

    fn inotify(directory: &Path) -> Option<OwnedFd> {
        let fd =
            inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok()?;
        let changes = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE_SELF;
        inotify::add_watch(&fd, directory, changes).ok()?;
        Some(fd)
    }

    /// Returns after a change, or after no change now and then.
    pub async fn changed(&self) {
        let Some(events) = &self.events else { return tokio::time::sleep(POLL).await };
        if events.readable().await.is_err() {
            return tokio::time::sleep(POLL).await;
        }
        let mut buffer = [0u8; 4096];
        while events.try_read(&mut buffer).is_ok_and(|read| read > 0) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_wakes_the_waiter() {
        let directory = tempfile::tempdir().unwrap();
        let watch = Watch::new(directory.path());
        std::fs::write(directory.path().join("log"), "x").unwrap();
        watch.changed().await;
    }
}

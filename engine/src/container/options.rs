//! What the verbs on containers take and give besides the API's own bodies.

use crate::Filters;
use std::os::fd::OwnedFd;
use tokio::sync::watch;

/// What `wait` waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// That it does not run; at once for one that does not.
    #[default]
    NotRunning,
    /// Its next end, whether it runs now or not.
    NextExit,
    /// That it is removed.
    Removed,
}

/// How a client is attached.
#[derive(Debug, Clone, Default)]
pub struct AttachOptions {
    /// What the client sends goes to stdin.
    pub stdin: bool,
    /// The client gets stdout.
    pub stdout: bool,
    /// The client gets stderr.
    pub stderr: bool,
    /// The client gets what was logged before.
    pub logs: bool,
    /// The client gets what comes from now on; without it, only `logs`.
    pub stream: bool,
    /// Keys that detach, in Docker's spelling; the default ones when not set.
    pub detach_keys: Option<String>,
    /// No frame headers even without a terminal (websocket).
    pub raw: bool,
}

/// A stream to hand to a client.
#[derive(Debug)]
pub struct Attached {
    /// The bytes on it are those that the client gets and sends.
    pub stream: tokio::net::UnixStream,
    /// Whether the process has a terminal: the bytes have no frames then.
    pub tty: bool,
    /// True once it is known why the stream ends.
    pub(crate) parted: Option<watch::Receiver<bool>>,
}

impl Attached {
    /// A stream whose end says all that there is to say.
    pub fn new(stream: tokio::net::UnixStream, tty: bool) -> Self {
        Self { stream, tty, parted: None }
    }

    /// The stream, and what resolves when the engine knows what its end means. A client must not see the end before:
    /// it asks for the exit code at once.
    pub fn into_parts(self) -> (tokio::net::UnixStream, impl Future<Output = ()> + Send + 'static) {
        let parted = self.parted;
        let known = async move {
            if let Some(mut parted) = parted {
                // An engine that ends knows nothing more.
                parted.wait_for(|parted| *parted).await.ok();
            }
        };
        (self.stream, known)
    }
}

/// Which part of a log is sent.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Keep sending until the container ends.
    pub follow: bool,
    /// Send stdout.
    pub stdout: bool,
    /// Send stderr.
    pub stderr: bool,
    /// Nothing older: seconds since 1970 and nanoseconds.
    pub since: Option<(i64, u32)>,
    /// Nothing younger.
    pub until: Option<(i64, u32)>,
    /// Each line's time in front of it.
    pub timestamps: bool,
    /// The last lines only; all when not set.
    pub tail: Option<u64>,
    /// The additional attributes in front.
    pub details: bool,
}

/// What `list` lists.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Also those that do not run.
    pub all: bool,
    /// At most so many, newest first, whether they run or not.
    pub limit: Option<usize>,
    /// With the sizes on disk.
    pub size: bool,
    /// Only those that match.
    pub filters: Filters,
}

/// How a container is removed.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// With its anonymous volumes.
    pub volumes: bool,
    /// Kill it first if it runs.
    pub force: bool,
    /// Only the legacy link of this name.
    pub link: bool,
}

/// How an archive is written into a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArchivePutOptions {
    /// Refuse to put a directory where something else is, and the reverse.
    pub no_overwrite_dir_non_dir: bool,
    /// Keep the archive's owners; otherwise all belongs to root.
    pub copy_uid_gid: bool,
}

/// What `commit` makes an image of, and how.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// The container.
    pub container: String,
    /// The image's repository; untagged when empty.
    pub repo: String,
    /// Its tag; `latest` when empty.
    pub tag: String,
    /// Who made it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// Freeze the container meanwhile.
    pub pause: bool,
    /// Dockerfile instructions to apply to the image's configuration.
    pub changes: Vec<String>,
}

/// A tar that is written while it is read: the reading end of a pipe, and whether writing succeeded once it ended.
#[derive(Debug)]
pub struct TarStream {
    /// The pipe.
    pub reader: OwnedFd,
    /// How writing it ended.
    pub outcome: tokio::task::JoinHandle<Result<(), spec::Failure>>,
}

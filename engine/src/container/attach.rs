//! Attaching clients to a container, and its terminal's size.

use super::actor::Command;
use super::options::{AttachOptions, Attached, LogOptions};
use super::registry::Handle;
use super::state::State;
use crate::open::Engine;
use messages::shim::Attach;
use spec::Failure;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

/// Docker's keys that detach a client: ctrl-p, ctrl-q.
const DEFAULT_KEYS: &str = "ctrl-p,ctrl-q";

static NUMBER: AtomicU64 = AtomicU64::new(1);

impl Engine {
    /// Attaches a client. A container that does not run keeps the client until it is started, so that it misses no
    /// byte. [`spec::Class::Conflict`] for one that is paused or restarting.
    pub async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attached, Failure> {
        let handle = self.0.containers.find(name)?;
        let keys = detach_keys(options.detach_keys.as_deref())?;
        let view = handle.view();
        match view.state {
            State::Paused => {
                let text =
                    format!("container {name} is paused, unpause the container before attach");
                return Err(Failure::conflict(text));
            }
            State::Restarting => {
                let text =
                    format!("container {name} is restarting, wait until the container is running");
                return Err(Failure::conflict(text));
            }
            _ => {}
        }
        let tty = view.config.config.tty;
        let (stream, far) = stream_pair()?;
        let config = &view.config.config;
        let attach = Attach {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            stdin: options.stdin && config.open_stdin,
            stdout: options.stdout,
            stderr: options.stderr,
            raw: options.raw,
            detach_keys: keys,
        };
        if options.logs {
            self.attach_with_log(handle, attach, far, options).await?;
        } else if options.stream {
            handle.ask(|reply| Command::Attach { attach, stream: far, reply }).await?;
        }
        Ok(Attached::new(stream, tty))
    }

    /// Sends the log first, on a task of its own: the client may read it slowly.
    async fn attach_with_log(
        &self,
        handle: Handle,
        attach: Attach,
        far: OwnedFd,
        options: AttachOptions,
    ) -> Result<(), Failure> {
        let wanted =
            LogOptions { stdout: options.stdout, stderr: options.stderr, ..LogOptions::default() };
        let mut log = self.read_log(&handle, wanted, options.raw)?;
        let mut stream = to_tokio(far)?;
        tokio::spawn(async move {
            while let Some(Ok(piece)) = log.next().await {
                if stream.write_all(&piece).await.is_err() {
                    return;
                }
            }
            if let Some(stream) = stream.into_std().ok().filter(|_| options.stream) {
                let attached = handle
                    .ask(|reply| Command::Attach { attach, stream: stream.into(), reply })
                    .await;
                if let Err(failure) = attached {
                    tracing::debug!(
                        container = handle.id.as_str(),
                        "attach after the log: {failure}"
                    );
                }
            }
        });
        Ok(())
    }

    /// Sets the size of a container's terminal.
    pub async fn resize(&self, name: &str, width: u16, height: u16) -> Result<(), Failure> {
        self.0.containers.find(name)?.ask(|reply| Command::Resize { width, height, reply }).await
    }
}

/// A stream pair: the client's end for tokio, the shim's as it is sent.
pub(crate) fn stream_pair() -> Result<(UnixStream, OwnedFd), Failure> {
    let (near, far) = std::os::unix::net::UnixStream::pair()
        .map_err(|error| Failure::internal(format!("make a stream for a client: {error}")))?;
    Ok((to_tokio(near.into())?, far.into()))
}

fn to_tokio(fd: OwnedFd) -> Result<UnixStream, Failure> {
    let stream = std::os::unix::net::UnixStream::from(fd);
    stream
        .set_nonblocking(true)
        .and_then(|()| UnixStream::from_std(stream))
        .map_err(|error| Failure::internal(format!("use a stream for a client: {error}")))
}

/// Reads `ctrl-p,ctrl-q`: single characters, or `ctrl-` and a letter or one of `@[\]^_`.
pub(crate) fn detach_keys(text: Option<&str>) -> Result<Vec<u8>, Failure> {
    let text = text.filter(|text| !text.is_empty()).unwrap_or(DEFAULT_KEYS);
    let wrong = || Failure::invalid(format!("Invalid detach keys ({text}) provided"));
    let mut keys = Vec::new();
    for key in text.split(',') {
        let byte = match key.as_bytes() {
            [byte] => *byte,
            [b'c', b't', b'r', b'l', b'-', control] => match control {
                b'a'..=b'z' => control - b'a' + 1,
                b'A'..=b'Z' => control - b'A' + 1,
                b'@' => 0,
                b'[' => 27,
                b'\\' => 28,
                b']' => 29,
                b'^' => 30,
                b'_' => 31,
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        keys.push(byte);
    }
    if keys.len() > 16 { Err(wrong()) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_read_in_dockers_spelling() {
        assert_eq!(detach_keys(None).unwrap(), [16, 17]);
        assert_eq!(detach_keys(Some("a,ctrl-[,ctrl-@")).unwrap(), [b'a', 27, 0]);
        assert_eq!(
            detach_keys(Some("ctrl-")).unwrap_err().message,
            "Invalid detach keys (ctrl-) provided"
        );
        assert!(detach_keys(Some("ab")).is_err());
    }
}

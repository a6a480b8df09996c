//! Sockets for clients, opened while the rights are there and handed to the api worker.

use messages::control::Listener;
use rustix::fs::{Gid, Mode};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process answers on it.
    #[error("listen on {}: another daemon answers there", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is not a socket lies there.
    #[error("listen on {}: there is a file that is not a socket", path.display())]
    NotSocket {
        /// The path.
        path: PathBuf,
    },
    /// A system call failed.
    #[error("listen on {address}")]
    Io {
        /// The path or address.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// An open socket, and how its clients are treated.
#[derive(Debug)]
pub struct Socket {
    /// How.
    pub listener: Listener,
    /// The socket.
    pub descriptor: OwnedFd,
}

/// Opens a unix socket that root and the members of `group` may use.
pub fn unix(path: &Path, group: Option<u32>) -> Result<Socket, ListenError> {
    let io = |source| ListenError::Io { address: path.display().to_string(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(io)?;
    }
    remove_stale(path)?;
    // Nobody may connect between bind and chmod, so the socket is born with the narrowest mode.
    let umask = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(umask);
    let socket = bound.map_err(io)?;
    rustix::fs::chown(path, None, Some(Gid::from_raw(group.unwrap_or(0))))
        .map_err(|errno| io(errno.into()))?;
    rustix::fs::chmod(path, Mode::from_raw_mode(0o660)).map_err(|errno| io(errno.into()))?;
    Ok(Socket { listener: Listener::Unix(path.display().to_string()), descriptor: socket.into() })
}

/// Removes a socket that an ended daemon left behind.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let io = |source| ListenError::Io { address: path.display().to_string(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(ListenError::NotSocket { path: path.to_owned() })
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            Err(ListenError::InUse { path: path.to_owned() })
        }
        Ok(_) => std::fs::remove_file(path).map_err(io),
    }
}

/// Opens a TCP socket. `listener` says how its clients are treated.
pub fn tcp(address: &str, listener: Listener) -> Result<Socket, ListenError> {
    let socket = TcpListener::bind(address)
        .map_err(|source| ListenError::Io { address: address.to_owned(), source })?;
    Ok(Socket { listener, descriptor: socket.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_socket_is_for_root_and_the_group_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/docker.sock");
        let _socket = unix(&path, Some(60_700)).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (0, 60_700));
        assert_eq!(metadata.mode() & 0o777, 0o660);
    }

    #[test]
    fn a_socket_that_nobody_answers_on_is_replaced_and_one_that_is_in_use_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        drop(unix(&path, None).unwrap());
        let _held = unix(&path, None).unwrap();
        assert!(matches!(unix(&path, None), Err(ListenError::InUse { .. })));
    }

    #[test]
    fn a_file_that_is_not_a_socket_is_never_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(unix(&path, None), Err(ListenError::NotSocket { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}

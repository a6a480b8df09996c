//! Standard streams and other descriptors that the caller of the program has given it.

use crate::Error;
use launch::Stdio;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// The most descriptors that a program is given beside its streams.
const MOST: u32 = 4096;

/// The program's own streams for the container; where one is closed, the null device.
pub(crate) fn own() -> Result<Stdio, Error> {
    let copy = |number| match sys::fds::copy_of(number, 3) {
        Ok(fd) => Ok(fd),
        Err(error) if error.errno() == Errno::BADF => {
            rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| Error::system("open", "/dev/null", errno))
        }
        Err(error) => Err(Error::system("copy", "standard streams", error.errno())),
    };
    Ok(Stdio::Files([copy(0)?, copy(1)?, copy(2)?]))
}

/// What is handed on as 3, 4, ...: the sockets of `LISTEN_FDS`, and `more` after them.
#[derive(Debug, Default)]
pub(crate) struct Preserved {
    pub(crate) fds: Vec<OwnedFd>,
    /// `LISTEN_FDS=...` for the environment, if there are such.
    pub(crate) env: Vec<String>,
}

/// Copies the descriptors from 3 up. To be called before anything is opened.
pub(crate) fn preserved(more: u32) -> Result<Preserved, Error> {
    let own = std::process::id().to_string();
    let for_us = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == own);
    let listen: u32 = std::env::var("LISTEN_FDS")
        .ok()
        .filter(|_| for_us)
        .and_then(|count| count.parse().ok())
        .unwrap_or(0);
    let count = listen.saturating_add(more);
    if count > MOST {
        return Err(Error::value("--preserve-fds", count.to_string(), format!("at most {MOST}")));
    }
    let copy = |number: u32| {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        sys::fds::copy_of(number, 3).map_err(|error| {
            Error::system("preserve descriptor", number.to_string(), error.errno())
        })
    };
    let fds = (3..3 + count).map(copy).collect::<Result<_, _>>()?;
    let env = match listen {
        0 => Vec::new(),
        // The program is the first process of its pid namespace; in others it has to find out itself, as with runc.
        count => vec![format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()],
    };
    Ok(Preserved { fds, env })
}

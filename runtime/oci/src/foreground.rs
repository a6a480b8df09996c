//! Staying with a process until it ends: signals go to it, its terminal is that of the caller, its status is answered.

use crate::Error;
use crate::terminal::Relay;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};
use std::os::fd::OwnedFd;
use sys::signals::{self, SignalSet};

const SIGCHLD: i32 = 17;
const SIGURG: i32 = 23;
const SIGWINCH: i32 = 28;

/// Signals, held back from before the process is made until it has ended, so that none is lost between.
#[derive(Debug)]
pub(crate) struct Signals(OwnedFd);

impl Signals {
    /// Takes all signals. The process that is made later starts with none blocked.
    pub(crate) fn take() -> Result<Self, Error> {
        let failed = |error: sys::Error| Error::system("take", "signals", error.errno());
        signals::set_mask(SignalSet::ALL).map_err(failed)?;
        signals::signal_fd(SignalSet::ALL).map(Self).map_err(failed)
    }
}

/// A process of ours.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    /// The master of its terminal.
    pub(crate) console: Option<OwnedFd>,
}

/// Waits for the end of `child`; its status as shells show it.
pub(crate) fn wait(child: Child, signals: &Signals) -> Result<u8, Error> {
    let failed = |errno| Error::system("wait for", "process", errno);
    let Child { pid, pidfd, console } = child;
    let mut relay = console.map(Relay::begin).transpose()?;
    loop {
        let mut fds =
            vec![PollFd::new(&pidfd, PollFlags::IN), PollFd::new(&signals.0, PollFlags::IN)];
        if let Some(relay) = &relay {
            fds.extend(relay.interests());
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        if ready.get(1) == Some(&true) {
            pass_signals(signals, &pidfd, pid, relay.as_ref())?;
        }
        if let Some(relay) = &mut relay {
            relay.turn();
        }
        if let Some(exit) = sys::pidfd::try_wait(&pidfd).map_err(|e| failed(e.errno()))? {
            if let Some(relay) = relay {
                relay.finish();
            }
            return Ok(exit.status());
        }
    }
}

/// Takes what has arrived and passes it on.
fn pass_signals(
    signals: &Signals,
    pidfd: &OwnedFd,
    pid: i32,
    relay: Option<&Relay>,
) -> Result<(), Error> {
    let failed = |error: sys::Error| Error::system("take", "signal", error.errno());
    while let Some(received) = signals::receive(&signals.0).map_err(failed)? {
        match (received.number, relay) {
            (SIGCHLD, _) => reap_others(pid),
            (SIGURG, _) => {}
            (SIGWINCH, Some(relay)) => relay.resize(),
            // It may have ended just now, which is seen next.
            (signal, _) => sys::pidfd::send_signal(pidfd, signal).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Reaps what was orphaned to this process, a subreaper, but not the process that is waited for.
fn reap_others(pid: i32) {
    let children = format!("/proc/self/task/{}/children", std::process::id());
    let listed = std::fs::read_to_string(children).unwrap_or_default();
    for other in listed.split_ascii_whitespace().filter_map(|word| word.parse().ok()) {
        if other != pid {
            // One that still runs is not touched.
            waitpid(Pid::from_raw(other), WaitOptions::NOHANG).unwrap_or_default();
        }
    }
}

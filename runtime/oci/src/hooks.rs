//! Calling the programs that a bundle names for after the start and after the end. Those before the start are called by
//! the launch.

use crate::{Error, State};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use spec::oci::Hook;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How much of what a failed hook says is repeated.
const MESSAGE: u64 = 4096;

/// Calls `list` in its order with `state` on standard input; the first that fails ends it.
pub(crate) fn call(kind: &'static str, list: &[Hook], state: &State) -> Result<(), Error> {
    let state = serde_json::to_vec(state).unwrap_or_default();
    list.iter().try_for_each(|hook| {
        one(hook, &state).map_err(|cause| Error::Hook { kind, path: hook.path.clone(), cause })
    })
}

fn one(hook: &Hook, state: &[u8]) -> Result<(), String> {
    let mut command = Command::new(&hook.path);
    if let Some((name, arguments)) = hook.args.split_first() {
        command.arg0(name).args(arguments);
    }
    let pairs = hook.env.iter().filter_map(|entry| entry.split_once('='));
    command.env_clear().envs(pairs);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    // A hook that does not read its input is within its rights; the state fits into the pipe.
    if let Some(mut input) = child.stdin.take() {
        input.write_all(state).ok();
    }
    let timeout = hook.timeout.and_then(|seconds| u64::try_from(seconds).ok());
    let ended = wait(&child, timeout.map(Duration::from_secs));
    if !ended {
        child.kill().ok();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    match (ended, status.success()) {
        (false, _) => Err(format!("not done within {} s", timeout.unwrap_or_default())),
        (true, true) => Ok(()),
        (true, false) => Err(format!("{status}, stderr: {}", said(&mut child))),
    }
}

fn said(child: &mut Child) -> String {
    let mut text = Vec::new();
    if let Some(output) = child.stderr.take() {
        output.take(MESSAGE).read_to_end(&mut text).ok();
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// Whether the process ends in time.
fn wait(child: &Child, within: Option<Duration>) -> bool {
    let Some(within) = within else { return true };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let Some(Ok(pidfd)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else { return true };
    let end = Instant::now() + within;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let time =
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&time)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(_) if Instant::now() >= end => return false,
            Err(_) => {}
        }
    }
}

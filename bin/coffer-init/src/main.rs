//! The first process of a container that is started with `--init`.
//!
//! It starts the program in the terminal's foreground, passes every signal on to it, reaps what loses its parent, and
//! ends with the program's status. It takes the options of tini that scripts use.

#![forbid(unsafe_code)]

mod options;

use options::{Command, Options};
use rustix::process::{WaitOptions, getpid, wait};
use std::ffi::{CString, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;
use sys::foreground::{self, Child};
use sys::signals::{self, SignalSet};

/// Signals of a fault in this process itself, which must end it.
const OWN: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];
/// Signals that are not meant for the program: SIGCHLD, and those of the terminal to this process in the background,
/// SIGTTIN and SIGTTOU.
const KEPT: [i32; 3] = [17, 21, 22];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match options::parse(arguments) {
        Ok(Command::Version) => {
            say_out(&format!("coffer-init version {}\n", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
        Ok(Command::Run(options)) => match run(&options) {
            Ok(code) => ExitCode::from(code),
            Err((code, message)) => fail(code, &message),
        },
        Err(message) => fail(1, &message),
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    // Nobody is left to hear that standard error is closed.
    let _closed =
        rustix::io::write(rustix::stdio::stderr(), format!("coffer-init: {message}\n").as_bytes());
    ExitCode::from(code)
}

fn say_out(text: &str) {
    let _closed = rustix::io::write(rustix::stdio::stdout(), text.as_bytes());
}

/// The exit code with which this process ends, and why.
type Failed = (u8, String);

fn run(options: &Options) -> Result<u8, Failed> {
    let failed = |error: sys::Error| (1, error.to_string());
    let set = OWN.iter().fold(SignalSet::ALL, |set, signal| set.without(*signal));
    signals::set_mask(set).map_err(failed)?;
    let signals = signals::signal_fd(set).map_err(failed)?;
    if getpid().as_raw_nonzero().get() != 1 {
        // Otherwise orphans would go past this process.
        sys::process::set_child_subreaper(true).map_err(failed)?;
    }
    if let Some(signal) = options.parent_death_signal {
        sys::process::set_parent_death_signal(signal).map_err(failed)?;
    }
    let child = start(options)?;
    watch(options, &child, &signals).map_err(failed)
}

fn start(options: &Options) -> Result<Child, Failed> {
    let name = &options.program[0];
    let text = |bytes: OsString| CString::new(bytes.into_vec());
    let argv: Result<Vec<_>, _> = options.program.iter().cloned().map(text).collect();
    let env = std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        text(name)
    });
    let env: Result<Vec<_>, _> = env.collect();
    let (Ok(argv), Ok(env)) = (argv, env) else {
        return Err((1, "an argument contains a zero byte".to_owned()));
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = match name.as_bytes().contains(&b'/') {
        true => argv.first().cloned().into_iter().collect(),
        false => std::env::split_paths(&path)
            .filter_map(|directory| text(directory.join(name).into_os_string()).ok())
            .collect::<Vec<_>>(),
    };
    foreground::spawn(&candidates, &argv, &env).map_err(|error| {
        let code = if error.errno() == sys::Errno::NOENT { 127 } else { 126 };
        let text = std::io::Error::from(error.errno()).to_string().to_lowercase();
        let cause = text.split(" (os error").next().unwrap_or_default();
        (code, format!("exec {}: {cause}", name.display()))
    })
}

/// Passes signals on and reaps until the program has ended.
fn watch(options: &Options, child: &Child, signals: &OwnedFd) -> Result<u8, sys::Error> {
    use rustix::event::{PollFd, PollFlags, poll};
    loop {
        if let Some(status) = reap(child.pid) {
            return Ok(options.translate(status));
        }
        let mut waits = [PollFd::new(signals, PollFlags::IN)];
        let _interrupted = poll(&mut waits, None);
        while let Some(signal) = signals::receive(signals)? {
            if KEPT.contains(&signal.number) {
                continue;
            }
            // The program may have ended already, which the next round sees.
            let _gone = match options.whole_group {
                true => sys::process::signal_group(child.pid, signal.number),
                false => sys::pidfd::send_signal(&child.pidfd, signal.number),
            };
        }
    }
}

/// Reaps all that has ended; the status of `program` if it is among them.
fn reap(program: i32) -> Option<u8> {
    let mut found = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get() != program {
            continue;
        }
        let code = status.exit_status().map(|code| (code & 0xff) as u8);
        let signal = status.terminating_signal().map(|signal| 128 + (signal & 0x7f) as u8);
        found = code.or(signal);
    }
    found
}

//! A child in the terminal's foreground, as an init process or a shell makes it.

use crate::clone::{CloneArgs, Cloned, clone3};
use crate::raw::check;
use crate::{Arg, Error, Result, process, signals};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{getpid, setpgid};
use rustix::termios::tcsetpgrp;
use std::ffi::CString;
use std::os::fd::OwnedFd;

/// A child and its pidfd.
#[derive(Debug)]
pub struct Child {
    /// Its number, which is also that of its process group.
    pub pid: i32,
    /// The process.
    pub pidfd: OwnedFd,
}

/// Starts the first of `candidates` that can be run, with `argv` and `env`: in a process group of its own, which is the
/// foreground one if standard input is the session's terminal, with default dispositions and no signal blocked.
/// Answers execve's error if none runs: that of the last one which exists, or ENOENT. Allocates in the parent only.
pub fn spawn(candidates: &[CString], argv: &[CString], env: &[CString]) -> Result<Child> {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    let failed = |errno| Error::new("pipe2", &[Arg::Name("O_CLOEXEC")], errno);
    let (errors, child_errors) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    // SAFETY: the child makes system calls over what was prepared above, and ends.
    match unsafe { clone3(&CloneArgs::default()) }? {
        Cloned::Child => {
            let errno = run(candidates, &argv, &env);
            let _sent = rustix::io::write(&child_errors, &errno.raw_os_error().to_ne_bytes());
            process::exit(127)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(child_errors);
            let mut bytes = [0u8; 4];
            match rustix::io::retry_on_intr(|| rustix::io::read(&errors, &mut bytes)) {
                Ok(4) => {
                    let errno = Errno::from_raw_os_error(i32::from_ne_bytes(bytes));
                    crate::pidfd::wait(&pidfd)?;
                    Err(Error::new("execve", &[], errno))
                }
                _ => Ok(Child { pid, pidfd }),
            }
        }
    }
}

fn run(candidates: &[CString], argv: &[*const libc::c_char], env: &[*const libc::c_char]) -> Errno {
    if let Err(errno) = setpgid(None, None) {
        return errno;
    }
    // A background process that takes the terminal would be stopped by SIGTTOU unless that is blocked.
    if let Err(error) = signals::set_mask(signals::SignalSet::ALL) {
        return error.errno();
    }
    // Standard input that is no terminal, or another session's, stays as it is.
    let _not_ours = tcsetpgrp(rustix::stdio::stdin(), getpid());
    signals::reset_dispositions();
    if let Err(error) = signals::set_mask(signals::SignalSet::EMPTY) {
        return error.errno();
    }
    let mut worst = Errno::NOENT;
    for program in candidates {
        // SAFETY: the path is a C string, both lists are of C strings and end with null.
        let ret = unsafe {
            libc::syscall(libc::SYS_execve, program.as_ptr(), argv.as_ptr(), env.as_ptr())
        };
        if let Err(error) = check("execve", &[], ret)
            && error.errno() != Errno::NOENT
            && error.errno() != Errno::NOTDIR
        {
            worst = error.errno();
        }
    }
    worst
}

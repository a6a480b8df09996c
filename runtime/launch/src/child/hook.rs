//! Calling a program of the host for somebody: by the container's process, which may not allocate, and by its parent.

use super::Job;
use super::report::{Step, record};
use ::core::prelude::rust_2024::*;
use ::plan::StepKind;
use ::rustix::event::{PollFd, PollFlags, Timespec, poll};
use ::rustix::io::Errno;
use ::rustix::pipe::{PipeFlags, pipe_with};
use ::rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use ::std::ffi::CStr;
use ::std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use ::sys::clone::{CloneArgs, Cloned, clone3};
use ::sys::pidfd::{self, Exit};
use ::sys::time::monotonic;
use ::sys::{process, signals};

/// One program, ready to be called.
#[derive(Clone, Copy)]
pub(crate) struct Hook<'a> {
    pub(crate) path: &'a CStr,
    /// Ended by null.
    pub(crate) argv: &'a [*const ::libc::c_char],
    /// Ended by null.
    pub(crate) env: &'a [*const ::libc::c_char],
    /// How long it may take, in seconds.
    pub(crate) timeout: Option<u64>,
}

/// What the container's process calls.
#[derive(Clone, Copy)]
pub(crate) struct Hooks<'a> {
    /// Whether it waits while its parent calls hooks, before its root changes.
    pub(crate) waits: bool,
    pub(crate) create: &'a [Hook<'a>],
    pub(crate) start: &'a [Hook<'a>],
    /// The container's state while it is being created, and when it is; files.
    pub(crate) creating: BorrowedFd<'a>,
    pub(crate) created: BorrowedFd<'a>,
    /// What hooks write to their standard output and error.
    pub(crate) output: BorrowedFd<'a>,
}

/// Why a hook failed.
pub(crate) enum Failed {
    /// It could not be started, or took too long (ETIMEDOUT).
    Errno(Errno),
    /// It ended with this status.
    Status(u8),
}

/// Calls those at the point before the root changes.
pub(super) fn before_root(job: &Job<'_>) -> Step<()> {
    let Some(hooks) = job.hooks else { return Ok(()) };
    let steps = (StepKind::CreateContainerHook, StepKind::CreateContainerHookStatus);
    call_all(hooks.create, hooks.creating, hooks.output, steps)
}

/// Calls those at the point before the program.
pub(super) fn before_program(job: &Job<'_>) -> Step<()> {
    let Some(hooks) = job.hooks else { return Ok(()) };
    let steps = (StepKind::StartContainerHook, StepKind::StartContainerHookStatus);
    call_all(hooks.start, hooks.created, hooks.output, steps)
}

fn call_all(
    hooks: &[Hook<'_>],
    state: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    (start, status): (StepKind, StepKind),
) -> Step<()> {
    for (index, hook) in hooks.iter().enumerate() {
        match call(hook, state, output) {
            Ok(()) => {}
            Err(Failed::Errno(errno)) => return Err(record(start, index, errno)),
            Err(Failed::Status(code)) => {
                let number = Errno::from_raw_os_error(i32::from(code));
                return Err(record(status, index, number));
            }
        }
    }
    Ok(())
}

/// Calls one and waits for it. `state` becomes its standard input, from the beginning.
pub(crate) fn call(
    hook: &Hook<'_>,
    state: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
) -> Result<(), Failed> {
    let failed = |error: ::sys::Error| Failed::Errno(error.errno());
    // A program that was started leaves it empty; otherwise it holds the reason. It is read when the process has ended,
    // and does not wait for whoever else has got the other end meanwhile.
    let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
    let (reason, says) = pipe_with(flags).map_err(Failed::Errno)?;
    ::rustix::fs::ftruncate(output, 0).map_err(Failed::Errno)?;
    for file in [state, output] {
        let start = ::rustix::fs::SeekFrom::Start(0);
        ::rustix::fs::seek(file, start).map_err(Failed::Errno)?;
    }
    // SAFETY: the child goes on in this module, which allocates nothing, and never returns.
    let pidfd = match unsafe { clone3(&CloneArgs::default()) }.map_err(failed)? {
        Cloned::Child => become_hook(hook, state, output, says.as_fd()),
        Cloned::Parent { pidfd, .. } => pidfd,
    };
    drop(says);
    let ended = wait(&pidfd, hook.timeout);
    if ended.is_err() {
        pidfd::send_signal(&pidfd, 9).map_err(failed)?;
    }
    let exit = pidfd::wait(&pidfd).map_err(failed)?;
    ended.map_err(Failed::Errno)?;
    let mut errno = [0u8; 4];
    match ::rustix::io::read(&reason, &mut errno) {
        Ok(4) => Err(Failed::Errno(Errno::from_raw_os_error(i32::from_ne_bytes(errno)))),
        _ if exit == Exit::Code(0) => Ok(()),
        _ => Err(Failed::Status(exit.status())),
    }
}

/// Waits until the process has ended; ETIMEDOUT if that is later than it may be.
fn wait(pidfd: &OwnedFd, seconds: Option<u64>) -> Result<(), Errno> {
    const SECOND: u64 = 1_000_000_000;
    let end = seconds.map(|seconds| monotonic().saturating_add(seconds.saturating_mul(SECOND)));
    loop {
        let left = match end {
            None => None,
            Some(end) => {
                let left = end.checked_sub(monotonic()).ok_or(Errno::TIMEDOUT)?;
                let (tv_sec, tv_nsec) = ((left / SECOND) as i64, (left % SECOND) as i64);
                Some(Timespec { tv_sec, tv_nsec })
            }
        };
        let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
        match poll(&mut fds, left.as_ref()) {
            Err(Errno::INTR) => {}
            Ok(0) => return Err(Errno::TIMEDOUT),
            Ok(_) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
}

fn become_hook(
    hook: &Hook<'_>,
    state: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    says: BorrowedFd<'_>,
) -> ! {
    let prepare = || -> Result<(), Errno> {
        signals::reset_dispositions();
        signals::set_mask(signals::SignalSet::EMPTY).map_err(Errno::from)?;
        // All have numbers above the standard streams.
        dup2_stdin(state)?;
        dup2_stdout(output)?;
        dup2_stderr(output)?;
        ::sys::fds::set_cloexec_from(3).map_err(Errno::from)
    };
    let errno = match prepare() {
        Err(errno) => errno,
        Ok(()) => {
            // SAFETY: the path is a C string, and both lists are of C strings and end with null; all outlive the call.
            unsafe {
                ::libc::syscall(
                    ::libc::SYS_execve,
                    hook.path.as_ptr(),
                    hook.argv.as_ptr(),
                    hook.env.as_ptr(),
                )
            };
            // SAFETY: the pointer is to this thread's own errno.
            Errno::from_raw_os_error(unsafe { *::libc::__errno_location() })
        }
    };
    let _sent = ::rustix::io::write(says, &errno.raw_os_error().to_ne_bytes());
    process::exit(127)
}

//! What a process takes along into a container that others are in already.

use super::report::{At, Step};
use super::{Job, Origin};
use ::core::prelude::rust_2024::*;
use ::plan::StepKind;
use ::rustix::io::Errno;
use ::rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use ::std::os::fd::AsRawFd;

/// Closes every descriptor of the starter that the process does not need. Not dumpable does not help against
/// CAP_SYS_PTRACE: whoever has it inside finds in `/proc/PID/fd` what the process has until it runs its program, and
/// directories of the host would be ways out (CVE-2016-9962). The table must be this process's own.
pub(super) fn keep_only_needed(job: &Job<'_>) -> Step<()> {
    put_streams(job).at(StepKind::Stdio, 0)?;
    let mut first: u32 = 3;
    while let Some(kept) = needed(job).filter(|number| *number >= first).min() {
        if kept > first {
            close(first, kept - 1).at(StepKind::CloseDescriptors, 1)?;
        }
        first = kept + 1;
    }
    close(first, u32::MAX).at(StepKind::CloseDescriptors, 1)
}

/// The starter's own streams give way to those of the process; where it gets a terminal later, to the channel.
fn put_streams(job: &Job<'_>) -> Result<(), Errno> {
    let [input, output, error] = job.stdio.unwrap_or([job.channel; 3]);
    dup2_stdin(input)?;
    dup2_stdout(output)?;
    dup2_stderr(error)
}

/// Numbers of the descriptors that are used after joining, in no order.
fn needed<'a>(job: &'a Job<'_>) -> impl Iterator<Item = u32> + 'a {
    let layout = job.layout.into_iter().flat_map(|layout| {
        let mounts = layout.sources.iter().chain(layout.devices).flatten();
        let fd = |origin: &Origin<'a>| match origin {
            Origin::Detached(fd) => Some(*fd),
            Origin::Path(_) => None,
        };
        let mounts = mounts.chain([&layout.rootfs, &layout.null]).filter_map(fd);
        mounts.chain([layout.cgroup_namespace])
    });
    let hooks = job.hooks.iter().flat_map(|hooks| [hooks.creating, hooks.created, hooks.output]);
    let supervisor = job.supervisor.iter().flat_map(|to| [to.socket, to.state]);
    let own = job.preserved.iter().chain(&job.gate).chain([&job.channel]).copied();
    let streams = job.stdio.iter().flatten().copied();
    streams.chain(own).chain(layout).chain(hooks).chain(supervisor).map(|fd| fd.as_raw_fd() as u32)
}

/// close_range(2), of 5.9; where it is hidden each number by itself.
fn close(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: the process has its own table, and uses nothing but what is in `needed` until it ends or becomes a program.
    match unsafe { ::libc::syscall(::libc::SYS_close_range, first, last, 0) } {
        0 => Ok(()),
        _ => {
            for number in first..=last.min(1 << 16) {
                // SAFETY: as above; a number that is not open is EBADF and changes nothing.
                unsafe { ::libc::syscall(::libc::SYS_close, number) };
            }
            Ok(())
        }
    }
}

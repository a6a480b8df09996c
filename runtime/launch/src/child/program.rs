//! The last steps: rights, directory, program.

use super::report::{At, Step, record};
use super::{Job, clock, hook, supervisor};
use ::core::convert::Infallible;
use ::core::prelude::rust_2024::*;
use ::plan::{Search, StepKind};
use ::rustix::fs::{Access, AtFlags, CWD, FileType, OFlags, ResolveFlags, accessat, statat};
use ::rustix::io::Errno;
use ::safepath::walk;
use ::std::ffi::CStr;
use ::std::os::fd::AsRawFd;
use ::sys::caps::{self, CapSet, ThreadCaps};
use ::sys::seccomp::FilterFlags;
use ::sys::{ids, process, seccomp, signals};

/// Becomes the program. What fails from here on is reported by write(2) only, since the filter may be loaded.
pub(super) fn run(job: &Job<'_>) -> Step<Infallible> {
    let plan = job.process;
    put_preserved(job)?;
    signals::set_mask(signals::SignalSet::EMPTY).at(StepKind::Gate, 1)?;
    // As root first, as runc does: the directory may be root's own. Denied, it is tried again as the user.
    let changed = change_directory(&plan.cwd);
    if plan.no_new_privs {
        process::set_no_new_privs().at(StepKind::NoNewPrivs, 0)?;
    } else {
        // Without no_new_privs only CAP_SYS_ADMIN may load a filter, so it comes before that is given up.
        load_filter(job)?;
    }
    clock::mark(job, StepKind::Seccomp);
    take_rights(job)?;
    clock::mark(job, StepKind::Capabilities);
    // A process without its shim would have nobody to take its output and status: it ends with it. Changing ids clears
    // this, so it comes after; a filter that forbids it is respected.
    if !job.outlives {
        process::set_parent_death_signal(9).ok();
    }
    match changed {
        Err(Errno::ACCESS | Errno::PERM) => change_directory(&plan.cwd),
        other => other,
    }
    .at(StepKind::ChangeDirectory, 0)?;
    directory_is_inside()?;
    let found = find_program(job)?;
    hook::before_program(job)?;
    clock::mark(job, StepKind::FindProgram);
    if plan.no_new_privs {
        load_filter(job)?;
        clock::mark(job, StepKind::Seccomp);
    }
    execute(job, found)
}

/// Puts the caller's descriptors to 3, 4, ... without CLOEXEC. What lies there is not used any more: all that is has
/// higher numbers.
fn put_preserved(job: &Job<'_>) -> Step<()> {
    for (index, fd) in job.preserved.iter().enumerate() {
        // SAFETY: the number is of no descriptor that anything here owns or still uses, and the table is this process's.
        let ret = unsafe { ::libc::syscall(::libc::SYS_dup3, fd.as_raw_fd(), 3 + index, 0) };
        if ret < 0 {
            // SAFETY: the pointer is to this thread's own errno.
            let errno = Errno::from_raw_os_error(unsafe { *::libc::__errno_location() });
            return Err(record(StepKind::Preserve, index, errno));
        }
    }
    Ok(())
}

fn load_filter(job: &Job<'_>) -> Step<()> {
    let Some((program, flags)) = &job.process.filter else { return Ok(()) };
    match flags.contains(FilterFlags::NEW_LISTENER) {
        true => supervisor::load(job, program, *flags),
        false => seccomp::load(program, *flags).at(StepKind::Seccomp, 0).map(drop),
    }
}

/// Bounding set, groups, group, user, capabilities: in this order, since each needs what the next one takes away.
fn take_rights(job: &Job<'_>) -> Step<()> {
    let (plan, caps) = (job.process, job.caps);
    caps::limit_bounding(caps.bounding).at(StepKind::Bounding, 0)?;
    process::set_keep_caps(true).at(StepKind::Capabilities, 0)?;
    match ids::set_groups(&plan.groups) {
        Ok(()) => {}
        // `setgroups` is denied in this user namespace: then there were no groups to drop either.
        Err(error) if error.errno() == Errno::PERM && plan.groups.is_empty() => {}
        Err(error) => return Err(record(StepKind::Groups, 0, error.errno())),
    }
    ids::set_gid(plan.gid).at(StepKind::Group, 0)?;
    ids::set_uid(plan.uid).at(StepKind::User, 0)?;
    process::set_keep_caps(false).at(StepKind::Capabilities, 0)?;
    let sets = ThreadCaps {
        effective: caps.effective,
        permitted: caps.permitted,
        inheritable: caps.inheritable,
    };
    caps::set(sets).at(StepKind::Capabilities, 0)?;
    caps::clear_ambient().at(StepKind::Capabilities, 1)?;
    if caps.ambient != CapSet::EMPTY {
        caps::raise_ambient(caps.ambient).at(StepKind::Capabilities, 2)?;
    }
    Ok(())
}

/// Changes to a directory without following a magic link: `/proc/self/fd/7` could be a directory of the host
/// (CVE-2024-21626).
fn change_directory(path: &CStr) -> Result<(), Errno> {
    let how = ResolveFlags::NO_MAGICLINKS;
    let directory = walk::resolve_with(CWD, path, OFlags::PATH | OFlags::DIRECTORY, how)?;
    ::rustix::process::fchdir(&directory)
}

/// The kernel's own word that the directory is below the root: otherwise it answers `(unreachable)/...`. The C library
/// would turn that into an error of its own, so it is asked directly (CVE-2024-21626).
fn directory_is_inside() -> Step<()> {
    let mut path = [0u8; 4096];
    // SAFETY: the buffer has the given size.
    let length = unsafe { ::libc::syscall(::libc::SYS_getcwd, path.as_mut_ptr(), path.len()) };
    match length {
        1.. if path.first() == Some(&b'/') => Ok(()),
        _ => Err(record(StepKind::DirectoryOutside, 0, Errno::NOENT)),
    }
}

/// The first candidate that is an executable file, as the user sees it.
fn find_program(job: &Job<'_>) -> Step<usize> {
    let plan = job.process;
    let mut last = Errno::NOENT;
    for (index, candidate) in plan.candidates.iter().enumerate() {
        match executable(candidate) {
            Ok(()) => return Ok(index),
            Err(errno) => last = errno,
        }
    }
    let errno = if plan.search == Search::Exact { last } else { Errno::NOENT };
    Err(record(StepKind::FindProgram, 0, errno))
}

fn executable(path: &CStr) -> Result<(), Errno> {
    let stat = statat(CWD, path, AtFlags::empty())?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Err(Errno::ISDIR),
        _ => accessat(CWD, path, Access::EXEC_OK, AtFlags::empty()),
    }
}

fn execute(job: &Job<'_>, index: usize) -> Step<Infallible> {
    let Some(program) = job.process.candidates.get(index) else {
        return Err(record(StepKind::FindProgram, index, Errno::NOENT));
    };
    // SAFETY: the path is a C string, and both lists are of C strings and end with null; all outlive the call.
    unsafe {
        ::libc::syscall(::libc::SYS_execve, program.as_ptr(), job.argv.as_ptr(), job.env.as_ptr())
    };
    // SAFETY: the pointer is to this thread's own errno.
    let errno = Errno::from_raw_os_error(unsafe { *::libc::__errno_location() });
    Err(record(StepKind::Execute, index, errno))
}

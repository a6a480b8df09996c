//! Hooks, as the parent sees them: those outside it calls itself, and for those inside it prepares what they read.

use crate::child::hook::{self, Failed, Hook};
use crate::prepare::pointers;
use crate::spawn::above;
use crate::{LaunchError, StateText};
use plan::{HookPlan, HooksPlan, Plan};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::clone::Namespaces;

/// Calls the hooks of the point `point` (its name in the specification) in the caller's own namespaces, each with
/// `state` on its standard input, in order; the first that fails ends it. The caller must have one thread.
///
/// For `poststart` (a failure is a warning) and `poststop` (the others are called nevertheless: one by one).
pub fn call(point: &str, hooks: &[HookPlan], state: &str) -> Result<(), LaunchError> {
    if hooks.is_empty() {
        return Ok(());
    }
    let input = file(3)?;
    fill(&input, state)?;
    let output = file(3)?;
    for (index, plan) in hooks.iter().enumerate() {
        let (argv, env) = (pointers(&plan.argv), pointers(&plan.env));
        let (status, errno) =
            match hook::call(&of(plan, &argv, &env), input.as_fd(), output.as_fd()) {
                Ok(()) => continue,
                Err(Failed::Status(status)) => (Some(i32::from(status)), 0),
                Err(Failed::Errno(errno)) => (None, errno.raw_os_error()),
            };
        let failure = plan.explain(point, index, status, errno);
        return Err(LaunchError::Step(with_output(failure, &output)));
    }
    Ok(())
}

/// Files that hooks inside read and write.
#[derive(Debug)]
pub(crate) struct HookFiles {
    creating: OwnedFd,
    created: OwnedFd,
    output: OwnedFd,
}

/// Pointers to the strings of one hook.
pub(crate) type Strings = (Vec<*const libc::c_char>, Vec<*const libc::c_char>);

impl HookFiles {
    /// Empty files for the hooks of `plan`, if the launch calls any; numbers are from `lowest` up.
    pub(crate) fn of_plan(plan: &HooksPlan, lowest: i32) -> Result<Option<Self>, LaunchError> {
        if !plan.launch_calls() {
            return Ok(None);
        }
        let files = Self { creating: file(lowest)?, created: file(lowest)?, output: file(lowest)? };
        Ok(Some(files))
    }

    /// What the child gets.
    pub(crate) fn borrow<'a>(
        &'a self,
        waits: bool,
        create: &'a [Hook<'a>],
        start: &'a [Hook<'a>],
    ) -> hook::Hooks<'a> {
        let (creating, created) = (self.creating.as_fd(), self.created.as_fd());
        hook::Hooks { waits, create, start, creating, created, output: self.output.as_fd() }
    }

    /// Writes the state, now that the process has a number.
    pub(crate) fn write(&self, state: &StateText, pid: i32) -> Result<(), LaunchError> {
        for (file, status) in [(&self.creating, "creating"), (&self.created, "created")] {
            fill(file, &state.make(pid, status))?;
        }
        Ok(())
    }

    /// The failure with what the last hook has written.
    pub(crate) fn explain(&self, failure: plan::Failure) -> plan::Failure {
        use plan::StepKind;
        match failure.step {
            StepKind::CreateContainerHookStatus | StepKind::StartContainerHookStatus => {
                with_output(failure, &self.output)
            }
            _ => failure,
        }
    }
}

pub(crate) fn strings(hooks: &[HookPlan]) -> Vec<Strings> {
    hooks.iter().map(|hook| (pointers(&hook.argv), pointers(&hook.env))).collect()
}

pub(crate) fn hooks<'a>(plans: &'a [HookPlan], strings: &'a [Strings]) -> Vec<Hook<'a>> {
    plans.iter().zip(strings).map(|(plan, (argv, env))| of(plan, argv, env)).collect()
}

fn of<'a>(
    plan: &'a HookPlan,
    argv: &'a [*const libc::c_char],
    env: &'a [*const libc::c_char],
) -> Hook<'a> {
    let timeout = plan.timeout.map(|time| time.as_secs());
    Hook { path: &plan.path, argv, env, timeout }
}

/// Calls those of `plan` that are outside and before the root changes.
pub(crate) fn call_outside(
    plan: &HooksPlan,
    state: Option<&StateText>,
    pid: i32,
) -> Result<(), LaunchError> {
    let text = state.map(|state| state.make(pid, "creating")).unwrap_or_default();
    call("prestart", &plan.prestart, &text)?;
    call("createRuntime", &plan.create_runtime, &text)
}

/// The number of the process `pid` as its own pid namespace has it.
pub(crate) fn number_inside(plan: &Plan, pid: i32) -> i32 {
    if plan.namespaces.new.contains(Namespaces::PID) {
        return 1;
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let last = line.and_then(|numbers| numbers.split_ascii_whitespace().last());
    last.and_then(|number| number.parse().ok()).unwrap_or(pid)
}

/// An empty file in memory with a number from `lowest` up.
pub(crate) fn file(lowest: i32) -> Result<OwnedFd, LaunchError> {
    let made = memfd_create(c"state", MemfdFlags::CLOEXEC);
    above(made.map_err(|errno| LaunchError::new("make", "state of the container", errno))?, lowest)
}

/// Writes `text` to an empty file.
pub(crate) fn fill(file: &OwnedFd, text: &str) -> Result<(), LaunchError> {
    let mut file = std::fs::File::from(file.try_clone().map_err(failed)?);
    file.write_all(text.as_bytes()).map_err(failed)
}

fn failed(error: std::io::Error) -> LaunchError {
    let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
    LaunchError::new("write", "state of the container", errno)
}

/// The longest part of a hook's output that is shown, in bytes.
const SHOWN: u64 = 2048;

fn with_output(mut failure: plan::Failure, output: &OwnedFd) -> plan::Failure {
    let line = last_line(output.as_fd());
    if !line.is_empty() {
        failure.message = format!("{}: {line}", failure.message);
    }
    failure
}

/// What a program has written, as one line.
pub(crate) fn last_line(output: BorrowedFd<'_>) -> String {
    let text = last_words(output).unwrap_or_default();
    text.trim().replace(|c: char| c.is_control(), " ")
}

fn last_words(output: BorrowedFd<'_>) -> std::io::Result<String> {
    use std::io::Seek;
    let mut file = std::fs::File::from(output.try_clone_to_owned()?);
    let length = file.seek(std::io::SeekFrom::End(0))?;
    file.seek(std::io::SeekFrom::Start(length.saturating_sub(SHOWN)))?;
    let mut bytes = Vec::new();
    file.take(SHOWN).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

//! Attributes of the process that any rights allow.

use super::Job;
use super::console::own_streams;
use super::report::{At, Step, record};
use ::core::prelude::rust_2024::*;
use ::plan::{Label, StepKind};
use ::rustix::fs::Mode;
use ::rustix::io::Errno;
use ::safepath::ProcHandle;
use ::sys::{keys, process, schedule};

/// Keyring, umask, personality, scheduling, label and the owner of the streams.
pub(super) fn set_up(job: &Job<'_>) -> Step<()> {
    let plan = job.process;
    if let Some(name) = &plan.keyring {
        match keys::join_session_keyring(name) {
            Ok(_) => {}
            // A kernel without keys has none to leak.
            Err(error) if error.errno() == Errno::NOSYS => {}
            Err(error) => return Err(record(StepKind::Keyring, 0, error.errno())),
        }
    }
    ::rustix::process::umask(Mode::from_raw_mode(plan.umask));
    schedule_as(job)?;
    if let Some(label) = &plan.label {
        // A procfs that nothing in the container can be mounted over (CVE-2019-16884, CVE-2025-52881).
        let proc = ProcHandle::detached().at(StepKind::Label, 0)?;
        let write = |path| proc.write(path, label.text().to_bytes());
        let written = match label {
            // The directory of its own is of 5.1 and is not taken by another module.
            Label::AppArmor(_) => match write(c"self/attr/apparmor/exec") {
                Err(Errno::NOENT) => write(c"self/attr/exec"),
                other => other,
            },
            Label::Selinux(_) => write(c"self/attr/exec"),
        };
        written.at(StepKind::Label, 0)?;
    }
    own_streams(job)
}

fn schedule_as(job: &Job<'_>) -> Step<()> {
    let plan = &job.process.schedule;
    if let Some(attr) = &plan.cpu {
        schedule::set_scheduler(attr).at(StepKind::Scheduler, 0)?;
    }
    if let Some((class, level)) = plan.io {
        schedule::set_io_priority(class, level).at(StepKind::IoPriority, 0)?;
    }
    if let Some(domain) = plan.personality {
        process::personality(domain).at(StepKind::Personality, 0)?;
    }
    if let Some(memory) = &plan.memory {
        schedule::set_memory_policy(memory.mode, &memory.nodes).at(StepKind::MemoryPolicy, 0)?;
    }
    match &plan.affinity {
        Some(cpus) => schedule::set_cpu_affinity(cpus).at(StepKind::Affinity, 0),
        None => {
            // All that the cgroup has, not what its starter is bound to; a policy with a deadline forbids it.
            schedule::set_cpu_affinity(&[u64::MAX; 128]).ok();
            Ok(())
        }
    }
}

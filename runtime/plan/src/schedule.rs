//! Scheduling of the process.

use crate::PlanError;
use crate::text::bit_list;
use spec::oci::{IoPriority, Linux, MemoryPolicy, Process, Scheduler};
use sys::schedule::SchedAttr;

/// Scheduling of the process; nothing stays as the starter has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SchedulePlan {
    /// Policy and priority.
    pub cpu: Option<SchedAttr>,
    /// I/O class and level.
    pub io: Option<(u8, u8)>,
    /// NUMA memory policy.
    pub memory: Option<MemoryPolicyPlan>,
    /// The CPUs on which a process that joins a container begins, before it is in the cgroup, as bits.
    pub initial_affinity: Option<Vec<u64>>,
    /// The CPUs that a process which joins a container ends up on, as bits; without it all that the cgroup has.
    pub affinity: Option<Vec<u64>>,
    /// Execution domain.
    pub personality: Option<u32>,
}

/// Arguments of set_mempolicy(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicyPlan {
    /// The mode and its flags.
    pub mode: i32,
    /// Nodes as bits.
    pub nodes: Vec<u64>,
}

pub(crate) fn plan(process: &Process, linux: Option<&Linux>) -> Result<SchedulePlan, PlanError> {
    let affinity = process.exec_cpu_affinity.as_ref();
    let bits = |field: &str, list: Option<&str>| {
        let list = list.filter(|list| !list.is_empty());
        list.map(|list| bit_list(&format!("process.execCPUAffinity.{field}"), list, 8192))
            .transpose()
    };
    let initial = bits("initial", affinity.and_then(|cpus| cpus.initial.as_deref()))?;
    let last = bits("final", affinity.and_then(|cpus| cpus.last.as_deref()))?;
    Ok(SchedulePlan {
        cpu: process.scheduler.as_ref().map(scheduler).transpose()?,
        io: process.io_priority.as_ref().map(io_priority).transpose()?,
        memory: linux.and_then(|l| l.memory_policy.as_ref()).map(memory_policy).transpose()?,
        // The first process has the CPUs of its cgroup; the field is about processes that join it.
        initial_affinity: initial.filter(|_| linux.is_none()),
        affinity: last.filter(|_| linux.is_none()),
        personality: linux.map(personality).transpose()?.flatten(),
    })
}

/// The number of `name` in `table`, or the error that lists its names.
fn lookup<T: Copy>(field: &str, name: &str, table: &[(&str, T)]) -> Result<T, PlanError> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = table.iter().map(|(known, _)| *known).collect();
        PlanError::value(field, name, format!("one of {}", names.join(", ")))
    })
}

fn scheduler(scheduler: &Scheduler) -> Result<SchedAttr, PlanError> {
    const POLICIES: [(&str, u32); 7] = [
        ("SCHED_OTHER", 0),
        ("SCHED_FIFO", 1),
        ("SCHED_RR", 2),
        ("SCHED_BATCH", 3),
        ("SCHED_ISO", 4),
        ("SCHED_IDLE", 5),
        ("SCHED_DEADLINE", 6),
    ];
    const FLAGS: [(&str, u64); 7] = [
        ("SCHED_FLAG_RESET_ON_FORK", 0x01),
        ("SCHED_FLAG_RECLAIM", 0x02),
        ("SCHED_FLAG_DL_OVERRUN", 0x04),
        ("SCHED_FLAG_KEEP_POLICY", 0x08),
        ("SCHED_FLAG_KEEP_PARAMS", 0x10),
        ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
        ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
    ];
    let policy = lookup("process.scheduler.policy", &scheduler.policy, &POLICIES)?;
    let mut flags = 0;
    for name in &scheduler.flags {
        flags |= lookup("process.scheduler.flags", name, &FLAGS)?;
    }
    let nice = scheduler.nice.unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        return Err(PlanError::value("process.scheduler.nice", nice.to_string(), "-20 to 19"));
    }
    let real_time = matches!(policy, 1 | 2);
    let priority = scheduler.priority.unwrap_or(0);
    if priority != 0 && (!real_time || !(1..=99).contains(&priority)) {
        let allowed = if real_time { "1 to 99" } else { "0 for this policy" };
        return Err(PlanError::value("process.scheduler.priority", priority.to_string(), allowed));
    }
    // Zero is what many write for what does not apply.
    if nice != 0 && !matches!(policy, 0 | 3) {
        let allowed = "0 but for SCHED_OTHER and SCHED_BATCH";
        return Err(PlanError::value("process.scheduler.nice", nice.to_string(), allowed));
    }
    if real_time && priority == 0 {
        return Err(PlanError::value("process.scheduler.priority", "0", "1 to 99"));
    }
    let times = [
        ("process.scheduler.runtime", scheduler.runtime),
        ("process.scheduler.deadline", scheduler.deadline),
        ("process.scheduler.period", scheduler.period),
    ];
    for (field, time) in times {
        if policy != 6 && time.is_some_and(|time| time != 0) {
            let value = time.unwrap_or_default().to_string();
            return Err(PlanError::value(field, value, "absent but for SCHED_DEADLINE"));
        }
    }
    let mut attr = SchedAttr::default();
    attr.policy = policy;
    attr.flags = flags;
    attr.nice = nice;
    attr.priority = priority.unsigned_abs();
    attr.runtime = scheduler.runtime.unwrap_or(0);
    attr.deadline = scheduler.deadline.unwrap_or(0);
    attr.period = scheduler.period.unwrap_or(0);
    Ok(attr)
}

fn io_priority(priority: &IoPriority) -> Result<(u8, u8), PlanError> {
    const CLASSES: [(&str, u8); 3] =
        [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];
    let class = lookup("process.ioPriority.class", &priority.class, &CLASSES)?;
    let level = u8::try_from(priority.priority).ok().filter(|level| *level <= 7);
    let level = level.ok_or_else(|| {
        PlanError::value("process.ioPriority.priority", priority.priority.to_string(), "0 to 7")
    })?;
    Ok((class, level))
}

fn memory_policy(policy: &MemoryPolicy) -> Result<MemoryPolicyPlan, PlanError> {
    const MODES: [(&str, i32); 7] = [
        ("MPOL_DEFAULT", 0),
        ("MPOL_PREFERRED", 1),
        ("MPOL_BIND", 2),
        ("MPOL_INTERLEAVE", 3),
        ("MPOL_LOCAL", 4),
        ("MPOL_PREFERRED_MANY", 5),
        ("MPOL_WEIGHTED_INTERLEAVE", 6),
    ];
    const FLAGS: [(&str, i32); 3] = [
        ("MPOL_F_STATIC_NODES", 1 << 15),
        ("MPOL_F_RELATIVE_NODES", 1 << 14),
        ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ];
    let mut mode = lookup("linux.memoryPolicy.mode", &policy.mode, &MODES)?;
    for name in &policy.flags {
        mode |= lookup("linux.memoryPolicy.flags", name, &FLAGS)?;
    }
    let nodes = match policy.nodes.as_str() {
        "" => Vec::new(),
        list => bit_list("linux.memoryPolicy.nodes", list, 1024)?,
    };
    let field = "linux.memoryPolicy.nodes";
    match policy.mode.as_str() {
        "MPOL_DEFAULT" | "MPOL_LOCAL" if !nodes.is_empty() => {
            return Err(PlanError::value(field, &policy.nodes, "empty for this mode"));
        }
        "MPOL_DEFAULT" | "MPOL_LOCAL" | "MPOL_PREFERRED" => {}
        _ if nodes.is_empty() => {
            return Err(PlanError::value(field, "", "a list such as 0-3,7 for this mode"));
        }
        _ => {}
    }
    if mode & (1 << 15) != 0 && mode & (1 << 14) != 0 {
        let both = "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES";
        return Err(PlanError::value("linux.memoryPolicy.flags", both, "one of both"));
    }
    Ok(MemoryPolicyPlan { mode, nodes })
}

fn personality(linux: &Linux) -> Result<Option<u32>, PlanError> {
    const DOMAINS: [(&str, u32); 2] = [("LINUX", 0), ("LINUX32", 8)];
    let Some(personality) = &linux.personality else { return Ok(None) };
    if let Some(flag) = personality.flags.first() {
        return Err(PlanError::value("linux.personality.flags", flag, "empty"));
    }
    lookup("linux.personality.domain", &personality.domain, &DOMAINS).map(Some)
}

//! Scheduling: policy, I/O priority, memory policy.

use crate::raw::check;
use crate::{Arg, Result};

/// struct sched_attr of linux/sched/types.h, version 1 (56 bytes, 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct SchedAttr {
    size: u32,
    /// SCHED_OTHER 0, FIFO 1, RR 2, BATCH 3, ISO 4, IDLE 5, DEADLINE 6.
    pub policy: u32,
    /// SCHED_FLAG_*.
    pub flags: u64,
    /// -20 to 19; for OTHER and BATCH.
    pub nice: i32,
    /// 1 to 99; for FIFO and RR.
    pub priority: u32,
    /// Nanoseconds; for DEADLINE.
    pub runtime: u64,
    /// Nanoseconds; for DEADLINE.
    pub deadline: u64,
    /// Nanoseconds; for DEADLINE.
    pub period: u64,
    /// Utilisation clamps.
    pub util_min: u32,
    /// Utilisation clamps.
    pub util_max: u32,
}

/// Sets the scheduling policy of the calling thread.
pub fn set_scheduler(attr: &SchedAttr) -> Result<()> {
    let attr = SchedAttr { size: size_of::<SchedAttr>() as u32, ..*attr };
    // SAFETY: `attr` is a sched_attr that says its own size; the kernel reads it only.
    let ret = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
    check("sched_setattr", &[Arg::Int(0), Arg::Int(attr.policy.into())], ret).map(drop)
}

/// Sets the I/O priority of the calling thread: class 1 real-time, 2 best effort, 3 idle; `level` 0 (highest) to 7.
pub fn set_io_priority(class: u8, level: u8) -> Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    let value = (libc::c_int::from(class) << 13) | libc::c_int::from(level);
    // SAFETY: the call takes numbers only.
    let ret = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) };
    check(
        "ioprio_set",
        &[Arg::Name("IOPRIO_WHO_PROCESS"), Arg::Int(0), Arg::Hex(value as u64)],
        ret,
    )
    .map(drop)
}

/// Sets the memory policy of the calling thread: `mode` with its flags, and the bit mask of NUMA nodes.
pub fn set_memory_policy(mode: i32, nodes: &[u64]) -> Result<()> {
    // The kernel reads one bit less than it is told.
    let bits = nodes.len() * 64 + 1;
    let pointer = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    let bits = if nodes.is_empty() { 0 } else { bits };
    // SAFETY: the pointer is null with length 0, or covers `bits - 1` bits that the kernel only reads.
    let ret = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) };
    check("set_mempolicy", &[Arg::Hex(mode as u64), Arg::Int(bits as i64)], ret).map(drop)
}

/// The CPUs that the calling thread may use, as bits. Allocates.
pub fn cpu_affinity() -> Result<Vec<u64>> {
    let mut mask = vec![0u64; 128];
    let size = size_of_val(mask.as_slice());
    // SAFETY: pointer and length describe `mask`, which the kernel fills at most.
    let ret = unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size, mask.as_mut_ptr()) };
    check("sched_getaffinity", &[Arg::Int(0), Arg::Int(size as i64)], ret)?;
    Ok(mask)
}

/// Binds the calling thread to the CPUs whose bits are set.
pub fn set_cpu_affinity(mask: &[u64]) -> Result<()> {
    // SAFETY: pointer and length describe `mask`, which the kernel only reads.
    let ret =
        unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(mask), mask.as_ptr()) };
    check("sched_setaffinity", &[Arg::Int(0), Arg::Int(size_of_val(mask) as i64)], ret).map(drop)
}

//! bpf(2): programs that decide which devices a cgroup v2 may use.
//!
//! Needs CAP_SYS_ADMIN, or CAP_BPF and CAP_NET_ADMIN on kernels from 5.8 (attaching device programs).

use crate::raw::{check, check_fd};
use crate::{Arg, Result};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;

/// One eBPF instruction in the kernel's layout (linux/bpf.h, struct bpf_insn): code, registers, offset, immediate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the low nibble, source register in the high one.
    pub registers: u8,
    /// Jump or memory offset.
    pub offset: i16,
    /// Immediate value.
    pub immediate: i32,
}

/// Whether an attached program replaces, forbids or joins others of the same cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachMode {
    /// No program may be attached below (flags 0).
    Only,
    /// Programs below override it (BPF_F_ALLOW_OVERRIDE).
    Override,
    /// All programs of the cgroup and its ancestors must agree (BPF_F_ALLOW_MULTI).
    Multi,
}

#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

#[repr(C)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

fn bpf<T>(name: &'static str, command: libc::c_int, attr: &mut T) -> Result<libc::c_long> {
    // SAFETY: `attr` is the attribute struct of this command with its true size; its pointers are to live buffers of
    // the sizes that it states.
    let ret =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    check("bpf", &[Arg::Name(name)], ret)
}

/// Loads a program of type cgroup/dev; the kernel verifies it (EINVAL or EACCES if it refuses).
pub fn load_device_program(program: &[Instruction]) -> Result<OwnedFd> {
    let mut name = [0u8; 16];
    name[..11].copy_from_slice(b"coffer_devs");
    let mut attr = LoadAttr {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr().addr() as u64,
        license: c"Apache-2.0".as_ptr().addr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: name,
    };
    let ret = bpf("BPF_PROG_LOAD", PROG_LOAD, &mut attr)?;
    check_fd("bpf", &[Arg::Name("BPF_PROG_LOAD")], ret)
}

/// Attaches a device program to a cgroup v2 directory.
pub fn attach_device_program(
    cgroup: impl AsFd,
    program: impl AsFd,
    mode: AttachMode,
) -> Result<()> {
    let attach_flags = match mode {
        AttachMode::Only => 0,
        AttachMode::Override => 1,
        AttachMode::Multi => 2,
    };
    let mut attr = attach_attr(&cgroup, &program, attach_flags);
    bpf("BPF_PROG_ATTACH", PROG_ATTACH, &mut attr).map(drop)
}

/// Attaches `program` in the place of `former`, in one step (BPF_F_REPLACE with ALLOW_MULTI, 5.6).
pub fn replace_device_program(
    cgroup: impl AsFd,
    program: impl AsFd,
    former: impl AsFd,
) -> Result<()> {
    let mut attr = attach_attr(&cgroup, &program, 2 | 4);
    attr.replace_bpf_fd = former.as_fd().as_raw_fd() as u32;
    bpf("BPF_PROG_ATTACH", PROG_ATTACH, &mut attr).map(drop)
}

/// Detaches a device program from a cgroup v2 directory.
pub fn detach_device_program(cgroup: impl AsFd, program: impl AsFd) -> Result<()> {
    let mut attr = attach_attr(&cgroup, &program, 0);
    bpf("BPF_PROG_DETACH", PROG_DETACH, &mut attr).map(drop)
}

fn attach_attr(cgroup: &impl AsFd, program: &impl AsFd, attach_flags: u32) -> AttachAttr {
    AttachAttr {
        target_fd: cgroup.as_fd().as_raw_fd() as u32,
        attach_bpf_fd: program.as_fd().as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags,
        replace_bpf_fd: 0,
    }
}

/// The ids of the device programs attached to a cgroup v2 directory, at most 64. Allocates.
pub fn query_device_programs(cgroup: impl AsFd) -> Result<Vec<u32>> {
    let mut ids = [0u32; 64];
    let mut attr = QueryAttr {
        target_fd: cgroup.as_fd().as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr().addr() as u64,
        prog_cnt: ids.len() as u32,
        padding: 0,
    };
    bpf("BPF_PROG_QUERY", PROG_QUERY, &mut attr)?;
    Ok(ids.iter().take(attr.prog_cnt as usize).copied().collect())
}

/// The program with this id.
pub fn program_by_id(id: u32) -> Result<OwnedFd> {
    let mut attr = [id, 0, 0];
    let ret = bpf("BPF_PROG_GET_FD_BY_ID", PROG_GET_FD_BY_ID, &mut attr)?;
    check_fd("bpf", &[Arg::Name("BPF_PROG_GET_FD_BY_ID"), Arg::Int(id.into())], ret)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `r0 = value; exit`.
    fn constant(value: i32) -> [Instruction; 2] {
        [
            Instruction { code: 0xb7, registers: 0, offset: 0, immediate: value },
            Instruction { code: 0x95, registers: 0, offset: 0, immediate: 0 },
        ]
    }

    #[test]
    fn the_kernel_accepts_a_constant_program_and_refuses_one_without_an_end() {
        load_device_program(&constant(1)).unwrap();
        let error = load_device_program(&constant(1)[..1]).unwrap_err();
        assert_eq!(error.call(), "bpf");
    }
}

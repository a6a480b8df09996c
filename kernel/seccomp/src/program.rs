//! The compiled filter: classic BPF as `seccomp(2)` takes it.
//!
//! ```text
//! load architecture
//! host's own?      ──▶ load number, search tree over all numbers, each leaf returns
//! a companion's?   ──▶ the same
//! else             ──▶ end the thread
//! ```
//!
//! The tree is over ranges of numbers with the same answer, not over single numbers, and has about seven steps. A list
//! with one comparison per call, as libseccomp emits by default, takes the kernel four times as long to load and check.
//!
//! *Calls newer than the profile.* A C library tries a new call and uses an older one if it answers `ENOSYS`; a filter
//! that answers `EPERM` to what it does not know breaks programs at every upgrade of the library. As runC does, every
//! number above the highest that the filter names on an architecture answers `ENOSYS`: whoever wrote the profile did not
//! know those calls. This does not happen when the default action lets calls run, or is `ENOSYS` itself.
//!
//! *x32 on x86-64.* The two share an audit architecture and differ in bit 30 of the number. When a filter does not list
//! x32, such a call ends the thread like a call of any other unlisted architecture; -1 gets the default action, since
//! that is what a tracer makes of a call that it wants left out.

use crate::action::{Action, ENOSYS};
use crate::arch::Arch;
use crate::condition::Test;
use crate::filter::{Filter, Flag};
use crate::profile::alternatives;
use crate::syscalls;
use crate::tree::{self, Leaf};
use std::collections::BTreeMap;

/// The version of the compiler, a part of [`Filter::key`]. It grows with every change of what is emitted.
pub const VERSION: u32 = 2;

/// The most instructions that the kernel takes in one filter (`BPF_MAXINSNS`, linux/bpf_common.h).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`: loading answers a notification descriptor.
pub const NEW_LISTENER: u32 = 1 << 3;
/// `SECCOMP_FILTER_FLAG_TSYNC_ESRCH`: the only way to have TSYNC and a listener together (Linux 5.7).
const TSYNC_ESRCH: u32 = 1 << 4;

/// Where the architecture and the number are in `struct seccomp_data`.
const ARCHITECTURE_OFFSET: u32 = 4;
const NUMBER_OFFSET: u32 = 0;

/// Why a filter cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The program is longer than the kernel accepts.
    #[error(
        "compile seccomp filter: {0} instructions, the kernel takes at most {MAX_INSTRUCTIONS}"
    )]
    TooLong(usize),
    /// There is no table of system calls for the host.
    #[error("compile seccomp filter: no table of system calls for {0}")]
    UnknownHost(&'static str),
}

/// One instruction, `struct sock_filter` of linux/filter.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// The operation.
    pub code: u16,
    /// How many instructions to skip when the comparison holds.
    pub jt: u8,
    /// How many to skip when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

impl Instruction {
    const LOAD: u16 = 0x20;
    const AND: u16 = 0x54;
    const JUMP: u16 = 0x05;
    const JUMP_EQUAL: u16 = 0x15;
    const JUMP_GREATER: u16 = 0x25;
    const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
    const RETURN: u16 = 0x06;

    const fn plain(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }

    /// Load the 32 bits at `offset` of `struct seccomp_data`.
    pub(crate) const fn load(offset: u32) -> Self {
        Self::plain(Self::LOAD, offset)
    }

    /// Keep the bits under `mask`.
    pub(crate) const fn and(mask: u32) -> Self {
        Self::plain(Self::AND, mask)
    }

    /// Skip `count` instructions.
    pub(crate) const fn jump(count: u32) -> Self {
        Self::plain(Self::JUMP, count)
    }

    /// Answer `action`.
    pub(crate) fn answer(action: Action) -> Self {
        Self::plain(Self::RETURN, action.code())
    }

    /// Skip `jt` if what is loaded equals `k`, else `jf`.
    pub(crate) const fn equal(k: u32, jt: u8, jf: u8) -> Self {
        Self { code: Self::JUMP_EQUAL, jt, jf, k }
    }

    /// Skip `jt` if what is loaded is greater than `k`, else `jf`.
    pub(crate) const fn greater(k: u32, jt: u8, jf: u8) -> Self {
        Self { code: Self::JUMP_GREATER, jt, jf, k }
    }

    /// Skip `jt` if what is loaded is at least `k`, else `jf`.
    pub(crate) const fn at_least(k: u32, jt: u8, jf: u8) -> Self {
        Self { code: Self::JUMP_GREATER_OR_EQUAL, jt, jf, k }
    }
}

/// A program to load, and how to load it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The instructions, at most [`MAX_INSTRUCTIONS`].
    pub instructions: Vec<Instruction>,
    /// The flags for `seccomp(SECCOMP_SET_MODE_FILTER)`. With [`NEW_LISTENER`] the call answers a descriptor.
    pub flags: u32,
}

impl Program {
    /// The program as the kernel reads it: 8 bytes each, in the host's byte order.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.instructions.len() * 8);
        for instruction in &self.instructions {
            bytes.extend(instruction.code.to_ne_bytes());
            bytes.extend([instruction.jt, instruction.jf]);
            bytes.extend(instruction.k.to_ne_bytes());
        }
        bytes
    }
}

impl Filter {
    /// Compiles the filter for a host of architecture `host`.
    pub fn compile(&self, host: Arch) -> Result<Program, CompileError> {
        if host.audit().is_none() || host == Arch::X32 {
            return Err(CompileError::UnknownHost(host.name()));
        }
        let mut instructions = vec![Instruction::load(ARCHITECTURE_OFFSET)];
        for arch in self.sections(host) {
            let mut section = vec![Instruction::load(NUMBER_OFFSET)];
            section.extend(tree::emit(&self.leaves(arch)));
            let length = u32::try_from(section.len()).unwrap_or(u32::MAX);
            let audit = arch.audit().expect("what runs on a host has an audit architecture");
            instructions.push(Instruction::equal(audit, 1, 0));
            instructions.push(Instruction::jump(length));
            instructions.extend(section);
        }
        instructions.push(Instruction::answer(Action::KillThread));
        if instructions.len() > MAX_INSTRUCTIONS {
            return Err(CompileError::TooLong(instructions.len()));
        }
        Ok(Program { instructions, flags: self.flag_bits() })
    }

    fn lists(&self, arch: Arch) -> bool {
        self.architectures.contains(&arch)
    }

    /// The audit architectures that get a section, the host's own first.
    fn sections(&self, host: Arch) -> Vec<Arch> {
        // x32 is a part of the section of x86-64.
        let own = |arch: &Arch| *arch != Arch::X32 && self.lists(*arch);
        std::iter::once(host).chain(host.companions().iter().copied().filter(own)).collect()
    }

    fn flag_bits(&self) -> u32 {
        let mut bits = self.flags.iter().fold(0, |bits, flag| bits | flag.bit());
        if !self.notifies() {
            return bits & !Flag::WaitKillableRecv.bit();
        }
        bits |= NEW_LISTENER;
        if bits & Flag::Tsync.bit() != 0 {
            bits |= TSYNC_ESRCH;
        }
        bits
    }

    /// What every number answers in the section of `arch`: the starts of ranges, the first at 0.
    fn leaves(&self, arch: Arch) -> BTreeMap<u32, Leaf> {
        let default = Leaf::Answer(self.default_action);
        let mut leaves = BTreeMap::from([(0, default.clone())]);
        self.add_calls(arch, &mut leaves);
        if arch != Arch::X86_64 {
            return leaves;
        }
        // Bit 30 is set in two quarters of all numbers; the quarter between them is x86-64 again.
        let below =
            self.newer(arch).map_or(default.clone(), |_| Leaf::Answer(Action::Errno(ENOSYS)));
        leaves.insert(0x8000_0000, below);
        let (low, high) = match (self.lists(Arch::X32), self.newer(Arch::X32)) {
            (false, _) => (Leaf::Answer(Action::KillThread), Leaf::Answer(Action::KillThread)),
            (true, Some(_)) => (default.clone(), Leaf::Answer(Action::Errno(ENOSYS))),
            (true, None) => (default.clone(), default.clone()),
        };
        leaves.insert(crate::arch::X32_BIT, low);
        leaves.insert(0xc000_0000, high);
        if self.lists(Arch::X32) {
            self.add_calls(Arch::X32, &mut leaves);
        } else {
            leaves.insert(u32::MAX, default);
        }
        leaves
    }

    /// The first number on `arch` that is newer than the filter; `None` when such numbers get the default action.
    fn newer(&self, arch: Arch) -> Option<u32> {
        if self.default_action.permits() || self.default_action == Action::Errno(ENOSYS) {
            return None;
        }
        let names = self.rules.iter().flat_map(|rule| &rule.names);
        let numbers = names.flat_map(|name| {
            let through = syscalls::multiplexed(arch, name).map(|(number, _)| number);
            syscalls::number(arch, name).into_iter().chain(through)
        });
        // Arm's private calls are above all others and say nothing about how new the filter is.
        let highest =
            numbers.filter(|number| arch != Arch::Arm || *number < syscalls::ARM_PRIVATE).max()?;
        highest.checked_add(1)
    }

    /// Adds to `leaves` the calls of `arch` and the range that is newer than the filter. Between the calls the ranges
    /// answer the default action.
    fn add_calls(&self, arch: Arch, leaves: &mut BTreeMap<u32, Leaf>) {
        let default = Leaf::Answer(self.default_action);
        let calls = self.calls(arch);
        if let Some(first) = self.newer(arch) {
            leaves.insert(first, Leaf::Answer(Action::Errno(ENOSYS)));
            if arch == Arch::Arm {
                leaves.insert(syscalls::ARM_PRIVATE, default.clone());
            }
        }
        for number in calls.keys() {
            if let Some(after) = number.checked_add(1) {
                leaves.entry(after).or_insert_with(|| default.clone());
            }
        }
        leaves.extend(calls);
    }

    /// What the rules say of each call of `arch`.
    fn calls(&self, arch: Arch) -> BTreeMap<u32, Leaf> {
        let mut calls: BTreeMap<u32, Call> = BTreeMap::new();
        // A rule that says the same as the default is left out, as runC does, also where it would come first.
        for rule in self.rules.iter().filter(|rule| rule.action != self.default_action) {
            for name in &rule.names {
                let ways = alternatives(&rule.conditions);
                if let Some(number) = syscalls::number(arch, name) {
                    let call = calls.entry(number).or_default();
                    for way in &ways {
                        call.add(
                            way.iter().map(|one| Test::new(arch, name, *one)).collect(),
                            rule.action,
                        );
                    }
                }
                let conditional = ways.iter().all(|way| !way.is_empty());
                // The arguments of a multiplexed call are behind a pointer and cannot be looked at: what permits only
                // under a condition does not permit here, what refuses under a condition always refuses.
                if let Some((number, value)) = syscalls::multiplexed(arch, name)
                    && !(conditional && rule.action.permits())
                {
                    calls
                        .entry(number)
                        .or_default()
                        .add(vec![Test::selector(arch, value)], rule.action);
                }
            }
        }
        calls.into_iter().map(|(number, call)| (number, call.leaf(self.default_action))).collect()
    }
}

/// What the rules say of one call.
#[derive(Default)]
struct Call {
    always: Option<Action>,
    checks: Vec<(Vec<Test>, Action)>,
}

impl Call {
    fn add(&mut self, tests: Vec<Test>, action: Action) {
        if tests.is_empty() {
            self.always.get_or_insert(action);
        } else if !self.checks.contains(&(tests.clone(), action)) {
            self.checks.push((tests, action));
        }
    }

    fn leaf(self, default: Action) -> Leaf {
        match self.always {
            Some(action) => Leaf::Answer(action),
            None => Leaf::Check { checks: self.checks, otherwise: default },
        }
    }
}

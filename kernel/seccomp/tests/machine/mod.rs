//! What the tests compare: a machine that runs classic BPF, and an evaluator that reads a filter rule by rule.

#![allow(dead_code, reason = "each test uses a part")]
#![expect(
    clippy::panic,
    reason = "the machine stops where the kernel would have refused the program"
)]

use seccomp::arch::X32_BIT;
use seccomp::syscalls::{self, ARM_PRIVATE};
use seccomp::{Action, Arch, Condition, Filter, Operator, Program};
use std::collections::HashMap;

/// `struct seccomp_data` without the instruction pointer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data {
    pub(crate) number: u32,
    pub(crate) audit: u32,
    pub(crate) args: [u64; 6],
}

/// `__AUDIT_ARCH_LE` of linux/audit.h: in a kernel without it the upper half of a 64-bit number comes first.
const LITTLE_ENDIAN: u32 = 0x4000_0000;

impl Data {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.audit,
            16..64 if offset.is_multiple_of(4) => {
                let argument = self.args[(offset as usize - 16) / 8];
                let first = offset.is_multiple_of(8);
                let lower = first == (self.audit & LITTLE_ENDIAN != 0);
                if lower { argument as u32 } else { (argument >> 32) as u32 }
            }
            _ => panic!("load at {offset}"),
        }
    }
}

/// Runs `program` and gives what it returns; panics where the kernel would have refused the program.
pub(crate) fn run(program: &Program, data: &Data) -> u32 {
    let (mut at, mut loaded) = (0, 0);
    loop {
        let instruction = program.instructions[at];
        let jump = |holds: bool| usize::from(if holds { instruction.jt } else { instruction.jf });
        at += 1;
        match instruction.code {
            0x20 => loaded = data.word(instruction.k),
            0x54 => loaded &= instruction.k,
            0x05 => at += instruction.k as usize,
            0x15 => at += jump(loaded == instruction.k),
            0x25 => at += jump(loaded > instruction.k),
            0x35 => at += jump(loaded >= instruction.k),
            0x06 => return instruction.k,
            code => panic!("instruction {code:#x}"),
        }
    }
}

/// The calls that old architectures also have behind `socketcall` and `ipc`, whose numbers are the same on all of them
/// but for where those of MIPS begin.
const MULTIPLEXED: [(&[&str], u32); 2] = [
    (
        &[
            "socket",
            "bind",
            "connect",
            "listen",
            "accept",
            "getsockname",
            "getpeername",
            "socketpair",
            "send",
            "recv",
            "sendto",
            "recvfrom",
            "shutdown",
            "setsockopt",
            "getsockopt",
            "sendmsg",
            "recvmsg",
            "accept4",
            "recvmmsg",
            "sendmmsg",
        ],
        102,
    ),
    (
        &[
            "semop",
            "semget",
            "semctl",
            "semtimedop",
            "msgsnd",
            "msgrcv",
            "msgget",
            "msgctl",
            "shmat",
            "shmdt",
            "shmget",
            "shmctl",
        ],
        117,
    ),
];

/// Reads a filter naively. The only table that it makes is from numbers to the rules that name them.
pub(crate) struct Evaluator<'a> {
    filter: &'a Filter,
    host: Arch,
    named: HashMap<(Arch, u32), Vec<(usize, &'static str)>>,
    highest: HashMap<Arch, u32>,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(filter: &'a Filter, host: Arch) -> Self {
        let (mut named, mut highest) = (HashMap::<_, Vec<_>>::new(), HashMap::new());
        for arch in std::iter::once(host).chain(host.companions().iter().copied()) {
            let numbers: HashMap<_, _> = syscalls::all(arch).collect();
            for (at, rule) in filter.rules.iter().enumerate() {
                for name in &rule.names {
                    let through =
                        MULTIPLEXED.iter().find(|(calls, _)| calls.contains(&name.as_str()));
                    if let (Some(base), Some((_, through))) = (multiplexes(arch), through) {
                        let highest = highest.entry(arch).or_insert(0);
                        *highest = (*highest).max(through + base);
                    }
                    let Some((name, number)) = numbers.get_key_value(name.as_str()) else {
                        continue;
                    };
                    named.entry((arch, *number)).or_default().push((at, *name));
                    if arch != Arch::Arm || *number < ARM_PRIVATE {
                        let highest = highest.entry(arch).or_insert(0);
                        *highest = (*highest).max(*number);
                    }
                }
            }
        }
        Self { filter, host, named, highest }
    }

    fn interface(&self, data: &Data) -> Option<Arch> {
        let mut all = std::iter::once(self.host).chain(self.host.companions().iter().copied());
        let arch = all.find(|arch| {
            let x32 = *arch == Arch::X32;
            let marked = self.host == Arch::X86_64 && data.number & X32_BIT != 0;
            arch.audit() == Some(data.audit) && (x32 == marked || data.audit != 0xc000_003e)
        })?;
        let listed = arch == self.host || self.filter.architectures.contains(&arch);
        listed.then_some(arch)
    }

    /// The conditions of the rules that name this call.
    pub(crate) fn conditions(&self, arch: Arch, number: u32) -> Vec<&'a [Condition]> {
        let rules = self.named.get(&(arch, number)).into_iter().flatten();
        rules.map(|(at, _)| self.filter.rules[*at].conditions.as_slice()).collect()
    }

    pub(crate) fn action(&self, data: &Data) -> Action {
        let default = self.filter.default_action;
        let Some(arch) = self.interface(data) else {
            let skipped =
                data.number == u32::MAX && data.audit == 0xc000_003e && self.host == Arch::X86_64;
            return if skipped { default } else { Action::KillThread };
        };
        let private = arch == Arch::Arm && data.number >= ARM_PRIVATE;
        let known = self.highest.get(&arch).is_none_or(|highest| data.number <= *highest);
        let lenient = matches!(
            default,
            Action::Allow | Action::Log | Action::Trace(_) | Action::Errno(seccomp::action::ENOSYS)
        );
        if !known && !private && !lenient {
            return Action::Errno(seccomp::action::ENOSYS);
        }
        let mut matching = Vec::new();
        for (at, name) in self.named.get(&(arch, data.number)).into_iter().flatten() {
            let rule = &self.filter.rules[*at];
            matching.push((*at, rule.conditions.is_empty(), self.holds(*at, arch, name, data)));
        }
        self.multiplexed(arch, data, &mut matching);
        matching.sort_by_key(|(at, _, _)| *at);
        matching.retain(|(at, _, _)| self.filter.rules[*at].action != default);
        let always = matching.iter().find(|(_, unconditional, _)| *unconditional);
        let first = always.or_else(|| matching.iter().find(|(_, _, holds)| *holds));
        first.map_or(default, |(at, _, _)| self.filter.rules[*at].action)
    }

    fn holds(&self, rule: usize, arch: Arch, name: &str, data: &Data) -> bool {
        let conditions = &self.filter.rules[rule].conditions;
        let met = |condition: &Condition| {
            let narrow = syscalls::is_narrow(arch, name, condition.index);
            compare(condition, data.args[usize::from(condition.index)], narrow)
        };
        let twice =
            (0..6).any(|index| conditions.iter().filter(|one| one.index == index).count() > 1);
        if twice { conditions.iter().any(met) } else { conditions.iter().all(met) }
    }

    /// `socketcall` and `ipc`, for the calls that the tests use.
    fn multiplexed(&self, arch: Arch, data: &Data, matching: &mut Vec<(usize, bool, bool)>) {
        let Some(base) = multiplexes(arch) else { return };
        let call = match (data.number.wrapping_sub(base), data.args[0] as u32) {
            (102, selector @ 1..=20) => MULTIPLEXED[0].0[selector as usize - 1],
            (117, 1) => "semop",
            (117, 2) => "semget",
            (117, 3) => "semctl",
            (117, 4) => "semtimedop",
            (117, 11) => "msgsnd",
            (117, 12) => "msgrcv",
            (117, 13) => "msgget",
            (117, 14) => "msgctl",
            (117, 21) => "shmat",
            (117, 22) => "shmdt",
            (117, 23) => "shmget",
            (117, 24) => "shmctl",
            _ => return,
        };
        for (at, rule) in self.filter.rules.iter().enumerate() {
            let grants = matches!(rule.action, Action::Allow | Action::Log | Action::Trace(_));
            if rule.names.iter().any(|name| name == call) && (rule.conditions.is_empty() || !grants)
            {
                matching.push((at, false, true));
            }
        }
    }
}

/// Whether an architecture has `socketcall` and `ipc`, and where its numbers begin.
fn multiplexes(arch: Arch) -> Option<u32> {
    match arch {
        Arch::X86 | Arch::Ppc | Arch::Ppc64 | Arch::Ppc64le | Arch::S390 | Arch::S390x => Some(0),
        Arch::Mips | Arch::Mipsel => Some(4000),
        _ => None,
    }
}

fn compare(condition: &Condition, argument: u64, narrow: bool) -> bool {
    let cut = |value: u64| if narrow { value & 0xffff_ffff } else { value };
    let (argument, value, two) = (cut(argument), cut(condition.value), cut(condition.value_two));
    match condition.operator {
        Operator::NotEqual => argument != value,
        Operator::Less => argument < value,
        Operator::LessOrEqual => argument <= value,
        Operator::Equal => argument == value,
        Operator::GreaterOrEqual => argument >= value,
        Operator::Greater => argument > value,
        Operator::MaskedEqual => argument & value == two & value,
    }
}

/// Values around those that a condition compares with.
pub(crate) fn edges_of(condition: &Condition) -> Vec<u64> {
    let around = |value: u64| {
        let (less, more) = (value.wrapping_sub(1), value.wrapping_add(1));
        [value, less, more, value ^ (1 << 32), value ^ (1 << 63), value & 0xffff_ffff]
    };
    let mut edges = vec![0, u64::MAX];
    edges.extend(around(condition.value));
    if condition.operator == Operator::MaskedEqual {
        edges.extend(around(condition.value_two));
        edges.push(condition.value_two | !condition.value);
    }
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// Values around those that the conditions of `filter` compare with.
pub(crate) fn edges(filter: &Filter) -> Vec<u64> {
    let mut edges = vec![0, 1, u64::MAX, 1 << 32, 0xffff_ffff];
    edges.extend(filter.rules.iter().flat_map(|rule| &rule.conditions).flat_map(edges_of));
    edges.sort_unstable();
    edges.dedup();
    edges
}

//! The eBPF program that filters devices on cgroup v2 (`BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15).
//!
//! The kernel gives `{access_and_type, major, minor}` and takes 1 for yes. The program walks the rules from the last to
//! the first with the set of accesses that are not decided yet: a rule that allows takes its accesses out of the set, and
//! an empty set is a yes; a rule that denies one of the set is a no. So each access is decided by the last rule that fits,
//! whatever the order in which rules for reading and writing were given.

use crate::devices::{ALL, Devices, Kind, Rule};
use sys::bpf::Instruction;

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

// Registers: the answer, the context, type, open accesses, major, minor, scratch.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const OPEN: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE: u8 = 0xb4;
const MOVE_REGISTER: u8 = 0xbc;
// 32-bit comparisons (Linux 5.1): a device number above 2^31 would be extended with its sign in a 64-bit one.
const JUMP_NOT_EQUAL: u8 = 0x56;
const EXIT: u8 = 0x95;

const fn instruction(code: u8, target: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: target | source << 4, offset, immediate }
}

const fn answer(yes: bool) -> [Instruction; 2] {
    [instruction(MOVE, ANSWER, 0, 0, yes as i32), instruction(EXIT, 0, 0, 0, 0)]
}

/// Compiles checked rules.
pub(crate) fn compile(rules: &[Rule]) -> Vec<Instruction> {
    let mut code = vec![
        instruction(LOAD_WORD, TYPE, CONTEXT, 0, 0),
        instruction(MOVE_REGISTER, OPEN, TYPE, 0, 0),
        instruction(AND, TYPE, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, OPEN, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    // Rules before the last one on everything mean nothing.
    let mut everything = false;
    for rule in rules.iter().rev() {
        match rule {
            Rule::Everything { allow } => {
                everything = *allow;
                break;
            }
            Rule::Some { allow, devices, access } => code.extend(block(*allow, devices, *access)),
        }
    }
    code.extend(answer(everything));
    code
}

/// One rule: falls off its end when it does not decide.
fn block(allow: bool, devices: &Devices, access: u8) -> Vec<Instruction> {
    let mut body = Vec::with_capacity(6);
    let access = i32::from(access & ALL);
    if allow {
        body.push(instruction(AND, OPEN, 0, 0, !access));
        body.push(instruction(JUMP_NOT_EQUAL, OPEN, 0, 2, 0));
        body.extend(answer(true));
    } else {
        // There is no 32-bit "jump if no bit": two steps, the comparison is with zero.
        body.push(instruction(MOVE_REGISTER, SCRATCH, OPEN, 0, 0));
        body.push(instruction(AND, SCRATCH, 0, 0, access));
        body.push(instruction(JUMP_NOT_EQUAL, SCRATCH, 0, 1, 0));
        body.push(instruction(0x05, 0, 0, 2, 0));
        body.extend(answer(false));
    }
    let kind = if devices.kind == Kind::Block { BLOCK } else { CHARACTER };
    let mut tests = vec![(TYPE, kind)];
    tests.extend(devices.major.map(|major| (MAJOR, major.cast_signed())));
    tests.extend(devices.minor.map(|minor| (MINOR, minor.cast_signed())));
    let count = tests.len();
    let mut code = Vec::with_capacity(count + body.len());
    for (at, (register, value)) in tests.into_iter().enumerate() {
        let rest = count - at - 1 + body.len();
        let skip = i16::try_from(rest).expect("a rule has at most nine instructions");
        code.push(instruction(JUMP_NOT_EQUAL, register, 0, skip, value));
    }
    code.extend(body);
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::{MKNOD, READ, WRITE};
    use proptest::prelude::*;

    /// Runs a program as the kernel's interpreter does, for the instructions that are used here.
    fn run(code: &[Instruction], kind: Kind, access: u8, major: u32, minor: u32) -> bool {
        let kind = if kind == Kind::Block { 1 } else { 2 };
        let context = [kind | u32::from(access) << 16, major, minor];
        let mut registers = [0_u32; 11];
        let mut at = 0;
        loop {
            let Instruction { code: operation, registers: pair, offset, immediate } = code[at];
            let (target, source) = (usize::from(pair & 15), usize::from(pair >> 4));
            let value = immediate.cast_unsigned();
            at += 1;
            match operation {
                LOAD_WORD => registers[target] = context[usize::from(offset.cast_unsigned()) / 4],
                AND => registers[target] &= value,
                SHIFT_RIGHT => registers[target] >>= value,
                MOVE => registers[target] = value,
                MOVE_REGISTER => registers[target] = registers[source],
                JUMP_NOT_EQUAL if registers[target] != value => {
                    at += usize::from(offset.cast_unsigned())
                }
                JUMP_NOT_EQUAL => {}
                0x05 => at += usize::from(offset.cast_unsigned()),
                EXIT => return registers[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    /// For each access by itself: the last rule that fits.
    fn expected(rules: &[Rule], kind: Kind, access: u8, major: u32, minor: u32) -> bool {
        [READ, WRITE, MKNOD].into_iter().filter(|bit| access & bit != 0).all(|bit| {
            let fits = |rule: &&Rule| match rule {
                Rule::Everything { .. } => true,
                Rule::Some { devices, access, .. } => {
                    devices.kind == kind
                        && access & bit != 0
                        && devices.major.is_none_or(|number| number == major)
                        && devices.minor.is_none_or(|number| number == minor)
                }
            };
            match rules.iter().rev().find(fits) {
                Some(Rule::Everything { allow } | Rule::Some { allow, .. }) => *allow,
                None => false,
            }
        })
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let number = || proptest::option::of(prop_oneof![0..3_u32, Just(u32::MAX)]);
        let kind = prop_oneof![Just(Kind::Block), Just(Kind::Character)];
        prop_oneof![
            1 => any::<bool>().prop_map(|allow| Rule::Everything { allow }),
            8 => (any::<bool>(), kind, number(), number(), 1..8_u8).prop_map(
                |(allow, kind, major, minor, access)| {
                    Rule::Some { allow, devices: Devices { kind, major, minor }, access }
                }
            ),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_access_is_decided_by_the_last_rule_that_fits(
            rules in proptest::collection::vec(any_rule(), 0..10)
        ) {
            let code = compile(&rules);
            for kind in [Kind::Block, Kind::Character] {
                for access in 1..8 {
                    for major in [0, 1, 2, u32::MAX] {
                        for minor in [0, 1, 2, u32::MAX] {
                            prop_assert_eq!(
                                run(&code, kind, access, major, minor),
                                expected(&rules, kind, access, major, minor),
                                "{:?} {} {}:{}", kind, access, major, minor
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_access_that_two_rules_allow_together_is_allowed() {
        let devices = Devices { kind: Kind::Character, major: Some(1), minor: Some(3) };
        let allow = |access| Rule::Some { allow: true, devices, access };
        let code = compile(&[Rule::Everything { allow: false }, allow(READ), allow(WRITE)]);
        assert!(run(&code, Kind::Character, READ | WRITE, 1, 3));
        assert!(!run(&code, Kind::Character, READ | MKNOD, 1, 3));
        assert!(!run(&code, Kind::Block, READ, 1, 3));
    }

    #[test]
    fn no_rule_denies_everything() {
        assert!(!run(&compile(&[]), Kind::Character, READ, 1, 3));
    }

    #[test]
    fn the_kernel_verifies_a_program_of_many_rules() {
        let devices =
            |minor| Devices { kind: Kind::Character, major: Some(u32::MAX), minor: Some(minor) };
        let rule = |minor: u32| Rule::Some {
            allow: minor.is_multiple_of(2),
            devices: devices(minor),
            access: READ,
        };
        sys::bpf::load_device_program(&compile(&(0..200).map(rule).collect::<Vec<_>>())).unwrap();
    }
}

//! Conditions on arguments, as instructions.
//!
//! BPF compares 32 bits. A 64-bit argument is compared by its upper half and then, where that is equal, its lower half.
//! Which of the two comes first in `struct seccomp_data` is a matter of the architecture's byte order.

use crate::action::{Condition, Operator};
use crate::arch::Arch;
use crate::program::Instruction;
use crate::syscalls;

/// Where the arguments begin in `struct seccomp_data`; each has 8 bytes.
const ARGUMENTS_OFFSET: u32 = 16;

/// A condition on a certain call of a certain architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    condition: Condition,
    /// Only the lower 32 bits, of the argument and of the values, are compared.
    narrow: bool,
    /// The upper half comes first.
    upper_first: bool,
}

/// Where a comparison goes next.
#[derive(Clone, Copy)]
enum Goal {
    /// The next instruction.
    Next,
    /// Behind this test: it holds.
    Pass,
    /// To the next rule: this one does not apply.
    Fail,
}

/// An instruction of which the jumps are not counted yet.
struct Step {
    code: Instruction,
    jumps: Option<(Goal, Goal)>,
}

impl Test {
    pub(crate) fn new(arch: Arch, name: &str, condition: Condition) -> Self {
        let narrow = syscalls::is_narrow(arch, name, condition.index);
        Self { condition, narrow, upper_first: arch.is_big_endian() }
    }

    /// The first argument of a multiplexing call is `value`.
    pub(crate) fn selector(arch: Arch, value: u64) -> Self {
        let condition = Condition { index: 0, operator: Operator::Equal, value, value_two: 0 };
        Self { condition, narrow: true, upper_first: arch.is_big_endian() }
    }

    fn steps(&self) -> Vec<Step> {
        let Condition { index, operator, value, value_two } = self.condition;
        let offset = ARGUMENTS_OFFSET + 8 * u32::from(index);
        let (low_offset, high_offset) =
            if self.upper_first { (offset + 4, offset) } else { (offset, offset + 4) };
        let (value_low, value_high) = (value as u32, (value >> 32) as u32);
        let (two_low, two_high) = (value_two as u32, (value_two >> 32) as u32);
        let mut steps = Vec::with_capacity(7);
        if !self.narrow {
            steps.push(Step::plain(Instruction::load(high_offset)));
            high_half(&mut steps, operator, value_high, two_high);
        }
        steps.push(Step::plain(Instruction::load(low_offset)));
        low_half(&mut steps, operator, value_low, two_low);
        steps
    }
}

/// Decides by the upper half, or goes on to the lower one.
fn high_half(steps: &mut Vec<Step>, operator: Operator, value: u32, value_two: u32) {
    use Goal::{Fail, Next, Pass};
    let equal = Instruction::equal(value, 0, 0);
    let greater = Instruction::greater(value, 0, 0);
    match operator {
        Operator::Equal => steps.push(Step::jump(equal, Next, Fail)),
        Operator::NotEqual => steps.push(Step::jump(equal, Next, Pass)),
        Operator::Greater | Operator::GreaterOrEqual => {
            steps.push(Step::jump(greater, Pass, Next));
            steps.push(Step::jump(equal, Next, Fail));
        }
        Operator::Less | Operator::LessOrEqual => {
            steps.push(Step::jump(greater, Fail, Next));
            steps.push(Step::jump(equal, Next, Pass));
        }
        Operator::MaskedEqual => {
            steps.push(Step::plain(Instruction::and(value)));
            steps.push(Step::jump(Instruction::equal(value_two & value, 0, 0), Next, Fail));
        }
    }
}

fn low_half(steps: &mut Vec<Step>, operator: Operator, value: u32, value_two: u32) {
    use Goal::{Fail, Pass};
    let (code, holds, fails) = match operator {
        Operator::Equal => (Instruction::equal(value, 0, 0), Pass, Fail),
        Operator::NotEqual => (Instruction::equal(value, 0, 0), Fail, Pass),
        Operator::Greater => (Instruction::greater(value, 0, 0), Pass, Fail),
        Operator::LessOrEqual => (Instruction::greater(value, 0, 0), Fail, Pass),
        Operator::GreaterOrEqual => (Instruction::at_least(value, 0, 0), Pass, Fail),
        Operator::Less => (Instruction::at_least(value, 0, 0), Fail, Pass),
        Operator::MaskedEqual => {
            steps.push(Step::plain(Instruction::and(value)));
            (Instruction::equal(value_two & value, 0, 0), Pass, Fail)
        }
    };
    steps.push(Step::jump(code, holds, fails));
}

impl Step {
    fn plain(code: Instruction) -> Self {
        Self { code, jumps: None }
    }

    fn jump(code: Instruction, holds: Goal, fails: Goal) -> Self {
        Self { code, jumps: Some((holds, fails)) }
    }
}

/// The instructions that fall through to `body` when all tests hold, and skip behind it when one does not.
pub(crate) fn guard(tests: &[Test], body: Instruction) -> Vec<Instruction> {
    let groups: Vec<Vec<Step>> = tests.iter().map(Test::steps).collect();
    let body_at: usize = groups.iter().map(Vec::len).sum();
    let mut code = Vec::with_capacity(body_at + 1);
    for group in groups {
        let group_end = code.len() + group.len();
        for step in group {
            let after = code.len() + 1;
            // At most six tests of seven instructions each: no distance is above 43.
            let distance = |goal| match goal {
                Goal::Next => 0,
                Goal::Pass => (group_end - after) as u8,
                Goal::Fail => (body_at + 1 - after) as u8,
            };
            let mut instruction = step.code;
            if let Some((holds, fails)) = step.jumps {
                (instruction.jt, instruction.jf) = (distance(holds), distance(fails));
            }
            code.push(instruction);
        }
    }
    code.push(body);
    code
}

//! A balanced search tree over ranges of system call numbers, as instructions.
//!
//! Every subtree and every leaf is a piece of code that can stand anywhere, since it has no jump out of itself: it ends
//! by returning. So the pieces are simply put behind each other.

use crate::action::Action;
use crate::condition::{self, Test};
use crate::program::Instruction;
use std::collections::BTreeMap;

/// What a call answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// Always this.
    Answer(Action),
    /// The action of the first check of which all tests hold.
    Check {
        /// Tests and what they lead to; no list of tests is longer than six.
        checks: Vec<(Vec<Test>, Action)>,
        /// The answer when no check applies.
        otherwise: Action,
    },
}

impl Leaf {
    fn emit(&self) -> Vec<Instruction> {
        match self {
            Self::Answer(action) => vec![Instruction::answer(*action)],
            Self::Check { checks, otherwise } => {
                let mut code = Vec::new();
                for (tests, action) in checks {
                    code.extend(condition::guard(tests, Instruction::answer(*action)));
                }
                code.push(Instruction::answer(*otherwise));
                code
            }
        }
    }
}

/// The tree for `leaves`, each of which answers from its number up to the next. The first must be at 0.
pub(crate) fn emit(leaves: &BTreeMap<u32, Leaf>) -> Vec<Instruction> {
    let mut ranges: Vec<(u32, &Leaf)> = leaves.iter().map(|(start, leaf)| (*start, leaf)).collect();
    ranges.dedup_by(|later, earlier| later.1 == earlier.1);
    subtree(&ranges)
}

fn subtree(ranges: &[(u32, &Leaf)]) -> Vec<Instruction> {
    let (left, right) = match ranges {
        [] => return Vec::new(),
        [(_, leaf)] => return leaf.emit(),
        _ => ranges.split_at(ranges.len() / 2),
    };
    let left_code = subtree(left);
    let mut code = Vec::with_capacity(left_code.len() + 2);
    match u8::try_from(left_code.len()) {
        Ok(length) => code.push(Instruction::at_least(right[0].0, length, 0)),
        // A conditional jump reaches 255 instructions, an unconditional one reaches everything.
        Err(_) => {
            code.push(Instruction::at_least(right[0].0, 0, 1));
            code.push(Instruction::jump(u32::try_from(left_code.len()).unwrap_or(u32::MAX)));
        }
    }
    code.extend(left_code);
    code.extend(subtree(right));
    code
}

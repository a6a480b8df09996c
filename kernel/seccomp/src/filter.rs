//! The flat filter: what a profile comes to for one container on one host, in the shape of the runtime
//! specification's `linux.seccomp`.

use crate::action::{Action, Condition};
use crate::arch::Arch;
use sha2::{Digest, Sha256};

/// A flag of `seccomp(2)` that profiles may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flag {
    /// Give the filter to all threads of the process.
    Tsync,
    /// Log what is not allowed (Linux 4.14).
    Log,
    /// Leave out the mitigation of speculative store bypass (Linux 4.17).
    SpecAllow,
    /// A call under notification is interrupted by fatal signals only (Linux 5.19). Without a rule that notifies it
    /// means nothing, and the kernel would refuse it, so that it is then left out.
    WaitKillableRecv,
}

impl Flag {
    /// Reads a flag by the name that profiles use. `None`: no such flag.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "SECCOMP_FILTER_FLAG_TSYNC" => Self::Tsync,
            "SECCOMP_FILTER_FLAG_LOG" => Self::Log,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Self::SpecAllow,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => Self::WaitKillableRecv,
            _ => return None,
        })
    }

    /// The bit in the flags of `seccomp(2)` (linux/seccomp.h).
    pub fn bit(self) -> u32 {
        match self {
            Self::Tsync => 1,
            Self::Log => 1 << 1,
            Self::SpecAllow => 1 << 2,
            Self::WaitKillableRecv => 1 << 5,
        }
    }
}

/// What happens to some calls, where all conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The calls by name. Names that an architecture does not have mean nothing there.
    pub names: Vec<String>,
    /// What happens.
    pub action: Action,
    /// All must hold. Two or more on the same argument are alternatives instead, and so are then all of the rule: a
    /// quirk of runC's that profiles rely on.
    pub conditions: Vec<Condition>,
}

/// A profile without conditions on the host or the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// What happens to a call that no rule decides.
    pub default_action: Action,
    /// The interfaces through which calls may come; the host's own always may.
    pub architectures: Vec<Arch>,
    /// The flags asked for.
    pub flags: Vec<Flag>,
    /// The rules, in the order of the profile.
    pub rules: Vec<Rule>,
    /// The socket of the agent that gets the notification descriptor (runtime specification, `listenerPath`).
    pub listener_path: Option<String>,
    /// Text for that agent.
    pub listener_metadata: Option<String>,
}

impl Filter {
    /// Whether a rule notifies, so that loading the filter gives a descriptor.
    pub fn notifies(&self) -> bool {
        self.rules.iter().any(|rule| rule.action == Action::Notify)
    }

    /// A name for the program that this filter compiles to on `host`: 64 hexadecimal digits, the SHA-256 of everything
    /// that the compiler looks at, its version included. Equal keys mean equal programs, also when someone chooses the
    /// profiles in order to make them collide.
    pub fn key(&self, host: Arch) -> String {
        let mut hash = Sha256::new();
        let mut text = |part: &str| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        };
        text(&format!(
            "{} {} {:x}",
            crate::program::VERSION,
            host.name(),
            self.default_action.code()
        ));
        for arch in &self.architectures {
            text(arch.name());
        }
        text("flags");
        for flag in &self.flags {
            text(&flag.bit().to_string());
        }
        for rule in &self.rules {
            text(&format!("rule {:x}", rule.action.code()));
            for name in &rule.names {
                text(name);
            }
            for condition in &rule.conditions {
                text(&format!("{condition:?}"));
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operator;

    fn filter() -> Filter {
        let condition = Condition { index: 0, operator: Operator::Less, value: 38, value_two: 0 };
        Filter {
            default_action: Action::Errno(1),
            architectures: vec![Arch::X86_64],
            flags: vec![],
            rules: vec![Rule {
                names: vec!["socket".into()],
                action: Action::Allow,
                conditions: vec![condition],
            }],
            listener_path: None,
            listener_metadata: None,
        }
    }

    #[test]
    fn key_changes_with_everything_that_the_compiler_looks_at() {
        let same = filter().key(Arch::X86_64);
        assert_eq!(filter().key(Arch::X86_64), same);
        assert_eq!(same.len(), 64);
        let changes: [fn(&mut Filter); 6] = [
            |filter| filter.default_action = Action::Errno(2),
            |filter| filter.architectures.push(Arch::X86),
            |filter| filter.flags.push(Flag::Log),
            |filter| filter.rules[0].names = vec!["sock".into(), "et".into()],
            |filter| filter.rules[0].action = Action::Log,
            |filter| filter.rules[0].conditions[0].operator = Operator::LessOrEqual,
        ];
        for change in changes {
            let mut other = filter();
            change(&mut other);
            assert_ne!(other.key(Arch::X86_64), same, "{other:?}");
        }
        assert_ne!(filter().key(Arch::Aarch64), same);
    }
}

//! Filters as the runtime specification's `linux.seccomp`, in which an engine hands them to a runtime.

use crate::action::{Action, Condition, Operator};
use crate::arch::Arch;
use crate::filter::{Filter, Flag, Rule};
use crate::profile::{Profile, ProfileError};
use spec::oci::{Seccomp, SeccompArg, SyscallRule};

impl Filter {
    /// Reads the `linux.seccomp` of a bundle. `None`: it names no default action and no rules, which means no filter.
    pub fn from_oci(seccomp: &Seccomp) -> Result<Option<Self>, ProfileError> {
        let json = serde_json::to_value(seccomp)
            .map_err(|error| ProfileError::Syntax(error.to_string()))?;
        // Nothing in this format depends on the host or on capabilities.
        let filter = Profile::from_value(&json)?.resolve::<&str>(Arch::X86_64, &[], (0, 0));
        if let Some(filter) = &filter {
            filter.check_listener()?;
            check_errnos(seccomp)?;
        }
        Ok(filter)
    }

    /// Calls that wait for an agent need one, and text for an agent, too (runtime specification, "Seccomp").
    fn check_listener(&self) -> Result<(), ProfileError> {
        let listens = self.listener_path.as_deref().is_some_and(|path| !path.is_empty());
        let error = |field: &str, cause: &str| {
            Err(ProfileError::Field { field: field.to_owned(), cause: cause.to_owned() })
        };
        if self.notifies() && !listens {
            return error("listenerPath", "is missing, and SCMP_ACT_NOTIFY needs it");
        }
        if self.listener_metadata.as_deref().is_some_and(|text| !text.is_empty()) && !listens {
            return error("listenerMetadata", "must not be set without listenerPath");
        }
        Ok(())
    }

    /// The filter for a bundle.
    pub fn to_oci(&self) -> Seccomp {
        let (default_action, default_errno_ret) = action(self.default_action);
        Seccomp {
            default_action,
            default_errno_ret,
            architectures: self.architectures.iter().map(|arch| arch.name().to_owned()).collect(),
            flags: self.flags.iter().map(|flag| flag.name().to_owned()).collect(),
            listener_path: self.listener_path.clone(),
            listener_metadata: self.listener_metadata.clone(),
            syscalls: self.rules.iter().map(rule).collect(),
        }
    }
}

/// A number where the action has none is an error ("errnoRet", "defaultErrnoRet").
fn check_errnos(seccomp: &Seccomp) -> Result<(), ProfileError> {
    let rules = seccomp
        .syscalls
        .iter()
        .enumerate()
        .map(|(at, rule)| (format!("syscalls[{at}].errnoRet"), rule.errno_ret, &rule.action));
    let default =
        ("defaultErrnoRet".to_owned(), seccomp.default_errno_ret, &seccomp.default_action);
    for (field, errno, action) in std::iter::once(default).chain(rules) {
        if errno.is_some() && !matches!(action.as_str(), "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE") {
            return Err(ProfileError::Field { field, cause: format!("{action} has no number") });
        }
    }
    Ok(())
}

fn action(action: Action) -> (String, Option<u32>) {
    let (name, number) = match action {
        Action::KillProcess => ("SCMP_ACT_KILL_PROCESS", None),
        Action::KillThread => ("SCMP_ACT_KILL_THREAD", None),
        Action::Trap => ("SCMP_ACT_TRAP", None),
        Action::Errno(errno) => ("SCMP_ACT_ERRNO", Some(errno.into())),
        Action::Notify => ("SCMP_ACT_NOTIFY", None),
        Action::Trace(number) => ("SCMP_ACT_TRACE", Some(number.into())),
        Action::Log => ("SCMP_ACT_LOG", None),
        Action::Allow => ("SCMP_ACT_ALLOW", None),
    };
    (name.to_owned(), number)
}

fn rule(rule: &Rule) -> SyscallRule {
    let (action, errno_ret) = action(rule.action);
    let args = rule.conditions.iter().map(condition).collect();
    SyscallRule { names: rule.names.clone(), action, errno_ret, args }
}

fn condition(condition: &Condition) -> SeccompArg {
    let op = match condition.operator {
        Operator::NotEqual => "SCMP_CMP_NE",
        Operator::Less => "SCMP_CMP_LT",
        Operator::LessOrEqual => "SCMP_CMP_LE",
        Operator::Equal => "SCMP_CMP_EQ",
        Operator::GreaterOrEqual => "SCMP_CMP_GE",
        Operator::Greater => "SCMP_CMP_GT",
        Operator::MaskedEqual => "SCMP_CMP_MASKED_EQ",
    };
    SeccompArg {
        index: condition.index.into(),
        value: condition.value,
        value_two: condition.value_two,
        op: op.to_owned(),
    }
}

impl Flag {
    /// The name that profiles use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tsync => "SECCOMP_FILTER_FLAG_TSYNC",
            Self::Log => "SECCOMP_FILTER_FLAG_LOG",
            Self::SpecAllow => "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            Self::WaitKillableRecv => "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        }
    }
}

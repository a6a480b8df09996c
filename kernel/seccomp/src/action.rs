//! The words of a rule: what happens to a call, and what is asked of its arguments.

/// `EPERM`, which a refusal answers when the profile names no other number.
pub const EPERM: u16 = 1;
/// `ENOSYS`, "no such system call".
pub const ENOSYS: u16 = 38;

/// What the kernel does with a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// End the whole process with SIGSYS (Linux 4.14).
    KillProcess,
    /// End the calling thread with SIGSYS; `SCMP_ACT_KILL` is another name for it.
    KillThread,
    /// Send SIGSYS to the thread, which may handle it.
    Trap,
    /// Do not run the call; it answers this errno, at most 4095.
    Errno(u16),
    /// Ask the process that listens on the notification descriptor (Linux 5.0).
    Notify,
    /// Ask the ptrace tracer, which gets this number.
    Trace(u16),
    /// Run the call and write it to the audit log (Linux 4.14).
    Log,
    /// Run the call.
    Allow,
}

impl Action {
    /// Reads an action by the name that profiles use; `errno` is the rule's `errnoRet`. `None`: no such action.
    pub fn parse(name: &str, errno: Option<u16>) -> Option<Self> {
        Some(match name {
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Self::KillThread,
            "SCMP_ACT_KILL_PROCESS" => Self::KillProcess,
            "SCMP_ACT_TRAP" => Self::Trap,
            "SCMP_ACT_ERRNO" => Self::Errno(errno.unwrap_or(EPERM)),
            "SCMP_ACT_TRACE" => Self::Trace(errno.unwrap_or(EPERM)),
            "SCMP_ACT_NOTIFY" => Self::Notify,
            "SCMP_ACT_LOG" => Self::Log,
            "SCMP_ACT_ALLOW" => Self::Allow,
            _ => return None,
        })
    }

    /// The value that a filter returns for this action (`SECCOMP_RET_*`, linux/seccomp.h).
    pub fn code(self) -> u32 {
        match self {
            Self::KillProcess => 0x8000_0000,
            Self::KillThread => 0,
            Self::Trap => 0x0003_0000,
            Self::Errno(errno) => 0x0005_0000 | u32::from(errno),
            Self::Notify => 0x7fc0_0000,
            Self::Trace(number) => 0x7ff0_0000 | u32::from(number),
            Self::Log => 0x7ffc_0000,
            Self::Allow => 0x7fff_0000,
        }
    }

    /// Whether the call may run under this action. A tracer counts: it is expected to deal with calls it does not know.
    pub fn permits(self) -> bool {
        matches!(self, Self::Allow | Self::Log | Self::Trace(_))
    }
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The argument differs from the value.
    NotEqual,
    /// The argument is less than the value, both unsigned.
    Less,
    /// The argument is at most the value.
    LessOrEqual,
    /// The argument is the value.
    Equal,
    /// The argument is at least the value.
    GreaterOrEqual,
    /// The argument is greater than the value.
    Greater,
    /// The argument's bits under the mask `value` are those of `value_two`.
    MaskedEqual,
}

impl Operator {
    /// Reads an operator by the name that profiles use. `None`: no such operator.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "SCMP_CMP_NE" => Self::NotEqual,
            "SCMP_CMP_LT" => Self::Less,
            "SCMP_CMP_LE" => Self::LessOrEqual,
            "SCMP_CMP_EQ" => Self::Equal,
            "SCMP_CMP_GE" => Self::GreaterOrEqual,
            "SCMP_CMP_GT" => Self::Greater,
            "SCMP_CMP_MASKED_EQ" => Self::MaskedEqual,
            _ => return None,
        })
    }
}

/// One question about one argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub index: u8,
    /// The comparison.
    pub operator: Operator,
    /// The value to compare with; the mask for [`Operator::MaskedEqual`].
    pub value: u64,
    /// What the masked argument must be; used by [`Operator::MaskedEqual`] only.
    pub value_two: u64,
}

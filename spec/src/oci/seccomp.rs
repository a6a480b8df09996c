//! The `linux.seccomp` object of a bundle.

use super::nullable;
use serde::{Deserialize, Serialize};

/// A system call filter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Seccomp {
    /// What happens to calls that no rule names: `SCMP_ACT_ERRNO`, ...
    #[serde(with = "nullable")]
    pub default_action: String,
    /// The error number of that action; EPERM if absent.
    pub default_errno_ret: Option<u32>,
    /// `SCMP_ARCH_X86_64`, ...; the native one if empty.
    #[serde(with = "nullable")]
    pub architectures: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_LOG`, ...
    #[serde(with = "nullable")]
    pub flags: Vec<String>,
    /// The socket of a supervisor.
    pub listener_path: Option<String>,
    /// Text for the supervisor.
    pub listener_metadata: Option<String>,
    /// The rules.
    #[serde(with = "nullable")]
    pub syscalls: Vec<SyscallRule>,
}

/// What happens to some system calls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SyscallRule {
    /// Names of system calls; unknown ones are skipped.
    #[serde(with = "nullable")]
    pub names: Vec<String>,
    /// `SCMP_ACT_ALLOW`, ...
    #[serde(with = "nullable")]
    pub action: String,
    /// The error number of the action, or the message of `SCMP_ACT_TRACE`.
    pub errno_ret: Option<u32>,
    /// Conditions on arguments; all must hold.
    #[serde(with = "nullable")]
    pub args: Vec<SeccompArg>,
}

/// A condition on one argument.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SeccompArg {
    /// 0 to 5.
    #[serde(with = "nullable")]
    pub index: u32,
    /// What it is compared with, or the mask of `SCMP_CMP_MASKED_EQ`.
    #[serde(with = "nullable")]
    pub value: u64,
    /// The value under the mask of `SCMP_CMP_MASKED_EQ`.
    #[serde(with = "nullable")]
    pub value_two: u64,
    /// `SCMP_CMP_EQ`, ...
    #[serde(with = "nullable")]
    pub op: String,
}

//! Profiles: what an administrator writes, with conditions on the host and on the container's capabilities.

use crate::action::{Action, Condition};
use crate::arch::Arch;
use crate::filter::{Filter, Flag, Rule};
use std::sync::OnceLock;

/// The longest profile that is read, in bytes; Docker's default has 15 kB.
pub const MAX_BYTES: usize = 1 << 20;

/// Why a profile is refused. The fields name the place as `syscalls[3].args[0].op`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The text is longer than [`MAX_BYTES`].
    #[error("invalid seccomp profile: {0} bytes, at most {MAX_BYTES} are read")]
    TooLong(usize),
    /// The text is not JSON.
    #[error("invalid seccomp profile: not JSON: {0}")]
    Syntax(String),
    /// A field has the wrong type or an unknown word.
    #[error("invalid seccomp profile: {field}: {cause}")]
    Field {
        /// The place in the profile.
        field: String,
        /// What is wrong there.
        cause: String,
    },
}

/// Where a rule applies, or does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Capabilities by name, as `CAP_SYS_ADMIN`.
    pub capabilities: Vec<String>,
    /// Architectures by Go's names, as `amd64`.
    pub architectures: Vec<String>,
    /// The kernel from which on, as `(4, 8)`.
    pub min_kernel: Option<(u32, u32)>,
}

/// A rule and where it applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopedRule {
    /// The rule.
    pub rule: Rule,
    /// All of this must be true: one of the architectures, all the capabilities, the kernel.
    pub includes: Scope,
    /// Nothing of this may be true: none of the architectures, none of the capabilities, an older kernel.
    pub excludes: Scope,
}

/// A seccomp profile, in Docker's format or the runtime specification's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub(crate) default_action: Option<Action>,
    pub(crate) architectures: Vec<Arch>,
    pub(crate) arch_map: Vec<(Arch, Vec<Arch>)>,
    pub(crate) flags: Vec<Flag>,
    pub(crate) rules: Vec<ScopedRule>,
    pub(crate) listener_path: Option<String>,
    pub(crate) listener_metadata: Option<String>,
}

impl Profile {
    /// Reads a profile from the text of a JSON file.
    pub fn parse(json: &str) -> Result<Self, ProfileError> {
        if json.len() > MAX_BYTES {
            return Err(ProfileError::TooLong(json.len()));
        }
        let value =
            serde_json::from_str(json).map_err(|error| ProfileError::Syntax(error.to_string()))?;
        Self::from_value(&value)
    }

    /// Reads a profile from JSON that is already in memory, as the `linux.seccomp` of a bundle.
    pub fn from_value(json: &serde_json::Value) -> Result<Self, ProfileError> {
        crate::read::profile(json)
    }

    /// The default profile: that of Docker (github.com/moby/profiles, mid 2026), which programs are tested with.
    pub fn docker_default() -> &'static Self {
        static DEFAULT: OnceLock<Profile> = OnceLock::new();
        DEFAULT.get_or_init(|| {
            Self::parse(include_str!("../data/default.json")).expect("a test parses this file")
        })
    }

    /// What this profile means on a host of architecture `host` and kernel `kernel` (major, minor), for a container
    /// with these capabilities in its bounding set. `None`: the profile is empty, which Docker takes as "no seccomp".
    pub fn resolve<S: AsRef<str>>(
        &self,
        host: Arch,
        capabilities: &[S],
        kernel: (u32, u32),
    ) -> Option<Filter> {
        let applies = |scoped: &&ScopedRule| {
            includes(&scoped.includes, host, capabilities, kernel)
                && !excludes(&scoped.excludes, host, capabilities, kernel)
        };
        Some(Filter {
            default_action: self.default_action?,
            architectures: self.architectures_on(host),
            flags: self.flags.clone(),
            rules: self.rules.iter().filter(applies).map(|scoped| scoped.rule.clone()).collect(),
            listener_path: self.listener_path.clone(),
            listener_metadata: self.listener_metadata.clone(),
        })
    }

    fn architectures_on(&self, host: Arch) -> Vec<Arch> {
        let mut architectures = self.architectures.clone();
        if let Some((arch, companions)) = self.arch_map.iter().find(|(arch, _)| *arch == host) {
            architectures.push(*arch);
            architectures.extend(companions);
        }
        architectures
    }
}

fn has<S: AsRef<str>>(list: &[S], word: &str) -> bool {
    list.iter().any(|item| item.as_ref() == word)
}

fn includes<S: AsRef<str>>(
    scope: &Scope,
    host: Arch,
    capabilities: &[S],
    kernel: (u32, u32),
) -> bool {
    (scope.architectures.is_empty() || has(&scope.architectures, host.native_name()))
        && scope.capabilities.iter().all(|name| has(capabilities, name))
        && scope.min_kernel.is_none_or(|min| kernel >= min)
}

fn excludes<S: AsRef<str>>(
    scope: &Scope,
    host: Arch,
    capabilities: &[S],
    kernel: (u32, u32),
) -> bool {
    has(&scope.architectures, host.native_name())
        || scope.capabilities.iter().any(|name| has(capabilities, name))
        || scope.min_kernel.is_some_and(|min| kernel >= min)
}

/// The ways in which the conditions of one rule can be met: one, or one for each condition (see
/// [`Rule::conditions`]).
pub(crate) fn alternatives(conditions: &[Condition]) -> Vec<Vec<Condition>> {
    let repeated = |(at, one): (usize, &Condition)| {
        conditions[..at].iter().any(|other| other.index == one.index)
    };
    if conditions.iter().enumerate().any(repeated) {
        conditions.iter().map(|condition| vec![*condition]).collect()
    } else {
        vec![conditions.to_vec()]
    }
}

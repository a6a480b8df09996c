//! Resource limits by their names in OCI bundles.

use crate::raw::check;
use crate::{Arg, Result};

/// The resources of prlimit(2) in the kernel's order, with the numbers of every architecture but mips and sparc.
const NAMES: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// A resource that has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource(u8);

impl Resource {
    /// RLIMIT_NOFILE: one above the highest descriptor.
    pub const NOFILE: Self = Self(7);

    /// The resource called `name`: `RLIMIT_NOFILE`, or Docker's `nofile`.
    pub fn parse(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("RLIMIT_").unwrap_or(&upper);
        let index = NAMES.iter().position(|known| known.strip_prefix("RLIMIT_") == Some(bare))?;
        u8::try_from(index).ok().map(Self)
    }

    /// The name with its prefix.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }
}

/// A soft and a hard limit; `u64::MAX` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Limit {
    /// What the kernel enforces.
    pub soft: u64,
    /// What the soft limit may be raised to.
    pub hard: u64,
}

/// Sets a limit of the process `pid`, 0 for the caller, and answers the former one. A hard limit above the present one
/// needs CAP_SYS_RESOURCE (EPERM).
pub fn set(pid: i32, resource: Resource, limit: Limit) -> Result<Limit> {
    prlimit(pid, resource, Some(&limit))
}

/// A limit of the process `pid`, 0 for the caller.
pub fn get(pid: i32, resource: Resource) -> Result<Limit> {
    prlimit(pid, resource, None)
}

fn prlimit(pid: i32, resource: Resource, new: Option<&Limit>) -> Result<Limit> {
    let mut old = Limit { soft: 0, hard: 0 };
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `new` is null or points to a struct rlimit64, `old` to one that the kernel fills.
    let ret = unsafe {
        libc::syscall(libc::SYS_prlimit64, pid, libc::c_uint::from(resource.0), new, &raw mut old)
    };
    check("prlimit64", &[Arg::Int(pid.into()), Arg::Name(resource.name())], ret)?;
    Ok(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_oci_and_docker_mean_the_same_resource() {
        assert_eq!(Resource::parse("RLIMIT_NOFILE"), Resource::parse("nofile"));
        assert_eq!(Resource::parse("nofile").unwrap().name(), "RLIMIT_NOFILE");
        assert_eq!(Resource::parse("files"), None);
    }

    #[test]
    fn a_limit_that_is_set_is_read_back() {
        let core = Resource::parse("core").unwrap();
        let old = get(0, core).unwrap();
        assert_eq!(set(0, core, old).unwrap(), old);
    }
}

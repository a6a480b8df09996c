//! Capabilities (capabilities(7)): names, sets, and the five sets of a thread.

use crate::raw::check;
use crate::{Arg, Result};
use spec::linux::CAPABILITIES;
use std::fmt;

/// One capability, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cap(u8);

macro_rules! named {
    ($($name:ident = $number:literal),* $(,)?) => {
        impl Cap { $(#[doc = concat!("CAP_", stringify!($name))] pub const $name: Self = Self($number);)* }
    };
}

named! {
    CHOWN = 0, DAC_OVERRIDE = 1, DAC_READ_SEARCH = 2, FOWNER = 3, FSETID = 4, KILL = 5, SETGID = 6, SETUID = 7,
    SETPCAP = 8, LINUX_IMMUTABLE = 9, NET_BIND_SERVICE = 10, NET_BROADCAST = 11, NET_ADMIN = 12, NET_RAW = 13,
    IPC_LOCK = 14, IPC_OWNER = 15, SYS_MODULE = 16, SYS_RAWIO = 17, SYS_CHROOT = 18, SYS_PTRACE = 19,
    SYS_PACCT = 20, SYS_ADMIN = 21, SYS_BOOT = 22, SYS_NICE = 23, SYS_RESOURCE = 24, SYS_TIME = 25,
    SYS_TTY_CONFIG = 26, MKNOD = 27, LEASE = 28, AUDIT_WRITE = 29, AUDIT_CONTROL = 30, SETFCAP = 31,
    MAC_OVERRIDE = 32, MAC_ADMIN = 33, SYSLOG = 34, WAKE_ALARM = 35, BLOCK_SUSPEND = 36, AUDIT_READ = 37,
    PERFMON = 38, BPF = 39, CHECKPOINT_RESTORE = 40,
}

impl Cap {
    /// The capability called `name`, in any case, with or without `CAP_`.
    pub fn parse(name: &str) -> Option<Self> {
        let bare = match name.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("CAP_") => &name[4..],
            _ => name,
        };
        let is_it = |known: &&str| known[4..].eq_ignore_ascii_case(bare);
        let index = CAPABILITIES.iter().position(is_it)?;
        u8::try_from(index).ok().map(Self)
    }

    /// The name with `CAP_`.
    pub fn name(self) -> &'static str {
        CAPABILITIES[usize::from(self.0)]
    }

    /// The number in linux/capability.h.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of capabilities as the kernel's bit word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CapSet(u64);

impl CapSet {
    /// No capability.
    pub const EMPTY: Self = Self(0);
    /// Every capability that this crate knows by name.
    pub const KNOWN: Self = Self((1 << CAPABILITIES.len()) - 1);

    /// The set with these bits; unknown bits are kept.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set with `cap` added.
    #[must_use]
    pub const fn with(self, cap: Cap) -> Self {
        Self(self.0 | 1 << cap.0)
    }

    /// The set without `cap`.
    #[must_use]
    pub const fn without(self, cap: Cap) -> Self {
        Self(self.0 & !(1 << cap.0))
    }

    /// Whether `cap` is in the set.
    pub const fn contains(self, cap: Cap) -> bool {
        self.0 & 1 << cap.0 != 0
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the set has no member.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The known members in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Cap> {
        (0..CAPABILITIES.len() as u8).map(Cap).filter(move |cap| self.contains(*cap))
    }
}

impl FromIterator<Cap> for CapSet {
    fn from_iter<I: IntoIterator<Item = Cap>>(caps: I) -> Self {
        caps.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Display for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, cap) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(cap.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CapSet({:#x})", self.0)
    }
}

/// The three sets of capget(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadCaps {
    /// What the thread uses.
    pub effective: CapSet,
    /// What it may use.
    pub permitted: CapSet,
    /// What execve hands on to files that ask for it; empty in containers (CVE-2022-29162).
    pub inheritable: CapSet,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_3: u32 = 0x2008_0522;

/// The sets of the calling thread.
pub fn get() -> Result<ThreadCaps> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 has one header and two data words, which the kernel fills.
    let ret = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    check("capget", &[Arg::Int(0)], ret)?;
    let join = |low: u32, high: u32| CapSet(u64::from(low) | u64::from(high) << 32);
    Ok(ThreadCaps {
        effective: join(data[0].effective, data[1].effective),
        permitted: join(data[0].permitted, data[1].permitted),
        inheritable: join(data[0].inheritable, data[1].inheritable),
    })
}

/// Sets the sets of the calling thread; permitted may only shrink.
pub fn set(caps: ThreadCaps) -> Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let half = |shift: u32| Data {
        effective: (caps.effective.0 >> shift) as u32,
        permitted: (caps.permitted.0 >> shift) as u32,
        inheritable: (caps.inheritable.0 >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 has one header and two data words, which the kernel reads.
    let ret = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    check("capset", &[Arg::Hex(caps.effective.0), Arg::Hex(caps.permitted.0)], ret).map(drop)
}

fn prctl(
    name: &'static str,
    option: libc::c_int,
    a: libc::c_ulong,
    cap: Cap,
) -> Result<libc::c_long> {
    let zero: libc::c_ulong = 0;
    let (a, b) = if option == libc::PR_CAP_AMBIENT {
        (a, libc::c_ulong::from(cap.0))
    } else {
        (libc::c_ulong::from(cap.0), zero)
    };
    // SAFETY: these options take numbers only.
    let ret = unsafe { libc::syscall(libc::SYS_prctl, option, a, b, zero, zero) };
    check("prctl", &[Arg::Name(name), Arg::Name(cap.name())], ret)
}

/// The bounding set of the calling thread: what execve can give at most.
pub fn bounding() -> CapSet {
    CapSet::KNOWN
        .iter()
        .filter(|cap| matches!(prctl("PR_CAPBSET_READ", libc::PR_CAPBSET_READ, 0, *cap), Ok(1)))
        .collect()
}

/// The capabilities that the running kernel knows, out of those that this crate knows.
pub fn supported() -> CapSet {
    CapSet::KNOWN
        .iter()
        .filter(|cap| prctl("PR_CAPBSET_READ", libc::PR_CAPBSET_READ, 0, *cap).is_ok())
        .collect()
}

/// Drops everything but `keep` from the bounding set, capabilities newer than this crate included. Needs CAP_SETPCAP.
pub fn limit_bounding(keep: CapSet) -> Result<()> {
    for number in 0..64u8 {
        let cap = Cap(number);
        if keep.contains(cap) {
            continue;
        }
        let bit = libc::c_ulong::from(number);
        // SAFETY: the option takes a number only.
        let ret = unsafe { libc::syscall(libc::SYS_prctl, libc::PR_CAPBSET_DROP, bit, 0, 0, 0) };
        match check("prctl", &[Arg::Name("PR_CAPBSET_DROP"), Arg::Int(number.into())], ret) {
            // The first number past the kernel's last capability.
            Err(error) if error.errno() == rustix::io::Errno::INVAL => return Ok(()),
            other => other?,
        };
    }
    Ok(())
}

/// Empties the ambient set.
pub fn clear_ambient() -> Result<()> {
    let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong;
    prctl("PR_CAP_AMBIENT_CLEAR_ALL", libc::PR_CAP_AMBIENT, clear, Cap(0)).map(drop)
}

/// Adds `caps` to the ambient set; each must be permitted and inheritable.
pub fn raise_ambient(caps: CapSet) -> Result<()> {
    let raise = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
    caps.iter().try_for_each(|cap| {
        prctl("PR_CAP_AMBIENT_RAISE", libc::PR_CAP_AMBIENT, raise, cap).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_with_or_without_prefix() {
        for name in ["CAP_SYS_ADMIN", "sys_admin", "cap_SYS_admin", "SYS_ADMIN"] {
            assert_eq!(Cap::parse(name), Some(Cap::SYS_ADMIN), "{name}");
        }
        assert_eq!(Cap::parse("CAP_"), None);
        assert_eq!(Cap::parse("ALL"), None);
        for full in CAPABILITIES {
            assert_eq!(Cap::parse(full), Cap::parse(&full[4..]));
            assert_eq!(Cap::parse(full).map(Cap::name), Some(full));
        }
    }

    #[test]
    fn a_set_prints_its_members_in_order() {
        let set: CapSet = [Cap::KILL, Cap::CHOWN].into_iter().collect();
        assert_eq!(set.to_string(), "CAP_CHOWN,CAP_KILL");
        assert_eq!(set.bits(), 0b10_0001);
    }

    #[test]
    fn a_thread_that_gives_up_capabilities_reads_the_rest_back() {
        std::thread::spawn(|| {
            let keep =
                CapSet::EMPTY.with(Cap::CHOWN).with(Cap::SETPCAP).and(get().unwrap().permitted);
            limit_bounding(keep).unwrap();
            assert_eq!(bounding(), keep);
            let caps = ThreadCaps { effective: keep, permitted: keep, inheritable: CapSet::EMPTY };
            set(caps).unwrap();
            assert_eq!(get().unwrap(), caps);
            clear_ambient().unwrap();
            assert!(raise_ambient(CapSet::EMPTY.with(Cap::SYS_ADMIN)).is_err());
        })
        .join()
        .unwrap();
    }
}

//! Architectures, as a filter tells them apart.

use crate::table::Column;

/// Bit 30 of the number marks an x32 call; the audit architecture of x32 is that of x86-64 (asm/unistd.h).
pub const X32_BIT: u32 = 0x4000_0000;

/// A system call interface. Calls reach a kernel through the host's own and its companions, never through another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// x86-64 with 64-bit pointers.
    X86_64,
    /// 32-bit x86.
    X86,
    /// x86-64 with 32-bit pointers: the numbers have [`X32_BIT`].
    X32,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm, EABI.
    Arm,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit LoongArch.
    Loongarch64,
    /// 64-bit PowerPC, the lower bytes first.
    Ppc64le,
    /// 64-bit PowerPC, the higher bytes first.
    Ppc64,
    /// 32-bit PowerPC.
    Ppc,
    /// 64-bit IBM Z.
    S390x,
    /// 31-bit IBM Z.
    S390,
    /// 64-bit MIPS, the higher bytes first.
    Mips64,
    /// The same with 32-bit pointers.
    Mips64n32,
    /// 32-bit MIPS, the higher bytes first.
    Mips,
    /// 64-bit MIPS, the lower bytes first.
    Mipsel64,
    /// The same with 32-bit pointers.
    Mipsel64n32,
    /// 32-bit MIPS, the lower bytes first.
    Mipsel,
    /// An architecture that profiles may name and of which there is no table here: calls of it cannot reach a host.
    Foreign(&'static str),
}

/// What is known of an architecture.
struct Facts {
    arch: Arch,
    /// The name that profiles use.
    name: &'static str,
    /// The name that `includes` and `excludes` of Docker's format use, which is Go's.
    native: &'static str,
    /// `AUDIT_ARCH_*` of linux/audit.h.
    audit: u32,
    column: Column,
    /// Where the numbers of MIPS begin; the kernel adds it.
    base: u32,
    /// The other interfaces of a kernel of this architecture.
    companions: &'static [Arch],
}

const fn facts(
    arch: Arch,
    name: &'static str,
    native: &'static str,
    audit: u32,
    column: Column,
) -> Facts {
    Facts { arch, name, native, audit, column, base: 0, companions: &[] }
}

const fn with(companions: &'static [Arch], facts: Facts) -> Facts {
    Facts { companions, ..facts }
}

const fn from(base: u32, facts: Facts) -> Facts {
    Facts { base, ..facts }
}

#[rustfmt::skip]
static FACTS: [Facts; 18] = [
    with(&[Arch::X86, Arch::X32], facts(Arch::X86_64, "SCMP_ARCH_X86_64", "amd64", 0xc000_003e, Column::X86_64)),
    facts(Arch::X86, "SCMP_ARCH_X86", "x86", 0x4000_0003, Column::X86),
    facts(Arch::X32, "SCMP_ARCH_X32", "x32", 0xc000_003e, Column::X32),
    with(&[Arch::Arm], facts(Arch::Aarch64, "SCMP_ARCH_AARCH64", "arm64", 0xc000_00b7, Column::Aarch64)),
    facts(Arch::Arm, "SCMP_ARCH_ARM", "arm", 0x4000_0028, Column::Arm),
    facts(Arch::Riscv64, "SCMP_ARCH_RISCV64", "riscv64", 0xc000_00f3, Column::Riscv64),
    facts(Arch::Loongarch64, "SCMP_ARCH_LOONGARCH64", "loong64", 0xc000_0102, Column::Loongarch64),
    facts(Arch::Ppc64le, "SCMP_ARCH_PPC64LE", "ppc64le", 0xc000_0015, Column::Ppc64),
    with(&[Arch::Ppc], facts(Arch::Ppc64, "SCMP_ARCH_PPC64", "ppc64", 0x8000_0015, Column::Ppc64)),
    facts(Arch::Ppc, "SCMP_ARCH_PPC", "ppc", 0x0000_0014, Column::Ppc),
    with(&[Arch::S390], facts(Arch::S390x, "SCMP_ARCH_S390X", "s390x", 0x8000_0016, Column::S390x)),
    facts(Arch::S390, "SCMP_ARCH_S390", "s390", 0x0000_0016, Column::S390),
    with(&[Arch::Mips, Arch::Mips64n32],
        from(5000, facts(Arch::Mips64, "SCMP_ARCH_MIPS64", "mips64", 0x8000_0008, Column::Mips64))),
    from(6000, facts(Arch::Mips64n32, "SCMP_ARCH_MIPS64N32", "mips64p32", 0xa000_0008, Column::Mips64n32)),
    from(4000, facts(Arch::Mips, "SCMP_ARCH_MIPS", "mips", 0x0000_0008, Column::Mips)),
    with(&[Arch::Mipsel, Arch::Mipsel64n32],
        from(5000, facts(Arch::Mipsel64, "SCMP_ARCH_MIPSEL64", "mips64le", 0xc000_0008, Column::Mips64))),
    from(6000, facts(Arch::Mipsel64n32, "SCMP_ARCH_MIPSEL64N32", "mips64p32le", 0xe000_0008, Column::Mips64n32)),
    from(4000, facts(Arch::Mipsel, "SCMP_ARCH_MIPSEL", "mipsle", 0x4000_0008, Column::Mips)),
];

const FOREIGN: [&str; 5] =
    ["SCMP_ARCH_M68K", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB"];

impl Arch {
    /// The architecture that this program was compiled for; `None` where Coffer has no table of calls.
    pub fn host() -> Option<Self> {
        let little = cfg!(target_endian = "little");
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "x86" => Some(Self::X86),
            "aarch64" => Some(Self::Aarch64),
            "arm" => Some(Self::Arm),
            "riscv64" => Some(Self::Riscv64),
            "loongarch64" => Some(Self::Loongarch64),
            "powerpc64" if little => Some(Self::Ppc64le),
            "powerpc64" => Some(Self::Ppc64),
            "powerpc" => Some(Self::Ppc),
            "s390x" => Some(Self::S390x),
            "mips64" if little => Some(Self::Mipsel64),
            "mips64" => Some(Self::Mips64),
            "mips" if little => Some(Self::Mipsel),
            "mips" => Some(Self::Mips),
            _ => None,
        }
    }

    /// All that have a table of calls, each before its companions.
    pub fn all() -> impl Iterator<Item = Self> {
        FACTS.iter().map(|facts| facts.arch)
    }

    fn facts(self) -> Option<&'static Facts> {
        FACTS.iter().find(|facts| facts.arch == self)
    }

    /// Reads an architecture by the name that profiles use. `None`: no such architecture.
    pub fn parse(name: &str) -> Option<Self> {
        let known = FACTS.iter().find(|facts| facts.name == name).map(|facts| facts.arch);
        let foreign = || FOREIGN.into_iter().find(|known| *known == name).map(Self::Foreign);
        known.or_else(foreign)
    }

    /// The name that profiles use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Foreign(name) => name,
            other => other.facts().map_or("", |facts| facts.name),
        }
    }

    /// The name that `includes` and `excludes` of Docker's format use.
    pub(crate) fn native_name(self) -> &'static str {
        match self {
            Self::Foreign(name) => name,
            other => other.facts().map_or("", |facts| facts.native),
        }
    }

    /// The interfaces besides its own through which calls reach a host of this architecture.
    pub fn companions(self) -> &'static [Self] {
        self.facts().map_or(&[], |facts| facts.companions)
    }

    /// Whether calls of this architecture can be made on `host`.
    pub fn runs_on(self, host: Self) -> bool {
        self == host || host.companions().contains(&self)
    }

    /// `AUDIT_ARCH_*` of linux/audit.h; `None` for a foreign architecture.
    pub fn audit(self) -> Option<u32> {
        self.facts().map(|facts| facts.audit)
    }

    /// The column of the table of calls, and what is added to its numbers.
    pub(crate) fn column(self) -> Option<(Column, u32)> {
        let base = |facts: &Facts| if self == Self::X32 { X32_BIT } else { facts.base };
        self.facts().map(|facts| (facts.column, base(facts)))
    }

    /// Whether arguments have 32 bits. The kernel may leave rubbish in the upper halves (`int 0x80` from 64-bit code),
    /// so that a filter must look at the lower halves alone.
    pub fn is_32bit(self) -> bool {
        use Arch::{Arm, Mips, Mips64n32, Mipsel, Mipsel64n32, Ppc, S390, X32, X86};
        matches!(self, X86 | X32 | Arm | Ppc | S390 | Mips | Mips64n32 | Mipsel | Mipsel64n32)
    }

    /// Whether the upper half of an argument comes first in `struct seccomp_data`.
    pub fn is_big_endian(self) -> bool {
        use Arch::{Mips, Mips64, Mips64n32, Ppc, Ppc64, S390, S390x};
        matches!(self, Ppc | Ppc64 | S390 | S390x | Mips | Mips64 | Mips64n32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_is_read_by_its_name_and_has_facts() {
        for arch in Arch::all() {
            assert_eq!(Arch::parse(arch.name()), Some(arch));
            assert!(
                arch.audit().is_some() && arch.column().is_some() && !arch.native_name().is_empty()
            );
            // AUDIT_ARCH has a bit for 64 bits and one for the byte order.
            let audit = arch.audit().unwrap();
            assert_eq!(audit & 0x4000_0000 == 0, arch.is_big_endian(), "{arch:?}");
            let wide = audit & 0x8000_0000 != 0;
            let small_pointers = matches!(arch, Arch::X32 | Arch::Mips64n32 | Arch::Mipsel64n32);
            assert_eq!(wide, !arch.is_32bit() || small_pointers, "{arch:?}");
        }
        for name in FOREIGN {
            assert_eq!(Arch::parse(name), Some(Arch::Foreign(name)));
        }
        assert_eq!(Arch::parse("SCMP_ARCH_PDP11"), None);
        assert!(Arch::host().is_some());
    }

    #[test]
    fn companions_run_on_their_host_alone() {
        for host in Arch::all() {
            for arch in Arch::all() {
                let companion = host.companions().contains(&arch);
                assert_eq!(arch.runs_on(host), arch == host || companion);
                assert!(!companion || arch.is_32bit());
                assert!(!companion || arch.is_big_endian() == host.is_big_endian());
            }
        }
    }
}

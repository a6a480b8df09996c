//! Architectures, as a filter tells them apart.

/// Bit 30 of the number marks an x32 call; the audit architecture of x32 is that of x86-64 (asm/unistd.h).
pub const X32_BIT: u32 = 0x4000_0000;

/// A system call interface. Calls reach a kernel through the host's own and its 32-bit companions, never through another.
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
    /// An architecture that profiles may name and of which calls cannot reach the hosts that Coffer runs on.
    Foreign(&'static str),
}

const FOREIGN: [&str; 13] = [
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
];

impl Arch {
    /// The architecture that this program was compiled for; `None` where Coffer has no table of calls.
    pub fn host() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "x86" => Some(Self::X86),
            "aarch64" => Some(Self::Aarch64),
            "arm" => Some(Self::Arm),
            _ => None,
        }
    }

    /// Reads an architecture by the name that profiles use. `None`: no such architecture.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "SCMP_ARCH_X86_64" => Self::X86_64,
            "SCMP_ARCH_X86" => Self::X86,
            "SCMP_ARCH_X32" => Self::X32,
            "SCMP_ARCH_AARCH64" => Self::Aarch64,
            "SCMP_ARCH_ARM" => Self::Arm,
            other => Self::Foreign(FOREIGN.into_iter().find(|known| *known == other)?),
        })
    }

    /// The name that profiles use.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::X86 => "SCMP_ARCH_X86",
            Self::X32 => "SCMP_ARCH_X32",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
            Self::Arm => "SCMP_ARCH_ARM",
            Self::Foreign(name) => name,
        }
    }

    /// The name that `includes` and `excludes` of Docker's format use, where it can be a host.
    pub(crate) fn native_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::X86 => "x86",
            Self::X32 => "x32",
            Self::Aarch64 => "arm64",
            Self::Arm => "arm",
            Self::Foreign(name) => name,
        }
    }

    /// Whether calls of this architecture can be made on `host`.
    pub fn runs_on(self, host: Self) -> bool {
        match host {
            Self::X86_64 => matches!(self, Self::X86_64 | Self::X86 | Self::X32),
            Self::Aarch64 => matches!(self, Self::Aarch64 | Self::Arm),
            other => self == other,
        }
    }

    /// `AUDIT_ARCH_*` of linux/audit.h; `None` for a foreign architecture.
    pub fn audit(self) -> Option<u32> {
        match self {
            Self::X86_64 | Self::X32 => Some(0xc000_003e),
            Self::X86 => Some(0x4000_0003),
            Self::Aarch64 => Some(0xc000_00b7),
            Self::Arm => Some(0x4000_0028),
            Self::Foreign(_) => None,
        }
    }

    /// Whether arguments have 32 bits. The kernel may leave rubbish in the upper halves (`int 0x80` from 64-bit code),
    /// so that a filter must look at the lower halves alone.
    pub fn is_32bit(self) -> bool {
        matches!(self, Self::X86 | Self::X32 | Self::Arm)
    }
}

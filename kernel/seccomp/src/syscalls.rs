//! System call names and numbers.

use crate::arch::Arch;
use crate::table::{CALLS, NONE};

/// Arm's private calls (`set_tls` and others) begin here, far above the table that all architectures share.
pub const ARM_PRIVATE: u32 = 0x000f_0000;

/// The calls that old architectures (x86, PowerPC, IBM Z, 32-bit MIPS) also reach through `socketcall` and `ipc`, with the
/// number that the first argument then has (linux/net.h, linux/ipc.h). Nearly all 32-bit programs open sockets this way,
/// so that a rule on `socket` alone would miss them.
const MULTIPLEXED: [(&str, &str, u64); 32] = [
    ("socket", "socketcall", 1),
    ("bind", "socketcall", 2),
    ("connect", "socketcall", 3),
    ("listen", "socketcall", 4),
    ("accept", "socketcall", 5),
    ("getsockname", "socketcall", 6),
    ("getpeername", "socketcall", 7),
    ("socketpair", "socketcall", 8),
    ("send", "socketcall", 9),
    ("recv", "socketcall", 10),
    ("sendto", "socketcall", 11),
    ("recvfrom", "socketcall", 12),
    ("shutdown", "socketcall", 13),
    ("setsockopt", "socketcall", 14),
    ("getsockopt", "socketcall", 15),
    ("sendmsg", "socketcall", 16),
    ("recvmsg", "socketcall", 17),
    ("accept4", "socketcall", 18),
    ("recvmmsg", "socketcall", 19),
    ("sendmmsg", "socketcall", 20),
    ("semop", "ipc", 1),
    ("semget", "ipc", 2),
    ("semctl", "ipc", 3),
    ("semtimedop", "ipc", 4),
    ("msgsnd", "ipc", 11),
    ("msgrcv", "ipc", 12),
    ("msgget", "ipc", 13),
    ("msgctl", "ipc", 14),
    ("shmat", "ipc", 21),
    ("shmdt", "ipc", 22),
    ("shmget", "ipc", 23),
    ("shmctl", "ipc", 24),
];

/// Arguments of which the kernel uses the lower 32 bits only, by call and index. A comparison of all 64 bits could be
/// evaded by setting an upper one: `ioctl(TIOCSTI)` in CVE-2019-10063, and the same for `socket(AF_VSOCK)`.
const NARROW: [(&str, &[u8]); 10] = [
    ("bpf", &[0]),
    ("fcntl", &[0, 1]),
    ("getsockopt", &[0, 1, 2]),
    ("ioctl", &[0, 1]),
    ("keyctl", &[0]),
    ("personality", &[0]),
    ("prctl", &[0]),
    ("setsockopt", &[0, 1, 2]),
    ("socket", &[0, 1, 2]),
    ("socketpair", &[0, 1, 2]),
];

/// The number of the call `name`, with what the kernel adds (bit 30 for x32). `None`: the architecture has no such call,
/// or nobody has.
pub fn number(arch: Arch, name: &str) -> Option<u32> {
    let (column, base) = arch.column()?;
    let row = CALLS.binary_search_by(|(other, _)| (*other).cmp(name)).ok()?;
    with_base(CALLS[row].1[column as usize], base)
}

fn with_base(number: i32, base: u32) -> Option<u32> {
    (number != NONE).then(|| number.cast_unsigned() + base)
}

/// All calls that `arch` has: name and number, by name.
pub fn all(arch: Arch) -> impl Iterator<Item = (&'static str, u32)> {
    let place = arch.column();
    CALLS.iter().filter_map(move |(name, numbers)| {
        let (column, base) = place?;
        Some((*name, with_base(numbers[column as usize], base)?))
    })
}

/// How old architectures also reach the call `name`: the multiplexing call's number, and what its first argument is.
pub(crate) fn multiplexed(arch: Arch, name: &str) -> Option<(u32, u64)> {
    let (_, through, value) = MULTIPLEXED.iter().find(|(call, _, _)| *call == name)?;
    Some((number(arch, through)?, *value))
}

/// Whether the kernel uses only the lower 32 bits of argument `index` of the call `name`.
pub fn is_narrow(arch: Arch, name: &str, index: u8) -> bool {
    arch.is_32bit() || NARROW.iter().any(|(call, args)| *call == name && args.contains(&index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_numbers_are_unique() {
        assert!(CALLS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(CALLS.iter().all(|(_, numbers)| numbers.iter().any(|number| *number != NONE)));
        for arch in Arch::all() {
            let mut numbers: Vec<u32> = all(arch).map(|(_, number)| number).collect();
            assert!(numbers.len() > 300, "{arch:?}");
            numbers.sort_unstable();
            assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "{arch:?}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_kernel_headers() {
        let known = [
            (Arch::X86_64, "openat2", Some(437)),
            (Arch::X86_64, "socketcall", None),
            (Arch::X86, "socketcall", Some(102)),
            (Arch::X32, "execve", Some(520 | crate::arch::X32_BIT)),
            (Arch::Aarch64, "clone3", Some(435)),
            (Arch::Aarch64, "open", None),
            (Arch::Arm, "set_tls", Some(ARM_PRIVATE + 5)),
            (Arch::X86_64, "no_such_call", None),
            (Arch::Riscv64, "openat", Some(56)),
            (Arch::Riscv64, "riscv_hwprobe", Some(258)),
            (Arch::S390x, "socketcall", Some(102)),
            (Arch::Ppc64le, "clone3", Some(435)),
            (Arch::Mips, "write", Some(4004)),
            (Arch::Mips64, "write", Some(5001)),
            (Arch::Mipsel64n32, "write", Some(6001)),
            (Arch::Loongarch64, "fstat", Some(80)),
            (Arch::Foreign("SCMP_ARCH_SH"), "write", None),
        ];
        for (arch, name, expected) in known {
            assert_eq!(number(arch, name), expected, "{name} on {}", arch.name());
        }
        for (name, expected) in [
            ("read", libc::SYS_read),
            ("mseal", libc::SYS_mseal),
            ("futex_waitv", libc::SYS_futex_waitv),
        ] {
            assert_eq!(
                Arch::host().and_then(|host| number(host, name)).map(i64::from),
                Some(expected)
            );
        }
    }

    #[test]
    fn every_multiplexed_call_names_a_call_that_exists() {
        for (name, through, _) in MULTIPLEXED {
            assert!(CALLS.iter().any(|(other, _)| *other == name), "{name}");
            for arch in [Arch::X86, Arch::Ppc, Arch::Ppc64le, Arch::S390x, Arch::S390, Arch::Mips] {
                assert!(number(arch, through).is_some(), "{through} on {arch:?}");
            }
            for arch in [Arch::X86_64, Arch::Arm, Arch::Aarch64, Arch::Riscv64, Arch::Mips64] {
                assert_eq!(multiplexed(arch, name), None);
            }
        }
    }
}

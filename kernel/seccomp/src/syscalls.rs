//! System call names and numbers, from `data/syscalls.txt`.

use crate::arch::{Arch, X32_BIT};
use std::sync::OnceLock;

const TABLE: &str = include_str!("../data/syscalls.txt");

/// Arm's private calls (`set_tls` and others) begin here, far above the table that all architectures share.
pub const ARM_PRIVATE: u32 = 0x000f_0000;

/// The i386 calls that are also reached through `socketcall` and `ipc`, with the number that the first argument then
/// has (linux/net.h, linux/ipc.h). Nearly all 32-bit programs open sockets this way, so that a rule on `socket` alone
/// would miss them.
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

struct Row {
    name: &'static str,
    /// x86-64, i386, x32, aarch64, arm; the order of the columns.
    numbers: [Option<u32>; 5],
}

fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect()
    })
}

fn row(line: &'static str) -> Option<Row> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let mut numbers = [None; 5];
    for number in &mut numbers {
        *number = words.next()?.parse().ok();
    }
    Some(Row { name, numbers })
}

/// The number of the call `name`, with bit 30 for x32. `None`: the architecture has no such call, or nobody has.
pub fn number(arch: Arch, name: &str) -> Option<u32> {
    let rows = rows();
    let row = &rows[rows.binary_search_by(|row| row.name.cmp(name)).ok()?];
    match arch {
        Arch::X86_64 => row.numbers[0],
        Arch::X86 => row.numbers[1],
        Arch::X32 => row.numbers[2].map(|number| number | X32_BIT),
        Arch::Aarch64 => row.numbers[3],
        Arch::Arm => row.numbers[4],
        Arch::Foreign(_) => None,
    }
}

/// All calls that `arch` has: name and number, by name.
pub fn all(arch: Arch) -> impl Iterator<Item = (&'static str, u32)> {
    rows().iter().filter_map(move |row| Some((row.name, number(arch, row.name)?)))
}

/// How 32-bit x86 also reaches the call `name`: the multiplexing call's number, and what its first argument is.
pub(crate) fn multiplexed(arch: Arch, name: &str) -> Option<(u32, u64)> {
    if arch != Arch::X86 {
        return None;
    }
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
    fn table_is_sorted_and_complete() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(rows().len(), lines);
        assert!(rows().windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(rows().iter().all(|row| row.numbers.iter().any(Option::is_some)));
    }

    #[test]
    fn numbers_are_those_of_the_kernel_headers() {
        let known = [
            (Arch::X86_64, "openat2", Some(437)),
            (Arch::X86_64, "socketcall", None),
            (Arch::X86, "socketcall", Some(102)),
            (Arch::X32, "execve", Some(520 | X32_BIT)),
            (Arch::Aarch64, "clone3", Some(435)),
            (Arch::Aarch64, "open", None),
            (Arch::Arm, "set_tls", Some(ARM_PRIVATE + 5)),
            (Arch::X86_64, "no_such_call", None),
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
            assert!(rows().iter().any(|row| row.name == name), "{name}");
            assert!(number(Arch::X86, through).is_some(), "{through}");
        }
    }
}

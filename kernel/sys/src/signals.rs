//! Signals: names, masks, dispositions, signalfd.

use crate::raw::{check, check_fd};
use crate::{Arg, Result};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Names by number from 1, as on x86-64, arm64 and every architecture that containers run on but mips.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// The first real-time signal that the C library leaves to programs.
const RTMIN: i32 = 34;
/// The last signal.
const RTMAX: i32 = 64;

/// The number of the signal `name`: `SIGTERM`, `term`, `15`, `RTMIN+3`, `RTMAX-1`.
pub fn parse(name: &str) -> Option<i32> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
        return name.parse().ok().filter(|number| (1..=RTMAX).contains(number));
    }
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = match bare {
        "IOT" => 6,
        "CLD" => 17,
        "POLL" => 29,
        "UNUSED" => 31,
        _ => match NAMES.iter().position(|known| *known == bare) {
            Some(index) => index as i32 + 1,
            None => real_time(bare)?,
        },
    };
    Some(number)
}

fn real_time(name: &str) -> Option<i32> {
    let offset = |text: &str| match text.len() {
        0 => None,
        _ => text.parse::<u8>().ok().map(i32::from),
    };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        if rest.is_empty() { RTMIN } else { RTMIN + offset(rest.strip_prefix('+')?)? }
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        if rest.is_empty() { RTMAX } else { RTMAX - offset(rest.strip_prefix('-')?)? }
    } else {
        return None;
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

/// The name of a signal with `SIG`, or nothing for a number that has none (real-time signals).
pub fn name(number: i32) -> Option<String> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    NAMES.get(index).map(|name| format!("SIG{name}"))
}

/// A set of signals, as the kernel's 64-bit word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// All signals; KILL and STOP cannot be blocked and are ignored by the kernel.
    pub const ALL: Self = Self(u64::MAX);

    /// The set with the signal `number` (1 to 64) added.
    #[must_use]
    pub const fn with(self, number: i32) -> Self {
        Self(self.0 | 1 << (number - 1))
    }

    /// The set without the signal `number` (1 to 64).
    #[must_use]
    pub const fn without(self, number: i32) -> Self {
        Self(self.0 & !(1 << (number - 1)))
    }

    /// Whether the signal `number` (1 to 64) is in the set.
    pub const fn contains(self, number: i32) -> bool {
        self.0 & 1 << (number - 1) != 0
    }
}

/// Sets the mask of blocked signals of the calling thread and answers the former one.
pub fn set_mask(blocked: SignalSet) -> Result<SignalSet> {
    let mut old = SignalSet::EMPTY;
    // SAFETY: both pointers are to 8-byte kernel signal sets, whose size is given.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const blocked.0,
            &raw mut old.0,
            size_of::<u64>(),
        )
    };
    check("rt_sigprocmask", &[Arg::Name("SIG_SETMASK"), Arg::Hex(blocked.0)], ret)?;
    Ok(old)
}

/// struct sigaction of the kernel, all zero: default action, no flags. Its size is 32 bytes on every 64-bit Linux
/// except alpha and mips.
const DEFAULT_ACTION: [u64; 4] = [0; 4];

/// Gives every signal its default action; a program that execve starts would inherit ignored ones (SIGPIPE is ignored
/// by Rust's runtime).
pub fn reset_dispositions() {
    for number in 1..=RTMAX {
        // SAFETY: the action is valid, "default" runs no code of ours. KILL, STOP are refused, which is harmless.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                DEFAULT_ACTION.as_ptr(),
                std::ptr::null::<u64>(),
                size_of::<u64>(),
            );
        }
    }
}

/// A descriptor from which the signals of `set` are read, if they are blocked; close-on-exec, non-blocking.
pub fn signal_fd(set: SignalSet) -> Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the pointer is to an 8-byte kernel signal set, whose size is given.
    let ret = unsafe {
        libc::syscall(libc::SYS_signalfd4, -1, &raw const set.0, size_of::<u64>(), flags)
    };
    check_fd("signalfd4", &[Arg::Int(-1), Arg::Hex(set.0), Arg::Hex(flags as u64)], ret)
}

/// One signal that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The number of the signal.
    pub number: i32,
    /// The process that sent it; 0 if the kernel or another pid namespace did.
    pub sender: u32,
}

/// The next signal that waits at `fd`, a descriptor of [`signal_fd`]; nothing if none waits.
pub fn receive(fd: impl AsFd) -> Result<Option<Received>> {
    let fd = fd.as_fd();
    let mut info = std::mem::MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the buffer has the given size.
    let ret = unsafe { libc::syscall(libc::SYS_read, fd.as_raw_fd(), info.as_mut_ptr(), size) };
    match check("read", &[fd.into(), Arg::Name("signalfd")], ret) {
        Ok(read) if read as usize == size => {
            // SAFETY: the kernel filled the whole record, and every bit pattern is valid for its integers.
            let info = unsafe { info.assume_init() };
            Ok(Some(Received { number: info.ssi_signo as i32, sender: info.ssi_pid }))
        }
        Ok(_) => Ok(None),
        Err(error) if error.errno() == rustix::io::Errno::AGAIN => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_of_signals_are_read_as_docker_reads_them() {
        for (text, number) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("9", Some(9)),
            ("SIGRTMIN", Some(34)),
            ("RTMIN+3", Some(37)),
            ("SIGRTMAX-1", Some(63)),
            ("IOT", Some(6)),
            ("0", None),
            ("65", None),
            ("", None),
            ("SIG", None),
            ("RTMIN+99", None),
            ("RTMIN+", None),
            ("-9", None),
        ] {
            assert_eq!(parse(text), number, "{text}");
        }
        assert_eq!(name(17).as_deref(), Some("SIGCHLD"));
        assert_eq!(name(40), None);
    }

    #[test]
    fn a_blocked_signal_is_read_from_its_descriptor() {
        std::thread::spawn(|| {
            let set = SignalSet::EMPTY.with(10);
            set_mask(set).unwrap();
            let fd = signal_fd(set).unwrap();
            assert_eq!(receive(&fd).unwrap(), None);
            // SAFETY: sends a blocked signal to this very thread.
            unsafe { libc::syscall(libc::SYS_tkill, libc::gettid(), 10) };
            let got = receive(&fd).unwrap().unwrap();
            assert_eq!((got.number, got.sender), (10, std::process::id()));
        })
        .join()
        .unwrap();
    }
}

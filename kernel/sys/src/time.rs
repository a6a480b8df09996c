//! The monotonic clock, by the call itself.

/// Nanoseconds of the monotonic clock. Wrappers read the clock through the vDSO, which they find at their first use: that
/// allocates on kernels before 6.4, which a child between clone and execve must not.
pub fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the structure. The clock always exists; if a filter forbids the call it stays zero.
    unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_clock_goes_on() {
        let before = super::monotonic();
        assert!(before > 0 && super::monotonic() >= before);
    }
}

//! The allocator's memory.

/// Gives what the allocator holds without need back to the kernel. Takes the allocator's lock.
pub fn trim() {
    // SAFETY: touches only what the allocator itself holds free.
    unsafe { libc::malloc_trim(0) };
}

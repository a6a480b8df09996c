//! The process's memory: what the allocator holds, and what of the program is mapped.

use std::ffi::{c_int, c_void};

/// Gives what the allocator holds without need back to the kernel. Takes the allocator's lock.
pub fn trim() {
    // SAFETY: touches only what the allocator itself holds free.
    unsafe { libc::malloc_trim(0) };
}

/// Lets all threads share `count` heaps. By default there are eight for each processor, of which every one keeps what
/// its busiest moment needed. To be called before threads are made.
pub fn limit_heaps(count: u16) {
    // SAFETY: sets a number of the allocator's own.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, c_int::from(count)) };
}

/// Unmaps the pages of the program's code and constants. What is used again is mapped again from the page cache, a few
/// pages at a time; what only the start needed is not.
pub fn release_program() {
    // SAFETY: the callback has the type that is asked for, uses its arguments as the C library gives them, and keeps
    // nothing.
    unsafe { libc::dl_iterate_phdr(Some(release_segments), std::ptr::null_mut()) };
}

/// Called for each loaded object, the program itself first; answers 1 to end with it.
unsafe extern "C" fn release_segments(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    _data: *mut c_void,
) -> c_int {
    // SAFETY: the C library gives a valid description.
    let info = unsafe { &*info };
    // SAFETY: the program's headers are mapped as long as the program is.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let page = rustix::param::page_size();
    for header in headers {
        let is_constant = header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0;
        let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        let end = start.wrapping_add(header.p_memsz as usize).next_multiple_of(page);
        let start = start / page * page;
        if is_constant && end > start {
            // SAFETY: nobody can have written to a segment that is not writable, so each of its pages is what the file
            // has; the kernel maps it again when it is used. What is written at load time (relocations) is in others.
            unsafe { libc::madvise(start as *mut c_void, end - start, libc::MADV_DONTNEED) };
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_goes_on_after_its_pages_were_released() {
        let before = format!("{:?}", std::env::consts::ARCH);
        release_program();
        trim();
        assert_eq!(format!("{:?}", std::env::consts::ARCH), before);
    }
}

//! /proc/PID/mountinfo, in which any user can put names.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mounts) = mounts::mountinfo::parse(bytes) {
        assert!(mounts.len() <= bytes.iter().filter(|byte| **byte == b'\n').count() + 1);
    }
});

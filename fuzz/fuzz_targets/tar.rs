//! Archives: whatever the bytes are, reading ends, and never gives more than the limits allow.
#![no_main]

use archive::{Limits, Reader};
use libfuzzer_sys::fuzz_target;
use std::io::Read;

const MOST: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { entries: 1000, bytes: MOST };
    let mut reader = Reader::new(bytes, limits);
    let mut stored = 0;
    let mut buffer = [0; 4096];
    while let Ok(Some(entry)) = reader.next_entry() {
        archive::escape(&entry.name);
        // Every second entry is read with its holes, as far as somebody would; the others as they are stored.
        if entry.name.len() % 2 == 0 {
            (&mut reader).take(MOST).read_exact(&mut buffer).ok();
        }
        while let Ok(length @ 1..) = reader.read_stored(&mut buffer) {
            stored += length as u64;
        }
    }
    assert!(stored <= MOST);
});

//! Compressed layers: the format is told by the first bytes, and no more comes out than is allowed.
#![no_main]

use archive::Decoder;
use libfuzzer_sys::fuzz_target;
use std::io::Read;

const MOST: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut decoder) = Decoder::new(bytes, MOST) else { return };
    let mut buffer = [0; 8192];
    let mut count = 0;
    while let Ok(length @ 1..) = decoder.read(&mut buffer) {
        count += length as u64;
    }
    assert!(count <= MOST);
});

//! A container's log as another engine, or a crash, may have left it.
#![no_main]

use engine::logs::record;
use engine::logs::render::{Renderer, Show};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let show = Show { stdout: true, stderr: true, timestamps: true, details: true, ..Show::default() };
    let mut whole = Vec::new();
    Renderer::new(show.clone()).push(bytes, &mut whole);
    // In pieces the same comes out.
    let mut pieces = Vec::new();
    let mut renderer = Renderer::new(show);
    for piece in bytes.chunks(7) {
        renderer.push(piece, &mut pieces);
    }
    assert_eq!(whole, pieces);
    if let Some(record) = record::parse(bytes) {
        record::details(record.attributes);
    }
});

//! System call profiles: whatever is read compiles or is refused, in bounded time and size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seccomp::{Arch, Filter, Profile};

/// Instructions that the kernel takes at most (BPF_MAXINSNS).
const MOST: usize = 4096;

fuzz_target!(|text: &str| {
    let Ok(profile) = Profile::parse(text) else { return };
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let resolved: Option<Filter> = profile.resolve(arch, &["CAP_SYS_ADMIN"], (6, 1));
        if let Some(Ok(program)) = resolved.map(|filter| filter.compile(arch)) {
            assert!(program.bytes().len() <= MOST * 8);
        }
    }
});

//! Which of the kernel's own paths a container does not see, or sees read-only.

use spec::linux::{MASKED, READONLY};

/// The hidden paths; `cpus` is how many processors may have a counter that tells of other work on the host.
pub fn masked(cpus: usize) -> Vec<String> {
    let throttle = |cpu: usize| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle");
    let counters = (0..cpus).map(throttle).filter(|path| std::path::Path::new(path).exists());
    MASKED.iter().map(|path| (*path).to_owned()).chain(counters).collect()
}

/// The read-only paths.
pub fn readonly() -> Vec<String> {
    READONLY.iter().map(|path| (*path).to_owned()).collect()
}

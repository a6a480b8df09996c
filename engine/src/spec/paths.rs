//! Which of the kernel's own paths a container does not see, or sees read-only.

/// Paths that are hidden from every container that is not privileged, as Docker hides them.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Paths that are read-only for every container that is not privileged.
const READONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

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

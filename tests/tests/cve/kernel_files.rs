//! CVE-2025-31133, CVE-2025-52881: names in `/dev` exchanged while the starter uses them, so that what should hide or
//! lock a file of the kernel opens it.

use crate::attacker::{Canary, Exchange};
use e2e::Engine;
use std::os::unix::fs::symlink;

/// What must hold in any container that runs, whatever the attacker did while it started.
const CHECK: &str = "exec 2>/tmp/errors
    stat -c %t:%T /proc/keys /proc/timer_list /proc/kcore | sort -u
    for f in /proc/sys/kernel/domainname /proc/sysrq-trigger; do
        { echo attacked >$f; } && echo written $f
    done
    { echo attacked >/proc/keys; }
    cat /proc/keys /proc/timer_list; find /proc/acpi /sys/firmware -mindepth 1; echo end";

/// Guard: `Host::open` of `runtime/launch/src/host.rs` opens and verifies the null device on the host, and
/// `protect::mask` of `runtime/launch/src/child/protect.rs` puts it over what it has resolved to a descriptor.
#[test]
fn masks_hold_while_the_null_device_of_the_image_is_exchanged() {
    let engine = Engine::with_busybox();
    let shared = Canary::new();
    std::fs::write(shared.path().join("null"), "").unwrap();
    // Of the container's own namespace, so that even an attack that succeeds does no harm.
    symlink("/proc/sys/kernel/domainname", shared.path().join("link")).unwrap();
    let bind = format!("{}:/dev", shared.path().display());
    let race = Exchange::of(shared.path(), "null", "link");
    let mut started = 0;
    for _ in 0..15 {
        let said = engine.docker(&["run", "--rm", "-v", &bind, "busybox", "sh", "-c", CHECK]);
        // A start that finds something else in the place of a node fails; that is as good.
        if said.code == 0 {
            assert_eq!(said.out, "1:3\nend\n", "{}", said.err);
            started += 1;
        }
    }
    race.end();
    assert!(started > 0, "nothing has started, so nothing was tested");
    let still = engine.docker(&["run", "--rm", "busybox", "sh", "-c", CHECK]);
    assert_eq!(still.text(), "1:3\nend");
}

/// Guard: `ProcHandle::detached` in `layout::set_up`: the procfs that kernel parameters are written through is attached
/// nowhere, so that what lies at `/proc` decides nothing.
#[test]
fn kernel_parameters_are_the_container_s_own_and_reach_it() {
    let engine = Engine::with_busybox();
    let host = std::fs::read_to_string("/proc/sys/kernel/shm_rmid_forced").unwrap();
    let other = if host.trim() == "0" { "1" } else { "0" };
    let option = format!("kernel.shm_rmid_forced={other}");
    let show = ["busybox", "cat", "/proc/sys/kernel/shm_rmid_forced"];
    let said = engine.docker(&[&["run", "--rm", "--sysctl", &option][..], &show].concat());
    assert_eq!(said.ok(), format!("{other}\n"));
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/shm_rmid_forced").unwrap(), host);
    for option in
        ["kernel.core_pattern=x", "kernel.shm_rmid_forced/../../vm/swappiness=1", "../x=1"]
    {
        let said = engine.docker(&["run", "--rm", "--sysctl", option, "busybox", "true"]);
        assert_ne!(said.code, 0, "{option}");
    }
}

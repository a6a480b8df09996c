//! What the kernel's control groups hold a container to, whichever version of them the machine has.

use e2e::Engine;

/// Runs a script in a container with these flags; its output with what it said on standard error.
fn run(engine: &Engine, flags: &[&str], script: &str) -> String {
    let script = format!("exec 2>&1; {script}");
    engine.docker(&[&["run", "--rm"], flags, &["busybox", "sh", "-c", &script]].concat()).text()
}

/// A file of the container's own group, by its names on version 1 and 2.
fn file(engine: &Engine, name: &str, v1: &str, v2: &str) -> String {
    let script = format!("cd /sys/fs/cgroup; cat {v1} 2>/dev/null || cat {v2}");
    engine.docker(&["exec", name, "sh", "-c", &script]).text()
}

#[test]
fn a_device_that_was_not_given_cannot_be_opened_whatever_nodes_the_container_makes() {
    let engine = Engine::with_busybox();
    let disk = "mknod /tmp/disk b 8 0 && cat /tmp/disk | head -c 1; mknod /tmp/null c 1 3 && echo ok > /tmp/null && echo null";
    assert_eq!(
        run(&engine, &[], disk),
        "cat: can't open '/tmp/disk': Operation not permitted\nnull"
    );
    // Without the group's rule the kernel opens the disk, or says that there is none.
    assert!(!run(&engine, &["--privileged"], disk).contains("not permitted"));
    let rule = ["--device-cgroup-rule", "b 8:* r"];
    assert!(!run(&engine, &rule, disk).contains("not permitted"));
    let write = "mknod /tmp/disk b 8 0; echo x > /tmp/disk";
    assert!(run_fails(&engine, &rule, write).contains("Operation not permitted"));
}

fn run_fails(engine: &Engine, flags: &[&str], script: &str) -> String {
    let said = engine.docker(&[&["run", "--rm"], flags, &["busybox", "sh", "-c", script]].concat());
    assert_ne!(said.code, 0, "{}", said.out);
    said.err
}

#[test]
fn a_device_that_was_given_can_be_opened_with_the_access_that_was_given() {
    let engine = Engine::with_busybox();
    let open = "exec 3<>/dev/tunnel; echo open";
    let given = |access: &str| format!("--device=/dev/net/tun:/dev/tunnel{access}");
    assert_eq!(run(&engine, &[&given("")], open), "open");
    let read_only = given(":r");
    assert_eq!(run(&engine, &[&read_only], "exec 3</dev/tunnel; echo open"), "open");
    let refused = run_fails(&engine, &[&read_only], open);
    assert!(refused.contains("Operation not permitted"), "{refused}");
    let made = run_fails(&engine, &[], "mknod /dev/tunnel c 10 200; exec 3</dev/tunnel");
    assert!(made.contains("Operation not permitted"), "{made}");
}

#[test]
fn every_limit_is_in_the_groups_file() {
    let engine = Engine::with_busybox();
    let flags = [
        &["run", "-d", "--name", "limited", "--memory", "32m", "--memory-swap", "48m"][..],
        &["--memory-reservation", "16m", "--cpu-shares", "512", "--cpuset-cpus", "0"],
        &["--cpu-period", "50000", "--cpu-quota", "20000", "--pids-limit", "30"],
        &["busybox", "sleep", "300"],
    ]
    .concat();
    engine.docker(&flags).text();
    let read = |v1: &str, v2: &str| file(&engine, "limited", v1, v2);
    assert_eq!(read("memory/memory.limit_in_bytes", "memory.max"), "33554432");
    let swap = read("memory/memory.memsw.limit_in_bytes", "memory.swap.max");
    // Version 1 counts both together, version 2 swap alone.
    assert!(swap == "50331648" || swap == "16777216", "{swap}");
    assert_eq!(read("memory/memory.soft_limit_in_bytes", "memory.low"), "16777216");
    let shares = read("cpu/cpu.shares", "cpu.weight");
    assert!(shares == "512" || shares == "59", "{shares}");
    assert_eq!(read("cpuset/cpuset.cpus", "cpuset.cpus"), "0");
    let quota = read("cpu/cpu.cfs_quota_us", "cpu.max");
    assert!(quota == "20000" || quota == "20000 50000", "{quota}");
    assert_eq!(read("pids/pids.max", "pids.max"), "30");
    let update = ["update", "--cpu-shares", "2048", "--pids-limit", "40", "--cpuset-cpus", "0"];
    engine.docker(&[&update[..], &["limited"]].concat()).text();
    let shares = read("cpu/cpu.shares", "cpu.weight");
    assert!(shares == "2048" || shares == "174", "{shares}");
    assert_eq!(read("pids/pids.max", "pids.max"), "40");
    let format = "{{.MemUsage}} {{.PIDs}}";
    let stats = engine.docker(&["stats", "--no-stream", "--format", format, "limited"]).text();
    assert!(stats.ends_with(" / 32MiB 1"), "{stats}");
}

#[test]
fn a_container_sees_its_own_group_and_cannot_change_it() {
    let engine = Engine::with_busybox();
    let made = run_fails(&engine, &[], "cd /sys/fs/cgroup; cd pids 2>/dev/null; mkdir below");
    assert!(made.contains("Read-only file system"), "{made}");
    let written = "f=/sys/fs/cgroup/pids; [ -d $f ] || f=/sys/fs/cgroup; echo max > $f/pids.max";
    assert!(run_fails(&engine, &[], written).contains("Read-only file system"));
    // With version 2 a container has a cgroup namespace of its own, with version 1 the host's, as with dockerd.
    if std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        assert_eq!(run(&engine, &[], "cat /proc/self/cgroup"), "0::/");
        let host = run(&engine, &["--cgroupns", "host"], "cat /proc/self/cgroup");
        assert!(host.starts_with("0::/") && host.contains(engine.cgroup()), "{host}");
        let types = run(&engine, &[], "grep cgroup /proc/self/mounts");
        assert!(types.starts_with("cgroup /sys/fs/cgroup cgroup2 ro,"), "{types}");
        let info = engine.docker(&["info", "--format", "{{.CgroupVersion}}"]).text();
        assert_eq!(info, "2");
    }
}

#[test]
fn a_paused_container_stands_still_and_goes_on_where_it_was() {
    let engine = Engine::with_busybox();
    let script = "while :; do echo tick; usleep 1000; done";
    engine.docker(&["run", "-d", "--name", "ticker", "busybox", "sh", "-c", script]).text();
    let count = || engine.docker(&["logs", "ticker"]).out.len();
    e2e::eventually("it ticks", || count() > 0);
    engine.docker(&["pause", "ticker"]).text();
    let status = || engine.docker(&["inspect", "ticker", "--format", "{{.State.Status}}"]).text();
    assert_eq!(status(), "paused");
    let refused = engine.docker(&["exec", "ticker", "true"]);
    assert_ne!(refused.code, 0, "nothing is started in a paused container");
    let mut before = count();
    // What was on its way to the log arrives.
    e2e::eventually("the log stands", || std::mem::replace(&mut before, count()) == before);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(count(), before);
    engine.docker(&["unpause", "ticker"]).text();
    assert_eq!(status(), "running");
    e2e::eventually("it goes on", || count() > before);
    engine.docker(&["pause", "ticker"]).text();
    engine.docker(&["kill", "ticker"]).text();
    e2e::eventually("a paused container is killed all the same", || status() == "exited");
}

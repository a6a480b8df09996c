//! Groups on the real hierarchies of this host, whichever it has.

#![expect(clippy::unwrap_used, reason = "a test may fail in a function of its own")]

#[path = "host/mod.rs"]
mod host;

use cgroups::{CgroupError, Resources};
use host::{Host, SOON, read_line, shell};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use spec::oci::{BlockIo, Cpu, DeviceRule, Memory, Pids, ThrottleDevice};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

const MIB: i64 = 1 << 20;

fn memory(limit: i64, swap: i64) -> Resources {
    let memory = Memory { limit: Some(limit), swap: Some(swap), ..Memory::default() };
    Resources { memory: Some(memory), ..Resources::default() }
}

fn readable(fd: impl AsFd, within: Duration) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: within.as_nanos().try_into().unwrap() };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

#[test]
fn limits_are_in_the_kernels_files_before_any_process_exists() {
    let host = Host::new();
    let resources = Resources {
        memory: Some(Memory {
            limit: Some(64 * MIB),
            reservation: Some(32 * MIB),
            ..Memory::default()
        }),
        cpu: Some(Cpu {
            shares: Some(512),
            quota: Some(50_000),
            period: Some(100_000),
            cpus: Some("0".into()),
            mems: Some("0".into()),
            ..Cpu::default()
        }),
        pids: Some(Pids { limit: Some(77) }),
        ..Resources::default()
    };
    let group = host.parent().create("limits", &resources).unwrap();
    assert!(group.is_empty().unwrap());
    let expected = if host.is_v2() {
        &[
            ("memory.max", "67108864"),
            ("memory.low", "33554432"),
            ("cpu.weight", "59"),
            ("cpu.max", "50000 100000"),
            ("cpuset.cpus", "0"),
            ("pids.max", "77"),
        ][..]
    } else {
        &[
            ("memory.limit_in_bytes", "67108864"),
            ("memory.soft_limit_in_bytes", "33554432"),
            ("cpu.shares", "512"),
            ("cpu.cfs_quota_us", "50000"),
            ("cpu.cfs_period_us", "100000"),
            ("cpuset.cpus", "0"),
            ("pids.max", "77"),
        ]
    };
    for (file, value) in expected {
        assert_eq!(host.file("limits", file), *value, "{file}");
    }
    let stats = group.stats().unwrap();
    assert_eq!(stats.memory.unwrap().limit, Some(64 * MIB as u64));
    assert_eq!(stats.pids.unwrap().limit, Some(77));
    group.delete(SOON).unwrap();
    assert!(!host.parent().exists("limits").unwrap());
}

#[test]
fn update_raises_and_lowers_memory_with_swap_in_the_order_that_the_kernel_accepts() {
    let host = Host::new();
    let group = host.parent().create("update", &memory(32 * MIB, 48 * MIB)).unwrap();
    for (limit, swap) in [
        (256 * MIB, 512 * MIB),
        (16 * MIB, 16 * MIB),
        (64 * MIB, -1),
        (-1, 0),
        (32 * MIB, 40 * MIB),
    ] {
        group.update(&memory(limit, swap)).unwrap();
        let read = group.stats().unwrap().memory.unwrap().limit;
        assert_eq!(read, (limit > 0).then_some(limit as u64));
    }
    let pids =
        |limit| Resources { pids: Some(Pids { limit: Some(limit) }), ..Resources::default() };
    group.update(&pids(5)).unwrap();
    group.update(&pids(-1)).unwrap();
    assert_eq!(host.file("update", "pids.max"), "max");
    let quota = |quota, period| {
        let cpu = Cpu { quota, period, ..Cpu::default() };
        group.update(&Resources { cpu: Some(cpu), ..Resources::default() }).unwrap();
        if host.is_v2() {
            host.file("update", "cpu.max")
        } else {
            format!(
                "{} {}",
                host.file("update", "cpu.cfs_quota_us"),
                host.file("update", "cpu.cfs_period_us")
            )
        }
    };
    assert_eq!(quota(Some(20_000), Some(50_000)), "20000 50000");
    assert_eq!(quota(Some(10_000), None), "10000 50000");
    assert_eq!(quota(None, Some(100_000)), "10000 100000");
}

#[test]
fn block_devices_are_throttled() {
    let host = Host::new();
    // The first disk of the host; the kernel refuses numbers of devices that do not exist.
    let disk = std::fs::read_dir("/sys/block").unwrap().find_map(|disk| {
        let numbers = std::fs::read_to_string(disk.unwrap().path().join("dev")).ok()?;
        let (major, minor) = numbers.trim().split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    let Some((major, minor)) = disk else { return };
    let io = BlockIo {
        throttle_read_bps_device: vec![ThrottleDevice { major, minor, rate: 1_048_576 }],
        ..BlockIo::default()
    };
    let resources = Resources { block_io: Some(io), ..Resources::default() };
    host.parent().create("io", &resources).unwrap();
    let (file, line) = if host.is_v2() {
        ("io.max", format!("{major}:{minor} rbps=1048576 wbps=max riops=max wiops=max"))
    } else {
        ("blkio.throttle.read_bps_device", format!("{major}:{minor} 1048576"))
    };
    assert_eq!(host.file("io", file), line);
}

#[test]
fn a_child_that_joins_is_listed_and_counted_and_killed() {
    let host = Host::new();
    let group = host.create("join");
    let mut child = shell(
        &group,
        "echo $$; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; read end",
    );
    let pid: i32 = read_line(&mut child).parse().unwrap();
    assert_eq!(read_line(&mut child), "done");
    assert_eq!(group.pids().unwrap(), [pid]);
    let stats = group.stats().unwrap();
    assert_eq!(stats.pids.unwrap().current, 1);
    assert!(stats.cpu.unwrap().total > 0);
    assert!(stats.memory.unwrap().usage > 0);
    group.kill(SOON).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(group.is_empty().unwrap());
    group.delete(SOON).unwrap();
}

#[test]
fn exhausted_memory_is_reported_and_counted() {
    let host = Host::new();
    let group = host.parent().create("oom", &memory(16 * MIB, 16 * MIB)).unwrap();
    let watch = group.watch_oom().unwrap();
    assert!(!readable(&watch, Duration::ZERO));
    assert_eq!(group.oom_kills().unwrap(), 0);
    let mut child = shell(&group, "exec tail /dev/zero");
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(readable(&watch, Duration::from_millis(999)));
    watch.drain();
    assert_eq!(group.oom_kills().unwrap(), 1);
    assert_eq!(group.stats().unwrap().memory.unwrap().oom_kills, 1);
}

#[test]
fn a_frozen_process_answers_only_after_it_is_thawed() {
    let host = Host::new();
    let group = host.create("freeze");
    let mut child = shell(&group, "while read line; do echo \"$line\"; done");
    let ask = |child: &mut std::process::Child, line: &str| {
        child.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    };
    ask(&mut child, "one\n");
    assert_eq!(read_line(&mut child), "one");
    group.freeze(SOON).unwrap();
    assert!(group.is_frozen().unwrap());
    ask(&mut child, "two\n");
    assert!(!readable(child.stdout.as_ref().unwrap(), Duration::from_millis(100)));
    group.thaw(SOON).unwrap();
    assert!(!group.is_frozen().unwrap());
    assert_eq!(read_line(&mut child), "two");
    group.freeze(SOON).unwrap();
    group.kill(SOON).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn kill_ends_a_group_that_keeps_starting_processes() {
    let host = Host::new();
    let resources = Resources { pids: Some(Pids { limit: Some(40) }), ..Resources::default() };
    let group = host.parent().create("bomb", &resources).unwrap();
    let mut child =
        shell(&group, "f() { while :; do (f) & (sleep 1000) & wait -n 2>/dev/null; done; }; f");
    while group.pids().unwrap().len() < 10 {
        std::thread::yield_now();
    }
    group.kill(SOON).unwrap();
    assert!(group.is_empty().unwrap());
    child.wait().unwrap();
    group.delete(SOON).unwrap();
}

#[test]
fn delete_removes_groups_in_the_group_and_says_when_it_is_busy() {
    let host = Host::new();
    let group = host.create("delete");
    let nested = host.dir("delete", "memory.x").join("inner/innermost");
    std::fs::create_dir_all(&nested).unwrap();
    let mut child = shell(&group, "read end");
    let error = group.delete(Duration::from_millis(5)).unwrap_err();
    assert!(matches!(error, CgroupError::Remove { errno: rustix::io::Errno::BUSY, .. }), "{error}");
    assert_eq!(error.to_string(), format!("remove cgroup {}/delete", host.path));
    drop(child.stdin.take());
    child.wait().unwrap();
    group.delete(SOON).unwrap();
    assert!(!nested.exists());
    assert!(host.parent().open("delete").unwrap().is_none());
    group.delete(SOON).unwrap();
}

#[test]
fn a_failed_creation_leaves_nothing_and_an_existing_group_alone() {
    let host = Host::new();
    let cpu = Cpu { cpus: Some("4000".into()), ..Cpu::default() };
    let error = host
        .parent()
        .create("bad", &Resources { cpu: Some(cpu), ..Resources::default() })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("write \"4000\" to cpuset.cpus of cgroup {}/bad", host.path)
    );
    assert!(!host.parent().exists("bad").unwrap());
    let group = host.create("taken");
    let error = host.parent().create("taken", &Resources::default()).unwrap_err();
    assert_eq!(error.class(), spec::Class::Conflict);
    assert!(host.parent().exists("taken").unwrap());
    assert_eq!(group.path(), format!("{}/taken", host.path));
    assert_eq!(host.parent().groups().unwrap(), ["taken"]);
    for name in ["../taken", "", "a/b", "cgroup.procs"] {
        assert!(
            matches!(host.parent().create(name, &Resources::default()), Err(CgroupError::Name(_))),
            "{name}"
        );
    }
}

#[test]
fn only_devices_that_a_rule_allows_can_be_opened() {
    let host = Host::new();
    let rule = |allow, kind: &str, minor, access: &str| DeviceRule {
        allow,
        kind: Some(kind.into()),
        major: (kind == "c").then_some(1),
        minor,
        access: Some(access.into()),
    };
    let devices = |rules: Vec<DeviceRule>| Resources { devices: rules, ..Resources::default() };
    let first = devices(vec![
        rule(false, "a", None, "rwm"),
        rule(true, "c", Some(3), "rw"),
        rule(true, "c", Some(5), "r"),
    ]);
    let group = host.parent().create("devices", &first).unwrap();
    let script = "while read device; do (: < $device) 2>/dev/null && echo yes || echo no; done";
    let mut child = shell(&group, script);
    let mut opens = |device: &str| {
        child.stdin.as_mut().unwrap().write_all(format!("{device}\n").as_bytes()).unwrap();
        read_line(&mut child)
    };
    assert_eq!(opens("/dev/null"), "yes");
    assert_eq!(opens("/dev/zero"), "yes");
    assert_eq!(opens("/dev/full"), "no");
    let second = devices(vec![
        rule(false, "a", None, "rwm"),
        rule(true, "c", Some(3), "rw"),
        rule(true, "c", Some(7), "r"),
    ]);
    group.update(&second).unwrap();
    assert_eq!(opens("/dev/null"), "yes");
    assert_eq!(opens("/dev/zero"), "no");
    assert_eq!(opens("/dev/full"), "yes");
}

#[test]
fn an_engine_in_a_group_of_its_own_limits_groups_below_it() {
    if let Some(name) = std::env::var_os("COFFER_TEST_NESTED") {
        let name = name.into_string().unwrap();
        let parent = cgroups::Layout::detect().unwrap().parent(&name).unwrap();
        let resources = Resources { pids: Some(Pids { limit: Some(9) }), ..Resources::default() };
        let group = parent.create("inner", &resources).unwrap();
        assert_eq!(group.stats().unwrap().pids.unwrap().limit, Some(9));
        let mut child = shell(&group, "read end");
        assert_eq!(group.pids().unwrap(), [child.id().cast_signed()]);
        group.kill(SOON).unwrap();
        child.wait().unwrap();
        // The groups stay for the outer test to see.
        return;
    }
    let host = Host::new();
    let group = host.create("engine");
    let test = "an_engine_in_a_group_of_its_own_limits_groups_below_it";
    let (name, binary) = (format!("nested-{}", host.path), std::env::current_exe().unwrap());
    let script = format!("COFFER_TEST_NESTED={name} exec {} --exact {test} >&2", binary.display());
    assert!(shell(&group, &script).wait().unwrap().success());
    assert_eq!(host.file(&format!("engine/{name}/inner"), "pids.max"), "9");
    group.delete(SOON).unwrap();
    assert!(!host.parent().exists("engine").unwrap());
}

#[test]
fn a_parent_has_safe_names_only() {
    let layout = cgroups::Layout::detect().unwrap();
    for path in ["../x", "a/../b"] {
        assert!(matches!(layout.parent(path), Err(CgroupError::Name(_))), "{path}");
    }
}

#[test]
fn features_are_those_that_can_be_limited() {
    let features = Host::new().parent().features();
    assert!(
        features.memory
            && features.cpu_shares
            && features.cpu_quota
            && features.pids
            && features.devices
    );
}

#[test]
fn the_short_way_removes_a_group_only_when_nothing_is_in_it() {
    let host = Host::new();
    let group = host.create("short");
    let mut child = shell(&group, "read line");
    assert!(!group.remove_empty());
    assert_eq!(group.pids().unwrap(), [i32::try_from(child.id()).unwrap()]);
    group.kill(SOON).unwrap();
    child.wait().unwrap();
    // The last process is counted out a moment after it was reaped.
    assert!(group.remove_empty() || group.delete(SOON).is_ok());
    assert!(!host.parent().exists("short").unwrap());
    assert!(group.remove_empty());
}

#[test]
fn a_group_that_keeps_starting_processes_is_frozen_and_runs_again() {
    let host = Host::new();
    let resources = Resources { pids: Some(Pids { limit: Some(60) }), ..Resources::default() };
    let group = host.parent().create("forks", &resources).unwrap();
    let mut child = shell(&group, "while :; do /bin/true & /bin/true & wait; done");
    for _ in 0..10 {
        group.freeze(SOON).unwrap();
        assert!(group.is_frozen().unwrap());
        let (before, used) = (group.pids().unwrap(), group.stats().unwrap().cpu.unwrap().total);
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(group.pids().unwrap(), before);
        assert_eq!(group.stats().unwrap().cpu.unwrap().total, used);
        group.thaw(SOON).unwrap();
        assert!(!group.is_frozen().unwrap());
    }
    group.kill(SOON).unwrap();
    child.wait().unwrap();
}

#[test]
fn statistics_have_all_that_the_host_counts() {
    let host = Host::new();
    let group = host.create("counted");
    let mut child = shell(&group, "echo begun; while :; do :; done");
    assert_eq!(read_line(&mut child), "begun");
    let sum = |parts: &[u64]| parts.iter().sum::<u64>();
    // Who used a processor is only counted at its ticks.
    let stats = loop {
        let stats = group.stats().unwrap();
        let cpu = stats.cpu.as_ref().unwrap();
        let ticked = sum(&cpu.per_cpu_user) + sum(&cpu.per_cpu_kernel) > 0;
        if ticked || host.is_v2() && cpu.total > 0 {
            break stats;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let (cpu, memory) = (stats.cpu.unwrap(), stats.memory.unwrap());
    assert!(cpu.total > 0);
    if host.is_v2() {
        assert!(memory.hierarchical);
    } else {
        assert_eq!(cpu.per_cpu.len(), cpu.per_cpu_user.len());
        assert_eq!(cpu.per_cpu.len(), cpu.per_cpu_kernel.len());
        let cpuset = stats.cpuset.unwrap();
        assert!(!cpuset.cpus.is_empty() && cpuset.mems.contains(&0));
        assert_eq!(memory.kernel_tcp.unwrap().usage, 0);
    }
    if let Some(together) = memory.with_swap {
        assert!(together.usage >= memory.usage && together.limit.is_none());
    }
    group.kill(SOON).unwrap();
    child.wait().unwrap();
}

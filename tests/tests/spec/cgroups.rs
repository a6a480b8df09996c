//! config-linux.md, "Control groups": where the group is, its owner, and the limits as a process in it sees them.

use crate::rig::{Bundle, is_v2, row};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The directory of a controller's group.
fn group(controller: &str, path: &str) -> PathBuf {
    let top =
        if is_v2() { "/sys/fs/cgroup".to_owned() } else { format!("/sys/fs/cgroup/{controller}") };
    Path::new(&top).join(path.trim_start_matches('/'))
}

/// Groups of this test's own, removed in the end.
struct Groups(String);

impl Drop for Groups {
    fn drop(&mut self) {
        let tops = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
        for top in tops.chain([PathBuf::from("/sys/fs/cgroup")]) {
            std::fs::remove_dir(top.join(&self.0)).ok();
        }
    }
}

#[test]
fn the_group_is_where_the_path_says_and_goes_with_the_container() {
    let bundle = Bundle::new();
    let above = Groups(bundle.tag.clone());
    let path = format!("/{}/inner", above.0);
    let container = bundle.start(&json!({"linux": {"cgroupsPath": path}}), "sleep 600");
    for controller in ["memory", "pids"] {
        let procs = std::fs::read_to_string(group(controller, &path).join("cgroup.procs")).unwrap();
        assert_eq!(procs.trim(), container.pid().to_string(), "linux.cgroupsPath: absolute");
    }
    drop(container);
    assert!(!group("memory", &path).exists());
    let relative = format!("{}/relative", above.0);
    let container = bundle.start(&json!({"linux": {"cgroupsPath": relative}}), "sleep 600");
    let own = std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
    assert!(own.contains(&format!("/{relative}")), "linux.cgroupsPath: relative: {own}");
    drop(container);
    // Without a path it is the runtime's choice, and the same container finds it again.
    let container = bundle.start(&json!({}), "sleep 600");
    let own = std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
    assert!(own.contains(&bundle.id("held")), "{own}");
    container.call("pause", &[]).ok();
    assert_eq!(container.state()["status"], "paused");
    container.call("resume", &[]).ok();
}

#[test]
fn a_group_that_is_in_use_or_frozen_is_refused_and_an_empty_one_is_taken() {
    let bundle = Bundle::new();
    let above = Groups(bundle.tag.clone());
    let path = format!("/{}/taken", above.0);
    let change = json!({"linux": {"cgroupsPath": path}});
    let container = bundle.start(&change, "sleep 600");
    let ran = bundle.run("second");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("it exists and has processes"), "{ran:?}");
    // The first is none the worse.
    assert_eq!(container.exec("echo well"), "well");
    drop(container);
    for controller in ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"]
    {
        std::fs::create_dir_all(group(controller, &path)).ok();
    }
    if !is_v2() {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let value = std::fs::read(Path::new("/sys/fs/cgroup/cpuset").join(file)).unwrap();
            std::fs::write(group("cpuset", &format!("/{}", above.0)).join(file), &value).unwrap();
        }
    }
    assert_eq!(bundle.run_with(&change, "echo taken").ok(), "taken");
}

#[test]
fn a_parent_that_vanished_is_no_hindrance_to_delete_and_to_the_next_one() {
    let bundle = Bundle::new();
    let above = Groups(bundle.tag.clone());
    let change = json!({"linux": {"cgroupsPath": format!("/{}/x", above.0)}});
    let container = bundle.start(&change, "sleep 600");
    container.call("kill", &["KILL"]).ok();
    while container.state()["status"] != "stopped" {}
    // Somebody tidies up behind the runtime.
    for controller in [
        "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd",
        "unified",
    ] {
        let path = group(controller, &above.0);
        for directory in [path.join("x"), path] {
            while directory.exists() && std::fs::remove_dir(&directory).is_err() {}
        }
    }
    container.call("delete", &[]).ok();
    assert_eq!(bundle.run_with(&change, "echo again").ok(), "again");
}

/// The container sees the top of its own group.
fn limits(resources: Value) -> Value {
    json!({
        "linux": {"resources": resources},
        "+mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid", "noexec", "nodev"]}],
    })
}

/// A row with one file on v1 and another on v2; an empty name: nothing there.
fn file(
    name: &'static str,
    resources: Value,
    v1: (&'static str, &'static str),
    v2: (&'static str, &'static str),
) -> Option<crate::rig::Row> {
    let (file, says) = if is_v2() { v2 } else { v1 };
    let controller = file.split('.').next().unwrap();
    let directory = match (is_v2(), controller) {
        (true, _) => String::new(),
        (false, other) => format!("{other}/"),
    };
    let script: &'static str =
        Box::leak(format!("cat /sys/fs/cgroup/{directory}{file}").into_boxed_str());
    (!file.is_empty()).then(|| row(name, limits(resources), script, says))
}

#[test]
fn limits_are_in_the_files_that_the_container_sees() {
    let bundle = Bundle::new();
    let rows = [
        file(
            "memory.limit",
            json!({"memory": {"limit": 67_108_864}}),
            ("memory.limit_in_bytes", "67108864"),
            ("memory.max", "67108864"),
        ),
        file(
            "memory.limit: -1",
            json!({"memory": {"limit": -1}}),
            ("memory.limit_in_bytes", "9223372036854771712"),
            ("memory.max", "max"),
        ),
        file(
            "memory.reservation",
            json!({"memory": {"reservation": 33_554_432}}),
            ("memory.soft_limit_in_bytes", "33554432"),
            ("memory.low", "33554432"),
        ),
        file(
            "memory.swap",
            json!({"memory": {"limit": 67_108_864, "swap": 100_663_296}}),
            ("memory.memsw.limit_in_bytes", "100663296"),
            ("", ""),
        ),
        file(
            "memory.kernelTCP",
            json!({"memory": {"kernelTCP": 8_388_608}}),
            ("memory.kmem.tcp.limit_in_bytes", "8388608"),
            ("memory.max", "max"),
        ),
        file(
            "memory.kernel: taken by no kernel from 5.16",
            json!({"memory": {"kernel": -1}}),
            ("memory.use_hierarchy", "1"),
            ("memory.max", "max"),
        ),
        file(
            "memory.swappiness",
            json!({"memory": {"swappiness": 17}}),
            ("memory.swappiness", "17"),
            ("memory.max", "max"),
        ),
        file(
            "memory.useHierarchy",
            json!({"memory": {"useHierarchy": true}}),
            ("memory.use_hierarchy", "1"),
            ("memory.max", "max"),
        ),
        file(
            "cpu.shares",
            json!({"cpu": {"shares": 512}}),
            ("cpu.shares", "512"),
            ("cpu.weight", "59"),
        ),
        file(
            "cpu.shares: the usual",
            json!({"cpu": {"shares": 1024}}),
            ("cpu.shares", "1024"),
            ("cpu.weight", "100"),
        ),
        file(
            "cpu.quota",
            json!({"cpu": {"quota": 25_000}}),
            ("cpu.cfs_quota_us", "25000"),
            ("cpu.max", "25000 100000"),
        ),
        file(
            "cpu.period",
            json!({"cpu": {"quota": 25_000, "period": 50_000}}),
            ("cpu.cfs_period_us", "50000"),
            ("cpu.max", "25000 50000"),
        ),
        file(
            "cpu.quota: -1",
            json!({"cpu": {"quota": -1}}),
            ("cpu.cfs_quota_us", "-1"),
            ("cpu.max", "max 100000"),
        ),
        file(
            "cpu.burst",
            json!({"cpu": {"quota": 25_000, "burst": 10_000}}),
            ("cpu.cfs_burst_us", "10000"),
            ("cpu.max.burst", "10000"),
        ),
        file(
            "cpu.idle",
            json!({"cpu": {"idle": 1, "shares": 512}}),
            ("cpu.idle", "1"),
            ("cpu.idle", "1"),
        ),
        file("cpu.cpus", json!({"cpu": {"cpus": "0"}}), ("cpuset.cpus", "0"), ("cpuset.cpus", "0")),
        file("cpu.mems", json!({"cpu": {"mems": "0"}}), ("cpuset.mems", "0"), ("cpuset.mems", "0")),
        file("pids.limit", json!({"pids": {"limit": 44}}), ("pids.max", "44"), ("pids.max", "44")),
        file(
            "pids.limit: -1",
            json!({"pids": {"limit": -1}}),
            ("pids.max", "max"),
            ("pids.max", "max"),
        ),
        file(
            "unified",
            json!({"unified": {"memory.high": "50331648", "pids.max": "55"}}),
            ("", ""),
            ("memory.high", "50331648"),
        ),
        file(
            "unified: cgroup.max.depth",
            json!({"unified": {"cgroup.max.depth": "2"}}),
            ("", ""),
            ("cgroup.max.depth", "2"),
        ),
        file(
            "network: v2 has none",
            json!({"network": {"classID": 1_048_577}}),
            ("", ""),
            ("pids.max", "max"),
        ),
    ];
    let rows: Vec<_> = rows.into_iter().flatten().collect();
    bundle.check(&rows);
}

#[test]
fn limits_hold() {
    let bundle = Bundle::new();
    let memory = json!({"memory": {"limit": 16_777_216, "swap": 16_777_216}});
    bundle.check(&[
        row(
            "memory.limit: what is more ends",
            limits(memory),
            "(tail /dev/zero) 2>/dev/null; echo $?",
            "137",
        ),
        row(
            "pids.limit: no more than that",
            limits(json!({"pids": {"limit": 4}})),
            "sh -c 'for i in 1 2 3 4 5; do sleep 1 & done' 2>/dev/null; echo $?",
            "2",
        ),
        row("cpu.cpus: one processor", limits(json!({"cpu": {"cpus": "0"}})), "nproc", "1"),
    ]);
}

#[test]
fn a_block_device_is_throttled_by_its_number() {
    let bundle = Bundle::new();
    let disk = std::fs::read_dir("/sys/block").unwrap().flatten().find_map(|disk| {
        let numbers = std::fs::read_to_string(disk.path().join("dev")).ok()?;
        let (major, minor) = numbers.trim().split_once(':')?;
        Some((major.parse::<i64>().ok()?, minor.parse::<i64>().ok()?))
    });
    let Some((major, minor)) = disk else { return };
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let resources = json!({"blockIO": {
        "throttleReadBpsDevice": rate(1_048_576), "throttleWriteBpsDevice": rate(2_097_152),
        "throttleReadIOPSDevice": rate(100), "throttleWriteIOPSDevice": rate(200),
    }});
    let script = if is_v2() {
        "cat /sys/fs/cgroup/io.max"
    } else {
        "cd /sys/fs/cgroup/blkio; for f in read_bps write_bps read_iops write_iops; do cat blkio.throttle.${f}_device; done"
    };
    let number = format!("{major}:{minor}");
    let says = if is_v2() {
        format!("{number} rbps=1048576 wbps=2097152 riops=100 wiops=200")
    } else {
        [1_048_576, 2_097_152, 100, 200].map(|rate| format!("{number} {rate}")).join("\n")
    };
    assert_eq!(bundle.run_with(&limits(resources), script).ok(), says, "linux.resources.blockIO");
}

#[test]
fn a_group_below_is_the_users_of_the_container_on_v2_alone() {
    let bundle = Bundle::new();
    let status = std::process::Command::new("chown")
        .args(["-R", "100000:100000"])
        .arg(bundle.path("rootfs"))
        .status();
    assert!(status.unwrap().success());
    let open: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bundle.path("."), open).unwrap();
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]);
    let change = |options: Value| {
        json!({
            "linux": {"+namespaces": [{"type": "user"}], "uidMappings": map, "gidMappings": map},
            "+mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options}],
        })
    };
    if !is_v2() {
        let out = bundle.run_with(
            &change(json!(["nosuid"])),
            "mkdir /sys/fs/cgroup/memory/x 2>/dev/null || echo refused",
        );
        assert_eq!(out.ok(), "refused", "cgroup ownership: not on v1");
        return;
    }
    bundle.check(&[
        row(
            "cgroup ownership",
            change(json!(["nosuid", "noexec", "nodev"])),
            "cd /sys/fs/cgroup; mkdir x && echo made; stat -c %u . cgroup.procs cgroup.subtree_control memory.max; rmdir x",
            "made\n0\n0\n0\n65534",
        ),
        row(
            "cgroup ownership: not where it is mounted read-only",
            change(json!(["nosuid", "ro"])),
            "stat -c %u /sys/fs/cgroup/cgroup.procs",
            "65534",
        ),
    ]);
}

#[test]
fn intel_rdt_needs_its_file_system() {
    let mounted = std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(" - resctrl ");
    if mounted {
        return;
    }
    Bundle::new().check_refused(&[(
        "linux.intelRdt",
        json!({"linux": {"intelRdt": {"closID": "gold", "schemata": ["L3:0=f"]}}}),
        "intelRdt",
    )]);
}

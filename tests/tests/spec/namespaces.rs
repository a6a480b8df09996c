//! config-linux.md, "Namespaces", "User namespace mappings", "Offset for Time Namespace", "Sysctl", "Personality";
//! config.md, "Hostname", "Domainname".

use crate::rig::{Bundle, has_capability, row};
use serde_json::{Value, json};
use std::process::Command;

const KINDS: [&str; 7] = ["pid", "mnt", "uts", "ipc", "net", "cgroup", "time"];

fn host(kind: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_string_lossy().into_owned()
}

fn namespaces(kinds: &[&str]) -> Value {
    let all: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
    json!({"linux": {"namespaces": all}})
}

/// Which of a container's namespaces are the host's.
fn shared(out: &str) -> Vec<&'static str> {
    KINDS.into_iter().filter(|kind| out.contains(&host(kind))).collect()
}

#[test]
fn a_namespace_that_is_listed_is_new_and_another_is_the_hosts() {
    let bundle = Bundle::new();
    let look = "for kind in pid mnt uts ipc net cgroup time; do readlink /proc/self/ns/$kind; done";
    let all = ["pid", "mount", "uts", "ipc", "network", "cgroup", "time"];
    let out = bundle.run_with(&namespaces(&all), look).ok();
    assert_eq!(shared(&out), [""; 0], "config-linux.md linux.namespaces: {out}");
    // Without a new one neither the name nor the tables may be touched.
    let change = json!({
        "hostname": null,
        "linux": {"namespaces": [{"type": "mount"}]},
        "mounts": [
            {"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]},
        ],
    });
    let out = bundle.run_with(&change, look).ok();
    assert_eq!(shared(&out), ["pid", "uts", "ipc", "net", "cgroup", "time"], "{out}");
}

#[test]
fn a_namespace_with_a_path_is_joined() {
    let bundle = Bundle::new();
    let held = Bundle::new();
    let container = held.start(&json!({"hostname": "first"}), "sleep 600");
    let path = |kind: &str| format!("/proc/{}/ns/{kind}", container.pid());
    let change = json!({"hostname": null, "linux": {"namespaces": [
        {"type": "mount"}, {"type": "pid", "path": path("pid")}, {"type": "uts", "path": path("uts")},
        {"type": "ipc", "path": path("ipc")}, {"type": "network", "path": path("net")},
    ]}});
    let out = bundle.run_with(&change, "hostname; for kind in uts ipc net pid; do readlink /proc/self/ns/$kind; done; pidof sleep").ok();
    let mut expected = vec!["first".to_owned()];
    for kind in ["uts", "ipc", "net", "pid"] {
        let link = std::fs::read_link(path(kind)).unwrap();
        expected.push(link.to_string_lossy().into_owned());
    }
    expected.push("1".to_owned());
    assert_eq!(out.lines().collect::<Vec<_>>(), expected, "config-linux.md linux.namespaces.path");
}

#[test]
fn a_new_user_namespace_has_the_mappings() {
    let bundle = Bundle::new();
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 1000}, {"containerID": 5000, "hostID": 7, "size": 1}]);
    let change = json!({"linux": {
        "+namespaces": [{"type": "user"}], "uidMappings": map, "gidMappings": map,
    }});
    let chown = |path: &std::path::Path| {
        let status = Command::new("chown").args(["-R", "100000:100000"]).arg(path).status();
        assert!(status.unwrap().success());
    };
    chown(&bundle.path("rootfs"));
    let open: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bundle.path("."), open).unwrap();
    bundle.check(&[
        row(
            "linux.uidMappings, linux.gidMappings",
            change.clone(),
            "cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; id -u",
            " 0 100000 1000\n 5000 7 1\n 0 100000 1000\n 5000 7 1\n0",
        ),
        row(
            "namespaces: user: a file of root inside is one of the mapped user",
            change.clone(),
            "stat -c %u:%g /bin/busybox; touch /tmp/made",
            "0:0",
        ),
        row(
            "namespaces: user: nothing of the host's can be changed",
            change,
            "(echo 1 > /proc/sys/kernel/printk) 2>/dev/null && echo written || echo refused",
            "refused",
        ),
    ]);
    let owner =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(bundle.rootfs("tmp/made")).unwrap());
    assert_eq!(owner, 100_000);
}

#[test]
fn clocks_names_and_parameters_are_the_containers_own() {
    let bundle = Bundle::new();
    bundle.check(&[
        row("hostname", json!({"hostname": "spec-box"}), "hostname", "spec-box"),
        row("domainname", json!({"domainname": "example.org"}), "cat /proc/sys/kernel/domainname", "example.org"),
        row(
            "linux.timeOffsets",
            json!({"linux": {
                "+namespaces": [{"type": "time"}],
                "timeOffsets": {"monotonic": {"secs": 172_800, "nanosecs": 7}, "boottime": {"secs": 604_800}},
            }}),
            "tr -s ' ' < /proc/self/timens_offsets; awk '{print ($1 > 600000)}' /proc/uptime",
            "monotonic 172800 7\nboottime 604800 0\n1",
        ),
        row(
            "linux.sysctl",
            json!({"linux": {"sysctl": {"net.ipv4.ip_forward": "1", "kernel.shmmax": "12345", "net/ipv4/ip_default_ttl": "33"}}}),
            "cd /proc/sys; cat net/ipv4/ip_forward kernel/shmmax net/ipv4/ip_default_ttl",
            "1\n12345\n33",
        ),
        row("linux.personality", json!({"linux": {"personality": {"domain": "LINUX32"}}}), "uname -m | sed 's/.*86$/32/'", "32"),
        row("linux.personality: LINUX", json!({"linux": {"personality": {"domain": "LINUX"}}}), "uname -m | grep -c 64", "1"),
    ]);
    assert_ne!(std::fs::read_to_string("/proc/sys/kernel/shmmax").unwrap().trim(), "12345");
}

#[test]
fn memory_is_taken_from_the_nodes_that_are_said() {
    let bundle = Bundle::new();
    let policy = |policy: Value| json!({"linux": {"memoryPolicy": policy}});
    let shown = "grep -m1 -o ' \\(bind\\|prefer\\|interleave\\|default\\|local\\)[^ ]*' /proc/self/numa_maps | tr -d ' '";
    if !std::path::Path::new("/proc/self/numa_maps").exists() {
        return;
    }
    bundle.check(&[
        row(
            "linux.memoryPolicy: MPOL_BIND",
            policy(json!({"mode": "MPOL_BIND", "nodes": "0"})),
            shown,
            "bind:0",
        ),
        row(
            "linux.memoryPolicy: flags",
            policy(json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]})),
            shown,
            "bind=static:0",
        ),
        row(
            "linux.memoryPolicy: MPOL_DEFAULT",
            policy(json!({"mode": "MPOL_DEFAULT"})),
            shown,
            "default",
        ),
    ]);
}

#[test]
fn an_interface_of_the_host_moves_into_the_container_with_its_address() {
    if !has_capability(12) {
        return;
    }
    // The host is a network namespace of this test's own.
    let bundle = Bundle::new();
    let (short, runtime) =
        (bundle.tag.replace("cofferspec", "cs").replace('n', "x"), bundle.runtime(&[]));
    let change = json!({"linux": {"netDevices": {&short: {"name": "inner0"}}}});
    bundle.write(&change, "ip -o -4 address show inner0 | tr -s ' ' | cut -d' ' -f2,4; ip link show inner0 | grep -c '[<,]UP'");
    let program = runtime.get_program().to_string_lossy().into_owned();
    let script = format!(
        "ip link add {short} type veth peer name {short}p && ip address add 192.0.2.7/24 dev {short} && \
         ip link set {short} up && {program} --root {} run --bundle {} {}",
        bundle.path("state").display(),
        bundle.path(".").display(),
        bundle.id("net"),
    );
    let output = Command::new("unshare").args(["--net", "sh", "-c", &script]).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(out, "inner0 192.0.2.7/24\n1\n", "config-linux.md linux.netDevices: {output:?}");
}

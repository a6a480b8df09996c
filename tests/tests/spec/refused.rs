//! Values that are wrong: one line that names the field, before anything is made (config.md, "must" and "MUST generate an
//! error").

use crate::rig::{Bundle, is_v2};
use serde_json::{Value, json};

fn mounts(mount: Value) -> Value {
    json!({"+mounts": [mount]})
}

fn process(process: Value) -> Value {
    json!({"process": process})
}

fn linux(linux: Value) -> Value {
    json!({"linux": linux})
}

#[test]
fn a_wrong_value_of_config_md_is_refused_with_its_field() {
    Bundle::new().check_refused(&[
        ("ociVersion: missing", json!({"ociVersion": null}), "ociVersion"),
        ("ociVersion: no version", json!({"ociVersion": "one"}), "ociVersion"),
        ("ociVersion: another major", json!({"ociVersion": "7.0.0"}), "ociVersion"),
        ("root: missing", json!({"root": null}), "root"),
        ("root.path: missing", json!({"root": {"path": "nowhere"}}), "nowhere"),
        ("process: missing for start", json!({"process": null}), "process"),
        ("process.args: empty", process(json!({"args": []})), "process.args"),
        ("process.args: a NUL", process(json!({"args": ["/bin/sh\u{0}"]})), "process.args"),
        ("process.cwd: relative", process(json!({"cwd": "var"})), "process.cwd"),
        ("process.cwd: empty", process(json!({"cwd": ""})), "process.cwd"),
        ("process.env: no equals sign", process(json!({"env": ["A"]})), "process.env"),
        ("process.rlimits.type", process(json!({"rlimits": [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]})), "process.rlimits"),
        ("process.rlimits: twice", process(json!({"rlimits": [
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]})), "process.rlimits"),
        ("process.rlimits: soft above hard", process(json!({"rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]})), "process.rlimits"),
        ("process.scheduler.policy", process(json!({"scheduler": {"policy": "SCHED_X"}})), "process.scheduler.policy"),
        ("process.ioPriority.class", process(json!({"ioPriority": {"class": "IOPRIO_X", "priority": 1}})), "process.ioPriority.class"),
        ("process.ioPriority.priority", process(json!({"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 9}})), "process.ioPriority.priority"),
        ("process.oomScoreAdj", process(json!({"oomScoreAdj": 1001})), "process.oomScoreAdj"),
        ("process.execCPUAffinity", process(json!({"execCPUAffinity": {"initial": "x"}})), "execCPUAffinity"),
        ("mounts.destination: relative", mounts(json!({"destination": "../x", "type": "tmpfs", "source": "x"})), "destination"),
        ("mounts.source: missing", mounts(json!({"destination": "/x", "type": "bind", "source": "/no/such", "options": ["bind"]})), "/no/such"),
        ("mounts.type: unknown", mounts(json!({"destination": "/x", "type": "nofs", "source": "x"})), "/x"),
        ("mounts: inside /proc", mounts(json!({"destination": "/proc/sys/kernel", "type": "tmpfs", "source": "x"})), "/proc"),
        ("hooks.path: relative", json!({"hooks": {"createRuntime": [{"path": "sh"}]}}), "hooks"),
        ("hooks.timeout", json!({"hooks": {"createRuntime": [{"path": "/bin/true", "timeout": 0}]}}), "timeout"),
        ("hostname without its namespace", json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}}), "hostname"),
        ("a type that is wrong", process(json!({"cwd": 7})), "cwd"),
    ]);
}

#[test]
fn a_wrong_value_of_config_linux_md_is_refused_with_its_field() {
    let filter = |filter: Value| linux(json!({"seccomp": filter}));
    Bundle::new().check_refused(&[
        ("namespaces.type", linux(json!({"+namespaces": [{"type": "moon"}]})), "namespaces"),
        ("namespaces: twice", linux(json!({"+namespaces": [{"type": "pid"}]})), "namespaces"),
        ("namespaces.path: relative", linux(json!({"+namespaces": [{"type": "user", "path": "x"}]})), "namespaces"),
        ("namespaces.path: another kind", json!({"hostname": null, "linux": {"namespaces": [
            {"type": "mount"}, {"type": "pid"}, {"type": "network", "path": "/proc/self/ns/uts"}]}}), "of another type"),
        ("uidMappings without the namespace", linux(json!({"uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]})), "Mappings"),
        ("uidMappings: overlap", linux(json!({"+namespaces": [{"type": "user"}],
            "gidMappings": [{"containerID": 0, "hostID": 0, "size": 9}],
            "uidMappings": [{"containerID": 0, "hostID": 0, "size": 9}, {"containerID": 5, "hostID": 50, "size": 9}]})), "Mappings"),
        ("timeOffsets without the namespace", linux(json!({"timeOffsets": {"monotonic": {"secs": 1}}})), "timeOffsets"),
        ("timeOffsets: an unknown clock", linux(json!({"+namespaces": [{"type": "time"}], "timeOffsets": {"sundial": {"secs": 1}}})), "timeOffsets"),
        ("devices.type", linux(json!({"devices": [{"path": "/dev/x", "type": "q", "major": 1, "minor": 1}]})), "devices"),
        ("devices.path: relative", linux(json!({"devices": [{"path": "dev/x", "type": "c", "major": 1, "minor": 1}]})), "devices"),
        ("resources.devices.type", linux(json!({"resources": {"devices": [{"allow": true, "type": "q", "access": "r"}]}})), "devices"),
        ("resources.devices.access", linux(json!({"resources": {"devices": [{"allow": true, "type": "c", "access": "x"}]}})), "devices"),
        ("sysctl: the host's", linux(json!({"sysctl": {"kernel.panic": "1"}})), "sysctl"),
        ("sysctl: without its namespace", json!({"linux": {"sysctl": {"net.core.somaxconn": "9"}, "namespaces": [
            {"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "cgroup"}]}}), "sysctl"),
        ("rootfsPropagation", linux(json!({"rootfsPropagation": "wild"})), "rootfsPropagation"),
        ("personality.domain", linux(json!({"personality": {"domain": "SOLARIS"}})), "personality"),
        ("memoryPolicy.mode", linux(json!({"memoryPolicy": {"mode": "MPOL_X", "nodes": "0"}})), "memoryPolicy"),
        ("cgroupsPath: leads upwards", linux(json!({"cgroupsPath": "/a/../../b"})), "cgroupsPath"),
        ("seccomp.defaultAction", filter(json!({"defaultAction": "SCMP_ACT_X"})), "defaultAction"),
        ("seccomp.architectures", filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X"]})), "architectures"),
        ("seccomp.flags", filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]})), "flags"),
        ("seccomp.syscalls.names: missing", filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_LOG"}]})), "names"),
        ("seccomp.syscalls.args.op", filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 1, "op": "=="}]}]})), "op"),
        ("seccomp.syscalls.args.index", filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]})), "index"),
        ("seccomp: notify without a listener", filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]})), "listenerPath"),
        ("seccomp: metadata without a listener", filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"})), "listenerMetadata"),
        ("seccomp.syscalls.errnoRet: of an action without", filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir"], "action": "SCMP_ACT_KILL", "errnoRet": 1}]})), "errnoRet"),
        ("seccomp.defaultErrnoRet: of an action without", filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1})), "defaultErrnoRet"),
        ("seccomp: notify for write", filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x", "syscalls": [
            {"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]})), "SCMP_ACT_NOTIFY"),
        ("seccomp: notify for all", filter(json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"})), "SCMP_ACT_NOTIFY"),
    ]);
}

#[test]
fn a_limit_that_no_kernel_takes_is_refused_with_its_field() {
    let limit = |resources: Value| linux(json!({"resources": resources}));
    let mut rows = vec![
        ("memory.swappiness", limit(json!({"memory": {"swappiness": 101}})), "memory.swappiness"),
        ("cpu.cpus: no list", limit(json!({"cpu": {"cpus": "a-b"}})), "cpu.cpus"),
        (
            "cpu.cpus: processors that are not there",
            limit(json!({"cpu": {"cpus": "4000"}})),
            "cpuset.cpus",
        ),
        ("cpu.quota: too small", limit(json!({"cpu": {"quota": 1}})), "cpu"),
        ("cpu.period: too small", limit(json!({"cpu": {"period": 1}})), "cpu"),
        ("cpu.idle", limit(json!({"cpu": {"idle": 7}})), "cpu.idle"),
        ("blockIO.weight", limit(json!({"blockIO": {"weight": 5}})), "blockIO.weight"),
        (
            "hugepageLimits.pageSize",
            limit(json!({"hugepageLimits": [{"pageSize": "2 MB/", "limit": 1}]})),
            "pageSize",
        ),
        ("rdma: no name", limit(json!({"rdma": {"a b": {"hcaHandles": 1}}})), "rdma"),
        ("unified: a path", limit(json!({"unified": {"memory/max": "1"}})), "unified"),
        (
            "unified: no controller",
            limit(json!({"unified": {"nosuch.max": "1"}})),
            if is_v2() { "nosuch" } else { "unified" },
        ),
        ("pids: a type that is wrong", limit(json!({"pids": {"limit": "many"}})), "pids"),
    ];
    if !is_v2() {
        rows.push(("cpu.shares: too small", limit(json!({"cpu": {"shares": 1}})), "cpu.shares"));
        rows.push((
            "cpu.shares: too large",
            limit(json!({"cpu": {"shares": 262_145}})),
            "cpu.shares",
        ));
        rows.push(("network: not mounted", limit(json!({"network": {"classID": 1}})), "net_cls"));
    } else {
        rows.push((
            "memory.swap: less than memory",
            limit(json!({"memory": {"limit": 9_000_000, "swap": 8_000_000}})),
            "memory.swap",
        ));
        rows.push((
            "memory.swap: without memory",
            limit(json!({"memory": {"swap": 8_000_000}})),
            "memory.swap",
        ));
    }
    Bundle::new().check_refused(&rows);
}

#[test]
fn a_file_that_is_no_specification_is_refused() {
    let bundle = Bundle::new();
    let long = format!("{{\"ociVersion\": \"1.3.0\", \"hostname\": \"{}\"}}", "x".repeat(64 << 20));
    for (name, text, words) in [
        ("not JSON", "{\"ociVersion\": ".to_owned(), "config.json"),
        ("not an object", "[]".to_owned(), "config.json"),
        ("empty", String::new(), "config.json"),
        ("too long", long, "config.json"),
    ] {
        bundle.write_raw(text.as_bytes());
        let ran = bundle.run("raw");
        assert!(
            ran.code == Some(1) && ran.err.contains(words) && ran.err.lines().count() == 1,
            "{name}: {}",
            &ran.err.get(..300).unwrap_or(&ran.err)
        );
    }
    std::fs::remove_file(bundle.path("config.json")).unwrap();
    let ran = bundle.run("none");
    assert!(ran.code == Some(1) && ran.err.contains("config.json"), "{ran:?}");
}

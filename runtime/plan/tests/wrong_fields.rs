//! A value that is wrong is refused with one line that names field, value and what is allowed, before anything exists.

#![expect(clippy::unwrap_used, reason = "tests")]

use plan::{Given, Plan, SourceKind};
use spec::oci::{
    Device, IdMapping, Linux, MemoryPolicy, Mount, Namespace, Personality, Process, Rlimit,
    Scheduler, Spec, TimeOffset,
};
use sys::clone::Namespaces;

fn bundle() -> Spec {
    let mut spec: Spec = serde_json::from_str(include_str!("docker_bundle.json")).unwrap();
    spec.mounts.truncate(4);
    spec
}

fn given() -> Given {
    Given { administrator: true, sources: vec![None; 4], ..Given::default() }
}

fn sentence(change: impl FnOnce(&mut Spec)) -> String {
    let mut spec = bundle();
    change(&mut spec);
    Plan::new(&spec, &given()).unwrap_err().to_string()
}

fn process(change: impl FnOnce(&mut Process)) -> String {
    sentence(|spec| change(spec.process.as_mut().unwrap()))
}

fn linux(change: impl FnOnce(&mut Linux)) -> String {
    sentence(|spec| change(spec.linux.as_mut().unwrap()))
}

fn scheduler(change: impl FnOnce(&mut Scheduler)) -> String {
    process(|process| {
        let mut scheduler = Scheduler { policy: "SCHED_OTHER".to_owned(), ..Scheduler::default() };
        change(&mut scheduler);
        process.scheduler = Some(scheduler);
    })
}

fn device(change: impl FnOnce(&mut Device)) -> String {
    linux(|linux| {
        let (path, kind) = ("/dev/x".to_owned(), "c".to_owned());
        let mut device = Device { path, kind, ..Device::default() };
        change(&mut device);
        linux.devices = vec![device];
    })
}

fn in_user_namespace(maps: &[(u32, u32, u32)]) -> impl FnOnce(&mut Linux) {
    let map = |(container_id, host_id, size): &(u32, u32, u32)| IdMapping {
        container_id: *container_id,
        host_id: *host_id,
        size: *size,
    };
    let maps: Vec<_> = maps.iter().map(map).collect();
    move |linux: &mut Linux| {
        linux.namespaces.push(Namespace { kind: "user".to_owned(), path: None });
        (linux.uid_mappings, linux.gid_mappings) = (maps.clone(), maps);
    }
}

fn mount(change: impl FnOnce(&mut Mount)) -> String {
    sentence(|spec| {
        let (destination, kind) = ("/x".to_owned(), Some("tmpfs".to_owned()));
        let mut mount = Mount { destination, kind, ..Mount::default() };
        change(&mut mount);
        spec.mounts[3] = mount;
    })
}

fn time_offset(clock: &str, offset: TimeOffset, namespace: bool) -> String {
    linux(|linux| {
        if namespace {
            linux.namespaces.push(Namespace { kind: "time".to_owned(), path: None });
        }
        linux.time_offsets.insert(clock.to_owned(), offset);
    })
}

fn memory(mode: &str, nodes: &str, flags: &[&str]) -> String {
    linux(|linux| {
        linux.memory_policy = Some(MemoryPolicy {
            mode: mode.to_owned(),
            nodes: nodes.to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        });
    })
}

#[test]
fn wrong_values_of_the_process() {
    let limit = |kind: &str| Rlimit { kind: kind.to_owned(), soft: 1, hard: 1 };
    for (said, wanted) in [
        (
            process(|p| p.args[0] = "a\0b".to_owned()),
            "invalid process.args[0] \"a\\0b\": must be text without zero bytes",
        ),
        (
            process(|p| p.env.push("novalue".to_owned())),
            "invalid process.env[2] \"novalue\": must be NAME=value",
        ),
        (process(|p| p.cwd = String::new()), "invalid process.cwd \"\": must be an absolute path"),
        (
            process(|p| p.user.uid = u32::MAX),
            "invalid process.user.uid \"4294967295\": must be 0 to 4294967294",
        ),
        (
            process(|p| p.user.gid = u32::MAX),
            "invalid process.user.gid \"4294967295\": must be 0 to 4294967294",
        ),
        (
            process(|p| p.user.umask = Some(0o1000)),
            "invalid process.user.umask \"1000\": must be 0 to 0777",
        ),
        (
            process(|p| p.user.additional_gids = vec![u32::MAX]),
            "invalid process.user.additionalGids \"4294967295\": must be 0 to 4294967294",
        ),
        (
            process(|p| {
                p.terminal = true;
                p.console_size = Some(spec::oci::ConsoleSize { height: 70_000, width: 1 });
            }),
            "invalid process.consoleSize \"70000\": must be 0 to 65535",
        ),
        (
            process(|p| p.rlimits = vec![limit("RLIMIT_X")]),
            "invalid process.rlimits[0].type \"RLIMIT_X\": must be a limit of prlimit(2), such as RLIMIT_NOFILE",
        ),
        (
            process(|p| p.rlimits = vec![limit("RLIMIT_CORE"), limit("RLIMIT_CORE")]),
            "invalid process.rlimits[1].type \"RLIMIT_CORE\": must be named once",
        ),
        (
            process(|p| {
                (p.apparmor_profile, p.selinux_label) = (Some("a".to_owned()), Some("b".to_owned()))
            }),
            "invalid process.selinuxLabel \"b\": must be empty beside an AppArmor profile",
        ),
        (
            process(|p| {
                let class = "IOPRIO_CLASS_NONE".to_owned();
                p.io_priority = Some(spec::oci::IoPriority { class, priority: 0 });
            }),
            "invalid process.ioPriority.class \"IOPRIO_CLASS_NONE\": must be one of IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE",
        ),
        (
            process(|p| {
                let class = "IOPRIO_CLASS_RT".to_owned();
                p.io_priority = Some(spec::oci::IoPriority { class, priority: 8 });
            }),
            "invalid process.ioPriority.priority \"8\": must be 0 to 7",
        ),
        (
            process(|p| {
                let last = Some("3-1".to_owned());
                p.exec_cpu_affinity = Some(spec::oci::CpuAffinity { initial: None, last });
            }),
            "invalid process.execCPUAffinity.final \"3-1\": must be a list such as 0-3,7 of numbers below 8192",
        ),
        (
            process(|p| {
                let initial = Some("x".to_owned());
                p.exec_cpu_affinity = Some(spec::oci::CpuAffinity { initial, last: None });
            }),
            "invalid process.execCPUAffinity.initial \"x\": must be a list such as 0-3,7 of numbers below 8192",
        ),
    ] {
        assert_eq!(said, wanted);
    }
}

#[test]
fn wrong_values_of_the_scheduler() {
    for (said, wanted) in [
        (
            scheduler(|s| s.policy = "SCHED_X".to_owned()),
            "invalid process.scheduler.policy \"SCHED_X\": must be one of SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE",
        ),
        (
            scheduler(|s| s.nice = Some(20)),
            "invalid process.scheduler.nice \"20\": must be -20 to 19",
        ),
        (
            scheduler(|s| (s.policy, s.nice) = ("SCHED_IDLE".to_owned(), Some(1))),
            "invalid process.scheduler.nice \"1\": must be 0 but for SCHED_OTHER and SCHED_BATCH",
        ),
        (
            scheduler(|s| s.priority = Some(1)),
            "invalid process.scheduler.priority \"1\": must be 0 for this policy",
        ),
        (
            scheduler(|s| (s.policy, s.priority) = ("SCHED_RR".to_owned(), Some(100))),
            "invalid process.scheduler.priority \"100\": must be 1 to 99",
        ),
        (
            scheduler(|s| s.policy = "SCHED_FIFO".to_owned()),
            "invalid process.scheduler.priority \"0\": must be 1 to 99",
        ),
        (
            scheduler(|s| s.period = Some(5)),
            "invalid process.scheduler.period \"5\": must be absent but for SCHED_DEADLINE",
        ),
    ] {
        assert_eq!(said, wanted);
    }
    let said = scheduler(|s| s.flags = vec!["X".to_owned()]);
    assert!(
        said.starts_with(
            "invalid process.scheduler.flags \"X\": must be one of SCHED_FLAG_RESET_ON_FORK"
        ),
        "{said}"
    );
}

#[test]
fn wrong_values_of_namespaces_and_ids() {
    let no_offset = TimeOffset::default();
    for (said, wanted) in [
        (
            linux(|l| l.namespaces.push(Namespace { kind: "pid".to_owned(), path: None })),
            "invalid linux.namespaces[6].type \"pid\": must be named once",
        ),
        (
            linux(|l| l.namespaces.push(Namespace { kind: "user".to_owned(), path: None })),
            "invalid specification: linux.uidMappings is missing",
        ),
        (
            linux(|l| l.uid_mappings = vec![IdMapping { container_id: 0, host_id: 1, size: 1 }]),
            "invalid linux.uidMappings \"1 ranges\": must be empty without a new user namespace",
        ),
        (
            linux(in_user_namespace(&[(0, 1000, 0)])),
            "invalid linux.uidMappings[0] \"0 1000 0\": must be a range of 1 or more ids below 4294967295",
        ),
        (
            linux(in_user_namespace(&[(0, 4_294_967_290, 10)])),
            "invalid linux.uidMappings[0] \"0 4294967290 10\": must be a range of 1 or more ids below 4294967295",
        ),
        (
            linux(in_user_namespace(&[(0, 1000, 10), (9, 2000, 10)])),
            "invalid linux.uidMappings \"9 2000 10\": must be ranges that do not overlap",
        ),
        (
            linux(in_user_namespace(&[(0, 1000, 10), (10, 1005, 10)])),
            "invalid linux.uidMappings \"10 1005 10\": must be ranges that do not overlap",
        ),
        (
            sentence(|spec| {
                in_user_namespace(&[(0, 1000, 10)])(spec.linux.as_mut().unwrap());
                spec.process.as_mut().unwrap().user.uid = 10;
            }),
            "invalid process.user.uid \"10\": must be mapped by linux.uidMappings",
        ),
        (
            time_offset("realtime", no_offset, true),
            "invalid linux.timeOffsets \"realtime\": must be monotonic or boottime",
        ),
        (
            time_offset("boottime", no_offset, false),
            "invalid linux.timeOffsets.boottime \"0 s 0 ns\": must be absent without a new time namespace",
        ),
        (
            time_offset("boottime", TimeOffset { secs: 0, nanosecs: 1_000_000_000 }, true),
            "invalid linux.timeOffsets.boottime.nanosecs \"1000000000\": must be 0 to 999999999",
        ),
    ] {
        assert_eq!(said, wanted);
    }
    let mut spec = bundle();
    let joined = |kind: &str| Namespace { kind: kind.to_owned(), path: Some("/n".to_owned()) };
    spec.linux.as_mut().unwrap().namespaces = vec![joined("mount")];
    let given = Given { joined: Namespaces::MOUNT, ..given() };
    assert_eq!(
        Plan::new(&spec, &given).unwrap_err().to_string(),
        "unsupported linux.namespaces mount: its root is changed, which others in it would see"
    );
}

#[test]
fn wrong_values_of_mounts_and_devices() {
    for (said, wanted) in [
        (
            mount(|m| m.destination = "/".to_owned()),
            "invalid mounts[3].destination \"/\": must be below the root",
        ),
        (
            mount(|m| m.destination = String::new()),
            "invalid mounts[3].destination \"\": must be an absolute path",
        ),
        (
            mount(|m| m.options = vec!["=x".to_owned()]),
            "invalid mounts[3].options \"=x\": must be NAME or NAME=value of at most 255 bytes",
        ),
        (
            mount(|m| m.options = vec!["copy-symlink".to_owned()]),
            "unsupported mounts[3].options: option \"copy-symlink\"",
        ),
        (
            mount(|m| {
                (m.kind, m.options) = (Some("proc".to_owned()), vec!["tmpcopyup".to_owned()])
            }),
            "invalid mounts[3].options \"tmpcopyup\": must be on a tmpfs only",
        ),
        (
            mount(|m| m.options = vec!["idmap".to_owned()]),
            "unsupported mounts[3]: only bind mounts can be idmapped",
        ),
        (
            mount(|m| m.kind = Some("none".to_owned())),
            "invalid mounts[3].type \"none\": must be bind or one of proc, sysfs, tmpfs, devpts, mqueue, cgroup, cgroup2, bpf",
        ),
        (
            linux(|l| l.mount_label = Some("label".to_owned())),
            "unsupported linux.mountLabel: SELinux is not enabled",
        ),
        (
            linux(|l| l.rootfs_propagation = Some("mine".to_owned())),
            "invalid linux.rootfsPropagation \"mine\": must be private, slave, shared or unbindable",
        ),
        (
            linux(|l| l.masked_paths = vec!["proc".to_owned()]),
            "invalid linux.maskedPaths[0] \"proc\": must be an absolute path",
        ),
        (
            linux(|l| l.readonly_paths = vec!["x".to_owned()]),
            "invalid linux.readonlyPaths[0] \"x\": must be an absolute path",
        ),
        (
            device(|d| d.kind = "x".to_owned()),
            "invalid linux.devices[0].type \"x\": must be one of c, u, b, p",
        ),
        (
            device(|d| d.path = "x".to_owned()),
            "invalid linux.devices[0].path \"x\": must be an absolute path",
        ),
        (
            device(|d| d.path = "/proc/x".to_owned()),
            "invalid linux.devices[0].path \"/proc/x\": must be outside /proc and /sys",
        ),
        (
            device(|d| d.path = "/".to_owned()),
            "invalid linux.devices[0].path \"/\": must be below the root",
        ),
        (device(|d| d.minor = -1), "invalid linux.devices[0].minor \"-1\": must be 0 to 1048575"),
    ] {
        assert_eq!(said, wanted);
    }
    let mut spec = bundle();
    let options = vec!["bind".to_owned()];
    let map = vec![IdMapping { container_id: 0, host_id: 1, size: 1 }];
    let destination = "/x".to_owned();
    spec.mounts[3] = Mount { destination, options, uid_mappings: map, ..Mount::default() };
    let mut given = given();
    given.sources[3] = Some(SourceKind::Directory);
    assert_eq!(
        Plan::new(&spec, &given).unwrap_err().to_string(),
        "invalid mounts[3].uidMappings and mounts[3].gidMappings \"\": must be given both, or with a user namespace of the container"
    );
}

#[test]
fn wrong_values_of_the_rest() {
    for (said, wanted) in [
        (
            sentence(|s| s.oci_version = "2.0.0".to_owned()),
            "invalid ociVersion \"2.0.0\": must be 1.0.0 to 1.3.0",
        ),
        (
            sentence(|s| s.oci_version = String::new()),
            "invalid ociVersion \"\": must be 1.0.0 to 1.3.0",
        ),
        (
            sentence(|s| s.oci_version = "1.x".to_owned()),
            "invalid ociVersion \"1.x\": must be 1.0.0 to 1.3.0",
        ),
        (sentence(|s| s.linux = None), "invalid specification: linux is missing"),
        (sentence(|s| s.process = None), "invalid specification: process is missing"),
        (
            sentence(|s| {
                s.linux.as_mut().unwrap().namespaces.retain(|n| n.kind != "uts");
                s.hostname = None;
                s.domainname = Some("d".to_owned());
            }),
            "invalid domainname \"d\": must be empty without a UTS namespace",
        ),
        (
            linux(|l| drop(l.sysctl.insert("vm.swappiness".to_owned(), "1".to_owned()))),
            "invalid sysctl \"vm.swappiness\": not in a separate kernel namespace",
        ),
        (
            linux(|l| {
                l.personality = Some(Personality { domain: "BSD".to_owned(), flags: vec![] })
            }),
            "invalid linux.personality.domain \"BSD\": must be one of LINUX, LINUX32",
        ),
        (
            memory("MPOL_X", "", &[]),
            "invalid linux.memoryPolicy.mode \"MPOL_X\": must be one of MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_PREFERRED_MANY, MPOL_WEIGHTED_INTERLEAVE",
        ),
        (
            memory("MPOL_BIND", "", &[]),
            "invalid linux.memoryPolicy.nodes \"\": must be a list such as 0-3,7 for this mode",
        ),
        (
            memory("MPOL_DEFAULT", "1", &[]),
            "invalid linux.memoryPolicy.nodes \"1\": must be empty for this mode",
        ),
        (
            memory("MPOL_BIND", "0", &["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]),
            "invalid linux.memoryPolicy.flags \"MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES\": must be one of both",
        ),
    ] {
        assert_eq!(said, wanted);
    }
}

#[test]
fn versions_of_the_same_major_number_are_taken() {
    for version in ["1.0.0", "1.0.2-dev", "1.3.0", "1.1.0+build", "1.4.0"] {
        let mut spec = bundle();
        spec.oci_version = version.to_owned();
        Plan::new(&spec, &given()).unwrap();
    }
}

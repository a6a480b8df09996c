//! What a policy refuses of a launch, one change against a launch that every policy allows.

use super::*;
use messages::Fd;
use messages::task::{Join, Log, Stdio};
use spec::ContainerId;
use spec::oci;

fn namespaces(kinds: &[&str]) -> Vec<oci::Namespace> {
    kinds.iter().map(|kind| oci::Namespace { kind: (*kind).into(), path: None }).collect()
}

/// Docker's default container.
fn ordinary() -> Launch {
    let capabilities = DEFAULT_CAPABILITIES.map(str::to_owned).to_vec();
    let process = Process {
        capabilities: Some(Capabilities { bounding: capabilities, ..Capabilities::default() }),
        ..Process::default()
    };
    let linux = Linux {
        namespaces: namespaces(&["mount", "pid", "ipc", "uts", "network", "cgroup"]),
        masked_paths: vec!["/proc".into(), "/sys".into()],
        readonly_paths: vec!["/proc".into()],
        ..Linux::default()
    };
    Launch {
        id: ContainerId::from_bytes(&[1; 32]),
        spec: Spec { process: Some(process), linux: Some(linux), ..Spec::default() },
        rootfs: Fd(0),
        mount_sources: vec![],
        netns: None,
        joins: vec![],
        seccomp: Seccomp::Default,
        cgroup_parent: None,
        init: false,
        stdio: Stdio { terminal: None, open_stdin: false, stdin_once: false },
        log: Log::None,
        attaches: vec![],
        channel: Fd(1),
    }
}

/// Forbids all that can be forbidden.
fn strict() -> Policy {
    Policy::of(
        "host-paths = []\ndevices = []\nhost-namespaces = []\ncapabilities = []\nprivileged = false\n\
         seccomp-unconfined = false\nseccomp-profiles = false\nshared-propagation = false",
    )
}

fn linux(launch: &mut Launch) -> &mut Linux {
    launch.spec.linux.as_mut().unwrap()
}

fn process(launch: &mut Launch) -> &mut Process {
    launch.spec.process.as_mut().unwrap()
}

/// What the strict policy and the default one say about one change.
fn judged(change: impl Fn(&mut Launch)) -> (String, Result<(), Failure>) {
    let mut launch = ordinary();
    change(&mut launch);
    let strictly = strict().check_launch(&launch).unwrap_err();
    (strictly.message, Policy::default().check_launch(&launch))
}

#[test]
fn dockers_default_container_is_allowed_by_every_policy() {
    strict().check_launch(&ordinary()).unwrap();
    Policy::default().check_launch(&ordinary()).unwrap();
}

#[test]
fn what_docker_allows_is_refused_only_by_a_policy_that_forbids_it() {
    let add = |launch: &mut Launch| {
        let capabilities = process(launch).capabilities.as_mut().unwrap();
        capabilities.permitted.push("CAP_SYS_ADMIN".into());
    };
    let (message, by_default) = judged(add);
    assert_eq!(message, "capability CAP_SYS_ADMIN is not allowed: the policy forbids it");
    by_default.unwrap();

    let host_pid = |launch: &mut Launch| {
        linux(launch).namespaces.retain(|namespace| namespace.kind != "pid");
    };
    let (message, by_default) = judged(host_pid);
    assert_eq!(message, "the host's pid namespace is not allowed: the policy forbids it");
    by_default.unwrap();

    let (message, by_default) = judged(|launch| launch.seccomp = Seccomp::Unconfined);
    assert_eq!(
        message,
        "a container without system call filter is not allowed: the policy forbids it"
    );
    by_default.unwrap();

    let (message, by_default) = judged(|launch| linux(launch).masked_paths.clear());
    assert_eq!(
        message,
        "a container whose /proc/acpi is not masked is not allowed: the policy forbids it"
    );
    by_default.unwrap();

    let shared = |launch: &mut Launch| {
        launch.spec.mounts.push(Mount {
            destination: "/data".into(),
            options: vec!["rshared".into()],
            ..Mount::default()
        });
        launch.mount_sources.push(Some(Fd(2)));
    };
    let (message, by_default) = judged(shared);
    assert_eq!(message, "shared propagation of /data is not allowed: the policy forbids it");
    by_default.unwrap();
}

#[test]
fn what_would_reach_the_host_behind_the_policys_back_is_always_refused() {
    type Change = fn(&mut Launch);
    let changes: [(&str, Change); 7] = [
        ("a hook", |launch| launch.spec.hooks = Some(oci::Hooks::default())),
        ("a network device of the host", |launch| {
            linux(launch).net_devices.insert("eth0".into(), oci::NetDevice::default());
        }),
        ("the host's mount namespace", |launch| {
            linux(launch).namespaces.retain(|namespace| namespace.kind != "mount");
        }),
        ("a path for the network namespace", |launch| {
            for namespace in &mut linux(launch).namespaces {
                if namespace.kind == "network" {
                    namespace.path = Some("/proc/1/ns/net".into());
                }
            }
        }),
        ("a mount of type \"ext4\" at /data", |launch| {
            launch.spec.mounts.push(Mount {
                destination: "/data".into(),
                kind: Some("ext4".into()),
                source: Some("/dev/sda1".into()),
                ..Mount::default()
            });
            launch.mount_sources.push(None);
        }),
        ("a mount of type \"bind\" at /data", |launch| {
            launch.spec.mounts.push(Mount {
                destination: "/data".into(),
                kind: Some("bind".into()),
                source: Some("/etc".into()),
                ..Mount::default()
            });
        }),
        ("a cgroup path", |launch| linux(launch).cgroups_path = Some("/x".into())),
    ];
    for (what, change) in changes {
        let mut launch = ordinary();
        change(&mut launch);
        let failure = Policy::default().check_launch(&launch).unwrap_err();
        assert_eq!(failure.class, Class::InvalidArgument);
        assert_eq!(
            failure.message,
            format!("{what} is not part of a container that the engine starts")
        );
    }
}

#[test]
fn a_namespace_of_another_container_is_not_the_hosts() {
    let mut launch = ordinary();
    linux(&mut launch).namespaces.retain(|namespace| namespace.kind != "network");
    assert!(strict().check_launch(&launch).is_err());
    let container = ContainerId::from_bytes(&[2; 32]);
    launch.joins.push(Join { kind: Namespace::Network, container });
    strict().check_launch(&launch).unwrap();
}

#[test]
fn a_cgroup_parent_cannot_climb() {
    for parent in ["../x", "a/../..", "", "a//b", "/", "a\0b"] {
        let mut launch = ordinary();
        launch.cgroup_parent = Some(parent.into());
        assert!(Policy::default().check_launch(&launch).is_err(), "{parent:?}");
    }
    let mut launch = ordinary();
    launch.cgroup_parent = Some("/custom/group".into());
    Policy::default().check_launch(&launch).unwrap();
}

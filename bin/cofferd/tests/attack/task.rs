//! What is asked of the task worker: specifications.

use crate::container::{Rig, mount, process};
use crate::rig::{forbidden, forged, invalid};
use messages::Fd;
use messages::task::{Exec, Join, Launch, Log, Namespace, Reply, Request, Seccomp, Stdio};
use spec::{Class, ContainerId, ExecId, oci};
use std::os::fd::{AsFd, OwnedFd};

/// Forbids all that can be forbidden.
pub(crate) const STRICT: &str = "\
host-paths = [\"@/allowed\"]
host-paths-read-only = [\"@/readable\"]
devices = []
host-namespaces = []
capabilities = []
privileged = false
seccomp-unconfined = false
seccomp-profiles = false
shared-propagation = false
";

pub(crate) type Change = Box<dyn Fn(&mut Launch, &mut Vec<OwnedFd>)>;

/// Each launch with one change is refused with its sentence and leaves nothing; the same without it is carried out.
pub(crate) fn refused(rig: &mut Rig, attacks: Vec<(Change, (Class, String))>) {
    for (change, expected) in attacks {
        let (mut launch, mut fds) = rig.launch();
        change(&mut launch, &mut fds);
        let before = rig.traces();
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let refusal = rig.worker.refusal(&Request::Launch(Box::new(launch)), &fds);
        assert_eq!(refusal, expected);
        assert_eq!(rig.traces(), before, "after {expected:?}");
    }
    carried_out(rig);
}

pub(crate) fn carried_out(rig: &mut Rig) {
    let (launch, fds) = rig.launch();
    let id = launch.id.clone();
    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let reply = rig.worker.ask(&Request::Launch(Box::new(launch)), &fds).unwrap().0;
    assert!(matches!(reply, Reply::Started { .. }), "{reply:?}");
    deleted(rig, id);
    assert_eq!(rig.worker.ask(&Request::List, &[]).unwrap().0, Reply::Tasks(vec![]));
}

/// Asked again while the container's shim, whose process has just ended, removes the group at the same time.
pub(crate) fn deleted(rig: &mut Rig, id: ContainerId) {
    let delete = Request::Delete { id, exec: None };
    let attempt = |_| rig.worker.ask(&delete, &[]).is_ok();
    assert!((0..100).any(attempt), "the container cannot be deleted");
}

/// A change of the specification alone.
fn change(change: impl Fn(&mut Launch) + 'static) -> Change {
    Box::new(move |launch, _| change(launch))
}

fn linux(launch: &mut Launch) -> &mut oci::Linux {
    launch.spec.linux.as_mut().unwrap()
}

fn policy(what: &str) -> (Class, String) {
    forbidden(format!("{what} is not allowed: the policy forbids it"))
}

fn absent(what: &str) -> (Class, String) {
    invalid(format!("{what} is not part of a container that the engine starts"))
}

fn without(kind: &'static str) -> Change {
    change(move |launch| linux(launch).namespaces.retain(|namespace| namespace.kind != kind))
}

fn mounted(mount: oci::Mount) -> Change {
    change(move |launch| {
        launch.spec.mounts.push(mount.clone());
        launch.mount_sources.push(None);
    })
}

#[test]
fn what_the_policy_forbids_is_refused_each_alone() {
    let mut rig = Rig::new(STRICT);
    let rule = |kind: &str, major, minor| {
        let rule = oci::DeviceRule {
            allow: true,
            kind: Some(kind.into()),
            major,
            minor,
            access: Some("rwm".into()),
        };
        change(move |launch| {
            linux(launch).resources.as_mut().unwrap().devices.push(rule.clone());
        })
    };
    let capability = |name: &'static str| {
        change(move |launch| {
            let process = launch.spec.process.as_mut().unwrap();
            process.capabilities.as_mut().unwrap().ambient.push(name.into());
        })
    };
    let disk = oci::Device {
        path: "/dev/disk".into(),
        kind: "b".into(),
        major: 8,
        minor: 0,
        ..oci::Device::default()
    };
    let attacks = vec![
        (without("pid"), policy("the host's pid namespace")),
        (without("ipc"), policy("the host's ipc namespace")),
        (without("uts"), policy("the host's uts namespace")),
        (without("network"), policy("the host's network namespace")),
        (capability("CAP_SYS_ADMIN"), policy("capability CAP_SYS_ADMIN")),
        (capability("CAP_SYS_MODULE"), policy("capability CAP_SYS_MODULE")),
        (
            change(|launch| launch.seccomp = Seccomp::Unconfined),
            policy("a container without system call filter"),
        ),
        (
            change(|launch| launch.seccomp = Seccomp::Profile("{}".into())),
            policy("a system call filter other than the built-in one"),
        ),
        (
            change(move |launch| linux(launch).devices.push(disk.clone())),
            policy("device /dev/disk (b 8:0)"),
        ),
        (rule("b", Some(8), Some(0)), policy("device rule b 8:0 rwm")),
        (rule("c", Some(1), Some(1)), policy("device rule c 1:1 rwm")),
        (rule("a", None, None), policy("device rule a *:* rwm")),
        (
            change(|launch| linux(launch).masked_paths = vec!["/nothing".into()]),
            policy("a container whose /proc/acpi is not masked"),
        ),
        (
            change(|launch| linux(launch).readonly_paths.retain(|path| path != "/proc/sys")),
            policy("a container whose /proc/sys is not read-only"),
        ),
        (mounted(mount("/mnt", "proc", &[])), policy("a mount of type proc at \"/mnt\"")),
        (mounted(mount("/mnt", "sysfs", &["ro"])), policy("a mount of type sysfs at \"/mnt\"")),
        (
            change(|launch| launch.spec.mounts[2].options.retain(|option| option != "ro")),
            policy("a writable mount of type sysfs"),
        ),
        (
            change(|launch| launch.spec.mounts[3].options.push("rw".into())),
            policy("a writable mount of type cgroup"),
        ),
        (mounted(mount("/mnt", "tmpfs", &["rshared"])), policy("shared propagation of /mnt")),
    ];
    refused(&mut rig, attacks);
}

#[test]
fn what_no_container_of_the_engine_has_is_refused_under_every_policy() {
    let mut rig = Rig::new("");
    let path = |kind: &'static str| {
        change(move |launch| {
            for namespace in linux(launch).namespaces.iter_mut().filter(|ns| ns.kind == kind) {
                namespace.path = Some(format!("/proc/1/ns/{kind}"));
            }
        })
    };
    let parent = |parent: &str| {
        let parent = parent.to_owned();
        let sentence = format!("invalid cgroup parent {parent:?}: must be a clean path");
        (change(move |launch| launch.cgroup_parent = Some(parent.clone())), invalid(sentence))
    };
    let attacks = vec![
        (change(|launch| launch.spec.hooks = Some(oci::Hooks::default())), absent("a hook")),
        (
            change(|launch| {
                let devices = &mut linux(launch).net_devices;
                devices.insert("eth0".into(), oci::NetDevice::default());
            }),
            absent("a network device of the host"),
        ),
        (
            change(|launch| linux(launch).intel_rdt = Some(oci::IntelRdt::default())),
            absent("intelRdt"),
        ),
        (
            change(|launch| linux(launch).cgroups_path = Some("/system.slice".into())),
            absent("a cgroup path"),
        ),
        (without("mount"), absent("the host's mount namespace")),
        (path("pid"), absent("a path for the pid namespace")),
        (path("network"), absent("a path for the network namespace")),
        (path("mount"), absent("a path for the mount namespace")),
        (mounted(mount("/mnt", "ext4", &[])), absent("a mount of type \"ext4\" at /mnt")),
        (mounted(mount("/mnt", "bind", &["rbind"])), absent("a mount of type \"bind\" at /mnt")),
        (mounted(mount("/mnt", "overlay", &[])), absent("a mount of type \"overlay\" at /mnt")),
        (change(|launch| launch.spec.linux = None), absent("a specification without linux")),
        (change(|launch| launch.spec.process = None), absent("a specification without process")),
        parent("../system.slice"),
        parent("a/../../b"),
        parent("/"),
        parent("a\0b"),
        (
            change(|launch| launch.mount_sources.truncate(1)),
            invalid("there is not one source or none for each mount"),
        ),
        (
            change(|launch| {
                let container = launch.id.clone();
                launch.joins.push(Join { kind: Namespace::Pid, container });
            }),
            (Class::NotFound, String::new()),
        ),
    ];
    let (last, attacks) = {
        let mut attacks = attacks;
        (attacks.pop().unwrap().0, attacks)
    };
    refused(&mut rig, attacks);
    // Joining oneself: there is no such task yet, or it does not run.
    let (mut launch, mut fds) = rig.launch();
    last(&mut launch, &mut fds);
    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let (class, sentence) = rig.worker.refusal(&Request::Launch(Box::new(launch)), &fds);
    assert!(matches!(class, Class::NotFound | Class::Conflict), "{sentence}");
    carried_out(&mut rig);
}

#[test]
fn values_that_would_leave_their_file_or_their_container_are_refused() {
    let mut rig = Rig::new("");
    let name = |name: &'static str| {
        change(move |launch| {
            if let Log::JsonFile { name: own, .. } = &mut launch.log {
                *own = name.into();
            }
        })
    };
    let unified = |file: &'static str| {
        change(move |launch| {
            let resources = linux(launch).resources.as_mut().unwrap();
            resources.unified.insert(file.into(), "1".into());
        })
    };
    let sysctl = |name: &'static str| {
        change(move |launch| {
            linux(launch).sysctl.insert(name.into(), "|/tmp/x".into());
        })
    };
    let attacks = vec![
        name("../evil"),
        name("/etc/cron.d/evil"),
        name(".."),
        name(""),
        name("a\0b"),
        unified("../cgroup.procs"),
        unified("cgroup.procs"),
        sysctl("kernel.core_pattern"),
        sysctl("net/../kernel/core_pattern"),
        sysctl("net.ipv4.../../../kernel/core_pattern"),
        mounted(mount("/proc/sys", "tmpfs", &[])),
        mounted(mount("../mnt", "tmpfs", &[])),
        mounted(mount("/mnt\0/x", "tmpfs", &[])),
        mounted(mount("/", "tmpfs", &[])),
        mounted(mount("/mnt", "tmpfs", &["no-such-option\0"])),
    ];
    for change in attacks {
        let (mut launch, mut fds) = rig.launch();
        change(&mut launch, &mut fds);
        let before = rig.traces();
        let shown =
            format!("{:?} {:?} {:?}", launch.log, launch.spec.mounts.last(), launch.spec.linux);
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let answer = rig.worker.ask(&Request::Launch(Box::new(launch)), &fds).map(drop);
        let spec::Failure { class, message: sentence } = answer.expect_err(&shown);
        assert!(
            matches!(class, Class::InvalidArgument | Class::Forbidden),
            "{class:?} {sentence} for {shown}"
        );
        assert_eq!(rig.traces(), before, "after {sentence}");
    }
    carried_out(&mut rig);
}

#[test]
fn hundreds_of_thousands_of_everything_are_refused_or_bounded() {
    let mut rig = Rig::new("");
    let attacks: Vec<Change> = vec![
        change(|launch| {
            let one = mount("/mnt", "tmpfs", &[]);
            launch.spec.mounts.extend(std::iter::repeat_n(one, 200_000));
            launch.mount_sources.resize(launch.spec.mounts.len(), None);
        }),
        change(|launch| {
            launch.mount_sources = vec![Some(Fd(0)); 300_000];
        }),
        change(|launch| {
            launch.spec.process.as_mut().unwrap().env = vec!["A=B".into(); 1_000_000];
        }),
        change(|launch| {
            launch.spec.process.as_mut().unwrap().args = vec!["x".repeat(1 << 20); 8];
        }),
        change(|launch| {
            let client = messages::shim::Attach {
                number: 0,
                stdin: false,
                stdout: true,
                stderr: true,
                raw: false,
                detach_keys: vec![],
            };
            launch.attaches = vec![(client, Fd(1)); 100_000];
        }),
    ];
    for change in attacks {
        let (mut launch, mut fds) = rig.launch();
        change(&mut launch, &mut fds);
        let before = rig.traces();
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let (_, sentence) = rig.worker.refusal(&Request::Launch(Box::new(launch)), &fds);
        assert!(sentence.len() < 10_000, "{} bytes", sentence.len());
        assert_eq!(rig.traces(), before, "after {sentence}");
    }
    carried_out(&mut rig);
}

#[test]
fn ids_that_are_none_are_refused_and_unknown_ones_do_nothing() {
    let mut rig = Rig::new("");
    let text = "ab".repeat(32);
    let id = ContainerId::parse(&text).unwrap();
    let before = rig.traces();
    let exec = ExecId::parse(&"cd".repeat(32)).unwrap();
    let requests = [
        Request::Delete { id: id.clone(), exec: None },
        Request::Signal { id: id.clone(), exec: None, signal: 9 },
        Request::OpenInit { id: id.clone() },
        Request::Connect { id: id.clone(), exec: None },
        Request::Freeze { id: id.clone() },
        Request::Processes { id: id.clone() },
    ];
    let traversal = "../".repeat(21) + "x";
    for request in &requests {
        for bad in ["", "..", "/", "../../exec/task", &traversal, &"AB".repeat(32), &text[1..]] {
            let failure = rig.worker.ask_raw(&forged(request, &text, bad), &[]).unwrap_err();
            assert_eq!(failure.class, Class::InvalidArgument, "{failure}");
        }
    }
    for request in &requests[1..] {
        assert_eq!(rig.worker.refusal(request, &[]).0, Class::NotFound);
    }
    let signal = Request::Signal { id: id.clone(), exec: Some(exec.clone()), signal: 9 };
    assert_eq!(rig.worker.refusal(&signal, &[]).0, Class::NotFound);
    let (_, channel) = transport::pair().unwrap();
    let exec = Request::Exec(Box::new(Exec {
        id,
        exec,
        process: process(),
        seccomp: Seccomp::Default,
        stdio: Stdio { terminal: None, open_stdin: false, stdin_once: false },
        attaches: vec![],
        channel: Fd(0),
    }));
    assert_eq!(rig.worker.refusal(&exec, &[channel.as_fd()]).0, Class::NotFound);
    assert_eq!(rig.traces(), before);
    carried_out(&mut rig);
}

//! What is asked of the task worker: descriptors that an attacker can open by itself, in place of those that other
//! workers would have given.

use crate::container::{Rig, detached, mount};
use crate::rig::{forbidden, invalid, opath, pidfd};
use crate::task::{Change, STRICT, carried_out, deleted, refused};
use messages::Fd;
use messages::task::{Launch, Log};
use spec::Class;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Puts a descriptor in the place of the one at a position: 0 root, 1 channel, 2 log directory.
fn swapped(position: usize, open: impl Fn() -> OwnedFd + 'static) -> Change {
    Box::new(move |_, fds| fds[position] = open())
}

fn bound(options: &'static [&'static str], open: impl Fn() -> OwnedFd + 'static) -> Change {
    Box::new(move |launch, fds| {
        launch.spec.mounts.push(mount("/mnt", "bind", options));
        launch.mount_sources.push(Some(Fd(u16::try_from(fds.len()).unwrap())));
        fds.push(open());
    })
}

fn netns(open: impl Fn() -> OwnedFd + 'static) -> Change {
    Box::new(move |launch, fds| {
        launch.netns = Some(Fd(u16::try_from(fds.len()).unwrap()));
        fds.push(open());
    })
}

fn file(path: impl AsRef<Path>) -> OwnedFd {
    std::fs::File::open(path).unwrap().into()
}

fn socket() -> OwnedFd {
    std::os::unix::net::UnixStream::pair().unwrap().0.into()
}

fn fifo(path: PathBuf) -> OwnedFd {
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).ok();
    opath(path)
}

#[test]
fn only_a_mount_that_is_attached_nowhere_becomes_a_root() {
    let mut rig = Rig::new("");
    let expected =
        || invalid("the descriptor of the root file system is no mount that is attached nowhere");
    let rootfs = rig.place.path("rootfs");
    let (below, pipe) = (rootfs.clone(), rig.place.path("fifo"));
    fifo(pipe.clone());
    let attacks = vec![
        (swapped(0, || opath("/")), expected()),
        (swapped(0, || opath("/proc/self/root")), expected()),
        (swapped(0, || opath("/etc")), expected()),
        (swapped(0, || opath("/proc")), expected()),
        (swapped(0, move || opath(&rootfs)), expected()),
        (swapped(0, move || fifo(pipe.clone())), expected()),
        (swapped(0, || pidfd(std::process::id().cast_signed())), expected()),
        (swapped(0, socket), expected()),
        (
            swapped(0, move || {
                let top = detached(&below);
                let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
                rustix::fs::openat(top, "bin", flags, rustix::fs::Mode::empty()).unwrap()
            }),
            expected(),
        ),
    ];
    refused(&mut rig, attacks);
}

#[test]
fn what_is_bound_must_lie_where_the_policy_allows() {
    let mut rig = Rig::new(STRICT);
    let at = |name: &str| rig.place.path(name);
    for name in ["allowed/dir", "readable", "data/volumes/good/_data"] {
        std::fs::create_dir_all(at(name)).unwrap();
    }
    let container = at(&format!("data/containers/{}", "ab".repeat(32)));
    std::fs::create_dir(&container).unwrap();
    std::fs::write(container.join("hosts"), "").unwrap();
    std::fs::write(container.join("secret"), "").unwrap();
    std::fs::hard_link(container.join("secret"), container.join("hostname")).unwrap();
    symlink("/etc/shadow", container.join("resolv.conf")).unwrap();
    symlink("/", at("allowed/root")).unwrap();
    let writable = |path: &str| {
        forbidden(format!("host path {path:?} may not be bound writable: the policy forbids it"))
    };
    let readable = |path: &str| {
        forbidden(format!("host path {path:?} may not be bound: the policy forbids it"))
    };
    let nowhere = || invalid("the descriptor of the source of \"/mnt\" is no place of the host");
    let shown = |path: &Path| writable(&path.display().to_string());
    let (planted, linked) = (container.join("resolv.conf"), container.join("hostname"));
    let (through, own) = (at("allowed/root"), container.clone());
    let (data, snapshots) = (at("data"), at("data/snapshots"));
    let (reading, rootfs) = (at("readable"), at("rootfs"));
    let gone = at("allowed/gone");
    let attacks = vec![
        (bound(&["rbind"], || opath("/")), writable("/")),
        (bound(&["rbind", "ro"], || opath("/")), readable("/")),
        (bound(&["rbind"], || opath("/proc/self/root")), writable("/")),
        (bound(&["rbind"], || opath("/etc")), writable("/etc")),
        (bound(&["bind", "ro"], || opath("/etc/shadow")), readable("/etc/shadow")),
        (bound(&["rbind"], || opath("/proc/sys")), writable("/proc/sys")),
        (bound(&["rbind"], move || opath(&through)), writable("/")),
        (bound(&["bind"], move || opath(&planted)), writable("/etc/shadow")),
        (
            bound(&["bind"], {
                let linked = linked.clone();
                move || opath(&linked)
            }),
            shown(&linked),
        ),
        (
            bound(&["rbind"], {
                let own = own.clone();
                move || opath(&own)
            }),
            shown(&own),
        ),
        (
            bound(&["rbind"], {
                let data = data.clone();
                move || opath(&data)
            }),
            shown(&data),
        ),
        (
            bound(&["rbind"], {
                let path = snapshots.clone();
                move || opath(&path)
            }),
            shown(&snapshots),
        ),
        (
            bound(&["rbind", "ro", "rw"], {
                let path = reading.clone();
                move || opath(&path)
            }),
            shown(&reading),
        ),
        (bound(&["rbind"], move || detached(&rootfs)), nowhere()),
        (
            bound(&["bind"], move || {
                std::fs::write(&gone, "").unwrap();
                let opened = opath(&gone);
                std::fs::remove_file(&gone).unwrap();
                opened
            }),
            nowhere(),
        ),
        (bound(&["bind"], socket), nowhere()),
        (bound(&["bind"], || pidfd(std::process::id().cast_signed())), nowhere()),
    ];
    refused(&mut rig, attacks);
    let sources =
        [opath(rig.place.path("allowed/dir")), opath(rig.place.path("data/volumes/good/_data"))];
    for source in sources {
        started(&mut rig, move |launch, fds| {
            bound(&["rbind"], move || source.try_clone().unwrap())(launch, fds);
        });
    }
    let hosts = opath(container.join("hosts"));
    started(&mut rig, move |launch, fds| {
        bound(&["rbind"], move || hosts.try_clone().unwrap())(launch, fds);
        launch.spec.mounts.last_mut().unwrap().destination = "/etc/hosts".into();
    });
}

fn started(rig: &mut Rig, change: impl FnOnce(&mut Launch, &mut Vec<OwnedFd>)) {
    let (mut launch, mut fds) = rig.launch();
    change(&mut launch, &mut fds);
    let id = launch.id.clone();
    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let request = messages::task::Request::Launch(Box::new(launch));
    rig.worker.ask(&request, &fds).unwrap();
    deleted(rig, id);
}

#[test]
fn only_a_network_namespace_that_is_not_the_hosts_is_entered() {
    let mut rig = Rig::new(STRICT);
    let none = || invalid("the descriptor of the network namespace is none");
    let worker = rig.worker.pid();
    let attacks = vec![
        (
            netns(move || file(format!("/proc/{worker}/ns/net"))),
            forbidden("the host's network namespace is not allowed: the policy forbids it"),
        ),
        (netns(|| file("/proc/self/ns/mnt")), none()),
        (netns(|| file("/proc/self/ns/user")), none()),
        (netns(|| pidfd(std::process::id().cast_signed())), none()),
        (netns(|| opath("/")), none()),
        (netns(socket), none()),
    ];
    refused(&mut rig, attacks);
}

#[test]
fn a_log_is_written_only_in_the_containers_own_directory() {
    let mut rig = Rig::new("");
    let containers = rig.place.data().join("containers");
    symlink("/etc", containers.join("link")).unwrap();
    let refusal = "the descriptor of the log's directory is not that of container ";
    let planted = containers.join("link");
    let all = containers.clone();
    let attacks: Vec<Change> = vec![
        swapped(2, || file("/etc")),
        swapped(2, || opath("/etc")),
        swapped(2, || file("/")),
        swapped(2, move || file(&planted)),
        swapped(2, move || file(&all)),
        swapped(2, socket),
        swapped(2, || pidfd(std::process::id().cast_signed())),
    ];
    for change in attacks {
        let (mut launch, mut fds) = rig.launch();
        change(&mut launch, &mut fds);
        if let Log::JsonFile { name, .. } = &mut launch.log {
            *name = "coffer-attack".into();
        }
        let short = launch.id.short().to_owned();
        let before = rig.traces();
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let request = messages::task::Request::Launch(Box::new(launch));
        assert_eq!(rig.worker.refusal(&request, &fds), forbidden(format!("{refusal}{short}")));
        assert_eq!(rig.traces(), before);
        assert!(!Path::new("/etc/coffer-attack").exists());
    }
    carried_out(&mut rig);
}

#[test]
fn a_link_in_the_place_of_the_log_is_not_followed() {
    let mut rig = Rig::new("");
    let target = rig.place.path("target");
    std::fs::write(&target, "untouched").unwrap();
    for hard in [false, true] {
        let (launch, fds) = rig.launch();
        let Log::JsonFile { name, .. } = &launch.log else { panic!("another log") };
        let place = rig.place.data().join("containers").join(launch.id.as_str()).join(name);
        match hard {
            true => std::fs::hard_link(&target, place).unwrap(),
            false => symlink(&target, place).unwrap(),
        }
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let (class, sentence) =
            rig.worker.refusal(&messages::task::Request::Launch(Box::new(launch)), &fds);
        assert!(sentence.starts_with("open log file "), "{class:?} {sentence}");
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "untouched");
    }
    carried_out(&mut rig);
}

#[test]
fn channels_and_clients_must_be_sockets_of_their_kind() {
    let mut rig = Rig::new("");
    let client = |open: fn() -> OwnedFd| -> Change {
        Box::new(move |launch, fds| {
            let attach = messages::shim::Attach {
                number: 1,
                stdin: true,
                stdout: true,
                stderr: true,
                raw: true,
                detach_keys: vec![],
            };
            launch.attaches.push((attach, Fd(u16::try_from(fds.len()).unwrap())));
            fds.push(open());
        })
    };
    let channel = || invalid("the descriptor of the channel is no packet socket");
    let stream = || invalid("the descriptor of a client is no stream socket");
    let attacks = vec![
        (swapped(1, || opath("/")), channel()),
        (swapped(1, || file("/dev/null")), channel()),
        (swapped(1, socket), channel()),
        (client(|| file("/dev/null")), stream()),
        (client(|| opath("/")), stream()),
        (client(datagram), stream()),
        (
            Box::new(|launch: &mut Launch, _: &mut Vec<OwnedFd>| launch.channel = Fd(0)) as Change,
            (Class::InvalidArgument, "message has no descriptor 0".to_owned()),
        ),
    ];
    refused(&mut rig, attacks);
}

fn datagram() -> OwnedFd {
    std::os::unix::net::UnixDatagram::pair().unwrap().0.into()
}

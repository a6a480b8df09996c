//! Paths, copies and volumes.

use crate::cases::{class, mount, stopped, until, with_container};
use crate::engine::{Engine, Item, file_with, key, listing, tar};
use messages::Fd;
use messages::storage::{CopyIn, Reply, Request, Root};
use spec::{Class, ContainerId, Failure, VolumeName};
use std::io::Read;
use std::os::fd::AsFd;

pub(crate) fn stopped_paths() {
    let mut engine = Engine::start();
    with_container(&mut engine);
    let root = mount(&mut engine, "c");
    rustix::fs::symlinkat("/etc/passwd", &root, "users").unwrap();
    rustix::fs::symlinkat("../../../../../..", &root, "up").unwrap();
    rustix::fs::symlinkat("/proc/self/root", &root, "magic").unwrap();
    drop(root);
    let mut stat = |path: &str| {
        let request = Request::Stat { root: stopped(), path: path.as_bytes().to_vec() };
        match engine.ask(&request)?.0 {
            Reply::Stat(stat) => Ok::<_, Failure>(stat),
            other => panic!("{other:?}"),
        }
    };
    let link = stat("/users").unwrap();
    assert_eq!((link.mode & 0o170000, link.link_target), (0o120000, b"/etc/passwd".to_vec()));
    assert_eq!(link.name, b"users");
    let file = stat("up/up/etc//passwd").unwrap();
    assert_eq!((file.size, file.mode, file.read_only), (22, 0o100644, false));
    let top = stat("/../..").unwrap();
    assert_eq!((top.name, top.mode & 0o170000), (b"/".to_vec(), 0o040000));
    let content = stat("/dir/.").unwrap();
    assert_eq!(content.name, b".");
    assert_eq!(stat("/nothing").unwrap_err().class, Class::NotFound);
    assert_eq!(stat("/old/x").unwrap_err().class, Class::InvalidArgument);
    assert_eq!(stat("/magic/etc").unwrap_err().class, Class::NotFound);
    assert_eq!(stat("").unwrap_err().class, Class::InvalidArgument);
    let missing = Root::Stopped { key: key("f"), mounts: vec![] };
    let request = Request::Stat { root: missing, path: b"/".to_vec() };
    assert_eq!(class(engine.ask(&request)), Class::NotFound);
}

pub(crate) fn open_files() {
    let mut engine = Engine::start();
    with_container(&mut engine);
    let mut open = |path: &str, limit| {
        let request = Request::OpenFile { root: stopped(), path: path.as_bytes().to_vec(), limit };
        let (reply, mut fds) = engine.ask(&request)?;
        assert_eq!(reply, Reply::Opened { file: Fd(0), directory: false });
        let mut text = String::new();
        std::fs::File::from(fds.pop().unwrap()).read_to_string(&mut text).unwrap();
        Ok::<_, Failure>(text)
    };
    assert_eq!(open("/etc/passwd", 100).unwrap(), "root:x:0:0::/:/bin/sh\n");
    assert_eq!(open("/sh", 100).unwrap(), "tool");
    let refused = |failure: Failure| (failure.class, failure.message);
    for (path, limit, cause) in [
        ("/etc/passwd", 21, "it has 22 bytes, more than 21"),
        ("/etc/pipe", 100, "it is not a regular file"),
        ("/etc", 100, "it is not a regular file"),
    ] {
        let expected = (Class::InvalidArgument, format!("open file {path}: {cause}"));
        assert_eq!(refused(open(path, limit).unwrap_err()), expected);
    }
    assert_eq!(open("/etc/shadow", 100).unwrap_err().class, Class::NotFound);
}

pub(crate) fn copies() {
    let mut engine = Engine::start();
    with_container(&mut engine);
    let name = VolumeName::parse("data").unwrap();
    engine.ask(&Request::VolumeCreate { name: name.clone() }).unwrap();
    let (_, fds) = engine.ask(&Request::VolumeOpen { name, copy_up: None }).unwrap();
    let volume = &fds[0];
    let mounts = vec![(b"/srv/data".to_vec(), Fd(1))];
    let root = Root::Stopped { key: key("c"), mounts };
    let archive = tar(&[("d/", Item::Dir), ("d/f", Item::File("f")), ("etc", Item::Link("/etc"))]);
    let file = file_with(&archive);
    let copy_in = |path: &str, root: Root| Request::CopyIn {
        root,
        path: path.as_bytes().to_vec(),
        archive: Fd(0),
        options: CopyIn { no_overwrite_dir_non_dir: true, keep_owners: false },
        limit: 1 << 20,
    };
    let fds = [file.as_fd(), volume.as_fd()];
    engine.ask_with(&copy_in("/srv/data", root.clone()), &fds).unwrap();
    let data = engine.root().join("volumes/data/_data");
    assert_eq!(std::fs::read_to_string(data.join("d/f")).unwrap(), "f");
    let stat = Request::Stat { root: root.clone(), path: b"/srv/data/d/f".to_vec() };
    let (reply, _) = engine.ask_with(&stat, &[file.as_fd(), volume.as_fd()]).unwrap();
    assert!(matches!(reply, Reply::Stat(stat) if !stat.read_only && stat.size == 1));
    // A link that the archive made is followed inside the container only.
    let through = tar(&[("etc/motd", Item::File("inside"))]);
    let file = file_with(&through);
    let fds = [file.as_fd(), volume.as_fd()];
    engine.ask_with(&copy_in("/srv/data", root.clone()), &fds).unwrap();
    let out = |path: &str, root: Root| Request::CopyOut {
        root,
        path: path.as_bytes().to_vec(),
        out: Fd(0),
    };
    let tar = engine.written(&out("/etc/motd", stopped()), &[]).unwrap();
    assert_eq!(listing(&tar), [("motd".to_owned(), "inside".to_owned())]);
    let tar = engine.written(&out("/srv/data/d", root.clone()), &[volume.as_fd()]).unwrap();
    let expected = [("d/", ""), ("d/f", "f")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(listing(&tar), expected);
    let tar = engine.written(&out("/srv/data/d/.", root.clone()), &[volume.as_fd()]).unwrap();
    let expected = [("./", ""), ("./f", "f")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(listing(&tar), expected);
    // Without its mounts the container has an empty directory there.
    let export = Request::ExportTar { root, out: Fd(0) };
    let tar = engine.written(&export, &[volume.as_fd()]).unwrap();
    assert!(!listing(&tar).iter().any(|(name, _)| name.starts_with("srv/data/d")));
    let file = file_with(&through);
    let failure = engine.ask_with(&copy_in("/bin/tool", stopped()), &[file.as_fd()]).unwrap_err();
    assert_eq!(failure, Failure::invalid("extraction point is not a directory"));
    let image = Root::Image { layers: vec![key("a")] };
    let failure = engine.ask_with(&copy_in("/etc", image), &[file.as_fd()]).unwrap_err();
    assert_eq!(failure, Failure::invalid("copy into /etc: it is read-only"));
    let over = crate::engine::tar(&[("etc", Item::File("x"))]);
    let file = file_with(&over);
    let failure = engine.ask_with(&copy_in("/", stopped()), &[file.as_fd()]).unwrap_err();
    assert_eq!(
        failure.message,
        "extract archive entry \"etc\": cannot overwrite directory \"/etc\" with non-directory"
    );
    let missing = engine.written(&out("/nothing", stopped()), &[]).unwrap_err();
    assert_eq!(missing.class, Class::NotFound);
}

/// A process that ends with its test.
struct Process(std::process::Child);

impl Process {
    fn id(&self) -> u32 {
        self.0.id()
    }

    fn end(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn running() {
    let mut engine = Engine::start();
    with_container(&mut engine);
    let id = ContainerId::parse(key("c").as_str()).unwrap();
    let group = std::path::PathBuf::from("/sys/fs/cgroup/pids")
        .join(format!("storage-test-{}", std::process::id()));
    let inner = group.join(id.as_str());
    std::fs::create_dir_all(&inner).unwrap();
    let place = engine.directory.path().join("place");
    std::fs::create_dir_all(place.join("data")).unwrap();
    std::fs::copy("/bin/busybox", place.join("busybox")).unwrap();
    let script = "echo $$ > \"$1/cgroup.procs\" && mount -t tmpfs none \"$0/data\" && \
                  echo seen > \"$0/data/file\" && exec chroot \"$0\" /busybox sleep 1000";
    let mut process = Process(
        std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c", script])
            .args([&place, &inner])
            .spawn()
            .unwrap(),
    );
    until("the process", || {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", process.id())).unwrap();
        (name.trim() == "busybox").then_some(())
    });
    let open = |pid: u32| {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap()
    };
    let pidfd = open(process.id());
    let root = |fd| Root::Running { id: id.clone(), pidfd: Fd(fd) };
    let out = Request::CopyOut { root: root(1), path: b"/data".to_vec(), out: Fd(0) };
    let tar = engine.written(&out, &[pidfd.as_fd()]).unwrap();
    let expected =
        [("data/", ""), ("data/file", "seen\n")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(listing(&tar), expected);
    let export = Request::ExportTar { root: root(1), out: Fd(0) };
    let tar = engine.written(&export, &[pidfd.as_fd()]).unwrap();
    let names: Vec<_> = listing(&tar).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["busybox", "data/"]);
    let file = file_with(&crate::engine::tar(&[("new", Item::File("new"))]));
    let options = CopyIn::default();
    let copy_in = Request::CopyIn {
        root: root(1),
        path: b"/data".to_vec(),
        archive: Fd(0),
        options,
        limit: 100,
    };
    engine.ask_with(&copy_in, &[file.as_fd(), pidfd.as_fd()]).unwrap();
    let new = std::fs::read_to_string(format!("/proc/{}/root/data/new", process.id())).unwrap();
    assert_eq!(new, "new");
    let own = open(std::process::id());
    let stat = Request::Stat { root: root(0), path: b"/".to_vec() };
    assert_eq!(class(engine.ask_with(&stat, &[own.as_fd()])), Class::Forbidden);
    process.end();
    assert_eq!(class(engine.ask_with(&stat, &[pidfd.as_fd()])), Class::Conflict);
    until("the end of the group", || std::fs::remove_dir(&inner).ok());
    std::fs::remove_dir(&group).unwrap();
}

pub(crate) fn volumes() {
    let mut engine = Engine::start();
    with_container(&mut engine);
    let name = VolumeName::parse("data").unwrap();
    let missing = Request::VolumeOpen { name: name.clone(), copy_up: None };
    assert_eq!(class(engine.ask(&missing)), Class::NotFound);
    for _ in 0..2 {
        engine.ask(&Request::VolumeCreate { name: name.clone() }).unwrap();
    }
    let (reply, _) = engine.ask(&Request::VolumeList).unwrap();
    assert_eq!(reply, Reply::Volumes(vec![name.clone()]));
    let open = |path: &str| Request::VolumeOpen {
        name: name.clone(),
        copy_up: Some((key("c"), path.as_bytes().to_vec())),
    };
    let data = engine.root().join("volumes/data/_data");
    let names = |data: &std::path::Path| {
        let mut names: Vec<_> =
            std::fs::read_dir(data).unwrap().map(|item| item.unwrap().file_name()).collect();
        names.sort();
        names
    };
    engine.ask(&open("/nothing")).unwrap();
    engine.ask(&open("/old")).unwrap();
    assert!(names(&data).is_empty());
    let (reply, fds) = engine.ask(&open("/dir")).unwrap();
    assert_eq!((reply, fds.len()), (Reply::Opened { file: Fd(0), directory: true }, 1));
    assert_eq!(names(&data), ["low"]);
    engine.ask(&open("/bin")).unwrap();
    assert_eq!(names(&data), ["low"]);
    // As a copy that was cut off leaves it.
    std::fs::write(engine.root().join("volumes/data/copying"), "").unwrap();
    engine.ask(&open("/bin")).unwrap();
    assert_eq!(names(&data), ["tool"]);
    let (reply, _) = engine.ask(&Request::VolumeUsage { name: name.clone() }).unwrap();
    assert!(matches!(reply, Reply::Usage { bytes: 4096.. }));
    for _ in 0..2 {
        engine.ask(&Request::VolumeRemove { name: name.clone() }).unwrap();
    }
    assert_eq!(engine.ask(&Request::VolumeList).unwrap().0, Reply::Volumes(vec![]));
    let trash = engine.root().join("volumes/.trash");
    until("the empty trash", || names(&trash).is_empty().then_some(()));
}

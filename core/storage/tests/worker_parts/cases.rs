//! What the worker must do.

use crate::engine::{Engine, Item, digest, file_with, gzip, key, listing, tar, unpack_request};
use messages::Fd;
use messages::storage::{Change, ChangeKind, CopyIn, Reply, Request, Root};
use rustix::fs::{Mode, OFlags};
use spec::{Class, ContainerId, Failure, VolumeName};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("a_container_is_made_changed_diffed_and_made_a_layer", round_trip),
    ("a_layer_with_another_digest_is_refused", wrong_digest),
    ("hostile_layers_are_refused_with_a_sentence_and_leave_nothing", hostile_layers),
    ("a_bomb_is_stopped_at_its_limit", bombs),
    ("the_child_that_unpacks_holds_nothing_else", enclosed_child),
    ("a_killed_child_leaves_nothing_visible", killed_child),
    ("a_killed_job_is_answered_for_and_cleared_away", killed_job),
    ("a_request_over_its_deadline_is_stopped", deadline),
    ("other_requests_are_answered_while_one_waits", in_flight),
    ("paths_of_a_stopped_container_are_looked_up_inside_it", stopped_paths),
    ("files_are_opened_only_if_they_are_small_and_regular", open_files),
    ("copies_go_into_directories_and_volumes", copies),
    ("a_running_container_is_seen_as_its_process_sees_it", running),
    ("volumes_are_made_filled_once_and_removed", volumes),
    ("a_removed_snapshot_frees_its_name_and_its_files", removal),
    ("requests_without_their_descriptors_are_refused", missing_descriptors),
    ("what_a_crash_left_is_cleared_at_the_next_start", restart),
];

fn base() -> Vec<u8> {
    tar(&[
        ("bin/", Item::Dir),
        ("bin/tool", Item::File("tool")),
        ("sh", Item::Link("/bin/tool")),
        ("etc/", Item::Dir),
        ("etc/passwd", Item::File("root:x:0:0::/:/bin/sh\n")),
        ("etc/pipe", Item::Fifo),
        ("old", Item::File("old")),
        ("dir/", Item::Dir),
        ("dir/low", Item::File("low")),
    ])
}

fn with_container(engine: &mut Engine) {
    engine.unpack(&key("a"), &base()).unwrap();
    let request = Request::Prepare { key: key("c"), parents: vec![key("a")] };
    assert_eq!(engine.ask(&request).unwrap().0, Reply::Done);
}

fn mount(engine: &mut Engine, name: &str) -> OwnedFd {
    let (reply, mut fds) = engine.ask(&Request::Mount { key: key(name) }).unwrap();
    assert_eq!(reply, Reply::Mount { mount: Fd(0) });
    fds.pop().unwrap()
}

fn write(at: &OwnedFd, path: &str, text: &str) {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::openat(at, path, flags, Mode::from_raw_mode(0o644)).unwrap();
    std::fs::File::from(file).write_all(text.as_bytes()).unwrap();
}

fn stopped() -> Root {
    Root::Stopped { key: key("c"), mounts: vec![] }
}

fn class(answer: Result<(Reply, Vec<OwnedFd>), Failure>) -> Class {
    answer.unwrap_err().class
}

fn round_trip() {
    let mut engine = Engine::start();
    let gz = gzip(&base());
    let request = unpack_request(&key("a"), &base(), 1 << 30);
    for _ in 0..2 {
        let (reply, _) = engine.ask_with(&request, &[file_with(&gz).as_fd()]).unwrap();
        assert_eq!(reply, Reply::Unpacked { size: 4 + 22 + 3 + 3 });
    }
    engine.ask(&Request::Prepare { key: key("c"), parents: vec![key("a")] }).unwrap();
    let root = mount(&mut engine, "c");
    write(&root, "bin/new", "new");
    write(&root, "bin/tool", "changed");
    rustix::fs::unlinkat(&root, "old", rustix::fs::AtFlags::empty()).unwrap();
    for name in ["dir/low", "dir"] {
        let flags = if name == "dir" {
            rustix::fs::AtFlags::REMOVEDIR
        } else {
            rustix::fs::AtFlags::empty()
        };
        rustix::fs::unlinkat(&root, name, flags).unwrap();
    }
    rustix::fs::mkdirat(&root, "dir", Mode::RWXU).unwrap();
    write(&root, "dir/high", "high");
    drop(root);
    let change = |path: &str, kind| Change { path: path.as_bytes().to_vec(), kind };
    let (reply, _) = engine.ask(&Request::Changes { key: key("c") }).unwrap();
    let expected = vec![
        change("/bin", ChangeKind::Modified),
        change("/bin/new", ChangeKind::Added),
        change("/bin/tool", ChangeKind::Modified),
        change("/dir", ChangeKind::Deleted),
        change("/dir/high", ChangeKind::Added),
        change("/old", ChangeKind::Deleted),
    ];
    assert_eq!(reply, Reply::Changes(expected));
    let diff = engine.written(&Request::DiffTar { key: key("c"), out: Fd(0) }, &[]).unwrap();
    let names: Vec<_> = listing(&diff).into_iter().map(|(name, _)| name).collect();
    let expected =
        ["bin/", "bin/new", "bin/tool", "dir/", "dir/.wh..wh..opq", "dir/high", ".wh.old"];
    assert_eq!(names, expected);
    engine.unpack(&key("b"), &diff).unwrap();
    let again = engine.written(&Request::LayerTar { key: key("b"), out: Fd(0) }, &[]).unwrap();
    assert_eq!(digest(&again), digest(&diff));
    let root = Root::Image { layers: vec![key("a"), key("b")] };
    let image = engine.written(&Request::ExportTar { root, out: Fd(0) }, &[]).unwrap();
    let names: Vec<_> = listing(&image).into_iter().map(|(name, _)| name).collect();
    let expected =
        ["bin/", "bin/new", "bin/tool", "dir/", "dir/high", "etc/", "etc/passwd", "etc/pipe", "sh"];
    assert_eq!(names, expected);
    let container = Request::ExportTar { root: stopped(), out: Fd(0) };
    let container = listing(&engine.written(&container, &[]).unwrap());
    assert!(listing(&image).iter().all(|item| container.contains(item)));
    // What every container has in addition.
    let names: Vec<_> = container.into_iter().map(|(name, _)| name).collect();
    let more = names.iter().filter(|name| !expected.contains(&name.as_str()));
    let places = [
        ".dockerenv",
        "dev/",
        "dev/console",
        "dev/pts/",
        "dev/shm/",
        "etc/hostname",
        "etc/hosts",
        "etc/mtab",
        "etc/resolv.conf",
        "proc/",
        "sys/",
    ];
    assert!(more.eq(places.iter()), "{names:?}");
}

fn wrong_digest() {
    let mut engine = Engine::start();
    let request = unpack_request(&key("a"), b"another", 1 << 30);
    let failure = engine.ask_with(&request, &[file_with(&base()).as_fd()]).unwrap_err();
    assert_eq!(failure.class, Class::InvalidArgument);
    let (found, wanted) = (digest(&base()), digest(b"another"));
    assert_eq!(failure.message, format!("unpack layer: its digest is {found}, not {wanted}"));
    assert_eq!(engine.listed(), []);
}

fn hostile_layers() {
    let mut engine = Engine::start();
    let outside = engine.directory.path().join("outside");
    std::fs::write(&outside, "kept").unwrap();
    let outside = outside.to_str().unwrap().to_owned();
    let cut = base()[..base().len() - 1536].to_vec();
    let refused = "extract archive entry";
    for (tar, sentence) in [
        (
            tar(&[("../evil", Item::File("x"))]),
            format!("{refused} \"../evil\": invalid name: it leads out of the root of the archive"),
        ),
        (
            tar(&[("l", Item::Hard(&outside))]),
            format!("{refused} \"l\": invalid hard link to {outside:?}: the target does not exist"),
        ),
        (
            tar(&[("l", Item::Hard("../../../etc/passwd"))]),
            format!(
                "{refused} \"l\": invalid hard link to \"../../../etc/passwd\": it leads out of the root of the archive"
            ),
        ),
        (
            tar(&[(".wh...", Item::File(""))]),
            format!("{refused} \".wh...\": invalid name: it deletes no file"),
        ),
        (
            b"no archive at all".repeat(100),
            "read archive entry number 1: the header's checksum is wrong".to_owned(),
        ),
        (cut, "read archive entry \"dir/low\": the archive is cut off here".to_owned()),
    ] {
        let failure = engine.unpack(&key("a"), &tar).unwrap_err();
        assert_eq!((failure.class, failure.message), (Class::InvalidArgument, sentence));
        assert_eq!(engine.listed(), []);
    }
    // These stay inside.
    let inside = tar(&[
        ("/abs", Item::File("x")),
        ("root", Item::Link("/")),
        ("root/through", Item::File("x")),
        ("up", Item::Link("../../../../..")),
        ("up/through2", Item::File("x")),
        ("null", Item::Device(1, 3)),
    ]);
    engine.unpack(&key("a"), &inside).unwrap();
    let tree = engine.root().join("snapshots").join(key("a").as_str()).join("fs");
    let mut names: Vec<_> =
        std::fs::read_dir(tree).unwrap().map(|item| item.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["abs", "null", "root", "through", "through2", "up"]);
    assert!(!std::path::Path::new("/through").exists());
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "kept");
    let tmp = engine.root().join("snapshots/tmp");
    assert_eq!(std::fs::read_dir(tmp).unwrap().count(), 0);
}

fn bombs() {
    let mut engine = Engine::start();
    let zeros = "\0".repeat(8 << 20);
    let tar = tar(&[("zeros", Item::File(&zeros))]);
    for bomb in [gzip(&tar), zstd::encode_all(&tar[..], 3).unwrap()] {
        let request = unpack_request(&key("a"), &tar, 1 << 20);
        let failure = engine.ask_with(&request, &[file_with(&bomb).as_fd()]).unwrap_err();
        assert_eq!(failure.class, Class::InvalidArgument);
        assert_eq!(
            failure.message,
            "read archive entry \"zeros\": the archive holds more than 1048576 bytes"
        );
        assert_eq!(engine.listed(), []);
    }
}

/// The children of a process.
fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    text.unwrap_or_default().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn until<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < end, "{what} never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts to unpack a layer that comes to its end only when the answered pipe is closed. Answers the request's number,
/// the job and its inner child too.
fn begin_unpack(engine: &mut Engine) -> (u64, std::io::PipeWriter, i32, i32) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let sent = engine.send(&unpack_request(&key("a"), &base(), 1 << 30), &[reader.as_fd()]);
    drop(reader);
    writer.write_all(&base()[..2048]).unwrap();
    let pid = engine.pid;
    let (job, child) = until("the child", || {
        let found = children(pid).into_iter().find_map(|job| Some((job, *children(job).first()?)));
        // Its last wall.
        let status = std::fs::read_to_string(format!("/proc/{}/status", found?.1)).ok()?;
        status.contains("Seccomp:\t2").then_some(found).flatten()
    });
    (sent, writer, job, child)
}

fn status_of(pid: i32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).unwrap();
    line.trim().to_owned()
}

fn enclosed_child() {
    let mut engine = Engine::start();
    let (_, writer, _, child) = begin_unpack(&mut engine);
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP.
    let caps = [0u32, 1, 3, 4, 27, 31].iter().fold(0u64, |set, bit| set | 1 << bit);
    for field in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(status_of(child, field), format!("{caps:016x}"), "{field}");
    }
    for field in ["CapInh", "CapAmb"] {
        assert_eq!(status_of(child, field), format!("{:016x}", 0), "{field}");
    }
    assert_eq!(
        (status_of(child, "NoNewPrivs"), status_of(child, "Threads")),
        ("1".into(), "1".into())
    );
    // The test and the worker are in network namespaces of their own.
    let network = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_ne!(network(&child.to_string()), network("self"));
    let root = std::fs::read_link(format!("/proc/{child}/root")).unwrap();
    assert!(root.starts_with(engine.root().join("snapshots/tmp")), "{root:?}");
    assert!(root.ends_with("fs"), "{root:?}");
    for fd in std::fs::read_dir(format!("/proc/{child}/fd")).unwrap() {
        let fd = fd.unwrap();
        let target = std::fs::read_link(fd.path()).unwrap();
        let number: u32 = fd.file_name().to_str().unwrap().parse().unwrap();
        let inside = target.starts_with(&root) || target.to_str().unwrap().starts_with("pipe:");
        assert!(number == 2 || inside, "{number} {target:?}");
    }
    drop(writer);
    let failure = engine.receive().1.unwrap_err();
    assert_eq!(failure.class, Class::InvalidArgument);
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn killed_child() {
    let mut engine = Engine::start();
    let (_, writer, _, child) = begin_unpack(&mut engine);
    kill(child);
    let failure = engine.receive().1.unwrap_err();
    assert_eq!(failure, Failure::internal("unpack layer: its process was ended by signal 9"));
    drop(writer);
    assert_eq!(engine.listed(), []);
    let tmp = engine.root().join("snapshots/tmp");
    assert_eq!(std::fs::read_dir(tmp).unwrap().count(), 0);
    engine.unpack(&key("a"), &base()).unwrap();
    assert_eq!(engine.listed(), [key("a")]);
}

fn killed_job() {
    let mut engine = Engine::start();
    let (_, writer, job, child) = begin_unpack(&mut engine);
    kill(job);
    let failure = engine.receive().1.unwrap_err();
    assert_eq!(failure, Failure::internal("unpack layer: its process was ended by signal 9"));
    until("the end of the inner child", || {
        let state = std::fs::read_to_string(format!("/proc/{child}/status"));
        state.map_or(true, |text| text.contains("State:\tZ")).then_some(())
    });
    drop(writer);
    assert_eq!(engine.listed(), []);
    for own in ["tmp", "trash"] {
        let path = engine.root().join("snapshots").join(own);
        until(own, || (std::fs::read_dir(&path).unwrap().count() == 0).then_some(()));
    }
}

fn deadline() {
    let directory = std::rc::Rc::new(tempfile::tempdir().unwrap());
    let mut engine = Engine::start_in(directory, Duration::from_millis(1500));
    let (_, writer, _, child) = begin_unpack(&mut engine);
    let failure = engine.receive().1.unwrap_err();
    let message = "unpack layer: it took too long and was stopped";
    assert_eq!(failure, Failure::new(Class::DeadlineExceeded, message));
    until("the end of the inner child", || {
        let state = std::fs::read_to_string(format!("/proc/{child}/status"));
        state.map_or(true, |text| text.contains("State:\tZ")).then_some(())
    });
    drop(writer);
    assert_eq!(engine.listed(), []);
}

fn in_flight() {
    let mut engine = Engine::start();
    let (first, mut writer, ..) = begin_unpack(&mut engine);
    assert_eq!(engine.listed(), []);
    let second = engine.unpack(&key("b"), &base()).unwrap().0;
    assert_eq!(second, Reply::Unpacked { size: 32 });
    let request =
        Request::Stat { root: Root::Image { layers: vec![key("b")] }, path: b"/sh".to_vec() };
    assert!(matches!(engine.ask(&request).unwrap().0, Reply::Stat(_)));
    writer.write_all(&base()[2048..]).unwrap();
    drop(writer);
    let (sequence, answer) = engine.receive();
    assert_eq!(sequence, first);
    assert_eq!(answer.unwrap().0, Reply::Unpacked { size: 32 });
}

fn stopped_paths() {
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

fn open_files() {
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

fn copies() {
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

fn running() {
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

fn volumes() {
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

fn removal() {
    let mut engine = Engine::start();
    with_container(&mut engine);
    assert!(matches!(
        engine.ask(&Request::Usage { key: key("a") }).unwrap().0,
        Reply::Usage { bytes: 4096.. }
    ));
    for name in ["c", "a", "f"] {
        engine.ask(&Request::Remove { key: key(name) }).unwrap();
    }
    assert_eq!(engine.listed(), []);
    assert_eq!(class(engine.ask(&Request::Usage { key: key("a") })), Class::NotFound);
    let trash = engine.root().join("snapshots/trash");
    until("the empty trash", || (std::fs::read_dir(&trash).unwrap().count() == 0).then_some(()));
    with_container(&mut engine);
    assert_eq!(engine.listed(), [key("a"), key("c")]);
}

fn missing_descriptors() {
    let mut engine = Engine::start();
    let failure = engine.ask(&unpack_request(&key("a"), b"", 1)).unwrap_err();
    assert_eq!(failure, Failure::invalid("message has no descriptor 0"));
    let directory = std::fs::File::open("/").unwrap();
    let request = unpack_request(&key("a"), b"", 1);
    let failure = engine.ask_with(&request, &[directory.as_fd()]).unwrap_err();
    assert_eq!(
        failure,
        Failure::invalid("unpack layer: the descriptor is no file, pipe or socket")
    );
}

fn restart() {
    let mut engine = Engine::start();
    let (_, writer, ..) = begin_unpack(&mut engine);
    kill(engine.pid);
    drop(writer);
    let root = engine.root();
    let pid = rustix::process::Pid::from_raw(engine.pid).unwrap();
    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
    assert_eq!(std::fs::read_dir(root.join("snapshots/tmp")).unwrap().count(), 1);
    let mut engine = Engine::start_in(engine.directory(), Duration::MAX);
    assert_eq!(engine.listed(), []);
    for own in ["tmp", "trash"] {
        let path = root.join("snapshots").join(own);
        until(own, || (std::fs::read_dir(&path).unwrap().count() == 0).then_some(()));
    }
}

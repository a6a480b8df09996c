//! What is asked of the storage worker.

use crate::rig::{Place, Worker, cofferd, forbidden, forged, invalid, opath, pidfd};
use messages::Fd;
use messages::storage::{CopyIn, Reply, Request, Root};
use spec::{Class, ContainerId, SnapshotKey, VolumeName};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

type Storage = Worker<Request>;

const STRICT: &str = "\
host-paths = [\"@/allowed\"]
host-paths-denied = [\"@/allowed/secret\"]
devices = [\"/dev/null\"]
";

fn strict() -> (Place, Storage) {
    let place = Place::new(STRICT);
    std::fs::create_dir_all(place.path("allowed/dir")).unwrap();
    std::fs::create_dir(place.path("allowed/secret")).unwrap();
    let mut worker = Storage::start(cofferd("storage", &place));
    // Once it answers, it has made what it needs itself.
    assert_eq!(worker.ask(&Request::VolumeList, &[]).unwrap().0, Reply::Volumes(vec![]));
    (place, worker)
}

fn id() -> String {
    "ab".repeat(32)
}

fn key() -> SnapshotKey {
    SnapshotKey::parse(&id()).unwrap()
}

fn serves(worker: &mut Storage) {
    let request = Request::VolumeCreate { name: VolumeName::parse("good").unwrap() };
    assert_eq!(worker.ask(&request, &[]).unwrap().0, Reply::Done);
}

fn host_path(path: impl AsRef<[u8]>) -> Request {
    Request::OpenHostPath {
        path: path.as_ref().to_vec(),
        create_directory: true,
        read_only: false,
        passes: messages::storage::Passes::Anything,
    }
}

#[test]
fn names_that_are_no_names_are_refused_by_their_types() {
    let (place, mut worker) = strict();
    let before = place.listing("data");
    let volume = VolumeName::parse("good-name").unwrap();
    let keyed = [
        Request::Mount { key: key() },
        Request::Remove { key: key() },
        Request::Prepare { key: key(), parents: vec![] },
        Request::Usage { key: key() },
    ];
    let traversal = "../".repeat(21) + "x";
    let long = "a".repeat(65);
    let upper = "AB".repeat(32);
    for request in &keyed {
        for bad in ["", "..", "/etc", "trash", &traversal, &long, &upper, &id()[..63]] {
            let failure = worker.ask_raw(&forged(request, &id(), bad), &[]).unwrap_err();
            assert_eq!(failure.class, Class::InvalidArgument, "{bad}: {failure}");
            assert!(failure.message.starts_with("decode message: "), "{failure}");
        }
    }
    let named = [
        Request::VolumeCreate { name: volume.clone() },
        Request::VolumeRemove { name: volume.clone() },
        Request::VolumeOpen { name: volume.clone(), copy_up: None },
    ];
    for request in &named {
        for bad in
            ["", ".", "..", "../snapshots", "/etc", "a/b", "a\0b", ".trash", &"v".repeat(256)]
        {
            let failure = worker.ask_raw(&forged(request, volume.as_str(), bad), &[]).unwrap_err();
            assert_eq!(failure.class, Class::InvalidArgument, "{bad}: {failure}");
        }
    }
    assert_eq!(place.listing("data"), before);
    serves(&mut worker);
}

#[test]
fn host_paths_beyond_the_policy_are_refused_however_they_are_written() {
    let (place, mut worker) = strict();
    let allowed = place.path("allowed").display().to_string();
    symlink("/etc", place.path("allowed/out")).unwrap();
    symlink("/etc/shadow", place.path("allowed/file")).unwrap();
    symlink("secret", place.path("allowed/aside")).unwrap();
    symlink("/", place.data().join("containers/root")).unwrap();
    let before = place.listing("");
    let bound = |path: &str| {
        forbidden(format!("host path {path:?} may not be bound writable: the policy forbids it"))
    };
    let unclean = |path: &str| {
        invalid(format!("invalid mount source {path:?}: must be a clean absolute path"))
    };
    let secret = format!("{allowed}/secret");
    let planted = place.data().join("containers/root").display().to_string();
    for (path, expected) in [
        ("/".to_owned(), bound("/")),
        ("/etc".to_owned(), bound("/etc")),
        ("/proc/1/root".to_owned(), bound("/proc/1/root")),
        (planted.clone(), bound(&planted)),
        (format!("{planted}/etc"), bound(&format!("{planted}/etc"))),
        (secret.clone(), bound(&secret)),
        (format!("{allowed}/out"), bound("/etc")),
        (format!("{allowed}/out/new"), bound("/etc/new")),
        (format!("{allowed}/file"), bound("/etc/shadow")),
        (format!("{allowed}/aside"), bound(&secret)),
        (allowed.clone(), bound(&allowed)),
        (format!("{allowed}/../x"), unclean(&format!("{allowed}/../x"))),
        (format!("{allowed}/dir/"), unclean(&format!("{allowed}/dir/"))),
        (format!("{allowed}/a\0b"), unclean(&format!("{allowed}/a\0b"))),
        ("allowed".to_owned(), unclean("allowed")),
        (String::new(), unclean("")),
    ] {
        assert_eq!(worker.refusal(&host_path(&path), &[]), expected, "{path}");
    }
    assert_eq!(place.listing(""), before);
    let good = host_path(place.path("allowed/dir").as_os_str().as_bytes());
    assert_eq!(worker.ask(&good, &[]).unwrap().0, Reply::Opened { file: Fd(0), directory: true });
}

#[test]
fn links_of_processes_lead_nowhere_even_where_all_is_allowed() {
    let place = Place::new("");
    let mut worker = Storage::start(cofferd("storage", &place));
    for path in ["/proc/self/root/etc", "/proc/self/cwd", "/proc/self/fd/0"] {
        let sentence = format!("bind {path}: Too many levels of symbolic links (os error 40)");
        assert_eq!(worker.refusal(&host_path(path), &[]), invalid(sentence));
    }
    serves(&mut worker);
}

#[test]
fn devices_beyond_the_policy_are_refused() {
    let (_place, mut worker) = strict();
    for path in ["/dev", "/dev/zero", "/dev/../dev/null", "/dev/null/", "/etc/passwd", "dev/null"] {
        let request = Request::HostDevice { path: path.into() };
        let sentence =
            format!("device {path:?} may not be given to a container: the policy forbids it");
        assert_eq!(worker.refusal(&request, &[]), forbidden(sentence));
    }
    let request = Request::HostDevice { path: b"/dev/null".to_vec() };
    assert!(
        matches!(worker.ask(&request, &[]).unwrap().0, Reply::Devices(found) if found.len() == 1)
    );
}

#[test]
fn descriptors_that_are_no_streams_are_refused_as_archives() {
    let (place, mut worker) = strict();
    let before = place.listing("data/snapshots");
    let digest = spec::Digest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
    let unpack = Request::Unpack { key: key(), blob: Fd(0), diff_id: digest, limit: 1 << 20 };
    assert_eq!(worker.refusal(&unpack, &[]), invalid("message has no descriptor 0"));
    let zero = std::fs::File::open("/dev/zero").unwrap();
    let refused = invalid("unpack layer: the descriptor is no file, pipe or socket");
    for file in [opath("/"), opath("/etc"), opath("/proc/self/root"), pidfd(1), zero.into()] {
        let answer = worker.refusal(&unpack, &[file.as_fd()]);
        // A pidfd is a file of no kind, or a regular one: then it cannot be read.
        if answer != refused {
            assert!(answer.1.starts_with("unpack layer: "), "{answer:?}");
        }
    }
    // What can be opened without the right to read it is not read by somebody else's right.
    let (class, sentence) = worker.refusal(&unpack, &[opath("/etc/shadow").as_fd()]);
    assert_eq!(class, Class::InvalidArgument, "{sentence}");
    assert_eq!(place.listing("data/snapshots"), before);
    serves(&mut worker);
}

#[test]
fn a_pipe_that_never_ends_holds_up_nobody() {
    let (_place, mut worker) = strict();
    let (reader, _writer) = rustix::pipe::pipe().unwrap();
    let digest = spec::Digest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
    let unpack = Request::Unpack { key: key(), blob: Fd(0), diff_id: digest, limit: 1 };
    worker.send(&transport::encode(&unpack).unwrap(), &[reader.as_fd()]);
    serves(&mut worker);
}

#[test]
fn a_process_that_is_not_the_containers_shows_none_of_its_files() {
    let (_place, mut worker) = strict();
    let container = ContainerId::parse(&id()).unwrap();
    let short = container.short().to_owned();
    let open = Request::OpenFile {
        root: Root::Running { id: container, pidfd: Fd(0) },
        path: b"/etc/shadow".to_vec(),
        limit: 1 << 20,
    };
    let foreign = forbidden(format!("container {short}: the process is not in its cgroup"));
    let own = pidfd(std::process::id().cast_signed());
    assert_eq!(worker.refusal(&open, &[own.as_fd()]), foreign);
    // In some namespaces the first process cannot even be looked at.
    let first = worker.refusal(&open, &[pidfd(1).as_fd()]);
    assert!(first == foreign || first.1.ends_with("Permission denied (os error 13)"), "{first:?}");
    let gone = (Class::Conflict, format!("container {short} does not run"));
    let (socket, _other) = transport::pair().unwrap();
    for file in [opath("/"), opath("/proc/1"), socket] {
        assert_eq!(worker.refusal(&open, &[file.as_fd()]), gone);
    }
    serves(&mut worker);
}

/// A container's snapshot without layers.
fn prepared(worker: &mut Storage) {
    let request = Request::Prepare { key: key(), parents: vec![] };
    assert_eq!(worker.ask(&request, &[]).unwrap().0, Reply::Done);
}

#[test]
fn what_is_shown_in_a_stopped_container_must_be_the_policys_or_a_volume() {
    let (place, mut worker) = strict();
    prepared(&mut worker);
    let Ok((Reply::Mount { .. }, mount)) = worker.ask(&Request::Mount { key: key() }, &[]) else {
        panic!("no mount")
    };
    let open = Request::Stat {
        root: Root::Stopped { key: key(), mounts: vec![(b"/mnt".to_vec(), Fd(0))] },
        path: b"/mnt/shadow".to_vec(),
    };
    let planted = place.data().join("containers/etc");
    symlink("/etc", &planted).unwrap();
    for (file, path) in [
        (opath("/etc"), "/etc"),
        (opath(&planted), "/etc"),
        (opath("/"), "/"),
        (opath("/proc/self/root"), "/"),
        (opath("/etc/shadow"), "/etc/shadow"),
        (mount.into_iter().next().unwrap(), "/"),
    ] {
        let sentence = format!("host path {path:?} may not be bound: the policy forbids it");
        assert_eq!(worker.refusal(&open, &[file.as_fd()]), forbidden(sentence));
    }
    let (socket, _other) = transport::pair().unwrap();
    assert!(worker.ask(&open, &[socket.as_fd()]).is_err());
    serves(&mut worker);
}

#[test]
fn paths_in_a_container_stay_in_it() {
    let (_place, mut worker) = strict();
    prepared(&mut worker);
    let root = || Root::Stopped { key: key(), mounts: vec![] };
    for path in ["/etc/shadow", "../../../../../../etc/shadow", "/../etc/shadow"] {
        let request = Request::OpenFile { root: root(), path: path.into(), limit: 1 << 20 };
        let (class, sentence) = worker.refusal(&request, &[]);
        assert_eq!(class, Class::NotFound, "{sentence}");
    }
    for path in [Vec::new(), b"a\0b".to_vec(), vec![b'x'; 4096]] {
        let request = Request::Stat { root: root(), path };
        let (class, sentence) = worker.refusal(&request, &[]);
        assert_eq!(class, Class::InvalidArgument);
        assert!(sentence.ends_with("it must have 1 to 4095 bytes and no zero byte"), "{sentence}");
    }
    let copy = Request::CopyIn {
        root: root(),
        path: b"/".to_vec(),
        archive: Fd(0),
        options: CopyIn::default(),
        limit: 1 << 20,
    };
    let sentence = "copy in: the descriptor is no file, pipe or socket";
    assert_eq!(worker.refusal(&copy, &[opath("/etc").as_fd()]), invalid(sentence));
    serves(&mut worker);
}

//! Mounts of every kind and option, seen from inside.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::Bundle;
use launch::Extras;
use plan::IdmapPlan;
use spec::oci::{IdMapping, Mount};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use sys::clone::Namespaces;
use sys::mount::{Extent, Propagation};

fn output(bundle: Bundle) -> String {
    let outcome = bundle.run().unwrap();
    assert_eq!(outcome.exit.status(), 0, "{}", outcome.output);
    outcome.output
}

fn mount(bundle: &mut Bundle, kind: &str, destination: &str, options: &[&str]) {
    bundle.spec.mounts.push(Mount {
        destination: destination.to_owned(),
        kind: Some(kind.to_owned()),
        source: Some(kind.to_owned()),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..Mount::default()
    });
    bundle.sources.push(None);
}

fn allow_mounting(bundle: &mut Bundle) {
    let caps = bundle.process().capabilities.as_mut().unwrap();
    for set in [&mut caps.bounding, &mut caps.effective, &mut caps.permitted] {
        set.push("CAP_SYS_ADMIN".to_owned());
    }
}

/// Runs `test` on a thread with a mount namespace of its own, in which nothing is shared with the host.
fn alone(test: impl FnOnce() + Send + 'static) {
    let body = || {
        sys::clone::unshare(Namespaces::MOUNT).unwrap();
        let propagation = Some(Propagation::Private);
        let change = mounts::Change { propagation, ..Default::default() };
        sys::mount::set_attr_path(c"/", Extent::Tree, &change).unwrap();
        test();
    };
    std::thread::spawn(body).join().unwrap();
}

fn mount_tmpfs(at: &Path) {
    let context = mounts::FsContext::open(c"tmpfs").unwrap();
    let mount = context.mount(mounts::Attr::empty()).unwrap();
    mount.attach(common::open_path(at)).unwrap();
}

fn unmount(at: &Path) {
    rustix::mount::unmount(at, rustix::mount::UnmountFlags::DETACH).unwrap();
}

#[test]
fn every_attribute_is_set_on_binds_and_on_file_systems_that_are_made() {
    let host = tempfile::tempdir().unwrap();
    for (option, shown) in [
        ("ro", "ro"),
        ("nosuid", "nosuid"),
        ("nodev", "nodev"),
        ("noexec", "noexec"),
        ("noatime", "noatime"),
        ("nodiratime", "nodiratime"),
        ("nosymfollow", "nosymfollow"),
        ("relatime", "relatime"),
    ] {
        let script = "grep -E ' /(bound|made) ' /proc/self/mounts | cut -d' ' -f4";
        let mut bundle = Bundle::new(script);
        bundle.bind(host.path(), "/bound", &[option]);
        mount(&mut bundle, "tmpfs", "/made", &[option]);
        let text = output(bundle);
        assert_eq!(text.lines().count(), 2);
        for line in text.lines() {
            assert!(line.split(',').any(|word| word == shown), "{option}: {line}");
        }
    }
}

#[test]
fn contrary_options_take_an_attribute_of_the_source_away() {
    alone(|| {
        let host = tempfile::tempdir().unwrap();
        let options = mounts::Attr::RDONLY | mounts::Attr::NOEXEC | mounts::Attr::NOATIME;
        let made = mounts::FsContext::open(c"tmpfs").unwrap().mount(options).unwrap();
        made.attach(common::open_path(host.path())).unwrap();
        let script = "grep ' /bound ' /proc/self/mounts | cut -d' ' -f4; touch /bound/x && echo ok";
        let mut bundle = Bundle::new(script);
        bundle.bind(host.path(), "/bound", &["rw", "exec", "strictatime"]);
        let text = output(bundle);
        let words: Vec<_> = text.lines().next().unwrap().split(',').collect();
        assert!(words.contains(&"rw") && !words.contains(&"noexec"), "{text}");
        assert!(!words.contains(&"noatime") && !words.contains(&"relatime"), "{text}");
        assert!(text.ends_with("ok\n"));
        unmount(host.path());
    });
}

#[test]
fn recursive_attributes_reach_the_mounts_below_and_plain_ones_do_not() {
    alone(|| {
        let host = tempfile::tempdir().unwrap();
        mount_tmpfs(host.path());
        std::fs::create_dir(host.path().join("inner")).unwrap();
        mount_tmpfs(&host.path().join("inner"));
        let script = "touch /plain/x /plain/inner/x /whole/x /whole/inner/x; \
                      grep ' /whole/inner ' /proc/self/mounts | cut -d' ' -f4";
        let mut bundle = Bundle::new(script);
        bundle.bind(host.path(), "/plain", &["ro"]);
        bundle.bind(host.path(), "/whole", &["rro", "rnosuid", "rnodev", "rnoexec", "rnoatime"]);
        let text = output(bundle);
        for (path, is_readonly) in [
            ("/plain/x", true),
            ("/plain/inner/x", false),
            ("/whole/x", true),
            ("/whole/inner/x", true),
        ] {
            let refused = format!("touch: {path}: Read-only file system");
            assert_eq!(text.contains(&refused), is_readonly, "{path}: {text}");
        }
        assert!(text.contains("ro,nosuid,nodev,noexec,noatime"), "{text}");
        unmount(&host.path().join("inner"));
        unmount(host.path());
    });
}

#[test]
fn a_bind_without_r_leaves_the_mounts_below_out() {
    alone(|| {
        let host = tempfile::tempdir().unwrap();
        std::fs::create_dir(host.path().join("inner")).unwrap();
        mount_tmpfs(&host.path().join("inner"));
        std::fs::write(host.path().join("inner/file"), "").unwrap();
        let mut bundle = Bundle::new("ls /one/inner /all/inner");
        bundle.bind(host.path(), "/one", &[]);
        bundle.spec.mounts.last_mut().unwrap().options[0] = "bind".to_owned();
        bundle.bind(host.path(), "/all", &[]);
        assert_eq!(output(bundle), "/all/inner:\nfile\n\n/one/inner:\n");
        unmount(&host.path().join("inner"));
    });
}

/// What a container with a bind of `propagation` sees of the host's later mounts, and the host of its mounts.
fn propagates(propagation: &'static str) -> (bool, bool) {
    let (send, receive) = std::sync::mpsc::channel();
    alone(move || {
        let host = tempfile::tempdir().unwrap();
        mount_tmpfs(host.path());
        let propagate = Some(Propagation::Shared);
        let shared = mounts::Change { propagation: propagate, ..Default::default() };
        sys::mount::set_attr(common::open_path(host.path()), Extent::Mount, &shared).unwrap();
        for name in ["later", "inner"] {
            std::fs::create_dir(host.path().join(name)).unwrap();
        }
        let mut bundle = Bundle::new(
            "mount -t tmpfs none /data/inner && touch /data/inner/secret; touch /data/ready; \
             while ! [ -e /data/go ]; do sleep 0.01; done; ls /data/later",
        );
        bundle.bind(host.path(), "/data", &[propagation]);
        allow_mounting(&mut bundle);
        let (running, text, _root) = bundle.start().unwrap();
        while !host.path().join("ready").exists() {
            std::thread::yield_now();
        }
        let out = host.path().join("inner/secret").exists();
        mount_tmpfs(&host.path().join("later"));
        std::fs::write(host.path().join("later/file"), "").unwrap();
        std::fs::write(host.path().join("go"), "").unwrap();
        let inward = common::finish(&running, text).output == "file\n";
        for name in ["later", "inner", "."] {
            let at = host.path().join(name);
            rustix::mount::unmount(at, rustix::mount::UnmountFlags::DETACH).ok();
        }
        send.send((inward, out)).unwrap();
    });
    receive.recv().unwrap()
}

#[test]
fn each_propagation_lets_mounts_through_in_its_directions_only() {
    for (option, wanted) in [
        ("rprivate", (false, false)),
        ("private", (false, false)),
        ("rslave", (true, false)),
        ("slave", (true, false)),
        ("rshared", (true, true)),
        ("shared", (true, true)),
        ("runbindable", (false, false)),
        ("unbindable", (false, false)),
    ] {
        assert_eq!(propagates(option), wanted, "{option}");
    }
}

#[test]
fn the_root_has_the_propagation_that_is_asked_for() {
    for (propagation, wanted) in
        [("shared", "shared:"), ("slave", ""), ("private", ""), ("unbindable", "unbindable")]
    {
        let mut bundle =
            Bundle::new("grep ' / / ' /proc/self/mountinfo || head -1 /proc/self/mountinfo");
        bundle.spec.linux.as_mut().unwrap().rootfs_propagation = Some(propagation.to_owned());
        let text = output(bundle);
        let line = text.lines().next().unwrap();
        assert!(line.contains(wanted), "{propagation}: {line}");
        assert_eq!(line.contains("shared:"), propagation == "shared", "{line}");
    }
}

#[test]
fn a_tmpfs_starts_with_what_it_covers_if_that_is_asked() {
    let mut bundle = Bundle::new(
        "cd /data; find . | sort; cat dir/file; readlink link; stat -c '%a %u:%g %F' dir dir/file pipe link; \
         echo x > dir/new; cat /data/dir/new",
    );
    let data = bundle.root.path().join("data");
    std::fs::create_dir(data.join("dir")).unwrap();
    std::fs::write(data.join("dir/file"), vec![b'a'; 40_000]).unwrap();
    std::fs::write(data.join("dir/file"), "content\n").unwrap();
    symlink("/etc/../somewhere", data.join("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        data.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o640),
        0,
    )
    .unwrap();
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    chown(data.join("dir"), Some(5), Some(6)).unwrap();
    std::fs::set_permissions(data.join("dir"), mode(0o2750)).unwrap();
    chown(data.join("dir/file"), Some(7), Some(8)).unwrap();
    std::fs::set_permissions(data.join("dir/file"), mode(0o4711)).unwrap();
    mount(&mut bundle, "tmpfs", "/data", &["tmpcopyup", "mode=0700"]);
    let kept = data.clone();
    let (running, text, _root) = bundle.start().unwrap();
    let outcome = common::finish(&running, text);
    assert_eq!(
        outcome.output,
        ".\n./dir\n./dir/file\n./link\n./pipe\ncontent\n/etc/../somewhere\n\
         2750 5:6 directory\n4711 7:8 regular file\n640 0:0 fifo\n777 0:0 symbolic link\nx\n"
    );
    assert!(!kept.join("dir/new").exists());
}

#[test]
fn a_large_file_is_copied_up_whole() {
    let mut bundle = Bundle::new("stat -c %s /data/file; tail -c 3 /data/file 2>/dev/null; echo");
    let text: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    std::fs::write(bundle.root.path().join("data/file"), &text).unwrap();
    mount(&mut bundle, "tmpfs", "/data", &["tmpcopyup"]);
    assert!(output(bundle).starts_with(&format!("{}\n", text.len())));
}

#[test]
fn directories_that_lie_too_deep_are_not_copied_up() {
    let mut bundle = Bundle::new("true");
    let mut path = bundle.root.path().join("data");
    for _ in 0..70 {
        path.push("d");
    }
    std::fs::create_dir_all(path).unwrap();
    mount(&mut bundle, "tmpfs", "/data", &["tmpcopyup"]);
    let error = bundle.failure();
    assert_eq!(error, "mount \"/data\": copy what is there: too many levels of symbolic links");
}

#[test]
fn what_is_mounted_can_be_changed_by_a_later_remount() {
    let mut bundle = Bundle::new("touch /made/x; grep ' /made ' /proc/self/mounts | cut -d' ' -f4");
    mount(&mut bundle, "tmpfs", "/made", &["nosuid"]);
    mount(&mut bundle, "tmpfs", "/made", &["remount", "ro", "noexec"]);
    let text = output(bundle);
    assert!(text.starts_with("touch: /made/x: Read-only file system\n"), "{text}");
    assert!(text.contains("ro,nosuid,noexec"), "{text}");
    let mut bundle = Bundle::new("true");
    mount(&mut bundle, "tmpfs", "/data", &["remount", "ro"]);
    assert_eq!(bundle.failure(), "mount \"/data\": invalid argument");
}

#[test]
fn sockets_and_pipes_are_bound_as_files() {
    let host = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(host.path().join("socket")).unwrap();
    let mut bundle = Bundle::new("stat -c %F /run/deep/socket /dev/from-host");
    bundle.bind(&host.path().join("socket"), "/run/deep/socket", &[]);
    bundle.bind(Path::new("/dev/null"), "/dev/from-host", &[]);
    assert_eq!(output(bundle), "socket\ncharacter special file\n");
}

#[test]
fn a_link_in_the_image_leads_a_bind_inside_the_root_only() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("file"), "").unwrap();
    let mut bundle = Bundle::new("ls /etc/real");
    symlink("../../../../../etc/real", bundle.root.path().join("data/link")).unwrap();
    bundle.bind(host.path(), "/data/link", &[]);
    assert_eq!(output(bundle), "file\n");
}

#[test]
fn ids_of_a_bind_are_mapped_by_its_own_maps_or_the_container_s() {
    if !mounts::Features::probe().idmapped_tmpfs {
        return;
    }
    let host = tempfile::tempdir_in("/dev/shm").unwrap();
    std::fs::write(host.path().join("file"), "").unwrap();
    chown(host.path().join("file"), Some(7), Some(8)).unwrap();
    let mode = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(host.path(), mode).unwrap();
    let mut bundle = Bundle::new("stat -c %u:%g /own/file /container/file; touch /container/made");
    bundle.with_user_namespace();
    bundle.bind(host.path(), "/own", &["idmap"]);
    let map = |host_id| IdMapping { container_id: 0, host_id, size: 1000 };
    let own = bundle.spec.mounts.last_mut().unwrap();
    (own.uid_mappings, own.gid_mappings) = (vec![map(100_100)], vec![map(100_200)]);
    bundle.bind(host.path(), "/container", &["ridmap"]);
    let (running, text, _root) = bundle.start().unwrap();
    let outcome = common::finish(&running, text);
    assert_eq!(outcome.output, "107:208\n7:8\n");
    // What the container's root made belongs to root on disk.
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(host.path().join("made")).unwrap().uid(), 0);
}

#[test]
fn the_root_can_be_idmapped() {
    if !mounts::Features::probe().idmapped_tmpfs {
        return;
    }
    alone(|| {
        let place = tempfile::tempdir().unwrap();
        mount_tmpfs(place.path());
        let source = common::busybox();
        let copy = std::process::Command::new("cp")
            .args(["-a", &format!("{}/.", source.path().display())])
            .arg(place.path())
            .status()
            .unwrap();
        assert!(copy.success());
        let mut bundle = Bundle::new("stat -c %u:%g /bin/busybox /etc; touch /data/made");
        let linux = bundle.spec.linux.as_mut().unwrap();
        let namespace = spec::oci::Namespace { kind: "user".to_owned(), path: None };
        linux.namespaces.push(namespace);
        let map = IdMapping { container_id: 0, host_id: 100_000, size: 65536 };
        (linux.uid_mappings, linux.gid_mappings) = (vec![map], vec![map]);
        let maps = vec![plan::IdMap { inside: 0, outside: 100_000, count: 65536 }];
        let idmap = IdmapPlan { uids: maps.clone(), gids: maps, extent: Extent::Mount };
        bundle.given.sources = vec![None; bundle.spec.mounts.len()];
        let plan = plan::Plan::new(&bundle.spec, &bundle.given).unwrap();
        let (stdio, text) = common::piped();
        let descriptors = launch::Descriptors {
            rootfs: launch::Rootfs::Directory(common::open_path(place.path())),
            sources: Vec::new(),
            joins: Vec::new(),
            stdio,
            cgroup: launch::CgroupJoin::None,
        };
        let extras = Extras { rootfs_idmap: Some(idmap), ..Extras::default() };
        let host = launch::Host::open().unwrap();
        let launch = launch::Launch::prepare_with(&host, plan, descriptors, extras).unwrap();
        let running = launch.create().unwrap().start().unwrap();
        assert_eq!(common::finish(&running, text).output, "0:0\n0:0\n");
        use std::os::unix::fs::MetadataExt;
        assert_eq!(std::fs::metadata(place.path().join("data/made")).unwrap().uid(), 0);
        unmount(place.path());
    });
}

#[test]
fn the_administrator_mounts_file_systems_of_any_type_with_all_their_options() {
    let host = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut lower = Vec::new();
    // Longer than one option of fsconfig can be.
    for index in 0..12 {
        let directory =
            host.path().join(format!("a-rather-long-name-of-a-lower-directory-{index}"));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join(format!("file{index}")), "").unwrap();
        lower.push(directory.display().to_string());
    }
    for name in ["upper", "work"] {
        std::fs::create_dir(host.path().join(name)).unwrap();
    }
    let option = |name: &str, value: &str| format!("{name}={value}");
    let at = |name: &str| host.path().join(name).display().to_string();
    let options = [
        option("lowerdir", &lower.join(":")),
        option("upperdir", &at("upper")),
        option("workdir", &at("work")),
        "nosuid".to_owned(),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let script = "ls /data | grep -c file; touch /data/made; \
                  grep ' /data ' /proc/self/mounts | cut -d' ' -f3,4 | cut -c1-17";
    let mut bundle = Bundle::new(script);
    mount(&mut bundle, "overlay", "/data", &options);
    let refused = plan::Plan::new(&bundle.spec, &plan::Given::default()).unwrap_err().to_string();
    assert!(
        refused.starts_with("invalid mounts[6].type \"overlay\": must be bind or one of proc"),
        "{refused}"
    );
    bundle.given.administrator = true;
    assert_eq!(output(bundle), "12\noverlay rw,nosuid\n");
    assert!(host.path().join("upper/made").exists());
    let mut bundle = Bundle::new("grep ' /data ' /proc/self/mounts | cut -d' ' -f3");
    bundle.given.administrator = true;
    mount(&mut bundle, "ramfs", "/data", &["noexec"]);
    assert_eq!(output(bundle), "ramfs\n");
}

#[test]
fn the_administrator_binds_a_procfs_over_proc_and_nothing_else() {
    let host = tempfile::tempdir().unwrap();
    let bound = |source: &Path| {
        let mut bundle = Bundle::new("test -e /proc/self/status && echo proc");
        bundle.given.administrator = true;
        let linux = bundle.spec.linux.as_mut().unwrap();
        linux.namespaces.retain(|namespace| namespace.kind != "pid");
        linux.masked_paths.clear();
        linux.readonly_paths.clear();
        bundle.spec.mounts.remove(0);
        bundle.sources.remove(0);
        bundle.bind(source, "/proc", &[]);
        bundle
    };
    assert_eq!(output(bound(Path::new("/proc"))), "proc\n");
    assert_eq!(
        bound(host.path()).failure(),
        "prepare mount \"/proc\": what covers /proc must be a procfs"
    );
}

#[test]
fn a_cgroup_mount_shows_the_container_s_own_group() {
    let mut bundle = Bundle::new(
        "cat /proc/self/cgroup | head -1 | cut -d: -f3; ls /sys/fs/cgroup | grep -c cgroup.procs",
    );
    mount(&mut bundle, "cgroup", "/sys/fs/cgroup", &["ro", "nosuid", "noexec", "nodev"]);
    assert_eq!(output(bundle), "/\n1\n");
}

#[test]
fn a_mount_that_fails_is_named_with_its_cause() {
    let fail = |kind: &str, destination: &str, options: &[&str]| {
        let mut bundle = Bundle::new("true");
        mount(&mut bundle, kind, destination, options);
        bundle.failure()
    };
    assert_eq!(fail("tmpfs", "/data", &["nonsense=1"]), "mount \"/data\": invalid argument");
    assert_eq!(fail("tmpfs", "/data", &["size=x"]), "mount \"/data\": invalid argument");
}

//! New and joined namespaces, id maps, clocks, and starts without privilege.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Bundle, exec, joining, kill};
use launch::{CgroupJoin, Extras, open_namespace};
use plan::Given;
use spec::oci::{IdMapping, Namespace, NetDevice, TimeOffset};
use std::path::Path;
use std::process::Command;
use sys::clone::Namespaces;

fn output(bundle: Bundle) -> String {
    let outcome = bundle.run().unwrap();
    assert_eq!(outcome.exit.status(), 0, "{}", outcome.output);
    outcome.output
}

fn add(bundle: &mut Bundle, kind: &str) {
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: kind.to_owned(), path: None });
}

fn remove(bundle: &mut Bundle, kind: &str) {
    bundle.spec.linux.as_mut().unwrap().namespaces.retain(|namespace| namespace.kind != kind);
}

/// The uptime that the script `cat /proc/uptime` has written, in seconds.
fn uptime(text: &str) -> u64 {
    text.split('.').next().unwrap().trim().parse().unwrap()
}

fn with_clocks(script: &str) -> Bundle {
    let mut bundle = Bundle::new(script);
    add(&mut bundle, "time");
    let offset = |secs| TimeOffset { secs, nanosecs: 500 };
    let offsets = [("boottime", offset(1_000_000)), ("monotonic", offset(5_000))];
    bundle.spec.linux.as_mut().unwrap().time_offsets =
        offsets.map(|(clock, offset)| (clock.to_owned(), offset)).into();
    bundle
}

#[test]
fn a_time_namespace_has_its_clocks_from_the_start_and_for_who_joins() {
    let host = uptime(&std::fs::read_to_string("/proc/uptime").unwrap());
    let mut user = with_clocks("cat /proc/uptime");
    user.with_user_namespace();
    for bundle in [with_clocks("cat /proc/uptime"), user] {
        let inside = uptime(&output(bundle));
        assert!((1_000_000..1_000_600).contains(&(inside - host)), "{inside} beside {host}");
    }
    let (container, _output, _root) = with_clocks("exec sleep 600").start().unwrap();
    let process = joining("cat /proc/uptime", &Given::default(), |_| {});
    let outcome = exec(&container, process, CgroupJoin::None).unwrap();
    assert!(uptime(&outcome.output) - host >= 1_000_000);
    // And by its file, as the first process of another container.
    let mut second = Bundle::new("cat /proc/uptime; readlink /proc/self/ns/time");
    join_file(&mut second, container.pid, "time", "time", Namespaces::TIME);
    let text = output(second);
    assert!(uptime(&text) - host >= 1_000_000);
    let link = std::fs::read_link(format!("/proc/{}/ns/time", container.pid)).unwrap();
    assert_eq!(text.lines().nth(1).unwrap(), link.display().to_string());
    kill(&container);
}

/// Makes the bundle join the namespace file of a process.
fn join_file(bundle: &mut Bundle, pid: i32, kind: &str, file: &str, which: Namespaces) {
    let path = format!("/proc/{pid}/ns/{file}");
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.retain(|namespace| namespace.kind != kind);
    linux.namespaces.push(Namespace { kind: kind.to_owned(), path: Some(path.clone()) });
    bundle.joins.push((which, open_namespace(Path::new(&path), which).unwrap()));
    bundle.given.joined |= which;
}

#[test]
fn every_namespace_but_the_mounts_can_be_joined_by_its_file() {
    let mut first = Bundle::new("exec sleep 600");
    first.with_user_namespace();
    let (container, _output, _root) = first.start().unwrap();
    let script = "for n in user net ipc uts pid cgroup; do readlink /proc/self/ns/$n; done; \
                  hostname; grep CapEff /proc/self/status";
    let mut bundle = Bundle::new(script);
    std::os::unix::fs::chown(bundle.root.path(), Some(100_000), Some(100_000)).unwrap();
    bundle.spec.hostname = None;
    // The user namespace in the middle: the order of the list does not count.
    for (kind, file, which) in [
        ("network", "net", Namespaces::NET),
        ("ipc", "ipc", Namespaces::IPC),
        ("user", "user", Namespaces::USER),
        ("uts", "uts", Namespaces::UTS),
        ("pid", "pid", Namespaces::PID),
        ("cgroup", "cgroup", Namespaces::CGROUP),
    ] {
        join_file(&mut bundle, container.pid, kind, file, which);
    }
    let text = output(bundle);
    let lines: Vec<_> = text.lines().collect();
    for (line, file) in lines.iter().zip(["user", "net", "ipc", "uts", "pid", "cgroup"]) {
        let theirs = std::fs::read_link(format!("/proc/{}/ns/{file}", container.pid)).unwrap();
        assert_eq!(*line, theirs.display().to_string());
    }
    assert_eq!(lines[6], "container");
    assert_ne!(lines[7], "CapEff:\t0000000000000000");
    kill(&container);
}

#[test]
fn a_file_that_is_no_namespace_or_one_of_another_type_is_refused() {
    let refusal =
        |path: &str, which| open_namespace(Path::new(path), which).unwrap_err().to_string();
    assert_eq!(
        refusal("/proc/self/ns/ipc", Namespaces::NET),
        "prepare namespace \"/proc/self/ns/ipc\": it is a namespace of another type"
    );
    assert_eq!(
        refusal("/dev/null", Namespaces::NET),
        "prepare namespace \"/dev/null\": it is no namespace"
    );
    assert_eq!(
        refusal("/missing", Namespaces::NET),
        "open namespace \"/missing\": no such file or directory"
    );
    // Given as one thing and being another, without the function above.
    let mut bundle = Bundle::new("true");
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.retain(|namespace| namespace.kind != "network");
    let path = Some("/proc/self/ns/net".to_owned());
    linux.namespaces.push(Namespace { kind: "network".to_owned(), path });
    bundle.given.joined = Namespaces::NET;
    let file = std::fs::File::open("/proc/self/ns/ipc").unwrap();
    bundle.joins.push((Namespaces::NET, file.into()));
    assert_eq!(bundle.failure(), "prepare namespaces: a file is a namespace of another type");
}

#[test]
fn several_ranges_of_ids_are_mapped() {
    let mut bundle = Bundle::new("cat /proc/self/uid_map; id -u; stat -c %u /data");
    bundle.with_user_namespace();
    let range = |container_id, host_id, size| IdMapping { container_id, host_id, size };
    let ranges = vec![range(0, 100_000, 10), range(10, 300_000, 5), range(20, 0, 1)];
    let linux = bundle.spec.linux.as_mut().unwrap();
    (linux.uid_mappings, linux.gid_mappings) = (ranges.clone(), ranges);
    bundle.process().user.uid = 12;
    let text = output(bundle);
    let words: Vec<_> = text.split_whitespace().collect();
    assert_eq!(words, ["0", "100000", "10", "10", "300000", "5", "20", "0", "1", "12", "20"]);
}

#[test]
fn a_user_namespace_without_a_root_still_gets_its_mounts() {
    let mut bundle = Bundle::new("id -u; grep -c . /proc/self/mounts");
    bundle.with_user_namespace();
    let range = IdMapping { container_id: 1000, host_id: 100_000, size: 10 };
    let linux = bundle.spec.linux.as_mut().unwrap();
    (linux.uid_mappings, linux.gid_mappings) = (vec![range], vec![range]);
    linux.devices.clear();
    // Options that name ids have nobody to name.
    for mount in &mut bundle.spec.mounts {
        mount.options.retain(|option| option != "gid=5");
    }
    bundle.process().user.uid = 1001;
    bundle.process().user.gid = 1001;
    assert!(output(bundle).starts_with("1001\n"));
}

#[test]
fn what_a_user_namespace_may_not_make_comes_from_the_host_read_only() {
    let mut bundle = Bundle::new(
        "ls -d /sys/class/net /dev/mqueue; touch /sys/x /sys/fs/cgroup/x; \
         mkdir /sys/fs/cgroup/made && echo wrong; echo end",
    );
    bundle.with_user_namespace();
    for kind in ["network", "cgroup"] {
        remove(&mut bundle, kind);
    }
    bundle.spec.mounts.push(spec::oci::Mount {
        destination: "/sys/fs/cgroup".to_owned(),
        kind: Some("cgroup".to_owned()),
        source: Some("cgroup".to_owned()),
        options: vec!["rw".to_owned()],
        ..Default::default()
    });
    bundle.sources.push(None);
    let text = output(bundle);
    // CVE-2023-25809: the host's cgroups would be writable.
    assert_eq!(
        text,
        "/dev/mqueue\n/sys/class/net\ntouch: /sys/x: Read-only file system\n\
         touch: /sys/fs/cgroup/x: Read-only file system\n\
         mkdir: can't create directory '/sys/fs/cgroup/made': Read-only file system\nend\n"
    );
}

/// In a container whose own procfs has parts covered, the kernel makes no whole one in a further user namespace.
#[test]
fn a_procfs_that_would_show_more_than_the_one_around_it_is_refused_and_named() {
    let alone = || {
        sys::clone::unshare(Namespaces::MOUNT).unwrap();
        let propagation = Some(mounts::Propagation::Private);
        let change = mounts::Change { propagation, ..Default::default() };
        sys::mount::set_attr_path(c"/", mounts::Extent::Tree, &change).unwrap();
        let empty = mounts::FsContext::open(c"tmpfs").unwrap().mount(mounts::Attr::empty());
        empty.unwrap().attach(common::open_path("/proc/sys")).unwrap();
        // There is no other procfs to be had in this mount namespace.
        let mut bundle = Bundle::new("true");
        bundle.with_user_namespace();
        assert_eq!(bundle.failure(), "mount \"/proc\": operation not permitted");
    };
    std::thread::spawn(alone).join().unwrap();
}

/// Runs the test `name` of this file once more as another user, with an `/etc` in which these lines are in `subuid` and
/// `subgid`.
fn as_user(name: &str, subordinate: &str) -> String {
    const USER: &str = "4321";
    let this = std::env::current_exe().unwrap();
    let files = tempfile::tempdir().unwrap();
    let etc = files.path();
    let write = |file: &str, text: &str| std::fs::write(etc.join(file), text).unwrap();
    write("subuid", subordinate);
    write("subgid", subordinate);
    write("passwd", &format!("tester:x:{USER}:{USER}::/:/bin/sh\nroot:x:0:0::/:/bin/sh\n"));
    for file in ["ld.so.cache", "nsswitch.conf"] {
        if let Ok(bytes) = std::fs::read(format!("/etc/{file}")) {
            std::fs::write(etc.join(file), bytes).unwrap();
        }
    }
    let script = format!(
        "mount --bind {} /etc; exec /usr/bin/setpriv --reuid {USER} --regid {USER} --clear-groups \
         {} --exact {name} --nocapture --test-threads 1",
        etc.display(),
        this.display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    command.env("COFFER_TEST_ROOTLESS", "1").env("TMPDIR", "/tmp");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(etc, mode).unwrap();
    let outcome = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&outcome.stdout), text(&outcome.stderr));
    assert!(outcome.status.success(), "{out}{err}");
    out
}

fn is_rootless() -> bool {
    std::env::var_os("COFFER_TEST_ROOTLESS").is_some()
}

/// A bundle as an unprivileged user has it.
fn rootless(script: &str, ranges: &[IdMapping]) -> Bundle {
    let mut bundle = Bundle::new(script);
    add(&mut bundle, "user");
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.uid_mappings = ranges.to_vec();
    linux.gid_mappings = ranges.to_vec();
    for mount in &mut bundle.spec.mounts {
        if ranges.len() == 1 {
            mount.options.retain(|option| option != "gid=5");
        }
    }
    bundle.by_path = true;
    bundle
}

fn own_id() -> IdMapping {
    IdMapping { container_id: 0, host_id: rustix::process::geteuid().as_raw(), size: 1 }
}

#[test]
fn an_unprivileged_user_starts_containers_of_his_own_id() {
    if !is_rootless() {
        as_user("an_unprivileged_user_starts_containers_of_his_own_id", "");
        return;
    }
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("file"), "bound\n").unwrap();
    let script = "id -u; id -g; cat /data/file; touch /ro/x; cat /proc/keys; echo x > /dev/null; \
                  cat /proc/self/setgroups; stat -c %t:%T /dev/zero; ls -d /sys/class; echo $$; \
                  touch /data/made; cat /proc/self/oom_score_adj";
    let mut bundle = rootless(script, &[own_id()]);
    bundle.bind(host.path(), "/data", &[]);
    bundle.bind(host.path(), "/ro", &["ro"]);
    bundle.process().oom_score_adj = Some(-500);
    let (running, text, _root) = bundle.start().unwrap();
    let outcome = common::finish(&running, text);
    let score = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    assert_eq!(
        outcome.output,
        format!(
            "0\n0\nbound\ntouch: /ro/x: Read-only file system\ndeny\n1:5\n/sys/class\n1\n{score}"
        )
    );
    assert!(host.path().join("made").exists());
    // And a process that joins.
    let (container, _output, _root) = rootless("exec sleep 600", &[own_id()]).start().unwrap();
    let process = joining("id -u; hostname", &Given::default(), |_| {});
    let outcome = exec(&container, process, CgroupJoin::None).unwrap();
    assert_eq!(outcome.output, "0\ncontainer\n");
    kill(&container);
}

#[test]
fn an_unprivileged_user_maps_subordinate_ids_by_newuidmap() {
    if !is_rootless() {
        // A host without the program cannot do this.
        if !Path::new("/usr/bin/newuidmap").exists() {
            return;
        }
        let subordinate = "tester:500000:65536\n";
        as_user("an_unprivileged_user_maps_subordinate_ids_by_newuidmap", subordinate);
        return;
    }
    let range = IdMapping { container_id: 1, host_id: 500_000, size: 1000 };
    let mut bundle = rootless("cat /proc/self/uid_map; id -u; id -G", &[own_id(), range]);
    bundle.process().user.uid = 7;
    bundle.process().user.additional_gids = vec![8, 9];
    let text = output(bundle);
    let words: Vec<_> = text.split_whitespace().collect();
    assert_eq!(words, ["0", "4321", "1", "1", "500000", "1000", "7", "0", "8", "9"]);
    let foreign = IdMapping { container_id: 1, host_id: 900_000, size: 1000 };
    let error = rootless("true", &[own_id(), foreign]).failure();
    assert!(error.starts_with("map ids by newuidmap: exit status 1: newuidmap: "), "{error}");
}

#[test]
fn an_unprivileged_user_gets_clear_words_for_what_he_may_not() {
    if !is_rootless() {
        as_user("an_unprivileged_user_gets_clear_words_for_what_he_may_not", "");
        return;
    }
    let mut by_descriptor = rootless("true", &[own_id()]);
    by_descriptor.by_path = false;
    assert_eq!(
        by_descriptor.failure(),
        "prepare root file system: without the right to copy mounts its path must be given"
    );
    let without = {
        let mut bundle = Bundle::new("true");
        bundle.by_path = true;
        bundle
    };
    assert_eq!(without.failure(), "make process: operation not permitted");
}

#[test]
fn an_unprivileged_user_shares_the_host_s_network_and_sees_its_sysfs_read_only() {
    if !is_rootless() {
        as_user("an_unprivileged_user_shares_the_host_s_network_and_sees_its_sysfs_read_only", "");
        return;
    }
    let mut bundle =
        rootless("ls -d /sys/class/net; mkdir /sys/fs/cgroup/x; echo end", &[own_id()]);
    remove(&mut bundle, "network");
    let text = output(bundle);
    assert!(text.starts_with("/sys/class/net\nmkdir: "), "{text}");
    assert!(text.contains("Read-only file system"), "{text}");
}

/// The child opens paths itself; what it finds must be what its starter has opened.
#[test]
fn a_source_that_is_exchanged_after_it_was_opened_is_not_mounted() {
    const NAME: &str = "a_source_that_is_exchanged_after_it_was_opened_is_not_mounted";
    if !is_rootless() {
        as_user(NAME, "");
        return;
    }
    let host = tempfile::tempdir().unwrap();
    for name in ["wanted", "other"] {
        std::fs::create_dir(host.path().join(name)).unwrap();
        std::fs::write(host.path().join(name).join("file"), name).unwrap();
    }
    let mut bundle = rootless("cat /data/file", &[own_id()]);
    bundle.bind(&host.path().join("wanted"), "/data", &[]);
    std::fs::rename(host.path().join("wanted"), host.path().join("moved")).unwrap();
    std::fs::rename(host.path().join("other"), host.path().join("wanted")).unwrap();
    assert_eq!(bundle.failure(), "mount \"/data\": stale file handle");
}

#[test]
fn interfaces_move_in_with_their_addresses_and_get_their_names() {
    let alone = || {
        sys::clone::unshare(Namespaces::NET).unwrap();
        let ip = |args: &str| {
            let status = Command::new("ip").args(args.split(' ')).status().unwrap();
            assert!(status.success(), "{args}");
        };
        ip("link add coffer0 type veth peer name coffer1");
        ip("link set coffer0 mtu 1400 address 02:00:00:00:00:07 up");
        ip("addr add 192.0.2.7/24 dev coffer0");
        ip("addr add 2001:db8::7/64 dev coffer0 nodad");
        ip("link set coffer1 up");
        let mut bundle = Bundle::new(
            "ip addr show inner; ip link show coffer1; cat /proc/sys/net/ipv4/conf/inner/forwarding",
        );
        bundle.given.administrator = true;
        let linux = bundle.spec.linux.as_mut().unwrap();
        let name = Some("inner".to_owned());
        linux.net_devices.insert("coffer0".to_owned(), NetDevice { name });
        linux.net_devices.insert("coffer1".to_owned(), NetDevice::default());
        let value = "1".to_owned();
        linux.sysctl.insert("net.ipv4.conf.inner.forwarding".to_owned(), value);
        let text = output(bundle);
        for part in [
            "inner@coffer1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400",
            "link/ether 02:00:00:00:00:07",
            "inet 192.0.2.7/24 ",
            "inet6 2001:db8::7/64 scope global",
            "coffer1@inner: <BROADCAST,MULTICAST,UP,LOWER_UP>",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(text.ends_with("\n1\n"));
        let mut bundle = Bundle::new("true");
        bundle.given.administrator = true;
        let linux = bundle.spec.linux.as_mut().unwrap();
        linux.net_devices.insert("missing0".to_owned(), NetDevice::default());
        assert_eq!(
            bundle.failure(),
            "move interface \"missing0\" into the container: no such device"
        );
    };
    std::thread::spawn(alone).join().unwrap();
}

#[test]
fn a_host_name_of_a_joined_namespace_is_set() {
    let (container, _output, _root) = Bundle::new("exec sleep 600").start().unwrap();
    let mut bundle = Bundle::new("hostname; cat /proc/sys/kernel/domainname");
    join_file(&mut bundle, container.pid, "uts", "uts", Namespaces::UTS);
    bundle.spec.hostname = Some("other".to_owned());
    bundle.spec.domainname = Some("domain.example".to_owned());
    assert_eq!(output(bundle), "other\ndomain.example\n");
    kill(&container);
}

#[test]
fn the_host_s_root_is_no_root_of_a_container() {
    let mut bundle = Bundle::new("true");
    bundle.root = tempfile::tempdir().unwrap();
    bundle.given.sources = vec![None; bundle.spec.mounts.len()];
    let plan = plan::Plan::new(&bundle.spec, &bundle.given).unwrap();
    let (stdio, _output) = common::piped();
    let descriptors = launch::Descriptors {
        rootfs: launch::Rootfs::Directory(common::open_path("/")),
        sources: Vec::new(),
        joins: Vec::new(),
        stdio,
        cgroup: CgroupJoin::None,
    };
    let host = launch::Host::open().unwrap();
    let error = launch::Launch::prepare(&host, plan, descriptors).unwrap_err().to_string();
    assert_eq!(error, "prepare root file system: it is the root of the host");
}

#[test]
fn the_root_can_be_changed_without_pivot_root() {
    let script = "ls / | sort | head -3; cat /proc/self/mounts | cut -d' ' -f2 | head -4; \
                  cd ../../..; ls etc | grep -c passwd";
    let mut bundle = Bundle::new(script);
    bundle.spec.hostname = None;
    let outcome = bundle.run_extra(Extras { no_pivot: true, ..Extras::default() }).unwrap();
    assert!(outcome.output.starts_with("bin\ndata\ndev\n"), "{}", outcome.output);
    assert!(outcome.output.ends_with("0\n"), "{}", outcome.output);
    assert!(outcome.output.contains("/proc"), "{}", outcome.output);
}

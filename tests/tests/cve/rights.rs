//! CVE-2022-29162, CVE-2022-27650, CVE-2023-25809, supplementary groups, propagation and nested namespaces: what a
//! container has, and does not give back to the host.

use crate::attacker::{Canary, mounts_below};
use e2e::Engine;

/// Guard: `inheritable: caps.ambient` in `take_rights` of `runtime/launch/src/child/program.rs`.
#[test]
fn inheritable_and_ambient_capabilities_are_empty_whatever_is_added() {
    let engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "one", "busybox", "sleep", "300"]).text();
    let show = ["grep", "-E", "^Cap(Inh|Amb)", "/proc/self/status"];
    let empty = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n";
    for flags in [
        &["run", "--rm", "busybox"][..],
        &["run", "--rm", "--cap-add", "SYS_ADMIN", "busybox"],
        &["run", "--rm", "--cap-add", "ALL", "-u", "1000", "busybox"],
        &["run", "--rm", "--privileged", "busybox"],
        &["exec", "one"],
        &["exec", "--privileged", "one"],
        &["exec", "-u", "1000", "one"],
    ] {
        let arguments = [flags, &show].concat();
        assert_eq!(engine.docker(&arguments).ok(), empty, "{flags:?}");
    }
}

/// CVE-2022-36109 and others. Guard: `ids::set_groups` before group and user in `take_rights` of
/// `runtime/launch/src/child/program.rs`.
#[test]
fn a_user_has_the_groups_of_the_image_and_none_of_the_starter() {
    let engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "one", "busybox", "sleep", "300"]).text();
    for (user, groups) in [
        ("user", "1000 2000"),
        ("1234", "0"),
        ("1234:77", "77"),
        ("nobody", "65534"),
        ("root", "0"),
    ] {
        let run = ["run", "--rm", "-u", user, "busybox", "id", "-G"];
        assert_eq!(engine.docker(&run).ok(), format!("{groups}\n"), "run as {user}");
        let exec = ["exec", "-u", user, "one", "id", "-G"];
        assert_eq!(engine.docker(&exec).ok(), format!("{groups}\n"), "exec as {user}");
    }
}

/// Guard: the cgroup mounts are made read-only and in the container's own cgroup namespace, `attach_cgroups` of
/// `runtime/launch/src/child/typed.rs`.
#[test]
fn cgroups_are_read_only_and_show_the_container_s_own_group() {
    let engine = Engine::with_busybox();
    let script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do
        test -d $d || continue
        mkdir $d/made 2>/dev/null && echo made $d
        for f in $d/cgroup.procs $d/release_agent $d/notify_on_release; do
            { echo 0 >$f; } 2>/dev/null && echo written $f
        done
        done
        ls -R /sys/fs/cgroup | grep coffer-e2e; echo end";
    for space in ["--cgroupns=private", "--cgroupns=host"] {
        let said = engine.docker(&["run", "--rm", space, "busybox", "sh", "-c", script]);
        assert_eq!(said.ok(), "end\n", "{space}");
    }
    let inside = engine.docker(&[
        "run",
        "--rm",
        "--cgroupns=private",
        "busybox",
        "cat",
        "/proc/self/cgroup",
    ]);
    let inside = inside.ok();
    assert!(inside.lines().all(|line| line.ends_with(":/")), "{inside}");
}

/// A mount of the host that passes on what is mounted below it, as `/` does under systemd.
struct SharedMount(Canary);

impl SharedMount {
    fn new() -> Self {
        let directory = Canary::new();
        let path = directory.path().display().to_string();
        for arguments in [vec!["--bind", &path, &path], vec!["--make-shared", &path]] {
            let status = std::process::Command::new("mount").args(arguments).status().unwrap();
            assert!(status.success(), "mount {path}");
        }
        Self(directory)
    }
}

impl Drop for SharedMount {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg("-R").arg(self.0.path()).status().ok();
    }
}

/// Guard: `set_attributes` of `runtime/launch/src/prepare.rs` takes each copy out of its peer group, and `attach_root` of
/// `runtime/launch/src/child/layout.rs` makes the copied table private, before anything is mounted.
#[test]
fn what_is_mounted_in_a_container_does_not_reach_the_host() {
    let shared = SharedMount::new();
    let engine = Engine::with_busybox();
    let path = shared.0.path();
    std::fs::create_dir(path.join("inner")).unwrap();
    let before = mounts_below(path);
    let bind = format!("{}:/data", path.display());
    for extra in [&[][..], &["-v", "/tmp:/data/inner"], &["--tmpfs", "/data/inner"]] {
        let mut arguments = vec!["run", "--rm", "--privileged", "-v", &bind];
        arguments.extend(extra);
        arguments.extend([
            "busybox",
            "sh",
            "-c",
            "mount -t tmpfs none /data/inner && echo mounted",
        ]);
        // Twice: what leaks is seen while the container runs or after it.
        assert_eq!(engine.docker(&arguments).ok(), "mounted\n", "{extra:?}");
        assert_eq!(mounts_below(path), before, "{extra:?}");
    }
    let name =
        ["run", "-d", "--name", "one", "--privileged", "-v", &bind, "busybox", "sleep", "300"];
    engine.docker(&name).text();
    let mount = ["exec", "--privileged", "one", "mount", "-t", "tmpfs", "none", "/data/inner"];
    engine.docker(&mount).ok();
    assert_eq!(mounts_below(path), before);
}

/// A namespace of users inside makes its root capable there; a procfs of its own would be one without masks.
/// Guard: the masks of `runtime/launch/src/child/protect.rs` are mounts, which a new procfs may not uncover; and the list
/// of calls, which refuses the namespace in the first place.
#[test]
fn a_nested_user_namespace_gets_no_procfs_without_masks() {
    let engine = Engine::with_busybox();
    let script = "unshare -U -r -m -p -f mount -t proc proc /mnt 2>&1 && cat /mnt/sys/kernel/core_pattern; \
                  ls -l /mnt";
    let run = |flags: &[&str]| {
        let mut arguments = vec!["run", "--rm"];
        arguments.extend(flags);
        let script = format!("mkdir -p /mnt; {script}");
        arguments.extend(["busybox", "sh", "-c"]);
        engine.docker(&[&arguments[..], &[&script]].concat()).text()
    };
    let default = run(&[]);
    assert_eq!(default, "unshare: unshare(0x30020000): Operation not permitted\ntotal 0");
    let without_list = run(&["--security-opt", "seccomp=unconfined"]);
    let refused = "mount: permission denied (are you root?)\ntotal 0";
    assert_eq!(without_list, refused);
}

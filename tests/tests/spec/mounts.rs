//! config.md, "Root", "Mounts"; config-linux.md, "Default Filesystems", "Rootfs Mount Propagation", "Masked Paths",
//! "Readonly Paths".

use crate::rig::{Bundle, row};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;

fn with(mounts: Value) -> Value {
    json!({"+mounts": mounts})
}

/// A directory `name` of the bundle with a file `f` in it.
fn source(bundle: &Bundle, name: &str) -> String {
    let path = bundle.path(name);
    fs::create_dir_all(path.join("deep")).unwrap();
    fs::write(path.join("f"), "content\n").unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_root_is_the_bundles_and_can_be_read_only() {
    let bundle = Bundle::new();
    fs::write(bundle.rootfs("marker"), "the bundle's\n").unwrap();
    let absolute = bundle.path("rootfs");
    let write = "(: > /file) 2>/dev/null && echo written || echo refused";
    bundle.check(&[
        row("root.path: relative to the bundle", json!({}), "cat /marker", "the bundle's"),
        row(
            "root.path: absolute",
            json!({"root": {"path": absolute}}),
            "cat /marker",
            "the bundle's",
        ),
        row("root.readonly: false", json!({"root": {"readonly": false}}), write, "written"),
        row("root.readonly: true", json!({"root": {"readonly": true}}), write, "refused"),
        row(
            "root: nothing of the host's",
            json!({}),
            "ls / | tr '\\n' ' '; ls /home | wc -l",
            "bin dev etc file home marker proc root sys tmp var 0",
        ),
        row(
            "root: the old root is gone",
            json!({}),
            "grep -c ' - ext4 \\| - xfs \\| - overlay ' /proc/self/mountinfo | sed 's/^[01]$/few/'",
            "few",
        ),
    ]);
}

#[test]
fn default_file_systems_are_usable() {
    let bundle = Bundle::new();
    bundle.check(&[
        row(
            "config-linux.md default filesystems",
            json!({}),
            "for path in /proc /sys /dev/pts /dev/shm; do awk -v p=$path '$2 == p {print $3}' /proc/mounts; done",
            "proc\nsysfs\ndevpts\ntmpfs",
        ),
        row("/proc: one process", json!({}), "ls /proc | grep -c '^[0-9]*$' | sed 's/^[1-4]$/few/'", "few"),
        row("/dev/shm", json!({}), "echo x > /dev/shm/f && cat /dev/shm/f", "x"),
        row(
            "/dev/mqueue",
            with(json!([{"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"}])),
            "touch /dev/mqueue/q && ls /dev/mqueue",
            "q",
        ),
    ]);
}

#[test]
fn mounts_come_in_their_order_with_their_options() {
    let bundle = Bundle::new();
    let data = source(&bundle, "data");
    let bind = |options: Value| {
        with(json!([{"destination": "/data", "type": "bind", "source": data, "options": options}]))
    };
    let write = "(: > /data/new) 2>/dev/null && echo written || echo refused";
    fs::copy("/bin/busybox", bundle.path("data/busybox")).unwrap();
    let run = "/data/busybox true 2>/dev/null && echo ran || echo refused";
    let options = "awk '$2 == \"/data\" {print $4}' /proc/mounts | tr ',' '\\n' | grep -E '^(ro|rw|nosuid|nodev|noexec|noatime|nodiratime|relatime|sync|nosymfollow)$' | sort | tr '\\n' ' '";
    bundle.check(&[
        row("mounts: bind", bind(json!(["bind"])), "cat /data/f", "content"),
        row("mounts: bind without the word", with(json!([{"destination": "/data", "source": data, "options": ["rbind"]}])), "cat /data/f", "content"),
        row("mounts.destination: made when it is missing", with(json!([{"destination": "/not/there", "type": "bind", "source": data, "options": ["bind"]}])), "cat /not/there/f", "content"),
        row("mounts: a file", with(json!([{"destination": "/etc/one", "type": "bind", "source": format!("{data}/f"), "options": ["bind", "ro"]}])), "cat /etc/one", "content"),
        row("mounts.options: rw", bind(json!(["bind", "rw"])), write, "written"),
        row("mounts.options: ro", bind(json!(["bind", "ro"])), write, "refused"),
        row("mounts.options: exec", bind(json!(["bind"])), run, "ran"),
        row("mounts.options: noexec", bind(json!(["bind", "noexec"])), run, "refused"),
        row("mounts.options: nosuid, nodev", bind(json!(["bind", "nosuid", "nodev", "noatime"])), options, "noatime nodev nosuid rw"),
        row("mounts.options: the last word counts", bind(json!(["bind", "ro", "noexec", "rw", "exec"])), run, "ran"),
        row("mounts.options: nodev", with(json!([{"destination": "/dev2", "type": "tmpfs", "source": "x", "options": ["nodev"]}])), "mknod /dev2/null c 1 3 && (: < /dev2/null) 2>/dev/null && echo opened || echo refused", "refused"),
        row("mounts.options: size", with(json!([{"destination": "/small", "type": "tmpfs", "source": "x", "options": ["size=64k", "mode=1750"]}])), "stat -c %a /small; head -c 100000 /dev/zero > /small/f 2>/dev/null; wc -c < /small/f", "1750\n65536"),
        row("mounts: in their order", with(json!([
            {"destination": "/data", "type": "tmpfs", "source": "x"},
            {"destination": "/data/deep", "type": "bind", "source": data, "options": ["bind"]},
        ])), "ls /data; cat /data/deep/f", "deep\ncontent"),
        row("mounts: over each other", with(json!([
            {"destination": "/data", "type": "bind", "source": data, "options": ["bind"]},
            {"destination": "/data", "type": "tmpfs", "source": "x"},
        ])), "ls /data | wc -l", "0"),
        row("mounts: a link in the way leads nowhere else", {
            symlink("/etc", bundle.rootfs("alias")).unwrap();
            with(json!([{"destination": "/alias/inside", "type": "bind", "source": data, "options": ["bind"]}]))
        }, "cat /etc/inside/f", "content"),
        row("mounts.options: tmpcopyup", with(json!([{"destination": "/etc", "type": "tmpfs", "source": "x", "options": ["tmpcopyup"]}])), "grep -c root: /etc/passwd; echo more >> /etc/passwd", "1"),
    ]);
    assert!(!fs::read_to_string(bundle.rootfs("etc/passwd")).unwrap().contains("more"));
    assert!(!std::path::Path::new("/etc/inside").exists());
}

#[test]
fn attributes_reach_all_mounts_below_where_that_is_asked_for() {
    let bundle = Bundle::new();
    let data = source(&bundle, "data");
    // A mount below the source, in a mount namespace of this test's own.
    let run = |options: Value, script: &str| {
        let mounts =
            json!([{"destination": "/data", "type": "bind", "source": data, "options": options}]);
        bundle.write(&with(mounts), script);
        let runtime = bundle.runtime(&[]);
        let line = format!(
            "mount -t tmpfs x {data}/deep && echo below > {data}/deep/f && {} --root {} run --bundle {} {}",
            runtime.get_program().to_string_lossy(),
            bundle.path("state").display(),
            bundle.path(".").display(),
            bundle.id("below"),
        );
        let output = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c", &line])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    let write = "for path in /data /data/deep; do (: > $path/new) 2>/dev/null && echo written || echo refused; done";
    assert_eq!(
        run(json!(["bind"]), "ls /data/deep | wc -l"),
        "0",
        "config.md mounts.options: bind"
    );
    assert_eq!(
        run(json!(["rbind"]), "cat /data/deep/f"),
        "below",
        "config.md mounts.options: rbind"
    );
    assert_eq!(
        run(json!(["rbind", "ro"]), write),
        "refused\nwritten",
        "config.md mounts.options: ro"
    );
    assert_eq!(
        run(json!(["rbind", "rro"]), write),
        "refused\nrefused",
        "config.md mounts.options: rro"
    );
    assert_eq!(
        run(json!(["rbind", "rro", "rrw"]), write),
        "written\nwritten",
        "config.md mounts.options: rrw"
    );
}

#[test]
fn propagation_is_what_is_said() {
    let bundle = Bundle::new();
    let data = source(&bundle, "data");
    let kind = |option: &str| {
        with(
            json!([{"destination": "/data", "type": "bind", "source": data, "options": ["rbind", option]}]),
        )
    };
    let look = "awk '$5 == \"/data\" {for (i = 7; $i != \"-\"; i++) print $i}' /proc/self/mountinfo | sed 's/:.*//'";
    let root = "awk '$5 == \"/\" {for (i = 7; $i != \"-\"; i++) print $i}' /proc/self/mountinfo | sed 's/:.*//'";
    bundle.check(&[
        row("mounts.options: private", kind("private"), look, ""),
        row("mounts.options: rprivate", kind("rprivate"), look, ""),
        row("mounts.options: shared", kind("shared"), look, "shared"),
        row("mounts.options: unbindable", kind("unbindable"), look, "unbindable"),
        row(
            "linux.rootfsPropagation: private",
            json!({"linux": {"rootfsPropagation": "private"}}),
            root,
            "",
        ),
        row(
            "linux.rootfsPropagation: shared",
            json!({"linux": {"rootfsPropagation": "shared"}}),
            root,
            "shared",
        ),
        row(
            "linux.rootfsPropagation: unbindable",
            json!({"linux": {"rootfsPropagation": "unbindable"}}),
            root,
            "unbindable",
        ),
    ]);
}

#[test]
fn ids_of_a_mount_are_mapped() {
    let bundle = Bundle::new();
    let data = source(&bundle, "data");
    let chown =
        std::process::Command::new("chown").args(["-R", "1234:1234", &data]).status().unwrap();
    assert!(chown.success());
    let map = json!([{"containerID": 1234, "hostID": 0, "size": 1}]);
    let mount = json!({
        "destination": "/data", "type": "bind", "source": data, "options": ["bind", "idmap"],
        "uidMappings": map, "gidMappings": map,
    });
    bundle.check(&[row(
        "mounts.uidMappings, mounts.gidMappings",
        with(json!([mount])),
        "stat -c %u:%g /data/f; touch /data/new",
        "0:0",
    )]);
    let owner =
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(bundle.path("data/new")).unwrap());
    assert_eq!(owner, 1234, "a file that root made inside belongs to the mapped user outside");
}

#[test]
fn masked_and_read_only_paths_are_that() {
    let bundle = Bundle::new();
    fs::create_dir(bundle.rootfs("secret")).unwrap();
    fs::write(bundle.rootfs("secret/f"), "x").unwrap();
    fs::write(bundle.rootfs("etc/key"), "secret\n").unwrap();
    let masked = json!({"linux": {"maskedPaths": ["/etc/key", "/secret", "/proc/timer_list", "/no/such/path"]}});
    let readonly = json!({"linux": {"readonlyPaths": ["/proc/sys", "/var", "/no/such/path"]}});
    bundle.check(&[
        row("linux.maskedPaths: a file", masked.clone(), "cat /etc/key; echo end", "end"),
        row("linux.maskedPaths: a directory", masked.clone(), "ls /secret | wc -l; (: > /secret/f) 2>/dev/null || echo refused", "0\nrefused"),
        row("linux.maskedPaths: in /proc", masked, "cat /proc/timer_list | wc -c", "0"),
        row("linux.readonlyPaths", readonly.clone(), "(: > /var/f) 2>/dev/null || echo refused; (echo x > /proc/sys/kernel/hostname) 2>/dev/null || echo refused", "refused\nrefused"),
        row("linux.readonlyPaths: others", readonly, "(: > /tmp/f) && echo written", "written"),
    ]);
}

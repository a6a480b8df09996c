//! config-linux.md, "Devices", "Default Devices", "Allowed Device list"; config.md, `process.terminal`.

use crate::rig::{Bundle, row};
use serde_json::{Value, json};

#[test]
fn default_devices_are_there_and_can_be_used() {
    let bundle = Bundle::new();
    bundle.check(&[
        row(
            "default devices",
            json!({}),
            "cd /dev; stat -c '%n %F %a %t:%T' null zero full random urandom tty",
            "null character special file 666 1:3\nzero character special file 666 1:5\n\
             full character special file 666 1:7\nrandom character special file 666 1:8\n\
             urandom character special file 666 1:9\ntty character special file 666 5:0",
        ),
        row(
            "default devices: use",
            json!({}),
            "echo x > /dev/null; head -c 3 /dev/zero | xxd -p; (echo x > /dev/full) 2>/dev/null || echo full; head -c 2 /dev/urandom | wc -c",
            "000000\nfull\n2",
        ),
        row("default devices: /dev/ptmx", json!({}), "readlink /dev/ptmx; test -c /dev/ptmx && echo there", "pts/ptmx\nthere"),
        row(
            "default links",
            json!({}),
            "for name in fd stdin stdout stderr; do readlink /dev/$name; done",
            "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2",
        ),
        row("default devices: no others", json!({}), "ls /dev | grep -v core | tr '\\n' ' '", "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"),
    ]);
}

#[test]
fn devices_that_are_listed_are_made() {
    let bundle = Bundle::new();
    let device = |path: &str, kind: &str, more: Value| {
        let mut device = json!({"path": path, "type": kind, "major": 1, "minor": 3});
        device.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"linux": {"devices": [device]}})
    };
    bundle.check(&[
        row(
            "linux.devices",
            device("/dev/mine", "c", json!({"fileMode": 0o640, "uid": 5, "gid": 6})),
            "stat -c '%F %a %u:%g %t:%T' /dev/mine",
            "character special file 640 5:6 1:3",
        ),
        row(
            "linux.devices: in a new directory",
            device("/dev/a/b", "c", json!({})),
            "stat -c '%a %u' /dev/a/b",
            "666 0",
        ),
        row(
            "linux.devices: p",
            device("/dev/pipe", "p", json!({})),
            "stat -c %F /dev/pipe",
            "fifo",
        ),
        row(
            "linux.devices: u",
            device("/dev/u", "u", json!({})),
            "stat -c %F /dev/u",
            "character special file",
        ),
        row(
            "linux.devices: b",
            device("/dev/b", "b", json!({"major": 7, "minor": 99})),
            "stat -c '%F %t:%T' /dev/b",
            "block special file 7:63",
        ),
    ]);
}

/// A device that nobody has by default and anybody could open.
fn has_tun() -> bool {
    std::fs::read_to_string("/proc/misc")
        .is_ok_and(|table| table.lines().any(|line| line.trim() == "200 tun"))
}

fn rules(rules: Value) -> Value {
    json!({"linux": {"resources": {"devices": rules}}})
}

#[test]
fn only_devices_of_the_list_can_be_opened() {
    let bundle = Bundle::new();
    if !has_tun() {
        return;
    }
    let tun = "mknod /tmp/k c 10 200 && (: < /tmp/k) 2>/dev/null && echo opened || echo refused; rm /tmp/k";
    let deny = json!({"allow": false, "access": "rwm"});
    let allow = |access: &str| json!({"allow": true, "type": "c", "major": 10, "minor": 200, "access": access});
    let write = "mknod /tmp/k c 10 200; (: < /tmp/k) 2>/dev/null && echo read; (: > /tmp/k) 2>/dev/null && echo written; rm /tmp/k; true";
    bundle.check(&[
        row("linux.resources.devices: denied", rules(json!([deny])), tun, "refused"),
        row("linux.resources.devices: allowed", rules(json!([deny, allow("rw")])), tun, "opened"),
        row(
            "linux.resources.devices: in their order",
            rules(json!([allow("rw"), deny])),
            tun,
            "refused",
        ),
        row("linux.resources.devices: access", rules(json!([deny, allow("r")])), write, "read"),
        row(
            "linux.resources.devices: a wildcard",
            rules(json!([deny, {"allow": true, "type": "c", "major": 10, "access": "rwm"}])),
            tun,
            "opened",
        ),
        row(
            "linux.resources.devices: default devices stay",
            rules(json!([deny])),
            "echo x > /dev/null && head -c 1 /dev/zero | wc -c",
            "1",
        ),
        row("linux.resources.devices: nothing said", json!({}), tun, "refused"),
    ]);
}

#[test]
fn a_change_of_the_list_counts_for_processes_that_run() {
    if !has_tun() {
        return;
    }
    let bundle = Bundle::new();
    let container = bundle.start(&json!({}), "mknod /tmp/k c 10 200; sleep 600");
    let open = "(: < /tmp/k) 2>/dev/null && echo opened || echo refused";
    while container.exec("test -c /tmp/k && echo made || true") != "made" {}
    assert_eq!(container.exec(open), "refused");
    let pids = json!({"pids": {"limit": 33}}).to_string();
    let file = bundle.path("resources.json");
    std::fs::write(&file, pids).unwrap();
    container.call_with(&["update", "--resources", file.to_str().unwrap()], &[]).ok();
    assert_eq!(
        container.exec(open),
        "refused",
        "a change of other limits leaves devices as they are"
    );
    assert_eq!(container.exec("echo x > /dev/null && echo fine"), "fine");
}

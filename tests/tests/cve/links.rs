//! Links and volumes in the places where the engine mounts and writes by itself.

use crate::attacker::{Canary, image, replace_by_link};
use e2e::Engine;

/// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2026-41579, CVE-2026-47766. Guard: `no_links` of the mounts at
/// these places, `runtime/plan/src/mounts.rs`, and `ensure_without_links` of `runtime/launch/src/child/layout.rs`.
#[test]
fn an_image_with_a_link_at_proc_sys_or_dev_does_not_start() {
    let engine = Engine::start();
    let canary = Canary::new();
    for place in ["proc", "sys", "dev"] {
        let targets =
            [&canary.links()[..], &["/tmp".to_owned(), "/etc/missing".to_owned()]].concat();
        for (number, target) in targets.iter().enumerate() {
            let name = format!("{place}{number}");
            image(&engine, &name, |root| replace_by_link(root, place, target));
            let said = engine.docker(&["run", "--rm", &name, "true"]);
            assert_ne!(said.code, 0, "{place} -> {target}");
            let cause = format!("mount \"/{place}\": a symbolic link is in its place");
            assert!(said.err.contains(&cause), "{place} -> {target}: {}", said.err);
            canary.is_untouched();
        }
    }
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "");
}

/// CVE-2019-16884, CVE-2025-52881. Guard: `MountInsideProc` in `attach_mounts` of `runtime/launch/src/child/layout.rs` and
/// the list of `runtime/plan/src/mounts.rs`.
#[test]
fn volumes_do_not_cover_procfs() {
    let engine = Engine::start();
    let canary = Canary::new();
    image(&engine, "linked", |root| {
        for (name, target) in [
            ("to-proc", "/proc"),
            ("to-attr", "/proc/self/attr"),
            ("to-sys", "../../../proc/sys"),
            ("to-kernel", "proc/sys/kernel"),
        ] {
            std::os::unix::fs::symlink(target, root.join(name)).unwrap();
        }
    });
    let host = canary.path().display().to_string();
    for place in [
        "/proc",
        "/proc/self/attr",
        "/proc/sys",
        "/proc/sys/kernel",
        "/proc/1",
        "/proc/missing",
        "/to-proc",
        "/to-attr",
        "/to-sys",
        "/to-kernel",
        "/to-proc/sys/kernel",
        "/tmp/../proc/sys",
    ] {
        for option in [
            ["-v".to_owned(), format!("{host}:{place}")],
            ["-v".to_owned(), format!("volume:{place}")],
            ["--tmpfs".to_owned(), place.to_owned()],
        ] {
            let [flag, value] = &option;
            let said =
                engine.docker(&["run", "--rm", flag, value, "linked", "cat", "/proc/self/comm"]);
            // `--tmpfs /proc` and `-v x:/proc` replace the procfs as a whole in Docker too; then there is none.
            assert_ne!(said.code, 0, "{option:?}: {} {}", said.out, said.err);
            canary.is_untouched();
        }
    }
}

/// Guard: the files come from the engine as descriptors and are attached to what `walk::ensure` resolves inside the
/// root; nothing on the way may be procfs (`runtime/launch/src/child/layout.rs`).
#[test]
fn links_in_the_place_of_hosts_and_resolv_conf_stay_inside() {
    let engine = Engine::start();
    let canary = Canary::new();
    let core_pattern = || std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let before = core_pattern();
    let [absolute, relative] = canary.links();
    let targets = [
        ("absolute", format!("{absolute}/file")),
        ("relative", format!("{relative}/file")),
        ("new", format!("{absolute}/new")),
        ("kernel", "/proc/sys/kernel/core_pattern".to_owned()),
        ("descriptor", "/proc/self/fd/5".to_owned()),
        ("root", "/proc/1/root/etc/shadow".to_owned()),
    ];
    for (name, target) in &targets {
        image(&engine, name, |root| {
            for file in ["hosts", "resolv.conf", "hostname"] {
                replace_by_link(root, &format!("etc/{file}"), target);
            }
        });
        let script = "cd /etc; cat hosts resolv.conf hostname; \
                      for f in hosts resolv.conf hostname; do echo changed >$f; done; echo ran";
        let said = engine.docker(&["run", "--rm", name, "sh", "-c", script]);
        assert!(!said.out.contains(Canary::SECRET), "{name}");
        assert!(!said.out.contains("root:"), "{name}: {}", said.out);
        canary.is_untouched();
        assert_eq!(core_pattern(), before, "{name}");
        assert!(said.code == 0 || !said.out.contains("ran"), "{name}: {} {}", said.out, said.err);
    }
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "");
}

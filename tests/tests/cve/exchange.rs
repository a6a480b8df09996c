//! CVE-2021-30465, CVE-2024-45310, CVE-2018-15664, CVE-2019-14271: a name is a directory when it is checked and a link to
//! the host when it is used.

use crate::attacker::{Canary, Exchange, pid};
use e2e::Engine;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Guard: `target` of `runtime/launch/src/child/layout.rs` resolves and makes the place of a mount inside the root, once,
/// and `attach` mounts onto that descriptor.
#[test]
fn mounts_below_an_exchanged_name_land_inside() {
    let engine = Engine::with_busybox();
    let (outside, source, shared) = (Canary::new(), Canary::new(), Canary::new());
    for (number, link) in outside.links().iter().enumerate() {
        std::fs::create_dir(shared.path().join(format!("target{number}"))).unwrap();
        symlink(link, shared.path().join(format!("link{number}"))).unwrap();
    }
    let races = [0, 1].map(|number| {
        Exchange::of(shared.path(), &format!("target{number}"), &format!("link{number}"))
    });
    let data = format!("{}:/data", shared.path().display());
    for round in 0..20 {
        let place = format!("/data/target{}/inner{round}", round % 2);
        let bind = format!("{}:{place}", source.path().display());
        let file = format!("{}/file:{place}/file", source.path().display());
        let option = match round % 4 {
            0 => ["-v", &bind],
            1 => ["--tmpfs", &place],
            2 => ["-v", &file],
            _ => ["-w", &place],
        };
        let mut arguments = vec!["run", "--rm", "-v", &data];
        arguments.extend(option);
        arguments.extend(["busybox", "true"]);
        engine.docker(&arguments);
        outside.is_untouched();
    }
    for race in races {
        race.end();
    }
    source.is_untouched();
}

/// A container, running or not, whose `/data/place` is exchanged with a link to a host's directory meanwhile.
struct Copied {
    engine: Engine,
    outside: Canary,
}

impl Copied {
    fn new() -> Self {
        let engine = Engine::with_busybox();
        let outside = Canary::new();
        let script = format!(
            "mkdir -p /data/place /data/up; echo inside >/data/place/file; echo inside >/data/up/file
             ln -s {} /data/link; ln -s {} /data/uplink; touch /ready; exec sleep 300",
            outside.links()[0],
            outside.links()[1],
        );
        engine.docker(&["run", "-d", "--name", "one", "busybox", "sh", "-c", &script]).text();
        e2e::eventually("the container is ready", || {
            engine.docker(&["exec", "one", "test", "-e", "/ready"]).code == 0
        });
        Self { engine, outside }
    }

    /// The container's directory, as the host reaches it.
    fn inside(&self) -> PathBuf {
        Path::new("/proc").join(pid(&self.engine, "one").to_string()).join("root/data")
    }
}

/// Guard: `lookup` of `core/storage/src/paths.rs` resolves inside the root (RESOLVE_IN_ROOT), and the child that packs is
/// chrooted there (`core/storage/src/enclosed.rs`, `walls.rs`).
#[test]
fn a_copy_out_of_a_container_never_reads_the_host() {
    let copied = Copied::new();
    let race = Exchange::of(&copied.inside(), "place", "link");
    let race_up = Exchange::of(&copied.inside(), "up", "uplink");
    let mut read = 0;
    for round in 0..24 {
        let target = copied.engine.path("out");
        std::fs::remove_dir_all(&target).ok();
        std::fs::create_dir(&target).unwrap();
        let source = match round % 4 {
            0 => "one:/data/place/file",
            1 => "one:/data/up/file",
            2 => "one:/data/place/.",
            _ => "one:/data/link/file",
        };
        let said = copied.engine.docker(&["cp", source, &target.display().to_string()]);
        if let Ok(text) = std::fs::read_to_string(target.join("file")) {
            assert_eq!(text, "inside\n", "{source}: {}", said.err);
            read += 1;
        }
    }
    race.end();
    race_up.end();
    assert!(read > 0, "no copy was made, so nothing was tested");
    copied.outside.is_untouched();
}

/// Guard: as above, and `core/archive/src/extract` makes each parent by a descriptor below the root.
#[test]
fn a_copy_into_a_container_never_writes_the_host() {
    let copied = Copied::new();
    let own = copied.engine.path("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("file"), "copied\n").unwrap();
    std::fs::write(own.join("more"), "copied\n").unwrap();
    let race = Exchange::of(&copied.inside(), "place", "link");
    let race_up = Exchange::of(&copied.inside(), "up", "uplink");
    let mut written = 0;
    for round in 0..24 {
        let (source, target) = match round % 4 {
            0 => (own.join("file"), "one:/data/place"),
            1 => (own.join("more"), "one:/data/up"),
            2 => (own.join("."), "one:/data/place"),
            _ => (own.join("file"), "one:/data/link/file"),
        };
        let said = copied.engine.docker(&["cp", &source.display().to_string(), target]);
        written += u32::from(said.code == 0);
        copied.outside.is_untouched();
    }
    race.end();
    race_up.end();
    assert!(written > 0, "no copy was made, so nothing was tested");
}

/// Guard: links that an image has already, without a race; a stopped container is written through a mount of its own.
#[test]
fn copies_with_a_stopped_container_follow_links_inside_only() {
    let copied = Copied::new();
    copied.engine.docker(&["kill", "one"]).text();
    let own = copied.engine.path("own");
    std::fs::write(&own, "copied\n").unwrap();
    let own = own.display().to_string();
    for link in ["/data/link", "/data/uplink"] {
        let target = copied.engine.path("out").display().to_string();
        let out = copied.engine.docker(&["cp", &format!("one:{link}/file"), &target]);
        assert_ne!(out.code, 0, "{link}: {}", out.err);
        copied.engine.docker(&["cp", &own, &format!("one:{link}/file")]);
        copied.engine.docker(&["cp", &own, &format!("one:{link}")]);
        copied.engine.docker(&["cp", "-L", &format!("one:{link}/file"), &target]);
        assert!(std::fs::read_to_string(&target).map_or(true, |text| text != Canary::SECRET));
        copied.outside.is_untouched();
    }
}

//! A disk without a byte left: what runs goes on, what can be taken away can be, what needs room fails with a sentence
//! that says so, and nothing is lost.
#![expect(clippy::unwrap_used, reason = "tests")]

use e2e::{Engine, eventually};
use std::io::Write;

/// Fills what is left of the engine's disk.
fn fill(engine: &Engine) {
    let path = engine.path("data").join("ballast");
    let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

fn state(engine: &Engine, name: &str) -> String {
    engine.docker(&["inspect", name, "--format", "{{.State.Status}}"]).text()
}

#[test]
fn a_full_disk_stops_nothing_that_runs_loses_nothing_and_is_named_as_the_cause() {
    let mut engine = Engine::on_small_disk(64 << 20);
    engine.import_busybox();
    let archive = engine.path("image.tar");
    let root = tempfile::TempDir::new().unwrap();
    std::fs::write(root.path().join("file"), vec![7; 8 << 20]).unwrap();
    e2e::image::tar(root.path(), &archive);
    let archive = archive.display().to_string();
    for name in ["stays", "ends", "goes"] {
        engine.docker(&["run", "-d", "--name", name, "busybox", "sleep", "300"]).text();
    }
    engine.docker(&["create", "--name", "waits", "busybox", "true"]).text();
    fill(&engine);

    assert_eq!(engine.docker(&["ps", "-aq"]).ok().lines().count(), 4);
    assert_eq!(engine.docker(&["exec", "stays", "echo", "in"]).ok(), "in\n");
    engine.docker(&["stop", "-t", "0", "ends"]).text();
    assert_eq!(state(&engine, "ends"), "exited");
    engine.docker(&["rm", "-f", "goes"]).text();
    fill(&engine);
    let said = engine.docker(&["run", "--rm", "busybox", "true"]);
    assert_ne!(said.code, 0);
    assert!(said.err.to_lowercase().contains("no space left"), "{}", said.err);
    let said = engine.docker(&["exec", "stays", "sh", "-c", "cat /bin/busybox > /file"]);
    assert!(said.code != 0 && said.err.contains("No space left"), "{said:?}");
    // A client that still writes when it is refused may see that first; the engine has the sentence in its log.
    assert_ne!(engine.docker(&["import", &archive, "other"]).code, 0);
    assert!(engine.log().contains("No space left on device"));

    engine.restart("KILL");
    assert_eq!(state(&engine, "stays"), "running");
    assert_eq!(state(&engine, "ends"), "exited");
    assert_eq!(engine.docker(&["exec", "stays", "echo", "in"]).ok(), "in\n");
    assert_ne!(engine.docker(&["inspect", "goes"]).code, 0);
    assert_eq!(engine.docker(&["images", "-q", "other"]).ok(), "");

    std::fs::remove_file(engine.path("data").join("ballast")).unwrap();
    eventually("there is room", || {
        engine.docker(&["run", "--rm", "busybox", "echo", "x"]).out == "x\n"
    });
    engine.docker(&["import", &archive, "other"]).text();
    engine.docker(&["start", "-a", "waits"]).text();
    assert_eq!(state(&engine, "waits"), "exited");
    engine.docker(&["start", "ends"]).text();
    assert_eq!(engine.docker(&["exec", "ends", "echo", "in"]).ok(), "in\n");
}

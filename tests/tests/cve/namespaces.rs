//! Files of namespaces below what is bound.

use e2e::Engine;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The processor that all namespaces of this test are made on: the kernel numbers them in batches for each, and only on
/// one is a later one surely the newer one.
fn processor() -> String {
    rustix::thread::sched_getcpu().to_string()
}

/// A directory with a file at which a mount namespace is kept, as `unshare --mount=FILE` does.
struct Kept(TempDir);

impl Kept {
    fn new(processor: &str) -> Self {
        let directory = TempDir::with_prefix("coffer-kept-").unwrap();
        let path = directory.path().display().to_string();
        let kept = directory.path().join("kept");
        std::fs::write(&kept, "").unwrap();
        // It can be kept only at a mount that does not pass it on to the namespace itself.
        mount(&["--bind", &path, &path]);
        mount(&["--make-private", &path]);
        let file = format!("--mount={}", kept.display());
        let arguments = ["-c", processor, "unshare", &file, "true"];
        assert!(Command::new("taskset").args(arguments).status().unwrap().success());
        Self(directory)
    }

    fn path(&self) -> String {
        self.0.path().display().to_string()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        Command::new("umount").args(["-l", "-R", &self.path()]).status().ok();
    }
}

fn mount(arguments: &[&str]) {
    assert!(Command::new("mount").args(arguments).status().unwrap().success(), "{arguments:?}");
}

/// The kernel refuses to attach it in the container's newer namespace, since it could keep itself alive. Guard: no
/// second way to mount what could not be attached, `attach_bind` of `runtime/launch/src/child/layout.rs`.
#[test]
fn a_mount_namespace_that_is_kept_below_a_source_fails_the_start_and_is_named() {
    let processor = processor();
    let kept = Kept::new(&processor);
    let engine = Engine::with_busybox();
    let task = engine.worker("task").to_string();
    let pin = ["-a", "-c", "-p", &processor, &task];
    let done = Command::new("taskset").args(pin).stdout(Stdio::null()).status().unwrap();
    assert!(done.success());
    let bind = format!("{}:/data", kept.path());
    let run = engine.docker(&["run", "--rm", "-v", &bind, "busybox", "ls", "/data"]);
    let cause = "mount \"/data\": a namespace file is mounted below the source";
    assert!(run.code == 125 && run.err.contains(cause), "{} {} {}", run.code, run.out, run.err);
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "");
    // Without what is below it, the directory is one like any other.
    let flat = format!("type=bind,src={},dst=/data,bind-recursive=disabled", kept.path());
    let run = engine.docker(&["run", "--rm", "--mount", &flat, "busybox", "ls", "/data"]);
    assert_eq!(run.ok(), "kept\n");
}

//! podman with `--runtime`, and conmon, which it puts between.

use crate::rig::{Said, installed, said};
use std::process::{Command, Stdio};
use tempfile::TempDir;

struct Podman(TempDir);

impl Podman {
    fn new() -> Self {
        let podman = Self(TempDir::with_prefix("coffer-podman-").unwrap());
        let root = TempDir::new().unwrap();
        e2e::image::busybox_root(root.path());
        let archive = podman.0.path().join("busybox.tar");
        e2e::image::tar(root.path(), &archive);
        podman.call(&["import", &archive.display().to_string(), "busybox"]).text();
        podman
    }

    fn call(&self, arguments: &[&str]) -> Said {
        let path = |name: &str| self.0.path().join(name).display().to_string();
        let mut command = Command::new("podman");
        command.args(["--root", &path("root"), "--runroot", &path("run")]);
        command.args(["--tmpdir", &path("tmp"), "--cgroup-manager=cgroupfs"]);
        command.args(["--events-backend=none", "--storage-driver=vfs"]);
        command.arg("--runtime").arg(e2e::program("coffer-runtime"));
        command.args(arguments).stdin(Stdio::null());
        said(command)
    }

    /// `podman run` without a network, with limits that can be had everywhere.
    fn run(&self, arguments: &[&str]) -> Said {
        let fixed =
            ["run", "--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"];
        self.call(&[&fixed[..], arguments].concat())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.call(&["rm", "-f", "-t", "0", "--all"]);
    }
}

#[test]
fn podman_does_its_usual_work_with_it() {
    if !installed("podman") {
        return;
    }
    let podman = Podman::new();
    assert_eq!(podman.run(&["--rm", "busybox", "echo", "hi"]).text(), "hi\n");
    assert_eq!(podman.run(&["--rm", "busybox", "sh", "-c", "exit 5"]).code, 5);
    assert_eq!(podman.run(&["--rm", "busybox", "nosuch"]).code, 127);
    let terminal = podman.run(&["--rm", "-t", "busybox", "readlink", "/proc/self/fd/1"]);
    assert_eq!(terminal.text().trim(), "/dev/pts/0");
    podman.run(&["-d", "--name=one", "-m=64m", "busybox", "sleep", "1000"]).text();
    assert_eq!(podman.call(&["exec", "one", "sh", "-c", "exit 9"]).code, 9);
    assert_eq!(podman.call(&["exec", "one", "nosuch"]).code, 127);
    let terminal = podman.call(&["exec", "-t", "one", "sh", "-c", "test -t 1 && echo tty"]);
    assert_eq!(terminal.text().trim(), "tty");
    let state = || podman.call(&["inspect", "-f", "{{.State.Status}}", "one"]).text();
    podman.call(&["pause", "one"]).text();
    assert_eq!(state(), "paused\n");
    podman.call(&["unpause", "one"]).text();
    assert_eq!(state(), "running\n");
    assert!(podman.call(&["top", "one"]).text().contains("sleep 1000"));
    assert!(podman.call(&["stats", "--no-stream", "one"]).text().contains("67.11MB"));
    podman.call(&["update", "--memory=128m", "one"]).text();
    let limit =
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null";
    assert_eq!(podman.call(&["exec", "one", "sh", "-c", limit]).out, "134217728\n");
    podman.call(&["stop", "-t", "0", "one"]).text();
    assert_eq!(state(), "exited\n");
    podman.call(&["start", "one"]).text();
    podman.call(&["kill", "one"]).text();
    podman.call(&["rm", "-f", "-t", "0", "one"]).text();
}

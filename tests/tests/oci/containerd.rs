//! containerd's `ctr` with `--runc-binary`.

use crate::rig::{Ends, Said, installed, said};
use e2e::eventually;
use std::process::{Command, Stdio};
use tempfile::TempDir;

struct Containerd {
    directory: TempDir,
    _daemon: Ends,
}

impl Containerd {
    fn start() -> Self {
        let directory = TempDir::with_prefix("coffer-containerd-").unwrap();
        e2e::image::busybox_root(&directory.path().join("rootfs"));
        let path = |name: &str| directory.path().join(name).display().to_string();
        let log = std::fs::File::create(path("log")).unwrap();
        let daemon = Command::new("containerd")
            .args(["--root", &path("root"), "--state", &path("state")])
            .args(["--address", &path("sock"), "--log-level", "warn"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let containerd = Self { directory, _daemon: Ends(daemon) };
        eventually("containerd answers", || containerd.call(&["version"]).code == 0);
        containerd
    }

    fn call(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new("ctr");
        command.arg("-a").arg(self.directory.path().join("sock")).args(arguments);
        command.stdin(Stdio::null());
        said(command)
    }

    /// `ctr run` of a command in the container `id`.
    fn run(&self, flag: &str, id: &str, program: &[&str]) -> Said {
        let runtime = e2e::program("coffer-runtime").display().to_string();
        let rootfs = self.directory.path().join("rootfs").display().to_string();
        let runc = self.directory.path().join("runc").display().to_string();
        let arguments =
            ["run", flag, "--runc-binary", &runtime, "--runc-root", &runc, "--rootfs", &rootfs, id];
        self.call(&[&arguments[..], program].concat())
    }
}

#[test]
fn containerd_does_its_usual_work_with_it() {
    if !installed("containerd") || !installed("ctr") {
        return;
    }
    let containerd = Containerd::start();
    assert_eq!(containerd.run("--rm", "one", &["/bin/echo", "hi"]).text(), "hi\n");
    assert_eq!(containerd.run("--rm", "two", &["/bin/sh", "-c", "exit 6"]).code, 6);
    let missing = containerd.run("--rm", "three", &["/nosuch"]);
    assert!(missing.err.contains("/nosuch"), "{}", missing.err);
    containerd.run("-d", "four", &["/bin/sleep", "1000"]).text();
    let status = || {
        let list = containerd.call(&["task", "ls"]).text();
        list.lines().nth(1).unwrap_or_default().split_whitespace().last().map(str::to_owned)
    };
    assert_eq!(status().as_deref(), Some("RUNNING"));
    let exec = ["task", "exec", "--exec-id", "x", "four", "/bin/sh", "-c", "echo in; exit 3"];
    let exec = containerd.call(&exec);
    assert_eq!((exec.out.as_str(), exec.code), ("in\n", 3));
    containerd.call(&["task", "pause", "four"]).text();
    assert_eq!(status().as_deref(), Some("PAUSED"));
    containerd.call(&["task", "resume", "four"]).text();
    assert!(containerd.call(&["task", "metrics", "four"]).text().contains("pids.current"));
    assert_eq!(containerd.call(&["task", "ps", "four"]).text().lines().count(), 2);
    containerd.call(&["task", "kill", "-s", "9", "four"]).text();
    eventually("it stops", || status().as_deref() == Some("STOPPED"));
    containerd.call(&["task", "rm", "four"]);
    containerd.call(&["container", "rm", "four"]).text();
    assert_eq!(status(), None);
}

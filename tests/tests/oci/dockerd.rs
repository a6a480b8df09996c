//! Debian's dockerd with `--add-runtime`: the usual work of Docker's users.

use crate::rig::{Ends, Said, installed, said};
use e2e::{Space, eventually};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A dockerd whose default runtime is ours.
struct Docker {
    directory: TempDir,
    _daemon: Ends,
    _space: Space,
}

impl Docker {
    fn start() -> Self {
        let directory = TempDir::with_prefix("coffer-dockerd-").unwrap();
        let space = Space::new();
        let path = |name: &str| directory.path().join(name).display().to_string();
        space.command("sysctl").args(["-qw", "net.ipv4.ip_forward=1"]).status().unwrap();
        std::fs::write(path("daemon.json"), "{}").unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let runtime = e2e::program("coffer-runtime");
        let daemon = space
            .command("dockerd")
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--pidfile", &path("pid"), "--config-file", &path("daemon.json")])
            .arg(format!("--host=unix://{}", path("docker.sock")))
            .arg(format!("--add-runtime=coffer={}", runtime.display()))
            .args(["--default-runtime=coffer", "--bridge=none", "--iptables=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let docker = Self { directory, _daemon: Ends(daemon), _space: space };
        eventually("dockerd answers", || docker.call(&["version"]).code == 0);
        let root = TempDir::new().unwrap();
        e2e::image::busybox_root(root.path());
        let archive = docker.directory.path().join("busybox.tar");
        e2e::image::tar(root.path(), &archive);
        docker.call(&["import", &archive.display().to_string(), "busybox"]).text();
        docker
    }

    fn call(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new("docker");
        let host = format!("unix://{}", self.directory.path().join("docker.sock").display());
        command.args(arguments).env("DOCKER_HOST", host).stdin(Stdio::null());
        said(command)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let ids = self.call(&["ps", "-aq"]).out;
        let mut arguments = vec!["rm", "-f"];
        arguments.extend(ids.split_whitespace());
        if arguments.len() > 2 {
            self.call(&arguments);
        }
    }
}

#[test]
fn dockerd_does_its_usual_work_with_it() {
    if !installed("dockerd") || !installed("docker") {
        return;
    }
    let docker = Docker::start();
    let run = |arguments: &[&str]| {
        let mut all = vec!["run", "--rm"];
        all.extend(arguments);
        docker.call(&all)
    };
    assert_eq!(run(&["busybox", "echo", "hi"]).text(), "hi\n");
    assert_eq!(run(&["busybox", "sh", "-c", "exit 5"]).code, 5);
    assert_eq!(run(&["busybox", "nosuch"]).code, 127);
    assert_eq!(run(&["-t", "busybox", "readlink", "/proc/self/fd/1"]).text().trim(), "/dev/pts/0");
    assert_eq!(run(&["--init", "busybox", "cat", "/proc/1/comm"]).text(), "docker-init\n");
    let full = ["-m", "16m", "busybox", "sh", "-c", "x=a; while :; do x=$x$x; done"];
    assert_eq!(run(&full).code, 137);

    let arguments = ["run", "-d", "--name=one", "-m=64m", "--pids-limit=50", "busybox"];
    docker.call(&[&arguments[..], &["sleep", "1000"]].concat()).text();
    let limits = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max \
                  /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max 2>/dev/null";
    let limits = || docker.call(&["exec", "one", "sh", "-c", limits]).out;
    assert_eq!(limits(), "67108864\n50\n");
    assert_eq!(docker.call(&["exec", "-u", "5:6", "-w", "/tmp", "one", "id", "-g"]).text(), "6\n");
    assert_eq!(docker.call(&["exec", "one", "nosuch"]).code, 126);
    let terminal = docker.call(&["exec", "-t", "one", "sh", "-c", "test -t 1 && echo tty"]);
    assert_eq!(terminal.text().trim(), "tty");
    docker.call(&["pause", "one"]).text();
    let state = || docker.call(&["inspect", "-f", "{{.State.Status}}", "one"]).text();
    assert_eq!(state(), "paused\n");
    docker.call(&["unpause", "one"]).text();
    assert_eq!(state(), "running\n");
    let figures = docker.call(&["stats", "--no-stream", "--format", "{{.PIDs}}", "one"]).text();
    assert_eq!(figures, "1\n");
    assert!(docker.call(&["top", "one"]).text().contains("sleep 1000"));
    let update = ["update", "--memory=128m", "--memory-swap=256m", "--pids-limit=99", "one"];
    docker.call(&update).text();
    assert_eq!(limits(), "134217728\n99\n");
    docker.call(&["stop", "-t", "1", "one"]).text();
    assert_eq!(state(), "exited\n");
    docker.call(&["start", "one"]).text();
    docker.call(&["kill", "one"]).text();
    docker.call(&["rm", "-f", "one"]).text();
}

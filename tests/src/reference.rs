//! The engine to compare with: Debian's `dockerd` (package docker.io), in a network namespace of its own.

use crate::{Said, Space, image};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A `dockerd` with directories of its own, and an image `busybox:latest`.
#[derive(Debug)]
pub struct Reference {
    directory: TempDir,
    _space: Space,
    daemon: Child,
}

impl Reference {
    /// Starts it; fails when it is not installed, because a comparison that is skipped compares nothing.
    pub fn start() -> Self {
        let directory = TempDir::with_prefix("coffer-reference-").unwrap();
        let space = Space::new();
        let path = |name: &str| directory.path().join(name).display().to_string();
        space.command("sysctl").args(["-qw", "net.ipv4.ip_forward=1"]).status().unwrap();
        std::fs::write(path("daemon.json"), "{}").unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let daemon = space
            .command("dockerd")
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--pidfile", &path("pid"), "--config-file", &path("daemon.json")])
            .arg(format!("--host=unix://{}", path("docker.sock")))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let reference = Self { directory, _space: space, daemon };
        let start = Instant::now();
        while reference.docker(&["version"]).code != 0 {
            assert!(start.elapsed() < Duration::from_secs(60), "dockerd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        let root = TempDir::new().unwrap();
        image::busybox_root(root.path());
        let archive = reference.directory.path().join("busybox.tar");
        image::tar(root.path(), &archive);
        let archive = archive.display().to_string();
        let change = "CMD [\"sh\"]";
        reference.docker(&["import", "--change", change, &archive, "busybox:latest"]).text();
        reference
    }

    /// The value for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.directory.path().join("docker.sock").display())
    }

    /// Runs the Docker CLI against it.
    pub fn docker(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new("docker");
        command.args(arguments).env("DOCKER_HOST", self.host()).stdin(Stdio::null());
        command.output().unwrap().into()
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let ids = self.docker(&["ps", "-aq"]).out;
        let mut arguments = vec!["rm", "-f", "-v"];
        arguments.extend(ids.split_whitespace());
        if arguments.len() > 3 {
            self.docker(&arguments);
        }
        // nsenter has become dockerd, so its process is the daemon's; it needs to unmount what it has mounted.
        Command::new("kill").arg(self.daemon.id().to_string()).status().ok();
        self.daemon.wait().ok();
    }
}

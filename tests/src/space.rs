//! A network namespace that lives as long as this value, whatever daemons come and go in it.

use std::process::{Child, Command, Stdio};

/// A network namespace with loopback up, held by a sleeping process.
#[derive(Debug)]
pub struct Space {
    holder: Child,
}

impl Space {
    /// A new one. Needs root.
    #[expect(clippy::new_without_default, reason = "it starts a process")]
    pub fn new() -> Self {
        let script = "ip link set lo up && echo ready && exec sleep infinity";
        let mut holder = Command::new("unshare")
            .args(["--net", "--kill-child", "sh", "-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = holder.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        assert_eq!(line, "ready\n", "make a network namespace");
        Self { holder }
    }

    /// A process in it, for `ip link ... netns PID`.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// A command that runs in it.
    pub fn command(&self, program: &str) -> Command {
        // Not `ip netns exec`: it would hide the cgroup mounts.
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg(program);
        command
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

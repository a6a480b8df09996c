//! A registry in a directory of its own on a free port.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Server {
    child: Child,
    directory: PathBuf,
    pub(crate) port: u16,
}

impl Server {
    /// coffer-registry with no configuration but where and what.
    pub(crate) fn ours(program: &str) -> Result<Self, String> {
        Self::start("coffer", |directory, port| {
            let mut command = Command::new(program);
            command.arg("--root").arg(directory.join("data"));
            command.arg("--listen").arg(format!("127.0.0.1:{port}"));
            Ok(command)
        })
    }

    /// docker-registry with what Debian configures, without its password.
    pub(crate) fn reference(program: &str) -> Result<Self, String> {
        Self::start("reference", |directory, port| {
            let config = format!(
                "version: 0.1\nlog: {{fields: {{service: registry}}}}\nstorage:\n  \
                 cache: {{blobdescriptor: inmemory}}\n  filesystem: {{rootdirectory: {}}}\n  \
                 delete: {{enabled: true}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n\
                 health: {{storagedriver: {{enabled: true, interval: 10s, threshold: 3}}}}\n",
                directory.join("data").display()
            );
            let path = directory.join("config.yml");
            std::fs::write(&path, config).map_err(|e| format!("{}: {e}", path.display()))?;
            let mut command = Command::new(program);
            command.arg("serve").arg(path);
            Ok(command)
        })
    }

    fn start(
        name: &str,
        command: impl FnOnce(&PathBuf, u16) -> Result<Command, String>,
    ) -> Result<Self, String> {
        let directory =
            std::env::temp_dir().join(format!("registry-{}-{name}", std::process::id()));
        std::fs::create_dir(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        // Given back at once, and taken by the registry: nobody else on this machine takes ports by chance.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|e| format!("find a port: {e}"))?
            .port();
        let child = command(&directory, port)?
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("start {name}: {e}"))?;
        let server = Self { child, directory, port };
        let until = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > until {
                return Err(format!("{name} does not answer"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Processor seconds that it has used.
    pub(crate) fn cpu(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let text = text.unwrap_or_default();
        // The fields after the name, which may have spaces: proc_pid_stat(5), 14 and 15.
        let fields: Vec<&str> =
            text.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
        let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
        ticks / rustix::param::clock_ticks_per_second() as f64
    }

    /// `VmRSS` or `VmHWM` in MiB.
    pub(crate) fn memory(&self, key: &str) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let text = text.unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended by itself has been noticed by its client.
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

//! Programs that are started: the command line client, and a daemon.

use super::http::Engine;
use super::{Times, memory, note, timed};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often a daemon is started.
const STARTS: usize = 5;
/// How long a daemon that has just been started is left alone before it is weighed.
const SETTLE: Duration = Duration::from_secs(12);
/// The group above the daemon's containers, of which there are none.
const GROUP: &str = "coffer-budget";
/// How long a start or stop may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// `run --rm` with a client program.
pub(crate) fn run_by_client(
    client: &str,
    engine: &Engine,
    times: &mut Times,
    rounds: usize,
) -> Result<(), String> {
    let host = format!("unix://{}", engine.socket.display());
    for network in ["bridge", "none"] {
        for _ in 0..rounds {
            let arguments = ["-H", &host, "run", "--rm", "--network", network, "busybox", "true"];
            timed(times, &format!("client: run --rm, {network}"), || {
                let status = Command::new(client).args(arguments).status();
                match status {
                    Ok(status) if status.success() => Ok(()),
                    Ok(status) => Err(format!("{client} run: {status}")),
                    Err(error) => Err(format!("{client}: {error}")),
                }
            })?;
        }
    }
    Ok(())
}

/// A daemon in directories of its own, which go with it.
struct Daemon {
    process: Child,
    engine: Engine,
    directory: PathBuf,
}

impl Daemon {
    fn start(program: &str, directory: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{program}: {error}");
        std::fs::create_dir_all(directory).map_err(failed)?;
        std::fs::write(directory.join("daemon.json"), "{}").map_err(failed)?;
        let socket = directory.join("docker.sock");
        let path = |name: &str| directory.join(name).display().to_string();
        let log = std::fs::File::create(directory.join("log")).map_err(failed)?;
        // In a network namespace of its own: a daemon removes bridges of its kind that it does not know.
        let process = Command::new("unshare")
            .args(["--net", "--", program])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--pidfile", &path("pid"), "--config-file", &path("daemon.json")])
            .args(["--cgroup-parent", GROUP, "--bridge", "none"])
            .args(["-H", &format!("unix://{}", socket.display())])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(failed)?;
        Ok(Self { process, engine: Engine { socket }, directory: directory.to_owned() })
    }

    fn await_answer(&self) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        while self.engine.call("GET", "/_ping", None).is_err() {
            if Instant::now() > end {
                let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                return Err(format!("no answer from the daemon: {log}"));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), String> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| format!("stop the daemon: {error}"))?;
        self.process.wait().map(drop).map_err(|error| format!("wait for the daemon: {error}"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            self.stop().ok();
        }
    }
}

/// Starts a daemon several times, the first time on an empty data root, and weighs the last one.
pub(crate) fn start_daemon(program: &str, times: &mut Times) -> Result<(), String> {
    let directory = std::env::temp_dir().join(format!("coffer-budget-{}", std::process::id()));
    let result = start_often(program, &directory, times);
    std::fs::remove_dir_all(&directory).ok();
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        std::fs::remove_dir(hierarchy.path().join(GROUP)).ok();
    }
    std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(GROUP)).ok();
    result
}

fn start_often(program: &str, directory: &Path, times: &mut Times) -> Result<(), String> {
    for round in 0..STARTS {
        let name = match round {
            0 => "daemon: start on an empty data root to first answer",
            _ => "daemon: start to first answer",
        };
        let mut daemon = timed(times, name, || {
            let daemon = Daemon::start(program, directory)?;
            daemon.await_answer()?;
            Ok(daemon)
        })?;
        if round + 1 == STARTS {
            std::thread::sleep(SETTLE);
            let memory = memory::tree(memory::daemon(&daemon.engine)?);
            note(times, "daemon: idle after its start: PSS in KiB", memory.pss as f64);
        }
        timed(times, "daemon: stop", || daemon.stop())?;
    }
    Ok(())
}

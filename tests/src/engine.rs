//! One daemon under test.

use crate::family::{Kind, Member, family};
use crate::{Said, Space, image};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a daemon may take to answer, or a condition to become true, on a machine that does other work too. An
/// emulated machine is given more, in seconds, by COFFER_PATIENCE.
fn patience() -> Duration {
    let given = std::env::var("COFFER_PATIENCE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(30))
}

/// Tries until the condition holds; fails with `what` when it never does.
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(happens(condition), "never happened: {what}");
}

/// Tries until the condition holds; false when it never does.
pub fn happens(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > patience() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// A `cofferd` with directories, network namespace and cgroup of its own. All of it goes with this value.
#[derive(Debug)]
pub struct Engine {
    directory: TempDir,
    space: Space,
    daemon: Option<Child>,
    arguments: Vec<String>,
    cgroup: String,
    programs: PathBuf,
    /// Whether the data root is a disk of its own.
    mounted: bool,
}

impl Engine {
    /// A daemon that answers.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A daemon with these flags besides its own.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::made(arguments, program("cofferd").parent().unwrap())
    }

    /// A daemon whose programs are in this directory.
    pub fn start_from(programs: &Path) -> Self {
        Self::made(&[], programs)
    }

    /// A daemon whose data root is on a disk of this many bytes, which the machine does not otherwise see.
    pub fn on_small_disk(size: u64) -> Self {
        let mut engine = Self::prepared(&[], program("cofferd").parent().unwrap());
        let (disk, data) = (engine.path("disk"), engine.path("data"));
        std::fs::create_dir(&data).unwrap();
        std::fs::File::create(&disk).unwrap().set_len(size).unwrap();
        let done = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program}: {text}");
        };
        let (disk, data) = (disk.display().to_string(), data.display().to_string());
        done("mkfs.ext4", &["-q", "-m", "0", &disk]);
        done("mount", &["-o", "loop", &disk, &data]);
        std::fs::remove_dir(engine.path("data").join("lost+found")).unwrap();
        engine.mounted = true;
        engine.launch();
        engine
    }

    fn made(arguments: &[&str], programs: &Path) -> Self {
        let mut engine = Self::prepared(arguments, programs);
        engine.launch();
        engine
    }

    fn prepared(arguments: &[&str], programs: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let engine = Self {
            directory: TempDir::with_prefix("coffer-e2e-").unwrap(),
            space: Space::new(),
            daemon: None,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            cgroup: format!("coffer-e2e-{}-{number}", std::process::id()),
            programs: programs.to_owned(),
            mounted: false,
        };
        // The api worker's user must be able to reach its directories.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(engine.directory.path(), open).unwrap();
        engine
    }

    /// A daemon that has an image `busybox:latest`.
    pub fn with_busybox() -> Self {
        let engine = Self::start();
        engine.import_busybox();
        engine
    }

    /// Gives the daemon an image `busybox:latest` with `sh` as its command.
    pub fn import_busybox(&self) {
        let root = TempDir::new().unwrap();
        image::busybox_root(root.path());
        let archive = self.path("busybox.tar");
        image::tar(root.path(), &archive);
        let archive = archive.display().to_string();
        self.docker(&["import", "--change", "CMD [\"sh\"]", &archive, "busybox:latest"]).text();
    }

    /// Starts the daemon, and waits until it answers.
    pub fn launch(&mut self) {
        assert!(self.daemon.is_none(), "the daemon runs already");
        std::fs::write(self.path("daemon.json"), "{}").unwrap();
        let log =
            std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let option = |name: &str, path: &str| format!("--{name}={}", self.path(path).display());
        let child = self
            .space
            .command(&self.programs.join("cofferd").display().to_string())
            .args([
                option("data-root", "data"),
                option("exec-root", "exec"),
                option("pidfile", "pid"),
            ])
            .arg(format!("--host={}", self.host()))
            .arg(format!("--cgroup-parent={}", self.cgroup))
            .arg(option("config-file", "daemon.json"))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.daemon = Some(child.unwrap());
        let socket = self.path("docker.sock");
        let start = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() || !self.answers() {
            let ended = self.daemon.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "cofferd ended: {}", self.log());
            assert!(start.elapsed() < patience(), "cofferd does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn answers(&self) -> bool {
        self.docker(&["version", "--format", "{{.Server.Version}}"]).code == 0
    }

    /// Ends the daemon with a signal (`TERM`, `KILL`) and waits for its end. Containers run on.
    pub fn end(&mut self, signal: &str) {
        self.end_at_once(signal);
        if signal == "KILL" {
            // The workers notice the end of the supervisor by themselves.
            eventually("the workers end", || self.workers().is_empty());
        }
    }

    /// The same without waiting for workers that a killed supervisor has left.
    pub fn end_at_once(&mut self, signal: &str) {
        let mut child = self.daemon.take().unwrap();
        send(signal, child.id());
        child.wait().unwrap();
    }

    /// Ends and starts the daemon.
    pub fn restart(&mut self, signal: &str) {
        self.end(signal);
        self.launch();
    }

    /// Process ids of the workers, with the role of each.
    pub fn workers(&self) -> Vec<(u32, String)> {
        let role = |member: Member| match member.kind {
            Kind::Worker(role) => Some((member.pid, role)),
            _ => None,
        };
        self.family().into_iter().filter_map(role).collect()
    }

    /// The worker of this role, once it lives.
    #[track_caller]
    pub fn worker(&self, wanted: &str) -> u32 {
        let mut found = None;
        eventually(wanted, || {
            found = self.workers().into_iter().find(|(_, role)| role == wanted);
            found.is_some()
        });
        found.unwrap().0
    }

    /// All processes of the engine and, with their shims, those that containers were started with.
    pub fn family(&self) -> Vec<Member> {
        family(&self.path("exec"))
    }

    /// The engine's cgroup in every hierarchy with all below, parents before children.
    pub fn cgroup_directories(&self) -> Vec<PathBuf> {
        cgroup_directories(&self.cgroup)
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// A path in the engine's directory, for the test's own files too.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The value for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// The parent cgroup of the engine's containers.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// The network namespace that the daemon lives in.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Runs the Docker CLI against this engine.
    pub fn docker(&self, arguments: &[&str]) -> Said {
        self.client("docker", arguments).output().unwrap().into()
    }

    /// Runs `coffer` against this engine.
    pub fn coffer(&self, arguments: &[&str]) -> Said {
        self.client(&program("coffer").display().to_string(), arguments).output().unwrap().into()
    }

    /// Runs the Docker CLI with text on its standard input.
    pub fn docker_with_input(&self, arguments: &[&str], input: &[u8]) -> Said {
        let mut child = self
            .client("docker", arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // A client that ended before it had read everything is not this test's failure.
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input).ok());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output.into()
    }

    /// A client command with this engine's address in its environment.
    pub fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("DOCKER_HOST", self.host())
            .env("DOCKER_CONFIG", self.path("client"))
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of cofferd\n{}", self.log());
        }
        if self.daemon.is_some() {
            let ids = self.docker(&["ps", "-aq"]).out;
            let mut arguments = vec!["rm", "-f", "-v"];
            arguments.extend(ids.split_whitespace());
            if arguments.len() > 3 {
                self.docker(&arguments);
            }
            self.end("TERM");
        }
        kill_cgroup(&self.cgroup);
        if self.mounted {
            Command::new("umount").arg("-l").arg(self.path("data")).status().ok();
        }
    }
}

/// Kills what is left in the engine's cgroup, and removes it.
fn kill_cgroup(name: &str) {
    for _ in 0..100 {
        let found = cgroup_directories(name);
        if found.is_empty() {
            return;
        }
        for directory in found.iter().rev() {
            let pids = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
            for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
                send("KILL", pid);
            }
            std::fs::remove_dir(directory).ok();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Directories of the cgroup in every hierarchy, parents before children.
fn cgroup_directories(name: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, name: &str, inside: bool, depth: u32, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let own = inside || entry.file_name().to_str() == Some(name);
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && depth > 0 {
                if own {
                    found.push(entry.path());
                }
                walk(&entry.path(), name, own, depth - 1, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), name, false, 6, &mut found);
    found
}

/// Sends a signal; a process that has ended does not mind.
pub fn send(signal: &str, pid: u32) {
    Command::new("kill").args(["-s", signal, &pid.to_string()]).stderr(Stdio::null()).status().ok();
}

/// A program of the project: in `COFFER_BIN`, or where cargo has put it beside this test.
pub fn program(name: &str) -> PathBuf {
    if let Some(directory) = std::env::var_os("COFFER_BIN") {
        return PathBuf::from(directory).join(name);
    }
    let own = std::env::current_exe().unwrap();
    let profile = own.ancestors().find(|path| path.ends_with("debug") || path.ends_with("release"));
    profile.unwrap().join(name)
}

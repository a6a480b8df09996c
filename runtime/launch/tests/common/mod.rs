//! A container of busybox, started for real.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::allow_attributes, reason = "each test file uses a part")]

use launch::{
    CgroupJoin, Created, Descriptors, Extras, Host, Join, JoinDescriptors, Launch, LaunchError,
    Rootfs, Running, Source, StateText, Stdio, namespaces_of,
};
use plan::{Filter, Given, Plan, ProcessPlan, SourceKind};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::pipe::{PipeFlags, pipe_with};
use spec::oci::{IdMapping, Mount, Namespace, Process, Spec};
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use sys::clone::Namespaces;
use sys::pidfd::{Exit, wait};

pub use spec::linux::DEFAULT_CAPABILITIES as DEFAULT_CAPS;

/// A container that is being described.
pub struct Bundle {
    pub root: tempfile::TempDir,
    pub spec: Spec,
    pub given: Given,
    pub sources: Vec<Option<OwnedFd>>,
    pub joins: Vec<(Namespaces, OwnedFd)>,
    pub cgroup: CgroupJoin,
    /// Whether the root and the sources are given with their paths.
    pub by_path: bool,
}

/// What a container left.
#[derive(Debug)]
pub struct Outcome {
    pub exit: Exit,
    pub output: String,
}

pub fn open_path(path: impl AsRef<Path>) -> OwnedFd {
    openat(CWD, path.as_ref(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

pub fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// The state as hooks of tests read it.
pub fn state() -> StateText {
    StateText::new(|pid, status| format!("{{\"pid\":{pid},\"status\":\"{status}\"}}"))
}

/// Runs a script of the host on `path` and `text`. What containers execute is written by it and not by this process:
/// a child that another test clones at that moment would have the file open for writing, and executing it would be
/// ETXTBSY.
fn shell(script: &str, path: &Path, text: &str) {
    let mut command = std::process::Command::new("/bin/busybox");
    let status = command.args(["sh", "-c", script, "sh"]).arg(path).arg(text).status().unwrap();
    assert!(status.success());
}

/// Writes a file that can be executed.
pub fn write_executable(path: &Path, text: &str) {
    shell("printf %s \"$2\" > $1; chmod 755 $1", path, text);
}

/// A root file system with busybox as every command that tests use.
pub fn busybox() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = root.path();
    for directory in ["bin", "etc", "tmp", "data", "root"] {
        std::fs::create_dir(path.join(directory)).unwrap();
    }
    shell("cat /bin/busybox > $1; chmod 755 $1", &path.join("bin/busybox"), "");
    for applet in [
        "sh", "cat", "ls", "id", "true", "false", "sleep", "echo", "hostname", "grep", "mount",
        "touch", "pwd", "stat", "readlink", "tty", "stty", "kill", "mknod", "mkdir", "ps", "sort",
        "umask", "head", "rm", "cut", "chrt", "taskset", "uname", "find", "ip", "ln", "env",
        "nice", "date",
    ] {
        symlink("busybox", path.join("bin").join(applet)).unwrap();
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(path, mode).unwrap();
    root
}

impl Bundle {
    /// Docker's default bundle around `script`, run by a shell.
    pub fn new(script: &str) -> Self {
        Self::in_root(busybox(), script)
    }

    /// The same in a root file system that exists.
    pub fn in_root(root: tempfile::TempDir, script: &str) -> Self {
        let json = include_str!("bundle.json");
        let mut spec: Spec = serde_json::from_str(json).unwrap();
        let process = spec.process.as_mut().unwrap();
        process.args = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let caps = DEFAULT_CAPS.map(str::to_owned).to_vec();
        process.capabilities = Some(spec::oci::Capabilities {
            bounding: caps.clone(),
            effective: caps.clone(),
            permitted: caps,
            ..Default::default()
        });
        let sources = spec.mounts.iter().map(|_| None).collect();
        Self {
            root,
            spec,
            given: Given::default(),
            sources,
            joins: Vec::new(),
            cgroup: CgroupJoin::None,
            by_path: false,
        }
    }

    pub fn process(&mut self) -> &mut Process {
        self.spec.process.as_mut().unwrap()
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.process().args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self
    }

    /// Adds a bind mount of the host's `source`.
    pub fn bind(&mut self, source: &Path, destination: &str, options: &[&str]) {
        let mut all = vec!["rbind".to_owned()];
        all.extend(options.iter().map(|option| (*option).to_owned()));
        self.spec.mounts.push(Mount {
            destination: destination.to_owned(),
            kind: Some("bind".to_owned()),
            source: Some(source.display().to_string()),
            options: all,
            ..Mount::default()
        });
        self.sources.push(Some(open_path(source)));
    }

    /// An allow-everything filter of one instruction.
    pub fn allow_all(&mut self) {
        let program = [6u8, 0, 0, 0, 0, 0, 0xff, 0x7f].to_vec();
        self.given.filter = Some(Filter { program, flags: Default::default() });
    }

    fn plan(&mut self) -> Plan {
        self.given.sources = self
            .sources
            .iter()
            .map(|source| {
                let kind = |fd| match safepath::Root::from_fd(fd) {
                    Ok(_) => SourceKind::Directory,
                    Err(_) => SourceKind::File,
                };
                source.as_ref().map(|fd| kind(fd.try_clone().unwrap()))
            })
            .collect();
        Plan::new(&self.spec, &self.given).unwrap()
    }

    /// Creates the container with these streams.
    pub fn create_with(self, stdio: Stdio) -> Result<(Created, tempfile::TempDir), LaunchError> {
        self.create_extra(stdio, Extras::default())
    }

    /// Creates the container with more.
    pub fn create_extra(
        mut self,
        stdio: Stdio,
        extras: Extras,
    ) -> Result<(Created, tempfile::TempDir), LaunchError> {
        let plan = self.plan();
        let host = Host::open().unwrap();
        let descriptors = Descriptors {
            rootfs: match self.by_path {
                true => Rootfs::Path {
                    path: c_path(self.root.path()),
                    directory: open_path(self.root.path()),
                },
                false => Rootfs::Directory(open_path(self.root.path())),
            },
            sources: (self.sources.into_iter().zip(&self.spec.mounts))
                .map(|(source, mount)| {
                    let path = || c_path(Path::new(mount.source.as_deref().unwrap()));
                    source.map(|file| match self.by_path {
                        true => Source::Path { path: path(), file },
                        false => Source::File(file),
                    })
                })
                .collect(),
            joins: self.joins,
            stdio,
            cgroup: self.cgroup,
        };
        let created = Launch::prepare_with(&host, plan, descriptors, extras)?.create()?;
        Ok((created, self.root))
    }

    /// Creates the container, its output in a pipe.
    pub fn create(self) -> Result<(Created, File, tempfile::TempDir), LaunchError> {
        let (stdio, output) = piped();
        let (created, root) = self.create_with(stdio)?;
        Ok((created, output, root))
    }

    /// Starts the container.
    pub fn start(self) -> Result<(Running, File, tempfile::TempDir), LaunchError> {
        let (created, output, root) = self.create()?;
        Ok((created.start()?, output, root))
    }

    /// Runs the container to its end with more.
    pub fn run_extra(self, extras: Extras) -> Result<Outcome, LaunchError> {
        let (stdio, output) = piped();
        let (created, _root) = self.create_extra(stdio, extras)?;
        Ok(finish(&created.start()?, output))
    }

    /// Gives the bundle a user namespace in which root is 100000 outside.
    pub fn with_user_namespace(&mut self) {
        let linux = self.spec.linux.as_mut().unwrap();
        linux.namespaces.push(Namespace { kind: "user".to_owned(), path: None });
        let map = IdMapping { container_id: 0, host_id: 100_000, size: 65536 };
        linux.uid_mappings = vec![map];
        linux.gid_mappings = vec![map];
        // The container's root may not own what is written otherwise.
        std::os::unix::fs::chown(self.root.path(), Some(100_000), Some(100_000)).unwrap();
    }

    /// Runs the container to its end.
    pub fn run(self) -> Result<Outcome, LaunchError> {
        let (running, output, _root) = self.start()?;
        Ok(finish(&running, output))
    }

    /// The sentence with which the start fails.
    pub fn failure(self) -> String {
        self.run().unwrap_err().to_string()
    }
}

/// Input from `/dev/null`, output and errors into a pipe.
pub fn piped() -> (Stdio, File) {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let null = OwnedFd::from(File::open("/dev/null").unwrap());
    (Stdio::Files([null, write.try_clone().unwrap(), write]), read.into())
}

/// Reads all output and reaps.
pub fn finish(running: &Running, mut output: File) -> Outcome {
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    Outcome { exit: wait(&running.pidfd).unwrap(), output: text }
}

/// The plan of a shell script as a process that joins.
pub fn joining(script: &str, given: &Given, change: impl FnOnce(&mut Process)) -> ProcessPlan {
    let mut bundle = Bundle::new(script);
    change(bundle.process());
    ProcessPlan::joining(bundle.process(), given).unwrap()
}

/// Runs a process in a running container.
pub fn exec(
    container: &Running,
    process: ProcessPlan,
    cgroup: CgroupJoin,
) -> Result<Outcome, LaunchError> {
    let (stdio, output) = piped();
    let running = exec_with(container, process, cgroup, stdio)?;
    Ok(finish(&running, output))
}

pub fn exec_with(
    container: &Running,
    process: ProcessPlan,
    cgroup: CgroupJoin,
    stdio: Stdio,
) -> Result<Running, LaunchError> {
    let descriptors = JoinDescriptors {
        init: container.pidfd.try_clone().unwrap(),
        namespaces: namespaces_of(container.pid)?,
        stdio,
        cgroup,
    };
    Join::prepare(&Host::open().unwrap(), process, descriptors)?.create()?.start()
}

/// Whether the host has a mount at or below `path`.
pub fn is_mounted(path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    let mounts = mounts::mountinfo::read("/proc/thread-self/mountinfo").unwrap();
    mounts.iter().any(|mount| mount.mount_point.starts_with(path))
}

/// Reads until the other side is closed; a terminal says so with EIO.
pub fn read_terminal(console: OwnedFd) -> String {
    let mut file = File::from(console);
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = file.read(&mut buffer) {
        text.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(text).unwrap()
}

/// Ends a container that a test is done with.
pub fn kill(container: &Running) {
    sys::pidfd::send_signal(&container.pidfd, 9).unwrap();
    wait(&container.pidfd).unwrap();
}

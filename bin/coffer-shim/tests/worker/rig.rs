//! A task worker as a real process, a root file system with busybox, and an engine's side of everything.

use messages::Fd;
use messages::shim::{Attach, Event, Exit, Request as ShimRequest};
use messages::task::{Exec, Launch, Log, Reply, Request, Seccomp, Stdio};
use rustix::mount::OpenTreeFlags;
use spec::{ContainerId, ExecId, Failure, oci};
use std::cell::RefCell;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio as ProcessStdio};
use std::sync::atomic::{AtomicU64, Ordering};
use transport::{Connection, Kind, decode, encode};

/// A worker with an exec root and a cgroup parent of its own.
pub(crate) struct Worker {
    child: Child,
    control: Connection,
    pub(crate) connection: Connection,
    next: RefCell<u64>,
    pub(crate) exec_root: tempfile::TempDir,
    pub(crate) rootfs: tempfile::TempDir,
    pub(crate) logs: tempfile::TempDir,
    pub(crate) parent: String,
}

/// A container that was started.
pub(crate) struct Started {
    pub(crate) id: ContainerId,
    pub(crate) pid: i32,
    pub(crate) channel: Connection,
    pub(crate) client: UnixStream,
}

static COUNT: AtomicU64 = AtomicU64::new(0);

impl Worker {
    pub(crate) fn new() -> Self {
        Self::with_policy("")
    }

    /// A worker whose policy file has this text.
    pub(crate) fn with_policy(policy: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let parent = format!("coffer-test-{}-{number}", std::process::id());
        let exec_root = tempfile::tempdir().unwrap();
        std::fs::write(exec_root.path().join("policy.toml"), policy).unwrap();
        let rootfs = rootfs();
        let logs = tempfile::tempdir().unwrap();
        let (child, control, connection) = spawn(exec_root.path(), logs.path(), &parent);
        Self { child, control, connection, next: RefCell::new(1), exec_root, rootfs, logs, parent }
    }

    /// Kills the worker as a crash does, and starts another.
    pub(crate) fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.control, self.connection) =
            spawn(self.exec_root.path(), self.logs.path(), &self.parent);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request without waiting for the answer.
    pub(crate) fn send(&self, request: &Request, fds: &[OwnedFd]) -> u64 {
        let mut next = self.next.borrow_mut();
        *next += 1;
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        self.connection.send(Kind::Request, *next, &encode(request).unwrap(), &fds).unwrap();
        *next
    }

    /// The next answer, with its number and descriptors.
    pub(crate) fn receive(&self) -> (u64, Result<(Reply, Vec<OwnedFd>), Failure>) {
        let frame = self.connection.receive().unwrap().expect("an open connection");
        let result = match frame.kind {
            Kind::Success => Ok((decode(&frame.payload).unwrap(), frame.descriptors)),
            _ => Err(decode(&frame.payload).unwrap()),
        };
        (frame.sequence, result)
    }

    pub(crate) fn ask_with(
        &self,
        request: &Request,
        fds: &[OwnedFd],
    ) -> Result<(Reply, Vec<OwnedFd>), Failure> {
        let number = self.send(request, fds);
        loop {
            let (answered, result) = self.receive();
            if answered == number {
                return result;
            }
            // For a shim that was killed the worker answers once more; whoever asked has its answer and looks for none.
            assert!(answered < number && result.is_err(), "answer to {answered}: {result:?}");
        }
    }

    pub(crate) fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        self.ask_with(request, &[]).map(|(reply, _)| reply)
    }

    pub(crate) fn done(&self, request: &Request) {
        assert_eq!(self.ask(request).unwrap(), Reply::Done);
    }

    /// A launch of `script` with the descriptors that it names, and our ends of the channel and the client.
    pub(crate) fn launch_request(
        &self,
        script: &str,
    ) -> (Launch, Vec<OwnedFd>, Connection, UnixStream) {
        let (ours, theirs) = transport::pair().unwrap();
        let (client, stream) = UnixStream::pair().unwrap();
        let id = new_id();
        std::fs::create_dir_all(self.directory(&id)).unwrap();
        let logs = std::fs::File::open(self.directory(&id)).unwrap();
        let fds = vec![clone_tree(self.rootfs.path()), theirs, stream.into(), logs.into()];
        let spec = specification(script);
        let launch = Launch {
            mount_sources: vec![None; spec.mounts.len()],
            spec,
            rootfs: Fd(0),
            netns: None,
            joins: Vec::new(),
            seccomp: Seccomp::Default,
            cgroup_parent: None,
            init: false,
            stdio: Stdio { terminal: None, open_stdin: false, stdin_once: false },
            log: Log::JsonFile {
                directory: Fd(3),
                name: format!("{id}-json.log"),
                max_size: None,
                max_files: 1,
                attributes: Vec::new(),
            },
            attaches: vec![(attach(), Fd(2))],
            channel: Fd(1),
            id,
        };
        (launch, fds, ours.into(), client)
    }

    pub(crate) fn launch(&self, script: &str) -> Started {
        self.launch_with(script, |_, _| ()).unwrap()
    }

    pub(crate) fn launch_with(
        &self,
        script: &str,
        change: impl FnOnce(&mut Launch, &mut Vec<OwnedFd>),
    ) -> Result<Started, Failure> {
        let (mut launch, mut fds, channel, client) = self.launch_request(script);
        change(&mut launch, &mut fds);
        let id = launch.id.clone();
        let (reply, _) = self.ask_with(&Request::Launch(Box::new(launch)), &fds)?;
        drop(fds);
        let Reply::Started { pid, .. } = reply else { panic!("{reply:?}") };
        let Event::Status { exit: None, .. } = event(&channel) else { panic!("another event") };
        Ok(Started { id, pid, channel, client })
    }

    pub(crate) fn exec(&self, id: &ContainerId, script: &str) -> (ExecId, Started) {
        self.exec_with(id, script, |_| ()).unwrap()
    }

    pub(crate) fn exec_with(
        &self,
        id: &ContainerId,
        script: &str,
        change: impl FnOnce(&mut Exec),
    ) -> Result<(ExecId, Started), Failure> {
        let (ours, theirs) = transport::pair().unwrap();
        let (client, stream) = UnixStream::pair().unwrap();
        let exec = ExecId::parse(new_id().as_str()).unwrap();
        let mut request = Exec {
            id: id.clone(),
            exec: exec.clone(),
            process: process(script),
            seccomp: Seccomp::Default,
            stdio: Stdio { terminal: None, open_stdin: true, stdin_once: true },
            attaches: vec![(attach(), Fd(1))],
            channel: Fd(0),
        };
        change(&mut request);
        let fds = [theirs, stream.into()];
        let (reply, _) = self.ask_with(&Request::Exec(Box::new(request)), &fds)?;
        drop(fds);
        let Reply::Started { pid, .. } = reply else { panic!("{reply:?}") };
        let channel = Connection::from(ours);
        let Event::Status { exit: None, .. } = event(&channel) else { panic!("another event") };
        Ok((exec, Started { id: id.clone(), pid, channel, client }))
    }

    pub(crate) fn delete(&self, id: &ContainerId) {
        self.done(&Request::Delete { id: id.clone(), exec: None });
    }

    /// The engine's directory of the container.
    pub(crate) fn directory(&self, id: &ContainerId) -> std::path::PathBuf {
        self.logs.path().join("containers").join(id.as_str())
    }

    /// All messages in the container's log.
    pub(crate) fn log(&self, id: &ContainerId) -> String {
        std::fs::read_to_string(self.directory(id).join(format!("{id}-json.log")))
            .unwrap()
            .lines()
            .map(|line| {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                value["log"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    /// Names of the groups below our parent, in every hierarchy.
    pub(crate) fn groups(&self) -> Vec<String> {
        let mut names = Vec::new();
        for parent in self.parents() {
            let entries = std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap());
            let directories = entries.filter(|entry| entry.file_type().unwrap().is_dir());
            names.extend(directories.map(|entry| entry.file_name().into_string().unwrap()));
        }
        names
    }

    /// The directories of our parent group: below the test's own group in each hierarchy.
    pub(crate) fn parents(&self) -> Vec<std::path::PathBuf> {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let paths = own.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let controllers = fields.nth(1)?;
            let path = fields.next()?.trim_start_matches('/');
            let mount = match controllers {
                // Alone, version 2 is mounted at the top.
                "" if !Path::new("/sys/fs/cgroup/unified").is_dir() => "",
                "" => "unified",
                named => named.trim_start_matches("name="),
            };
            Some(Path::new("/sys/fs/cgroup").join(mount).join(path).join(&self.parent))
        });
        paths.filter(|path| path.is_dir()).collect()
    }

    /// Nothing of any task is left.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.ask(&Request::List).unwrap(), Reply::Tasks(Vec::new()));
        assert_eq!(self.groups(), Vec::<String>::new());
        let tasks = std::fs::read_dir(self.exec_root.path().join("task")).unwrap();
        assert_eq!(tasks.count(), 0);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Ok(Reply::Tasks(tasks)) = self.ask(&Request::List) {
            for task in tasks.into_iter().filter(|task| task.exec.is_none()) {
                self.ask(&Request::Delete { id: task.id, exec: None }).ok();
            }
        }
        self.child.kill().ok();
        self.child.wait().ok();
        for parent in self.parents() {
            std::fs::remove_dir(parent).ok();
        }
    }
}

impl Started {
    pub(crate) fn event(&self) -> Event {
        event(&self.channel)
    }

    pub(crate) fn tell(&self, request: &ShimRequest) {
        self.channel.send(Kind::Oneway, 0, &encode(request).unwrap(), &[]).unwrap();
    }

    /// Waits for the exit and acknowledges it, unless a deletion has done so.
    pub(crate) fn wait(&self) -> Exit {
        loop {
            if let Event::Exited(exit) = self.event() {
                let payload = encode(&ShimRequest::Acknowledge).unwrap();
                self.channel.send(Kind::Oneway, 0, &payload, &[]).ok();
                return exit;
            }
        }
    }

    /// Stdout and stderr that the client gets until its end.
    pub(crate) fn output(&mut self) -> (String, String) {
        let mut bytes = Vec::new();
        self.client.read_to_end(&mut bytes).unwrap();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut rest = &bytes[..];
        while let Some((header, tail)) = rest.split_at_checked(8) {
            let length = u32::from_be_bytes(header[4..].try_into().unwrap()) as usize;
            let out = if header[0] == 1 { &mut stdout } else { &mut stderr };
            out.extend_from_slice(&tail[..length]);
            rest = &tail[length..];
        }
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(stdout), text(stderr))
    }

    /// Reads raw bytes until `text` is among them.
    pub(crate) fn read_until(&mut self, text: &str) -> String {
        let mut got = String::new();
        let mut buffer = [0; 1024];
        while !got.contains(text) {
            let count = self.client.read(&mut buffer).unwrap();
            assert!(count > 0, "ended after {got:?}");
            got += &String::from_utf8_lossy(&buffer[..count]);
        }
        got
    }
}

pub(crate) fn event(channel: &Connection) -> Event {
    decode(&channel.receive().unwrap().expect("an open channel").payload).unwrap()
}

pub(crate) fn attach() -> Attach {
    Attach {
        number: 1,
        stdin: true,
        stdout: true,
        stderr: true,
        raw: false,
        detach_keys: Vec::new(),
    }
}

pub(crate) fn new_id() -> ContainerId {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).unwrap();
    ContainerId::from_bytes(&bytes)
}

fn spawn(exec_root: &Path, data_root: &Path, parent: &str) -> (Child, Connection, Connection) {
    let (ours, theirs) = transport::pair().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_coffer-shim"))
        .arg("--exec-root")
        .arg(exec_root)
        .arg("--data-root")
        .arg(data_root)
        .args(["--cgroup-parent", parent, "--init", "/bin/busybox", "--policy"])
        .arg(exec_root.join("policy.toml"))
        .stdin(ProcessStdio::from(theirs))
        .spawn()
        .unwrap();
    let control = Connection::from(ours);
    let (connection, peer) = transport::pair().unwrap();
    let message = messages::control::Control::Peer(messages::control::Role::Api);
    control.send(Kind::Oneway, 0, &encode(&message).unwrap(), &[peer.as_fd()]).unwrap();
    (child, control, connection.into())
}

/// A detached copy of what is mounted at `path`: what the storage worker hands over.
pub(crate) fn clone_tree(path: &Path) -> OwnedFd {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(rustix::fs::CWD, path, flags).unwrap()
}

fn rootfs() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["bin", "dev", "proc", "sys", "tmp", "etc", "sbin"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    std::fs::copy("/bin/busybox", dir.path().join("bin/busybox")).unwrap();
    for applet in ["sh", "true", "sleep", "cat", "echo", "id", "stty", "kill", "dd", "usleep"] {
        symlink("busybox", dir.path().join("bin").join(applet)).unwrap();
    }
    dir
}

pub(crate) fn process(script: &str) -> oci::Process {
    let capabilities: Vec<_> = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
    .iter()
    .map(|name| format!("CAP_{name}"))
    .collect();
    oci::Process {
        args: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec!["PATH=/bin".to_owned()],
        cwd: "/".to_owned(),
        capabilities: Some(oci::Capabilities {
            bounding: capabilities.clone(),
            effective: capabilities.clone(),
            permitted: capabilities,
            ..oci::Capabilities::default()
        }),
        ..oci::Process::default()
    }
}

fn mount(destination: &str, kind: &str, options: &[&str]) -> oci::Mount {
    oci::Mount {
        destination: destination.to_owned(),
        kind: Some(kind.to_owned()),
        source: Some(kind.to_owned()),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..oci::Mount::default()
    }
}

/// Docker's defaults.
pub(crate) fn specification(script: &str) -> oci::Spec {
    let namespaces = ["mount", "network", "uts", "pid", "ipc", "cgroup"]
        .map(|kind| oci::Namespace { kind: kind.to_owned(), path: None });
    let paths = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
    oci::Spec {
        oci_version: "1.2.0".to_owned(),
        process: Some(process(script)),
        root: Some(oci::Root { path: "rootfs".to_owned(), readonly: false }),
        hostname: Some("box".to_owned()),
        mounts: vec![
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount(
                "/dev/pts",
                "devpts",
                &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            ),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount(
                "/dev/shm",
                "tmpfs",
                &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"],
            ),
        ],
        linux: Some(oci::Linux {
            namespaces: namespaces.to_vec(),
            resources: Some(oci::Resources {
                devices: vec![oci::DeviceRule {
                    allow: false,
                    access: Some("rwm".to_owned()),
                    ..oci::DeviceRule::default()
                }],
                ..oci::Resources::default()
            }),
            masked_paths: paths(&[
                "/proc/kcore",
                "/proc/keys",
                "/proc/timer_list",
                "/sys/firmware",
            ]),
            readonly_paths: paths(&["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"]),
            ..oci::Linux::default()
        }),
        ..oci::Spec::default()
    }
}

/// Resources with one limit changed.
pub(crate) fn memory_limit(bytes: i64) -> oci::Resources {
    oci::Resources {
        memory: Some(oci::Memory { limit: Some(bytes), ..oci::Memory::default() }),
        ..oci::Resources::default()
    }
}

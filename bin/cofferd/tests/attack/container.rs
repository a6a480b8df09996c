//! A container as the engine would ask for it, for attacks to change.

use crate::rig::{Place, Worker};
use messages::Fd;
use messages::task::{Launch, Log, Request, Seccomp, Stdio};
use rustix::mount::OpenTreeFlags;
use spec::{ContainerId, oci};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The task worker with a place, a root file system and a parent group of its own.
pub(crate) struct Rig {
    pub(crate) place: Place,
    pub(crate) worker: Worker<Request>,
    parent: String,
}

impl Rig {
    pub(crate) fn new(policy: &str) -> Self {
        let place = Place::new(policy);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let parent = format!("coffer-attack-{}-{number}", std::process::id());
        let shim = Path::new(env!("CARGO_BIN_EXE_cofferd")).with_file_name("coffer-shim");
        assert!(shim.exists(), "{} must be built first", shim.display());
        let mut command = Command::new("unshare");
        command.arg("-n").arg(shim).arg("--exec-root").arg(place.exec());
        command.arg("--data-root").arg(place.data()).arg("--policy").arg(place.path("policy.toml"));
        command.args(["--init", "/bin/busybox", "--cgroup-parent", &parent]);
        make_rootfs(&place.path("rootfs"));
        let mut worker = Worker::start(command);
        // Once it answers, it has made what it needs itself.
        worker.ask(&Request::List, &[]).unwrap();
        Self { place, worker, parent }
    }

    /// A launch that is carried out, with its descriptors: root, channel, log directory.
    pub(crate) fn launch(&self) -> (Launch, Vec<OwnedFd>) {
        let id = new_id();
        let logs = self.place.data().join("containers").join(id.as_str());
        std::fs::create_dir(&logs).unwrap();
        let (_, channel) = transport::pair().unwrap();
        let rootfs = detached(&self.place.path("rootfs"));
        let fds = vec![rootfs, channel, std::fs::File::open(logs).unwrap().into()];
        let spec = specification();
        let launch = Launch {
            mount_sources: vec![None; spec.mounts.len()],
            spec,
            rootfs: Fd(0),
            netns: None,
            joins: vec![],
            seccomp: Seccomp::Default,
            cgroup_parent: None,
            init: false,
            stdio: Stdio { terminal: None, open_stdin: false, stdin_once: false },
            log: Log::JsonFile {
                directory: Fd(2),
                name: format!("{id}-json.log"),
                max_size: None,
                max_files: 1,
                attributes: vec![],
            },
            attaches: vec![],
            channel: Fd(1),
            id,
        };
        (launch, fds)
    }

    /// The directories of the parent group: below the test's own group in each hierarchy.
    fn groups(&self) -> Vec<PathBuf> {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let paths = own.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let controllers = fields.nth(1)?;
            let path = fields.next()?.trim_start_matches('/');
            let mount = match controllers {
                "" if !Path::new("/sys/fs/cgroup/unified").is_dir() => "",
                "" => "unified",
                named => named.trim_start_matches("name="),
            };
            Some(Path::new("/sys/fs/cgroup").join(mount).join(path).join(&self.parent))
        });
        paths.filter(|path| path.is_dir()).collect()
    }

    /// What the worker has made on the host: groups, records, and everything in the place but for an empty log in the
    /// container's own directory.
    pub(crate) fn traces(&self) -> Vec<String> {
        let mut traces = self.place.listing("");
        traces.retain(|line| !line.ends_with("-json.log"));
        for group in self.groups() {
            let entries = std::fs::read_dir(group).unwrap().map(Result::unwrap);
            let groups = entries.filter(|entry| entry.file_type().unwrap().is_dir());
            traces.extend(groups.map(|entry| entry.file_name().into_string().unwrap()));
        }
        traces
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for group in self.groups() {
            std::fs::remove_dir(group).ok();
        }
    }
}

fn new_id() -> ContainerId {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).unwrap();
    ContainerId::from_bytes(&bytes)
}

/// What the storage worker hands over: a mount that is attached nowhere.
pub(crate) fn detached(path: &Path) -> OwnedFd {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(rustix::fs::CWD, path, flags).unwrap()
}

fn make_rootfs(root: &Path) {
    for name in ["bin", "dev", "proc", "sys", "tmp", "etc", "sbin", "mnt"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    symlink("busybox", root.join("bin/true")).unwrap();
}

pub(crate) fn mount(destination: &str, kind: &str, options: &[&str]) -> oci::Mount {
    oci::Mount {
        destination: destination.to_owned(),
        kind: Some(kind.to_owned()),
        source: Some(kind.to_owned()),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..oci::Mount::default()
    }
}

pub(crate) fn process() -> oci::Process {
    let capabilities = spec::linux::DEFAULT_CAPABILITIES.map(str::to_owned).to_vec();
    oci::Process {
        args: vec!["true".to_owned()],
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

/// What Docker gives a container.
fn specification() -> oci::Spec {
    let namespaces = ["mount", "network", "uts", "pid", "ipc", "cgroup"]
        .map(|kind| oci::Namespace { kind: kind.to_owned(), path: None });
    let paths = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    oci::Spec {
        oci_version: "1.2.0".to_owned(),
        process: Some(process()),
        root: Some(oci::Root { path: "rootfs".to_owned(), readonly: false }),
        hostname: Some("box".to_owned()),
        mounts: vec![
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
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
            masked_paths: paths(
                "/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats \
                 /proc/sched_debug /proc/scsi /proc/timer_list /proc/timer_stats \
                 /sys/devices/virtual/powercap /sys/firmware",
            ),
            readonly_paths: paths("/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger"),
            ..oci::Linux::default()
        }),
        ..oci::Spec::default()
    }
}

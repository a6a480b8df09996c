//! The mounts of a container: what every container has, the three files for the network, and what the user mounts.

use super::tmpfs;
use crate::container::config::{ContainerConfig, Mode, Mount, MountKind};
use spec::Failure;
use spec::oci;

/// Where the descriptor for a mount comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: the kernel makes the file system.
    Kernel,
    /// The entry of `ContainerConfig.mounts` at this position.
    Mount(usize),
    /// The container's `hostname`.
    Hostname,
    /// The container's `hosts`.
    Hosts,
    /// The container's `resolv.conf`.
    ResolvConf,
    /// The host's `/dev/shm`.
    HostShm,
}

/// The mounts in the order in which they are made, each with its source, and the propagation that the root needs.
#[derive(Debug, Default)]
pub struct Mounts {
    /// For the specification.
    pub mounts: Vec<oci::Mount>,
    /// For each of them.
    pub sources: Vec<Source>,
    /// `shared` or `rslave` when a bind mount asks for it.
    pub root_propagation: Option<String>,
}

/// What every container has: destination, type, source, options.
const USUAL: [(&str, &str, &str, &str); 7] = [
    ("/proc", "proc", "proc", "nosuid,noexec,nodev"),
    ("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
    ("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
    ("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", "ro,nosuid,noexec,nodev"),
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
    ("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777"),
];

/// Where the files for the network go.
const FILES: [(&str, Source); 3] = [
    ("/etc/resolv.conf", Source::ResolvConf),
    ("/etc/hostname", Source::Hostname),
    ("/etc/hosts", Source::Hosts),
];

/// Builds the mounts. `writable_cgroups` is whether `/sys/fs/cgroup` may be written.
pub fn mounts(config: &ContainerConfig, writable_cgroups: bool) -> Result<Mounts, Failure> {
    let mut all = Mounts::default();
    usual(config, writable_cgroups, &mut all);
    let mut rest: Vec<(oci::Mount, Source)> = Vec::new();
    for (position, mount) in config.mounts.iter().enumerate() {
        rest.push((user_mount(mount, &mut all.root_propagation)?, Source::Mount(position)));
    }
    let mounted = |path: &str| config.mounts.iter().any(|mount| mount.destination == path);
    if !config.config.network_disabled {
        for (path, source) in FILES.into_iter().filter(|(path, _)| !mounted(path)) {
            let mut options = vec!["rbind".to_owned(), "rprivate".into()];
            if config.host.readonly_rootfs {
                options.push("ro".into());
            }
            rest.push((bind(path, options), source));
        }
    }
    if Mode::of(&config.host.ipc_mode) == Mode::Host && !mounted("/dev/shm") {
        rest.push((bind("/dev/shm", vec!["rbind".into(), "rprivate".into()]), Source::HostShm));
    }
    // A mount below another comes after it.
    rest.sort_by_key(|(mount, _)| {
        mount.destination.split('/').filter(|part| !part.is_empty()).count()
    });
    for (mount, source) in rest {
        let kernel = mount.kind.as_deref() == Some("tmpfs");
        all.mounts.push(mount);
        all.sources.push(if kernel { Source::Kernel } else { source });
    }
    Ok(all)
}

fn usual(config: &ContainerConfig, writable_cgroups: bool, all: &mut Mounts) {
    let mounted = |path: &str| config.mounts.iter().any(|mount| mount.destination == path);
    let ipc = Mode::of(&config.host.ipc_mode);
    for (destination, kind, source, options) in USUAL {
        if mounted(destination) || destination.starts_with("/dev/") && mounted("/dev") {
            continue;
        }
        if destination == "/dev/shm" && matches!(ipc, Mode::None | Mode::Host) {
            continue;
        }
        let mut options: Vec<String> = options.split(',').map(str::to_owned).collect();
        if destination == "/dev/shm" {
            options.push(format!("size={}", config.host.shm_size));
        }
        let writable =
            destination == "/sys" && config.host.privileged || kind == "cgroup" && writable_cgroups;
        if writable {
            options.retain(|option| option != "ro");
        }
        all.mounts.push(oci::Mount {
            destination: destination.to_owned(),
            kind: Some(kind.to_owned()),
            source: Some(source.to_owned()),
            options,
            ..oci::Mount::default()
        });
        all.sources.push(Source::Kernel);
    }
}

fn bind(destination: &str, options: Vec<String>) -> oci::Mount {
    oci::Mount {
        destination: destination.to_owned(),
        kind: Some("bind".into()),
        source: None,
        options,
        ..oci::Mount::default()
    }
}

fn user_mount(mount: &Mount, root_propagation: &mut Option<String>) -> Result<oci::Mount, Failure> {
    if mount.kind == MountKind::Tmpfs {
        return Ok(oci::Mount {
            destination: mount.destination.clone(),
            kind: Some("tmpfs".into()),
            source: Some("tmpfs".into()),
            options: tmpfs::options(&mount.tmpfs_options)?,
            ..oci::Mount::default()
        });
    }
    let mut options =
        vec![if mount.non_recursive { "bind".to_owned() } else { "rbind".to_owned() }];
    if !mount.writable {
        let shallow = mount.readonly_non_recursive || mount.kind == MountKind::Volume;
        options.push(if shallow { "ro".into() } else { "rro".into() });
    }
    match mount.propagation.as_str() {
        "" => {}
        "shared" | "rshared" => *root_propagation = Some("shared".into()),
        "slave" | "rslave" if root_propagation.is_none() => {
            *root_propagation = Some("rslave".into())
        }
        _ => {}
    }
    if !mount.propagation.is_empty() {
        options.push(mount.propagation.clone());
    }
    Ok(bind(&mount.destination, options))
}

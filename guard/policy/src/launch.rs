//! Whole specifications: what a container or exec would get beyond the default.

use crate::{Policy, kernel};
use messages::task::{Exec, Launch, Namespace, Seccomp};
use spec::linux::DEFAULT_CAPABILITIES;
use spec::oci::{Capabilities, Linux, Mount, Process, Spec};
use spec::{Class, Failure};

/// File systems that a container may have the kernel mount for it. Others would read a block device, or reach a
/// network, with the rights of the host.
const FILE_SYSTEMS: [&str; 7] = ["cgroup", "cgroup2", "devpts", "mqueue", "proc", "sysfs", "tmpfs"];

/// Namespaces as the specification names them, with whether the host's may ever be used.
const NAMESPACES: [&str; 6] = ["cgroup", "ipc", "network", "pid", "user", "uts"];

pub(crate) fn forbidden(what: &str) -> Failure {
    Failure::new(Class::Forbidden, format!("{what} is not allowed: the policy forbids it"))
}

fn refused(what: &str) -> Failure {
    Failure::invalid(format!("{what} is not part of a container that the engine starts"))
}

impl Policy {
    /// Whether a container with this specification may be started.
    pub fn check_launch(&self, launch: &Launch) -> Result<(), Failure> {
        let spec = &launch.spec;
        let linux = spec.linux.as_ref().ok_or_else(|| refused("a specification without linux"))?;
        let process =
            spec.process.as_ref().ok_or_else(|| refused("a specification without process"))?;
        check_absent(spec, linux)?;
        self.check_namespaces(launch, linux)?;
        self.check_process(process, &launch.seccomp)?;
        for (position, mount) in spec.mounts.iter().enumerate() {
            let bound = launch.mount_sources.get(position).is_some_and(Option::is_some);
            self.check_mount(mount, bound)?;
        }
        for device in &linux.devices {
            self.check_device(device)?;
        }
        for rule in linux.resources.iter().flat_map(|resources| &resources.devices) {
            self.check_device_rule(rule)?;
        }
        if !self.privileged {
            kernel::check(&spec.mounts, linux)?;
        }
        check_cgroup_parent(launch.cgroup_parent.as_deref())
    }

    /// Whether such a process may be started in a running container.
    pub fn check_exec(&self, exec: &Exec) -> Result<(), Failure> {
        self.check_process(&exec.process, &exec.seccomp)
    }

    fn check_process(&self, process: &Process, seccomp: &Seccomp) -> Result<(), Failure> {
        let capabilities = process.capabilities.iter().flat_map(all_sets);
        for name in capabilities {
            if !self.allows_capability(name) {
                return Err(forbidden(&format!("capability {name}")));
            }
        }
        let real_time =
            process.scheduler.as_ref().is_some_and(|scheduler| {
                !matches!(scheduler.policy.as_str(), "SCHED_OTHER" | "SCHED_BATCH" | "SCHED_IDLE")
            }) || process.io_priority.as_ref().is_some_and(|io| io.class == "IOPRIO_CLASS_RT");
        if real_time && !self.allows_capability("CAP_SYS_NICE") {
            return Err(forbidden("real-time scheduling"));
        }
        match seccomp {
            Seccomp::Unconfined if !self.seccomp_unconfined => {
                Err(forbidden("a container without system call filter"))
            }
            Seccomp::Profile(_) if !self.seccomp_profiles => {
                Err(forbidden("a system call filter other than the built-in one"))
            }
            _ => Ok(()),
        }
    }

    fn allows_capability(&self, name: &str) -> bool {
        let bare = name.strip_prefix("CAP_").unwrap_or(name);
        let listed = |allowed: &String| {
            let allowed = allowed.strip_prefix("CAP_").unwrap_or(allowed);
            allowed.eq_ignore_ascii_case("ALL") || allowed.eq_ignore_ascii_case(bare)
        };
        DEFAULT_CAPABILITIES.contains(&name) || self.capabilities.iter().any(listed)
    }

    /// A namespace that is neither made new nor joined is the host's.
    fn check_namespaces(&self, launch: &Launch, linux: &Linux) -> Result<(), Failure> {
        let named = |kind: &str| linux.namespaces.iter().any(|namespace| namespace.kind == kind);
        if !named("mount") {
            return Err(refused("the host's mount namespace"));
        }
        if let Some(namespace) = linux.namespaces.iter().find(|namespace| namespace.path.is_some())
        {
            return Err(refused(&format!("a path for the {} namespace", namespace.kind)));
        }
        let joined = |kind: &str| {
            launch.joins.iter().any(|join| kind == kind_of(join.kind))
                || (kind == "network" && launch.netns.is_some())
        };
        for kind in NAMESPACES {
            // Without a user namespace of its own a container has the host's: the default, as with Docker.
            let ordinary = kind == "user" || kind == "cgroup";
            if !named(kind) && !joined(kind) && !ordinary {
                self.check_host_namespace(kind)?;
            }
        }
        Ok(())
    }

    /// Whether a container may be in the host's own namespace of this kind, as the specification names kinds.
    pub fn check_host_namespace(&self, kind: &str) -> Result<(), Failure> {
        if self.host_namespaces.iter().any(|allowed| allowed == kind) {
            return Ok(());
        }
        Err(forbidden(&format!("the host's {kind} namespace")))
    }

    fn check_mount(&self, mount: &Mount, bound: bool) -> Result<(), Failure> {
        if mount.options.iter().any(|option| matches!(option.as_str(), "shared" | "rshared"))
            && !self.shared_propagation
        {
            return Err(forbidden(&format!("shared propagation of {}", mount.destination)));
        }
        let kind = mount.kind.as_deref().unwrap_or_default();
        if bound || FILE_SYSTEMS.contains(&kind) {
            return Ok(());
        }
        Err(refused(&format!("a mount of type {kind:?} at {}", mount.destination)))
    }
}

fn kind_of(namespace: Namespace) -> &'static str {
    match namespace {
        Namespace::Network => "network",
        Namespace::Pid => "pid",
        Namespace::Ipc => "ipc",
        Namespace::Uts => "uts",
    }
}

fn all_sets(capabilities: &Capabilities) -> impl Iterator<Item = &String> {
    [
        &capabilities.bounding,
        &capabilities.effective,
        &capabilities.inheritable,
        &capabilities.permitted,
        &capabilities.ambient,
    ]
    .into_iter()
    .flatten()
}

/// What the runtime can do for a bundle's owner, who is root, but the engine never asks for.
fn check_absent(spec: &Spec, linux: &Linux) -> Result<(), Failure> {
    if spec.hooks.is_some() {
        return Err(refused("a hook"));
    }
    if !linux.net_devices.is_empty() {
        return Err(refused("a network device of the host"));
    }
    if linux.intel_rdt.is_some() {
        return Err(refused("intelRdt"));
    }
    if linux.cgroups_path.is_some() {
        return Err(refused("a cgroup path"));
    }
    Ok(())
}

fn check_cgroup_parent(parent: Option<&str>) -> Result<(), Failure> {
    let Some(parent) = parent else { return Ok(()) };
    let safe = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    let relative = parent.strip_prefix('/').unwrap_or(parent);
    if parent.len() <= 1024 && relative.split('/').all(safe) {
        return Ok(());
    }
    Err(Failure::invalid(format!("invalid cgroup parent {parent:?}: must be a clean path")))
}

#[cfg(test)]
mod tests;

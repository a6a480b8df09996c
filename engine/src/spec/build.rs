//! The whole specification of a container.

use super::devices::{self, Wanted};
use super::mounts::{Source, mounts};
use super::namespaces::namespaces;
use super::resources::{BlockDevices, resources};
use super::{caps, environment, rlimits};
use crate::container::config::{ContainerConfig, Mode};
use crate::container::security::Security;
use api_types::host::Ulimit;
use messages::storage::Device;
use messages::task::Namespace;
use spec::Failure;
use spec::oci::{ConsoleSize, Linux, Process, Root, Spec, User};
use std::collections::BTreeMap;

/// The version of the OCI runtime specification that is followed.
const VERSION: &str = "1.3.0";

/// Everything that decides about the specification.
#[derive(Debug)]
pub struct Input<'a> {
    /// The container.
    pub config: &'a ContainerConfig,
    /// Its security options.
    pub security: &'a Security,
    /// Who it runs as, resolved in its own root file system.
    pub user: User,
    /// Its `--device`, looked up.
    pub devices: &'a [Wanted],
    /// All devices of the host; only looked at when it is privileged.
    pub host_devices: &'a [Device],
    /// Numbers of the block devices that its limits name.
    pub block_devices: &'a BlockDevices,
    /// Variables for its legacy links.
    pub linked: &'a [String],
    /// The engine's limits for what the container does not limit.
    pub ulimits: &'a [Ulimit],
    /// The host name that it sees.
    pub hostname: &'a str,
    /// The user's home directory, for `HOME` if the container does not set it.
    pub home: &'a str,
}

/// The specification, with what it takes from elsewhere.
#[derive(Debug)]
pub struct Built {
    /// The specification.
    pub spec: Spec,
    /// For each of its mounts.
    pub sources: Vec<Source>,
    /// Namespaces that it takes from another container, by the container's id as text.
    pub joins: Vec<(Namespace, String)>,
}

/// Builds the specification.
pub fn build(input: Input<'_>) -> Result<Built, Failure> {
    let (config, host) = (input.config, &input.config.host);
    let writable_cgroups = input.security.writable_cgroups.unwrap_or(host.privileged);
    let mounts = mounts(config, writable_cgroups)?;
    let namespaces = namespaces(config);
    let devices = if host.privileged {
        devices::privileged(input.host_devices, input.devices)
    } else {
        devices::confined(input.devices, &host.device_cgroup_rules)?
    };
    let mut limits = resources(host, input.block_devices)?;
    limits.devices = devices.rules;
    let (sysctl, _) = sysctls(config);
    let open_paths = host.privileged || input.security.open_paths;
    let paths = |list: &[String]| if open_paths { Vec::new() } else { list.to_vec() };
    let linux = Linux {
        sysctl,
        resources: Some(limits),
        namespaces: namespaces.own_or_joined,
        devices: devices.nodes,
        masked_paths: paths(&host.masked_paths),
        readonly_paths: paths(&host.readonly_paths),
        rootfs_propagation: mounts.root_propagation,
        ..Linux::default()
    };
    let own_uts = Mode::of(&host.uts_mode) != Mode::Host;
    let text = |text: &str| Some(text.to_owned()).filter(|text| own_uts && !text.is_empty());
    let spec = Spec {
        oci_version: VERSION.to_owned(),
        root: Some(Root { path: "rootfs".into(), readonly: host.readonly_rootfs }),
        hostname: text(input.hostname),
        domainname: text(&config.config.domainname),
        mounts: mounts.mounts,
        annotations: host.annotations.clone().into_inner(),
        linux: Some(linux),
        process: Some(process(&input)?),
        ..Spec::default()
    };
    Ok(Built { spec, sources: mounts.sources, joins: namespaces.joins })
}

fn process(input: &Input<'_>) -> Result<Process, Failure> {
    let (config, host) = (&input.config.config, &input.config.host);
    let mut args = vec![input.config.path.clone()];
    args.extend_from_slice(&input.config.args);
    let [height, width] = host.console_size;
    let console_size =
        (config.tty && height > 0 && width > 0).then_some(ConsoleSize { height, width });
    Ok(Process {
        terminal: config.tty,
        console_size,
        capabilities: Some(caps::sets(
            caps::granted(&host.cap_add, &host.cap_drop, host.privileged)?,
            input.user.uid,
        )),
        user: input.user.clone(),
        args,
        env: environment::with_home(
            environment::environment(input.hostname, config.tty, input.linked, &config.env),
            input.home,
        ),
        cwd: if config.working_dir.is_empty() { "/".into() } else { config.working_dir.clone() },
        rlimits: rlimits::rlimits(&host.ulimits, input.ulimits),
        no_new_privileges: input.security.no_new_privileges,
        oom_score_adj: i32::try_from(host.oom_score_adj).ok(),
        ..Process::default()
    })
}

/// `net.*` sysctls for the network namespace that is made for a container beforehand.
pub fn net_sysctls(config: &ContainerConfig) -> Vec<(String, String)> {
    sysctls(config).1
}

/// The sysctls for the runtime, and those for the network namespace that is made beforehand.
fn sysctls(config: &ContainerConfig) -> (BTreeMap<String, String>, Vec<(String, String)>) {
    let own_network = matches!(config.network_mode(), Mode::Own | Mode::None);
    let mut all = BTreeMap::new();
    if own_network {
        // Ping and low ports need no capability in a network of one's own.
        all.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
        all.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
    }
    for (name, value) in &config.host.sysctls {
        all.insert(name.clone(), value.clone());
    }
    let (net, rest) =
        all.into_iter().partition(|(name, _)| own_network && name.starts_with("net."));
    let net: BTreeMap<_, _> = net;
    (rest, net.into_iter().collect())
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;

//! What a launch needs besides descriptors: devices, linked containers, streams, log, the cgroup's parent.

use super::config::{ContainerConfig, Mode, clean_path};
use super::directory::Directory;
use super::live::Plugged;
use super::logging::{self, Driver};
use crate::network::links;
use crate::open::Shared;
use crate::spec::devices::Wanted;
use crate::spec::resources::{BlockDevices, block_devices};
use messages::task::{Log, Stdio};
use messages::{Fd, storage};
use spec::{Class, Failure};
use std::os::fd::OwnedFd;

/// Descriptors of a message in the order of their positions.
#[derive(Default)]
pub(super) struct Descriptors(pub(super) Vec<OwnedFd>);

impl Descriptors {
    pub(super) fn add(&mut self, fd: OwnedFd) -> Fd {
        self.0.push(fd);
        Fd(u16::try_from(self.0.len() - 1).unwrap_or(u16::MAX))
    }
}

/// The linked containers of a legacy link.
pub(super) struct Surroundings {
    pub(super) hostname: String,
    pub(super) linked: Vec<links::Linked>,
}

/// The host name that the container sees, and the containers that it links to.
pub(super) fn surroundings(
    shared: &Shared,
    config: &ContainerConfig,
) -> Result<Surroundings, Failure> {
    let mut hostname = config.config.hostname.clone();
    joined(shared, config)?;
    if let Mode::Container(other) = config.network_mode() {
        hostname.clone_from(&shared.containers.find(other)?.view().config.config.hostname);
    }
    let mut linked = Vec::new();
    // In a network that a user made, the name server knows the alias.
    let by_name = config.network_name() != Some("bridge");
    for text in config.host.links.iter().filter(|_| !by_name) {
        let Some((name, alias)) = links::parse(text) else {
            return Err(Failure::invalid(format!("bad format for links: {text}")));
        };
        let view = shared.containers.find(name)?.view();
        let shared_network = |own: &&Plugged| config.networks().contains(&own.network.as_str());
        let plugged = view.outcome.endpoints.iter().find(shared_network);
        let Some(address) =
            plugged.and_then(|own| own.addresses().next()).filter(|_| view.state.has_process())
        else {
            return Err(Failure::invalid(format!(
                "Cannot link to a non running container: /{name} AS /{}/{alias}",
                config.name
            )));
        };
        linked.push(links::Linked {
            name: view.config.name.clone(),
            alias: alias.to_owned(),
            short_id: view.config.id.short().to_owned(),
            address: address.address,
            ports: view.config.config.exposed_ports.keys().cloned().collect(),
            env: view.config.config.env.iter().cloned().collect(),
        });
    }
    Ok(Surroundings { hostname, linked })
}

/// A path that is no device, in Docker's words; the worker has its own for the same.
fn device_failure(path: &str, failure: Failure) -> Failure {
    let cause = match failure.class {
        Class::NotFound => "no such file or directory",
        Class::InvalidArgument => "not a device node",
        _ => return failure,
    };
    Failure::invalid(format!(
        "error gathering device information while adding custom device {path:?}: {cause}"
    ))
}

/// The containers whose namespaces are joined must run, and share theirs.
fn joined(shared: &Shared, config: &ContainerConfig) -> Result<(), Failure> {
    let host = &config.host;
    let named = |mode: &'_ str| mode.strip_prefix("container:").map(str::to_owned);
    let find = |name: &str| shared.containers.find(name).map(|handle| handle.view());
    if let Some(other) = named(&host.ipc_mode) {
        let other = find(&other)?;
        let id = &other.config.id;
        let refused = |cause: &str| {
            Err(Failure::conflict(format!("can't join IPC of container {id}: {cause}")))
        };
        if !other.state.has_process() {
            return refused(&format!("container {id} is not running"));
        }
        if !matches!(other.config.host.ipc_mode.as_str(), "shareable" | "host") {
            return refused(
                "non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
            );
        }
    }
    if let Some(other) = named(&host.pid_mode) {
        let other = find(&other)?;
        if !other.state.has_process() {
            let id = &other.config.id;
            return Err(Failure::conflict(format!("container {id} is not running")));
        }
    }
    if let Mode::Container(other) = config.network_mode() {
        let other = find(other)?;
        if !other.state.has_process() {
            let id = &other.config.id;
            let text = format!("cannot join network of a non running container: {id}");
            return Err(Failure::conflict(text));
        }
    }
    Ok(())
}

pub(super) async fn look_up_devices(
    shared: &Shared,
    config: &ContainerConfig,
) -> Result<(Vec<Wanted>, Vec<storage::Device>, BlockDevices), Failure> {
    let host = &config.host;
    let mut wanted = Vec::new();
    for mapping in &host.devices {
        let in_container = if mapping.path_in_container.is_empty() {
            &mapping.path_on_host
        } else {
            &mapping.path_in_container
        };
        let found = shared
            .workers
            .host_devices(&mapping.path_on_host)
            .await
            .map_err(|failure| device_failure(&mapping.path_on_host, failure))?;
        wanted.push(Wanted {
            found,
            on_host: mapping.path_on_host.clone(),
            in_container: in_container.clone(),
            permissions: if mapping.cgroup_permissions.is_empty() {
                "rwm".into()
            } else {
                mapping.cgroup_permissions.clone()
            },
        });
    }
    let all = if host.privileged { shared.workers.host_devices("/dev").await? } else { Vec::new() };
    let mut numbers = BlockDevices::new();
    for path in block_devices(host) {
        let found =
            shared.workers.host_devices(&path).await.map_err(|failure| match failure.class {
                Class::NotFound => {
                    Failure::invalid(format!("stat {path}: no such file or directory"))
                }
                _ => failure,
            })?;
        if let Some(device) = found.iter().find(|device| device.block) {
            numbers.insert(path, (i64::from(device.major), i64::from(device.minor)));
        }
    }
    Ok((wanted, all, numbers))
}

pub(super) fn parent(shared: &Shared, config: &ContainerConfig) -> Option<String> {
    let own = Some(config.host.cgroup_parent.clone()).filter(|parent| !parent.is_empty());
    let parent = own.or_else(|| shared.config.cgroup_parent.clone())?;
    Some(clean_path(&parent).trim_start_matches('/').to_owned()).filter(|parent| !parent.is_empty())
}

pub(super) fn stdio(config: &ContainerConfig) -> Stdio {
    let [height, width] =
        config.host.console_size.map(|size| u16::try_from(size).unwrap_or(u16::MAX));
    Stdio {
        terminal: config.config.tty.then_some((width, height)),
        open_stdin: config.config.open_stdin,
        stdin_once: config.config.stdin_once,
    }
}

/// The log, with the position of its directory's descriptor.
pub(super) fn log(
    shared: &Shared,
    config: &ContainerConfig,
    fds: &mut Descriptors,
) -> Result<Log, Failure> {
    match logging::driver(&config.host.log_config)? {
        Driver::None => Ok(Log::None),
        Driver::JsonFile { max_size, max_files } => {
            let directory = Directory::of(&shared.config, &config.id);
            let tag = |template: &str| expand_tag(template, config);
            Ok(Log::JsonFile {
                name: directory.log_name(),
                directory: fds.add(directory.open_self()?),
                max_size,
                max_files,
                attributes: logging::attributes(&config.host.log_config, &config.config, tag),
            })
        }
    }
}

/// Docker's log tag: a few fields of the container in Go's template spelling.
fn expand_tag(template: &str, config: &ContainerConfig) -> String {
    let fields = [
        ("{{.ID}}", config.id.short()),
        ("{{.FullID}}", config.id.as_str()),
        ("{{.Name}}", config.name.as_str()),
        ("{{.ImageName}}", config.config.image.as_str()),
        ("{{.ImageFullID}}", config.image.id.as_str()),
        ("{{.DaemonName}}", "docker"),
    ];
    fields.iter().fold(template.to_owned(), |text, (field, value)| text.replace(field, value))
}

//! Getting a container's parts together: root file system, bind sources, network, user, specification.

use super::config::{ContainerConfig, Mode, MountKind};
use super::directory::Directory;
use super::host_files;
use super::live::Plugged;
use super::logging::{self, Driver};
use super::security::{self, Security};
use super::user;
use crate::calls;
use crate::network::links;
use crate::open::Shared;
use crate::spec::build::{Built, Input, build};
use crate::spec::devices::Wanted;
use crate::spec::mounts::Source;
use crate::spec::resources::{BlockDevices, block_devices};
use messages::shim::Attach;
use messages::task::{Join, Launch, Log, Request, Seccomp, Stdio};
use messages::{Fd, storage};
use spec::oci::User;
use spec::{ContainerId, Failure, SnapshotKey, VolumeName};
use std::os::fd::OwnedFd;
use transport::Channel;

/// A container that was started.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) channel: Channel,
    pub(crate) pid: i32,
    pub(crate) at: i64,
    pub(crate) warnings: Vec<String>,
}

/// Everything that has to be opened or asked before the specification can be built.
struct Parts {
    rootfs: OwnedFd,
    sources: Vec<Option<OwnedFd>>,
    user: User,
    home: String,
    devices: Vec<Wanted>,
    host_devices: Vec<storage::Device>,
    block_devices: BlockDevices,
}

/// The linked containers of a legacy link.
struct Surroundings {
    hostname: String,
    linked: Vec<links::Linked>,
}

/// Starts a container whose address, if it has one, is taken already.
pub(crate) async fn launch(
    shared: &Shared,
    config: &ContainerConfig,
    plugged: Option<&Plugged>,
    pristine: bool,
    attaches: Vec<(Attach, OwnedFd)>,
) -> Result<Launched, Failure> {
    let security = security::parse(&config.host.security_opt, shared.config.no_new_privileges)?;
    let around = surroundings(shared, config)?;
    host_files::write(shared, config, plugged, &around.hostname, &around.linked)?;
    let linked: Vec<String> =
        around.linked.iter().flat_map(|linked| links::variables(&config.name, linked)).collect();
    let (parts, netns) = tokio::try_join!(
        Box::pin(parts(shared, config, pristine)),
        Box::pin(sandbox(shared, config, plugged))
    )?;
    let built = build(Input {
        config,
        security: &security,
        user: parts.user,
        devices: &parts.devices,
        host_devices: &parts.host_devices,
        block_devices: &parts.block_devices,
        linked: &linked,
        ulimits: &shared.config.ulimits,
        hostname: &around.hostname,
        home: &parts.home,
    })?;
    let (channel, theirs) = calls::shim_channel()?;
    let mut fds = Descriptors::default();
    let launch = Launch {
        id: config.id.clone(),
        rootfs: fds.add(parts.rootfs),
        mount_sources: sources(shared, config, &built, parts.sources, &mut fds).await?,
        netns: netns.map(|netns| fds.add(netns)),
        joins: joins(&built)?,
        seccomp: filter(shared, config, security)?,
        cgroup_parent: parent(shared, config),
        init: Mode::of(&config.host.pid_mode) == Mode::Own
            && config.host.init.unwrap_or(shared.config.init),
        stdio: stdio(config),
        log: log(shared, config, &mut fds)?,
        attaches: attaches.into_iter().map(|(attach, stream)| (attach, fds.add(stream))).collect(),
        channel: fds.add(theirs),
        spec: built.spec,
    };
    let request = Request::Launch(Box::new(launch));
    let (pid, at, warnings) = shared.workers.start_task(request, fds.0).await?;
    Ok(Launched { channel, pid, at, warnings })
}

/// Descriptors of a message in the order of their positions.
#[derive(Default)]
struct Descriptors(Vec<OwnedFd>);

impl Descriptors {
    fn add(&mut self, fd: OwnedFd) -> Fd {
        self.0.push(fd);
        Fd(u16::try_from(self.0.len() - 1).unwrap_or(u16::MAX))
    }
}

async fn parts(
    shared: &Shared,
    config: &ContainerConfig,
    pristine: bool,
) -> Result<Parts, Failure> {
    let key = SnapshotKey::from(&config.id);
    let (rootfs, (user, home), devices) = tokio::try_join!(
        shared.workers.mount(key.clone()),
        resolve_user(shared, config, pristine),
        look_up_devices(shared, config),
    )?;
    // A volume that is empty is filled from the root file system, so after it.
    let mut sources = Vec::with_capacity(config.mounts.len());
    for mount in &config.mounts {
        sources.push(match mount.kind {
            MountKind::Tmpfs => None,
            MountKind::Bind => Some(
                shared
                    .workers
                    .open_host_path(&mount.source, mount.create_source, !mount.writable)
                    .await?,
            ),
            MountKind::Volume => {
                let name = VolumeName::parse(&mount.name)
                    .map_err(|error| Failure::invalid(error.to_string()))?;
                let copy_up =
                    mount.copy_up.then(|| (key.clone(), mount.destination.clone().into_bytes()));
                Some(shared.workers.open_volume(name, copy_up).await?)
            }
        });
    }
    let (devices, host_devices, block_devices) = devices;
    Ok(Parts { rootfs, sources, user, home, devices, host_devices, block_devices })
}

async fn resolve_user(
    shared: &Shared,
    config: &ContainerConfig,
    pristine: bool,
) -> Result<(User, String), Failure> {
    let files =
        user::of_stopped(shared, &config.image.id, SnapshotKey::from(&config.id), pristine).await?;
    let user = files.resolve(&config.config.user, &config.host.group_add)?;
    Ok((user, files.home(&config.config.user).unwrap_or_else(|| "/".into())))
}

async fn look_up_devices(
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
        let found = shared.workers.host_devices(&mapping.path_on_host).await.map_err(|failure| {
            let path = &mapping.path_on_host;
            Failure::new(failure.class, format!("error gathering device information while adding custom device {path:?}: {failure}"))
        })?;
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
        let found = shared.workers.host_devices(&path).await?;
        if let Some(device) = found.iter().find(|device| device.block) {
            numbers.insert(path, (i64::from(device.major), i64::from(device.minor)));
        }
    }
    Ok((wanted, all, numbers))
}

async fn sandbox(
    shared: &Shared,
    config: &ContainerConfig,
    plugged: Option<&Plugged>,
) -> Result<Option<OwnedFd>, Failure> {
    match config.network_mode() {
        Mode::Own | Mode::None => {
            let endpoints =
                plugged.map(|plugged| shared.bridge.endpoint(plugged)).into_iter().collect();
            let sysctls = crate::spec::build::net_sysctls(config);
            shared.workers.create_sandbox(endpoints, sysctls).await.map(Some)
        }
        Mode::Host | Mode::Container(_) => Ok(None),
    }
}

/// The host name that the container sees, and the containers that it links to.
fn surroundings(shared: &Shared, config: &ContainerConfig) -> Result<Surroundings, Failure> {
    let mut hostname = config.config.hostname.clone();
    for other in config.joins() {
        let handle = shared.containers.find(other)?;
        let view = handle.view();
        if !view.state.has_process() {
            return Err(Failure::conflict(format!(
                "cannot join container {other}: container {} is not running",
                handle.id
            )));
        }
    }
    if let Mode::Container(other) = config.network_mode() {
        hostname.clone_from(&shared.containers.find(other)?.view().config.config.hostname);
    }
    let mut linked = Vec::new();
    for text in &config.host.links {
        let Some((name, alias)) = links::parse(text) else {
            return Err(Failure::invalid(format!("bad format for links: {text}")));
        };
        let view = shared.containers.find(name)?.view();
        let Some(plugged) = view.outcome.endpoint.as_ref().filter(|_| view.state.has_process())
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
            address: plugged.address,
            ports: view.config.config.exposed_ports.keys().cloned().collect(),
            env: view.config.config.env.iter().cloned().collect(),
        });
    }
    Ok(Surroundings { hostname, linked })
}

/// A descriptor for each mount that has a source.
async fn sources(
    shared: &Shared,
    config: &ContainerConfig,
    built: &Built,
    mut opened: Vec<Option<OwnedFd>>,
    fds: &mut Descriptors,
) -> Result<Vec<Option<Fd>>, Failure> {
    let owner = match config.network_mode() {
        Mode::Container(other) => shared.containers.find(other)?.id,
        _ => config.id.clone(),
    };
    let network = Directory::of(&shared.config, &owner);
    let mut all = Vec::with_capacity(built.sources.len());
    for source in &built.sources {
        let fd = match source {
            Source::Kernel => None,
            Source::Mount(position) => opened.get_mut(*position).and_then(Option::take),
            Source::Hostname => Some(network.open("hostname")?),
            Source::Hosts => Some(network.open("hosts")?),
            Source::ResolvConf => Some(network.open("resolv.conf")?),
            Source::HostShm => Some(shared.workers.open_host_path("/dev/shm", false, false).await?),
        };
        all.push(fd.map(|fd| fds.add(fd)));
    }
    Ok(all)
}

fn joins(built: &Built) -> Result<Vec<Join>, Failure> {
    let join = |(kind, other): &(messages::task::Namespace, String)| {
        let container =
            ContainerId::parse(other).map_err(|error| Failure::invalid(error.to_string()))?;
        Ok(Join { kind: *kind, container })
    };
    built.joins.iter().map(join).collect()
}

/// The system call filter: the container's, none for a privileged one, else the engine's default.
fn filter(
    shared: &Shared,
    config: &ContainerConfig,
    security: Security,
) -> Result<Seccomp, Failure> {
    match security.seccomp {
        _ if config.host.privileged => Ok(Seccomp::Unconfined),
        Some(own) => Ok(own),
        None => security::seccomp(shared.config.seccomp_profile.as_deref().unwrap_or_default()),
    }
}

/// The filter of a process that joins a running container.
pub(crate) fn exec_filter(shared: &Shared, config: &ContainerConfig) -> Result<Seccomp, Failure> {
    filter(shared, config, security::parse(&config.host.security_opt, false)?)
}

fn parent(shared: &Shared, config: &ContainerConfig) -> Option<String> {
    let own = Some(config.host.cgroup_parent.clone()).filter(|parent| !parent.is_empty());
    let parent = own.or_else(|| shared.config.cgroup_parent.clone())?;
    Some(super::config::clean_path(&parent).trim_start_matches('/').to_owned())
        .filter(|parent| !parent.is_empty())
}

fn stdio(config: &ContainerConfig) -> Stdio {
    let [height, width] =
        config.host.console_size.map(|size| u16::try_from(size).unwrap_or(u16::MAX));
    Stdio {
        terminal: config.config.tty.then_some((width, height)),
        open_stdin: config.config.open_stdin,
        stdin_once: config.config.stdin_once,
    }
}

fn log(shared: &Shared, config: &ContainerConfig, fds: &mut Descriptors) -> Result<Log, Failure> {
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

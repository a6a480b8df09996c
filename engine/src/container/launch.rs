//! Getting a container's parts together: root file system, bind sources, network, user, specification.

use super::config::{ContainerConfig, Mode, MountKind};
use super::directory::Directory;
use super::host_files;
use super::launch_parts::{Descriptors, log, look_up_devices, parent, stdio, surroundings};
use super::live::Plugged;
use super::security::{self, Security};
use super::user;
use crate::calls;
use crate::calls::SandboxSpec;
use crate::network::{endpoint, links, names, ports};
use crate::open::Shared;
use crate::spec::build::{Built, Input, build};
use crate::spec::devices::Wanted;
use crate::spec::mounts::Source;
use crate::spec::resources::BlockDevices;
use crate::wording;
use messages::network::Published;
use messages::shim::Attach;
use messages::task::{Join, Launch, Request, Seccomp};
use messages::{Fd, storage};
use spec::oci::User;
use spec::{Class, Failure, SnapshotKey, VolumeName};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use transport::Channel;

/// A container that was started.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) channel: Channel,
    pub(crate) pid: i32,
    pub(crate) at: i64,
    pub(crate) warnings: Vec<String>,
    pub(crate) ports: Vec<Published>,
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

/// Starts a container whose address, if it has one, is taken already.
pub(crate) async fn launch(
    shared: &Shared,
    config: &ContainerConfig,
    plugged: &[Plugged],
    pristine: bool,
    attaches: Vec<(Attach, OwnedFd)>,
) -> Result<Launched, Failure> {
    let begun = Instant::now();
    let security = security::parse(&config.host.security_opt, shared.config.no_new_privileges)?;
    let around = surroundings(shared, config)?;
    host_files::write(shared, config, plugged, &around.hostname, &around.linked)?;
    let linked: Vec<String> =
        around.linked.iter().flat_map(|linked| links::variables(&config.name, linked)).collect();
    // Both to their ends: what one has published is noted, and taken back by the caller when the other fails.
    let (parts, sandbox) = tokio::join!(
        Box::pin(timed(parts(shared, config, pristine))),
        Box::pin(timed(sandbox(shared, config, plugged)))
    );
    let (sandbox, plugging) = sandbox?;
    let (netns, ports) = sandbox.map_or((None, Vec::new()), |(netns, ports)| (Some(netns), ports));
    let (parts, mounting) = parts?;
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
        joins: joins(shared, &built)?,
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
    let (started, launching) =
        timed(shared.workers.start_task(request, fds.0)).await.map_err(wording::start)?;
    let (pid, at, warnings) = started;
    let [mount, sandbox, launch, total] =
        [mounting, plugging, launching, begun.elapsed()].map(|step| step.as_secs_f64() * 1e3);
    tracing::debug!(
        "start {}: mount {mount:.2} ms, sandbox {sandbox:.2} ms, launch {launch:.2} ms, total {total:.2} ms",
        config.id.short()
    );
    Ok(Launched { channel, pid, at, warnings, ports })
}

/// What a step answers, and how long it took.
async fn timed<T>(
    step: impl Future<Output = Result<T, Failure>>,
) -> Result<(T, Duration), Failure> {
    let begun = Instant::now();
    Ok((step.await?, begun.elapsed()))
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
            MountKind::Bind => {
                let passes = match mount.propagation.as_str() {
                    "shared" | "rshared" => storage::Passes::BothWays,
                    "slave" | "rslave" => storage::Passes::ToContainers,
                    _ => storage::Passes::Anything,
                };
                let (source, create) = (&mount.source, mount.create_source);
                let workers = &shared.workers;
                Some(workers.open_bind_source(source, create, !mount.writable, passes).await?)
            }
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

async fn sandbox(
    shared: &Shared,
    config: &ContainerConfig,
    plugged: &[Plugged],
) -> Result<Option<(OwnedFd, Vec<Published>)>, Failure> {
    match config.network_mode() {
        Mode::Own | Mode::None => {
            let networks = &shared.networks;
            let mut spec = SandboxSpec {
                sysctls: crate::spec::build::net_sysctls(config),
                ports: ports::wanted(&shared.config, networks, config, plugged)?,
                resolver: names::wanted(networks, plugged),
                ..SandboxSpec::default()
            };
            for own in plugged {
                spec.endpoints.push(endpoint::message(networks, own)?);
                spec.sysctls.extend(endpoint::sysctls(config, own));
            }
            let made = shared.workers.create_sandbox(spec).await;
            let made = made.map_err(|failure| refused(config, plugged, failure))?;
            shared.networks.publish(&config.id, made.ports.clone());
            if let Some(sockets) = made.resolver {
                shared.names.serve(shared, config, plugged, sockets)?;
                shared.names.set(&shared.config, networks, config, plugged);
            }
            Ok(Some((made.netns, made.ports)))
        }
        Mode::Host | Mode::Container(_) => Ok(None),
    }
}

/// A port that cannot be had, in Docker's words.
fn refused(config: &ContainerConfig, plugged: &[Plugged], failure: Failure) -> Failure {
    if failure.class != Class::Conflict {
        return failure;
    }
    let id = plugged.iter().find(|own| own.main != [false; 2]).map_or("", |own| &own.id);
    let text = format!(
        "failed to set up container networking: driver failed programming external connectivity on endpoint {} ({id}): {failure}",
        config.name
    );
    Failure::internal(text)
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

fn joins(shared: &Shared, built: &Built) -> Result<Vec<Join>, Failure> {
    let join = |(kind, other): &(messages::task::Namespace, String)| {
        Ok(Join { kind: *kind, container: shared.containers.find(other)?.id })
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

//! `docker inspect` of a container, from its view alone.

use super::config::{ContainerConfig, Mode, Mount, MountKind};
use super::directory::Directory;
use super::health::Health;
use super::live::View;
use super::logging::{self, Driver};
use super::state::State;
use crate::event::time_text;
use crate::network::{names, ports};
use crate::open::{Engine, Shared};
use api_types::Map;
use api_types::host::HostConfig;
use api_types::inspect::{DriverData, Inspect, MountPoint, NetworkSettings, State as ShownState};
use api_types::network::EndpointSettings;
use spec::{Failure, SnapshotKey};

/// The name of the storage driver.
pub const STORAGE_DRIVER: &str = "overlay2";

impl Engine {
    /// Shows a container; with `size` also how much disk it uses, which takes long.
    pub async fn inspect(&self, name: &str, size: bool) -> Result<Inspect, Failure> {
        let view = self.0.containers.find(name)?.view();
        let mut shown = inspect(&self.0, &view);
        shown.exec_ids = self.exec_ids(&view.config.id);
        if size {
            let (own, all) = self.sizes(&view.config).await?;
            (shown.size_rw, shown.size_root_fs) = (Some(own), Some(all));
        }
        Ok(shown)
    }

    /// Bytes of a container's own files, and with those of its image.
    pub(super) async fn sizes(&self, config: &ContainerConfig) -> Result<(i64, i64), Failure> {
        let own = self.0.workers.usage(SnapshotKey::from(&config.id)).await?;
        let id = spec::Digest::parse(&config.image.id);
        let image = match id {
            Ok(id) => self.0.images.get(&id)?.map_or(0, |image| image.size),
            Err(_) => 0,
        };
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        Ok((bytes(own), bytes(own.saturating_add(image))))
    }
}

fn inspect(shared: &Shared, view: &View) -> Inspect {
    let config = &view.config;
    let directory = Directory::of(&shared.config, &config.id);
    let files = match config.network_mode() {
        Mode::Container(other) => shared
            .containers
            .find(other)
            .map_or_else(|_| directory.clone(), |handle| Directory::of(&shared.config, &handle.id)),
        _ => directory.clone(),
    };
    let path = |name: &str| files.file(name).to_string_lossy().into_owned();
    let logged = matches!(logging::driver(&config.host.log_config), Ok(Driver::JsonFile { .. }));
    Inspect {
        id: config.id.to_string(),
        created: time_text(Some(config.created)),
        path: config.path.clone(),
        args: config.args.clone(),
        state: state(view),
        image: config.image.id.clone(),
        resolv_conf_path: path("resolv.conf"),
        hostname_path: path("hostname"),
        hosts_path: path("hosts"),
        log_path: if logged {
            directory.file(&directory.log_name()).to_string_lossy().into_owned()
        } else {
            String::new()
        },
        name: format!("/{}", config.name),
        restart_count: i64::from(view.outcome.restarts),
        driver: STORAGE_DRIVER.into(),
        platform: config.image.platform.os.clone(),
        host_config: host(config),
        graph_driver: Some(DriverData { data: Map::default(), name: STORAGE_DRIVER.into() }),
        mounts: mounts(shared, config),
        config: config.config.clone(),
        network_settings: network_settings(shared, view),
        ..Inspect::default()
    }
}

fn state(view: &View) -> ShownState {
    let (state, outcome) = (view.state, &view.outcome);
    let stuck = view.busy.filter(|busy| busy.since.elapsed() > super::list::STUCK);
    let error = match (&view.removal_error, stuck) {
        (_, Some(busy)) => format!("stuck: {} for {} s", busy.verb, busy.since.elapsed().as_secs()),
        (Some(error), None) if state == State::Dead => error.to_string(),
        _ => outcome.error.clone(),
    };
    ShownState {
        status: state.word().into(),
        running: state.is_active(),
        paused: state == State::Paused,
        restarting: state == State::Restarting,
        oom_killed: outcome.oom_killed,
        dead: state == State::Dead,
        pid: i64::from(view.pid),
        exit_code: i64::from(outcome.exit_code),
        error,
        started_at: time_text(outcome.started_at),
        finished_at: time_text(outcome.finished_at),
        health: view.health.as_deref().map(Health::shown),
    }
}

/// The mounts that the API lists, in the order of their destinations.
pub(super) fn mounts(shared: &Shared, config: &ContainerConfig) -> Vec<MountPoint> {
    config
        .mounts
        .iter()
        .filter(|mount| !mount.from_tmpfs_map)
        .map(|mount| mount_point(shared, mount))
        .collect()
}

fn mount_point(shared: &Shared, mount: &Mount) -> MountPoint {
    let volume = mount.kind == MountKind::Volume;
    MountPoint {
        kind: mount.kind.word().into(),
        name: mount.name.clone(),
        source: if volume {
            shared.config.volume_path(&mount.name).to_string_lossy().into_owned()
        } else {
            mount.source.clone()
        },
        destination: mount.destination.clone(),
        driver: if volume { "local".into() } else { String::new() },
        mode: mount.mode.clone(),
        rw: mount.writable,
        propagation: mount.propagation.clone(),
    }
}

fn network_settings(shared: &Shared, view: &View) -> NetworkSettings {
    let networks = networks(shared, view);
    let mut settings = NetworkSettings { ports: Map::empty(), networks, ..Default::default() };
    if view.state.has_process() {
        if view.config.network_mode() == Mode::Own {
            settings.ports = ports::by_port(&view.config, &view.outcome.ports);
        }
        if !matches!(view.config.network_mode(), Mode::Container(_)) {
            settings.sandbox_id = crate::ids::stable(&[view.config.id.as_str(), "sandbox"]);
            settings.sandbox_key = format!("/proc/{}/ns/net", view.pid);
        }
    }
    settings
}

/// The part that depends on the host, with links as the API spells them.
fn host(config: &ContainerConfig) -> HostConfig {
    let mut host = config.host.clone();
    // A list that is touched is no null any more.
    let links: &mut [String] = if host.links.is_empty() { &mut [] } else { &mut host.links };
    for link in links {
        if let Some((name, alias)) = crate::network::links::parse(link) {
            *link = format!("/{name}:/{}/{alias}", config.name);
        }
    }
    host
}

/// The networks that the API lists.
pub(super) fn networks(shared: &Shared, view: &View) -> Map<EndpointSettings> {
    let config = &view.config;
    let mut names = config.networks();
    if names.is_empty() {
        names.extend(config.network_name());
    }
    names.into_iter().map(|name| (name.to_owned(), endpoint(shared, view, name))).collect()
}

fn endpoint(shared: &Shared, view: &View, name: &str) -> EndpointSettings {
    let config = &view.config;
    let asked = config.endpoints.get(name).cloned().unwrap_or_default();
    let network = shared.networks.named(name);
    let network_id = network.as_ref().map_or(String::new(), |network| network.id().to_owned());
    let mut shown = EndpointSettings { network_id, ..asked };
    let plugged = view.outcome.endpoints.iter().find(|own| own.network == name);
    let Some(plugged) = plugged.filter(|_| view.state.has_process()) else {
        if !view.state.has_process() {
            shown.mac_address.clear();
        }
        return shown;
    };
    let text =
        |address: Option<std::net::IpAddr>| address.map_or(String::new(), |ip| ip.to_string());
    shown.endpoint_id.clone_from(&plugged.id);
    shown.mac_address = plugged.mac_text();
    if let Some(own) = plugged.ipv4 {
        (shown.ip_address, shown.ip_prefix_len) = (own.address.to_string(), own.prefix);
        shown.gateway = text(own.gateway);
    }
    if let Some(own) = plugged.ipv6 {
        shown.global_ipv6_address = own.address.to_string();
        shown.global_ipv6_prefix_len = own.prefix;
        shown.ipv6_gateway = text(own.gateway);
    }
    if network.is_some_and(|network| network.has_names()) {
        shown.dns_names = names::names(config, name).into();
    }
    shown
}

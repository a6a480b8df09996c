//! Who is called how in which network, and the name server of each container that has one.

use super::registry::Networks;
use crate::config::Config;
use crate::container::config::ContainerConfig;
use crate::container::live::Plugged;
use crate::open::Shared;
use dns::{Client, HostServers, Named, Serving, Settings, Upstream, Zones};
use spec::{ContainerId, Failure};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
struct Running {
    client: Client,
    _serving: Serving,
}

/// The names of all endpoints in networks that users made, and the servers that tell of them. One lock, held for a
/// look-up.
#[derive(Debug)]
pub struct Names {
    zones: Arc<Zones>,
    host: Arc<HostServers>,
    running: Mutex<HashMap<ContainerId, Running>>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            zones: Arc::default(),
            host: Arc::new(HostServers::new("/etc/resolv.conf")),
            running: Mutex::default(),
        }
    }
}

impl Names {
    fn running(&self) -> MutexGuard<'_, HashMap<ContainerId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to answer a container's questions on these sockets.
    pub(crate) fn serve(
        &self,
        shared: &Shared,
        config: &ContainerConfig,
        endpoints: &[Plugged],
        (udp, tcp): (OwnedFd, OwnedFd),
    ) -> Result<(), Failure> {
        let settings = settings(&shared.config, &shared.networks, config, endpoints);
        let client = Client::new(settings, Arc::clone(&self.zones), Arc::clone(&self.host));
        let serving = dns::serve(client.clone(), udp, tcp).map_err(|error| {
            Failure::internal(format!("start the name server of container {}: {error}", config.id))
        })?;
        self.running().insert(config.id.clone(), Running { client, _serving: serving });
        Ok(())
    }

    /// Whether a container has a name server.
    pub(crate) fn serves(&self, id: &ContainerId) -> bool {
        self.running().contains_key(id)
    }

    /// Lets others find these endpoints of a container by its names, and itself find others in its networks.
    pub(crate) fn set(
        &self,
        engine: &Config,
        networks: &Networks,
        config: &ContainerConfig,
        endpoints: &[Plugged],
    ) {
        for plugged in endpoints {
            if !networks.named(&plugged.network).is_some_and(|network| network.has_names()) {
                continue;
            }
            let addresses: Vec<IpAddr> = plugged.addresses().map(|own| own.address).collect();
            self.zones.set(&Named {
                network: &plugged.network_id,
                network_name: &plugged.network,
                endpoint: &plugged.id,
                names: &names(config, &plugged.network),
                addresses: &addresses,
            });
        }
        if let Some(running) = self.running().get(&config.id) {
            running.client.set(settings(engine, networks, config, endpoints));
        }
    }

    /// Forgets one endpoint.
    pub(crate) fn remove(&self, plugged: &Plugged) {
        self.zones.remove(&plugged.network_id, &plugged.id);
    }

    /// Forgets all endpoints of a container and ends its name server, which holds its namespace.
    pub(crate) fn forget(&self, id: &ContainerId, endpoints: &[Plugged]) {
        for plugged in endpoints {
            self.remove(plugged);
        }
        self.running().remove(id);
    }
}

/// Whether a container that is plugged in like this gets a name server.
pub(crate) fn wanted(networks: &Networks, endpoints: &[Plugged]) -> bool {
    let has_names = |plugged: &Plugged| {
        networks.named(&plugged.network).is_some_and(|network| network.has_names())
    };
    endpoints.iter().any(has_names)
}

fn settings(
    engine: &Config,
    networks: &Networks,
    config: &ContainerConfig,
    endpoints: &[Plugged],
) -> Settings {
    let with_names = endpoints
        .iter()
        .filter(|own| networks.named(&own.network).is_some_and(|network| network.has_names()));
    let own: Vec<IpAddr> = config.host.dns.iter().filter_map(|text| text.parse().ok()).collect();
    let upstream = match (own.is_empty(), engine.dns.is_empty()) {
        _ if endpoints.iter().all(|own| is_internal(networks, own)) => Upstream::Nobody,
        (false, _) => Upstream::Servers(own),
        (true, false) => Upstream::Servers(engine.dns.clone()),
        (true, true) => Upstream::Host,
    };
    Settings {
        networks: with_names.map(|own| own.network_id.clone()).collect(),
        links: links(config),
        upstream,
    }
}

fn is_internal(networks: &Networks, plugged: &Plugged) -> bool {
    networks.named(&plugged.network).is_none_or(|network| network.record.shown.internal)
}

/// What a container calls others (`--link` in a network that a user made).
fn links(config: &ContainerConfig) -> HashMap<String, String> {
    let all = config.host.links.iter();
    let all = all.chain(config.endpoints.values().flat_map(|settings| settings.links.iter()));
    let pair = |text: &String| {
        let (name, alias) = super::links::parse(text)?;
        Some((alias.to_lowercase(), name.to_lowercase()))
    };
    all.filter_map(pair).collect()
}

/// The names of a container in a network that users made, its own first.
pub(crate) fn names(config: &ContainerConfig, network: &str) -> Vec<String> {
    let mut names = vec![config.name.clone()];
    if let Some(settings) = config.endpoints.get(network) {
        names.extend(settings.aliases.iter().cloned());
    }
    names.push(config.id.short().to_owned());
    names.push(config.config.hostname.clone());
    let mut seen = BTreeSet::new();
    names.retain(|name| !name.is_empty() && seen.insert(name.to_lowercase()));
    names
}

/// Gives a container that runs a name server, after a restart of the engine, or when it joins its first network with
/// names.
pub(crate) async fn start(
    shared: &Shared,
    config: &ContainerConfig,
    endpoints: &[Plugged],
) -> Result<(), Failure> {
    let sandbox = shared.workers.open_network(config.id.clone()).await?;
    let sockets = shared.workers.open_resolver(sandbox).await?;
    shared.names.serve(shared, config, endpoints, sockets)
}

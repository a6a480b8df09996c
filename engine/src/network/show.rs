//! Listing, inspecting, removing and pruning networks.

use super::registry::{in_use, missing};
use super::{Kind, Network};
use crate::container::live::View;
use crate::container::state::State;
use crate::filter::until;
use crate::open::Engine;
use crate::{Filters, event, store};
use api_types::network::{
    self as api, EndpointResource, IpamStatus, PruneReply, Status, SubnetStatus,
};
use api_types::{List, Map};
use ipam::IpNet;
use spec::{Class, Failure};
use std::sync::Arc;

/// How often and when it is looked again whether a bridge without users has lost its last interfaces: for 5 s in all.
const TRIES: u32 = 250;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

const FILTERS: [&str; 8] = ["dangling", "driver", "id", "label", "label!", "name", "scope", "type"];

impl Engine {
    /// The networks that match, without their containers.
    pub async fn network_list(&self, filters: &Filters) -> Result<Vec<api::Network>, Failure> {
        filters.only(&FILTERS)?;
        if let Some(kind) =
            filters.get("type").iter().find(|k| !matches!(k.as_str(), "custom" | "builtin"))
        {
            return Err(Failure::invalid(format!("invalid filter: 'type'='{kind}'")));
        }
        let dangling = filters.flag("dangling")?;
        let wanted = |network: &Arc<Network>| {
            let shown = &network.record.shown;
            let kind = if network.is_predefined() { "builtin" } else { "custom" };
            // Predefined networks are in use by definition.
            let unused = || !network.is_predefined() && self.users(network).next().is_none();
            filters.exact("driver", &shown.driver)
                && filters.regex("id", &shown.id)
                && filters.regex("name", &shown.name)
                && filters.exact("scope", &shown.scope)
                && filters.exact("type", kind)
                && filters.labels(&shown.labels)
                && dangling.is_none_or(|dangling| dangling == unused())
        };
        let all = self.0.networks.all();
        Ok(all.iter().filter(|n| wanted(n)).map(|n| n.record.shown.clone()).collect())
    }

    /// One network by id, name or the beginning of its id, with its running containers.
    pub async fn network_inspect(&self, name: &str) -> Result<api::Network, Failure> {
        let network = self.0.networks.find(name)?;
        let mut shown = network.record.shown.clone();
        shown.containers = Some(self.network_containers(&network));
        shown.status = Some(self.network_status(&network));
        Ok(shown)
    }

    /// Removes a network in which no container runs.
    pub async fn network_remove(&self, name: &str) -> Result<(), Failure> {
        let network = self.0.networks.find(name)?;
        if network.is_predefined() {
            let text = format!("{name} is a pre-defined network and cannot be removed");
            return Err(Failure::new(Class::Forbidden, text));
        }
        let engine = self.clone();
        match tokio::spawn(async move { engine.remove_network(&network).await }).await {
            Ok(removed) => removed,
            Err(_) => Err(Failure::internal("remove network: the engine is ending")),
        }
    }

    async fn remove_network(&self, network: &Network) -> Result<(), Failure> {
        let shared = &self.0;
        let users: Vec<String> = self
            .users(network)
            .map(|view| format!("name:{:?} id:{:?}", view.config.name, view.config.id.short()))
            .collect();
        if !users.is_empty() {
            return Err(in_use(network.name(), &users));
        }
        if let Some(other) = shared.networks.all().iter().find(|other| {
            network.kind == Kind::Configuration
                && other.record.shown.config_from.network == network.name()
        }) {
            let text = format!(
                "configuration network {} is in use by network {}",
                network.name(),
                other.name()
            );
            return Err(Failure::new(Class::Forbidden, text));
        }
        if let Some(settings) = network.bridge() {
            self.remove_unused_bridge(network, &settings.bridge.link).await?;
        }
        store::change(&shared.store, |writer| {
            writer.remove(store::NETWORKS, network.id()).map(|_| ())
        })?;
        shared.networks.remove(network.name());
        self.network_event("destroy", network, None);
        Ok(())
    }

    /// The kernel takes the interfaces of containers that have ended away a little later: that is waited for.
    async fn remove_unused_bridge(&self, network: &Network, link: &str) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            match self.0.workers.remove_bridge(link.to_owned()).await {
                Err(failure) if failure.class == Class::Conflict => {
                    tries += 1;
                    if tries > TRIES || self.users(network).next().is_some() {
                        return Err(in_use(network.name(), &[failure.message]));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    /// Removes all networks that match and in which no container runs.
    pub async fn network_prune(&self, filters: &Filters) -> Result<PruneReply, Failure> {
        filters.only(&["label", "label!", "until"])?;
        let before = until(filters, event::now())?;
        let mut deleted = Vec::new();
        for network in self.0.networks.all() {
            let record = &network.record;
            let wanted = !network.is_predefined()
                && filters.labels(&record.shown.labels)
                && before.is_none_or(|before| record.created < before)
                && self.users(&network).next().is_none();
            if !wanted {
                continue;
            }
            match self.network_remove(network.id()).await {
                Ok(()) => deleted.push(network.name().to_owned()),
                Err(failure) => {
                    tracing::debug!("prune network {}: {failure}", network.name());
                }
            }
        }
        let reclaimed = [("reclaimed".to_owned(), "0".to_owned())];
        self.0.events.publish("network", "prune", "", reclaimed.into());
        let none = List::default();
        Ok(PruneReply {
            networks_deleted: if deleted.is_empty() { none } else { List::from(deleted) },
        })
    }

    /// The containers that are plugged into a network now.
    fn users(&self, network: &Network) -> impl Iterator<Item = Arc<View>> {
        let id = network.id().to_owned();
        let views = self.0.containers.all().into_iter().map(|handle| handle.view());
        views.filter(move |view| view.outcome.endpoints.iter().any(|own| own.network_id == id))
    }

    fn network_containers(&self, network: &Network) -> Map<EndpointResource> {
        let mut containers = Map::empty();
        for handle in self.0.containers.all() {
            let view = handle.view();
            if !matches!(view.state, State::Running | State::Paused) {
                continue;
            }
            let plugged = view.outcome.endpoints.iter().find(|own| own.network_id == network.id());
            let joined = network.is_predefined()
                && network.bridge().is_none()
                && view.config.network_name() == Some(network.name());
            if plugged.is_none() && !joined {
                continue;
            }
            let mut resource =
                EndpointResource { name: view.config.name.clone(), ..EndpointResource::default() };
            if let Some(plugged) = plugged {
                resource.endpoint_id.clone_from(&plugged.id);
                resource.mac_address = plugged.mac_text();
                resource.ipv4_address = plugged.ipv4.map_or(String::new(), |own| own.to_string());
                resource.ipv6_address = plugged.ipv6.map_or(String::new(), |own| own.to_string());
            }
            containers.insert(view.config.id.as_str().to_owned(), resource);
        }
        containers
    }

    fn network_status(&self, network: &Network) -> Status {
        let subnets = self.0.networks.taken(network.name()).into_iter().map(|(subnet, taken)| {
            let bits = u32::from(subnet.max_prefix_len() - subnet.prefix_len());
            let all = 1_u64.checked_shl(bits).unwrap_or(u64::MAX);
            // IPv4's own number and broadcast address are taken, too; IPv6's routers' address.
            let kept = if matches!(subnet, IpNet::V4(_)) && bits > 1 { 2 } else { 1 };
            let used = (taken as u64).saturating_add(kept).min(all);
            let status = SubnetStatus { ips_in_use: used, dynamic_ips_available: all - used };
            (subnet.to_string(), status)
        });
        Status { ipam: IpamStatus { subnets: subnets.collect() } }
    }

    /// The network that a container is to be connected to or disconnected from.
    pub(crate) fn network_for(&self, name: &str) -> Result<Arc<Network>, Failure> {
        let network = self.0.networks.find(name)?;
        if network.kind == Kind::Configuration { Err(missing(name)) } else { Ok(network) }
    }
}

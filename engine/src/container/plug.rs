//! A container and its networks while it runs: plugged into one more, taken out of one, and out of all at its end.

use super::actor::Actor;
use super::config::Mode;
use super::host_files;
use super::live::Plugged;
use crate::network::{Network, endpoint, names, ports};
use crate::store;
use api_types::network::EndpointSettings;
use messages::network::Published;
use spec::{Class, Failure};
use std::net::IpAddr;
use std::sync::Arc;

impl Actor {
    /// Connects it with a network; one that does not run is connected at its next start.
    pub(super) async fn connect(
        &mut self,
        network: &Network,
        settings: EndpointSettings,
    ) -> Result<(), Failure> {
        let config = &self.view.config;
        let name = network.name().to_owned();
        let own = self.own_networks();
        if own.contains(&name) {
            let text =
                format!("endpoint with name {} already exists in network {name}", config.name);
            return Err(Failure::new(Class::Forbidden, text));
        }
        let mut changed = (**config).clone();
        for own in own {
            changed.endpoints.entry(own).or_default();
        }
        changed.endpoints.insert(name, settings);
        let runs = self.view.state.has_process();
        if runs {
            let networks = &self.shared.networks;
            let mut all = self.view.outcome.endpoints.clone();
            let plugged = endpoint::plug(networks, network, &changed, &all)?;
            all.push(plugged.clone());
            endpoint::choose_gateways(&changed, &mut all);
            if let Err(failure) = self.plug_in(&changed, &plugged, &all).await {
                endpoint::unplug(&self.shared.networks, &plugged);
                return Err(failure);
            }
            if network.has_names() && !self.shared.names.serves(&changed.id) {
                self.begin_to_name(&changed, &all).await;
            }
            self.rearrange(&changed, all).await;
        }
        self.keep_networks(changed)?;
        if runs {
            tell_network(self, network.name(), network.id(), "connect");
        }
        Ok(())
    }

    /// The networks that it is in: now, or at its next start.
    fn own_networks(&self) -> Vec<String> {
        if self.view.state.has_process() {
            return self.view.outcome.endpoints.iter().map(|own| own.network.clone()).collect();
        }
        self.view.config.networks().into_iter().map(str::to_owned).collect()
    }

    /// Gives a container that runs its own name server; without one it is plugged in all the same.
    async fn begin_to_name(&self, config: &super::config::ContainerConfig, all: &[Plugged]) {
        let started = async {
            names::start(&self.shared, config, all).await?;
            host_files::use_own_server(&self.shared, config)
        };
        if let Err(failure) = started.await {
            tracing::warn!(container = config.id.as_str(), "start its name server: {failure}");
        }
    }

    async fn plug_in(
        &self,
        config: &super::config::ContainerConfig,
        plugged: &Plugged,
        all: &[Plugged],
    ) -> Result<(), Failure> {
        let workers = &self.shared.workers;
        let sandbox = workers.open_network(config.id.clone()).await?;
        let message = endpoint::message(&self.shared.networks, plugged)?;
        let routes = endpoint::default_routes(all);
        let sysctls = endpoint::sysctls(config, plugged);
        workers.connect_sandbox(sandbox, message, routes, sysctls).await
    }

    /// Disconnects it from a network.
    pub(super) async fn disconnect(&mut self, network: &Network) -> Result<(), Failure> {
        let name = network.name();
        let config = &self.view.config;
        let own = self.own_networks();
        if !own.iter().any(|own| own == name) {
            let text = format!("container {} is not connected to the network {name}", config.id);
            return Err(Failure::new(Class::Forbidden, text));
        }
        let mut changed = (**config).clone();
        for own in own {
            changed.endpoints.entry(own).or_default();
        }
        changed.endpoints.remove(name);
        let mut all = self.view.outcome.endpoints.clone();
        let gone = all.iter().position(|own| own.network_id == network.id());
        if let Some(gone) = gone.filter(|_| self.view.state.has_process()) {
            let gone = all.remove(gone);
            endpoint::choose_gateways(&changed, &mut all);
            let shared = Arc::clone(&self.shared);
            let sandbox = shared.workers.open_network(changed.id.clone()).await?;
            let routes = endpoint::default_routes(&all);
            // Ports first: their connections would otherwise go on to an address that is another's soon.
            let before = if gone.main == [false; 2] { Vec::new() } else { self.take_ports().await };
            let interface = gone.interface.clone();
            shared.workers.disconnect_sandbox(sandbox, interface, routes).await?;
            self.shared.names.remove(&gone);
            endpoint::unplug(&self.shared.networks, &gone);
            self.shared.forget_later(gone.addresses().map(|own| own.address).collect());
            if !before.is_empty() {
                // Taken back above already; which they were decides how they are published again.
                self.shared.networks.publish(&changed.id, before);
            }
            self.rearrange(&changed, all).await;
            tell_network(self, name, network.id(), "disconnect");
        }
        self.keep_networks(changed)
    }

    /// Shows the new endpoints, and moves published ports if another network leads out now.
    async fn rearrange(&mut self, config: &super::config::ContainerConfig, all: Vec<Plugged>) {
        let main = |all: &[Plugged], ipv6: bool| {
            all.iter().find(|own| own.main[usize::from(ipv6)]).map(|own| own.id.clone())
        };
        let before = &self.view.outcome.endpoints;
        let moved = [false, true].into_iter().any(|v6| main(before, v6) != main(&all, v6));
        self.view.outcome.endpoints = all;
        if moved {
            let published = self.take_ports().await;
            self.publish_again(config, &published).await;
        }
        self.name_endpoints(config);
        if let Err(failure) = host_files::update(&self.shared, config, &self.view.outcome.endpoints)
        {
            tracing::warn!(container = self.id().as_str(), "write hosts: {failure}");
        }
    }

    /// Takes its published ports back, and answers which they were.
    pub(super) async fn take_ports(&mut self) -> Vec<Published> {
        // Of a start that failed only the note is there.
        let ports = self.shared.networks.take_published(self.id());
        self.view.outcome.ports.clear();
        if !ports.is_empty()
            && let Err(failure) = self.shared.workers.release(ports.clone(), Vec::new()).await
        {
            tracing::warn!(container = self.id().as_str(), "take published ports back: {failure}");
        }
        ports
    }

    async fn publish_again(
        &mut self,
        config: &super::config::ContainerConfig,
        before: &[Published],
    ) {
        let shared = Arc::clone(&self.shared);
        let (networks, endpoints) = (&shared.networks, &self.view.outcome.endpoints);
        let published = async {
            let wanted = ports::wanted(&shared.config, networks, config, endpoints)?;
            shared.workers.publish(ports::again(wanted, before)).await
        };
        match published.await {
            Ok(published) => {
                self.shared.networks.publish(self.id(), published.clone());
                self.view.outcome.ports = published;
            }
            Err(failure) => {
                tracing::warn!(container = self.id().as_str(), "publish ports again: {failure}");
            }
        }
    }

    /// Writes the networks down, with what runs in them.
    fn keep_networks(&mut self, config: super::config::ContainerConfig) -> Result<(), Failure> {
        store::change(&self.shared.store, |writer| {
            writer.put(store::CONTAINERS, &config.id, &config)?;
            writer.put(store::OUTCOMES, &config.id, &self.view.outcome)
        })?;
        self.view.config = Arc::new(config);
        self.publish();
        Ok(())
    }

    /// Lets others in its networks find it by its names.
    pub(crate) fn name_endpoints(&self, config: &super::config::ContainerConfig) {
        let shared = &self.shared;
        shared.names.set(&shared.config, &shared.networks, config, &self.view.outcome.endpoints);
    }

    /// Gives addresses and ports back at the end of a run, or of a start that failed.
    pub(super) async fn leave_networks(&mut self) {
        let endpoints = std::mem::take(&mut self.view.outcome.endpoints);
        self.shared.names.forget(self.id(), &endpoints);
        self.take_ports().await;
        if endpoints.is_empty() {
            return;
        }
        for plugged in &endpoints {
            endpoint::unplug(&self.shared.networks, plugged);
        }
        let addresses = endpoints.iter().flat_map(|own| own.addresses().map(|own| own.address));
        self.shared.forget_later(addresses.collect::<Vec<IpAddr>>());
    }

    /// Tells listeners that the container was plugged into, or taken out of, all its networks.
    pub(super) fn tell_network(&self, action: &str) {
        let config = &self.view.config;
        match config.network_mode() {
            Mode::Own => {
                for plugged in &self.view.outcome.endpoints {
                    tell_network(self, &plugged.network, &plugged.network_id, action);
                }
            }
            Mode::Host | Mode::None => {
                let name = config.network_name().unwrap_or_default();
                if let Some(network) = self.shared.networks.named(name) {
                    tell_network(self, name, network.id(), action);
                }
            }
            Mode::Container(_) => {}
        }
    }
}

fn tell_network(actor: &Actor, name: &str, id: &str, action: &str) {
    let driver = actor.shared.networks.named(name);
    let driver = driver.map_or_else(String::new, |network| network.record.shown.driver.clone());
    let attributes = [
        ("container".to_owned(), actor.id().to_string()),
        ("name".to_owned(), name.to_owned()),
        ("type".to_owned(), driver),
    ];
    actor.shared.events.publish("network", action, id, attributes.into());
}

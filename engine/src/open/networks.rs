//! Telling the network worker what there shall be, and what is over.

use super::Shared;
use crate::container::actor::Actor;
use crate::network::{Network, Record, create, names};
use crate::store;
use metadata::Read as _;
use spec::Failure;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How long addresses are collected before their connections are forgotten together: it takes a walk of the kernel's
/// table, and nobody waits for it.
const TOGETHER: Duration = Duration::from_millis(200);

/// Reads the networks that users made. One that cannot be any more, since its subnet is another's for instance, is left
/// out and told of; its record stays.
pub(super) fn restore(shared: &Shared) -> Result<(), metadata::Error> {
    for (id, record) in shared.store.read()?.list(store::NETWORKS)? {
        let name = record.shown.name.clone();
        if let Err(failure) = restore_one(shared, record) {
            tracing::error!(network = name, id, "network cannot be used: {failure}");
        }
    }
    Ok(())
}

fn restore_one(shared: &Shared, record: Record) -> Result<(), Failure> {
    let kind = create::kind(&record.shown)?;
    shared.networks.restore(Network { record, kind }).map_err(crate::network::registry::of_ipam)
}

/// Makes all bridges, and lets the worker remove what is in no list; see [`messages::network::Request::Reconcile`].
pub(super) async fn tell(shared: &Shared, complete: bool) -> Result<(), Failure> {
    let bridges = shared.networks.bridges();
    let links = bridges.iter().map(|bridge| bridge.link.clone()).collect();
    for bridge in bridges {
        let link = bridge.link.clone();
        if let Err(failure) = shared.workers.ensure_bridge(bridge).await {
            // The default bridge cannot be done without; the others' containers say so when they start.
            if link == shared.config.bridge {
                return Err(failure);
            }
            tracing::error!(link, "make bridge: {failure}");
        }
    }
    let (ports, addresses) = (shared.networks.published(), shared.networks.addresses());
    shared.workers.reconcile_networks(links, ports, addresses, complete).await
}

/// Lets a container that ran before this engine be found by its names, and gives it a name server again.
pub(super) fn name(shared: &Arc<Shared>, actor: &Actor) {
    let view = &actor.view;
    if !view.state.has_process() || !names::wanted(&shared.networks, &view.outcome.endpoints) {
        return;
    }
    actor.name_endpoints(&view.config);
    let (shared, config) = (Arc::clone(shared), Arc::clone(&view.config));
    let endpoints = view.outcome.endpoints.clone();
    tokio::spawn(async move {
        if let Err(failure) = names::start(&shared, &config, &endpoints).await {
            tracing::warn!(container = config.id.as_str(), "start its name server: {failure}");
        }
        // It may have ended meanwhile.
        let running = shared.containers.find(config.id.as_str());
        if !running.is_ok_and(|handle| handle.view().state.has_process()) {
            shared.names.forget(&config.id, &endpoints);
        }
    });
}

/// Addresses of containers that have ended.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    addresses: Mutex<Vec<IpAddr>>,
    more: Notify,
}

impl Shared {
    /// Lets the connections of these addresses be forgotten before long, unless others have them by then.
    pub(crate) fn forget_later(&self, addresses: Vec<IpAddr>) {
        let mut waiting = self.forgotten.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(addresses);
        self.forgotten.more.notify_one();
    }
}

/// Forgets connections as long as there is an engine.
pub(super) async fn forget(shared: Arc<Shared>) {
    let weak = Arc::downgrade(&shared);
    drop(shared);
    while let Some(shared) = weak.upgrade() {
        let waiting = {
            let mut all = shared.forgotten.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *all)
        };
        if waiting.is_empty() {
            // The engine may end meanwhile: look again now and then whether it is there.
            tokio::time::timeout(Duration::from_secs(5), shared.forgotten.more.notified())
                .await
                .ok();
            if !shared.forgotten.is_empty() {
                tokio::time::sleep(TOGETHER).await;
            }
            continue;
        }
        let taken: std::collections::HashSet<IpAddr> =
            shared.networks.addresses().into_iter().collect();
        let free: Vec<IpAddr> = waiting.into_iter().filter(|ip| !taken.contains(ip)).collect();
        if !free.is_empty()
            && let Err(failure) = shared.workers.release(Vec::new(), free).await
        {
            tracing::debug!("forget connections: {failure}");
        }
    }
}

impl Forgotten {
    fn is_empty(&self) -> bool {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

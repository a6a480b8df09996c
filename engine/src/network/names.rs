//! Who is called how in which network.

use crate::container::config::ContainerConfig;
use crate::container::live::Plugged;
use spec::ContainerId;

/// The names of all endpoints in networks that users made.
#[derive(Debug, Default)]
pub struct Names;

impl Names {
    /// Sets the endpoints of a container.
    pub(crate) fn set(&self, _config: &ContainerConfig, _endpoints: &[Plugged]) {}
    /// Forgets one endpoint.
    pub(crate) fn remove(&self, _plugged: &Plugged) {}
    /// Forgets the endpoints of a container.
    pub(crate) fn forget(&self, _id: &ContainerId, _endpoints: &[Plugged]) {}
}

/// The names of a container in a network that users made, its own first.
pub(crate) fn names(config: &ContainerConfig, network: &str) -> Vec<String> {
    let mut names = vec![config.name.clone()];
    if let Some(settings) = config.endpoints.get(network) {
        names.extend(settings.aliases.iter().cloned());
    }
    names.push(config.id.short().to_owned());
    names.push(config.config.hostname.clone());
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| !name.is_empty() && seen.insert(name.to_lowercase()));
    names
}

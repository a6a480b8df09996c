//! The clients of the three workers with privilege.

use messages::{network, storage, task};
use transport::Client;

/// Who does what this process may not.
#[derive(Debug, Clone)]
pub struct Workers {
    /// Layers, snapshots, mounts, volumes, copies.
    pub storage: Client<storage::Request>,
    /// Bridges and network namespaces.
    pub network: Client<network::Request>,
    /// Shims and cgroups.
    pub task: Client<task::Request>,
}

impl Workers {
    /// Clients that wait for their workers to be connected.
    pub fn new() -> Self {
        use messages::control::Role;
        Self {
            storage: Client::new(Role::Storage),
            network: Client::new(Role::Network),
            task: Client::new(Role::Task),
        }
    }
}

impl Default for Workers {
    fn default() -> Self {
        Self::new()
    }
}

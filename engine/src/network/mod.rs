//! Networks: what they are, which there are, and who has which address in them.
//!
//! A network is a record in the database and, for the driver `bridge`, a bridge of the host. Addresses are taken in
//! memory only. Who has which is rebuilt at the start from the containers that run; a record of a container that does
//! not run holds none. So no address leaks, whatever dies.
//!
//! Reading order: [`Network`] and [`Kind`] (one network), [`options`] (what users say to a driver), [`registry`] (all of
//! them, with their addresses), [`endpoint`] (one container in one network), [`ports`] (published ports), the verbs
//! [`create`], [`show`] (list, inspect, prune, remove) and [`connect`], [`links`] (legacy links).

pub mod connect;
pub mod create;
pub mod endpoint;
pub mod links;
pub mod names;
pub mod options;
pub mod ports;
pub mod registry;
pub mod show;

use api_types::network as api;
use messages::network::{IpvlanMode, MacvlanMode};
use options::BridgeSettings;
use serde::{Deserialize, Serialize};

/// The predefined networks: name, driver, id. The ids are the same on every host, so that they stay over a restart.
pub const PREDEFINED: [(&str, &str, &str); 3] = [
    ("bridge", "bridge", "b1d6ec0ffe5a4f3b9c0e7d21a86f54c3e90b7a1d2f6c8e4509d3b7f1a2c6e811"),
    ("host", "host", "405700ffe1c3a9d84b6e2f5071d8c4a39be6f0d27c51a8e34f9b06d2e7a3c512"),
    ("none", "null", "90e0ffe2d7b41f6c8a35e09d4c72b8f16d3a5e9b07c4f28d61ae93b5f0d8c713"),
];

/// Whether a network of this name is there from the beginning.
pub fn is_predefined(name: &str) -> bool {
    PREDEFINED.iter().any(|(known, _, _)| *known == name)
}

/// A network as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it was created: nanoseconds since 1970.
    pub created: i64,
    /// What is shown of it; its pools are those that it really has.
    pub shown: api::Network,
}

/// What a driver needs to know of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A bridge of the host.
    Bridge(Box<BridgeSettings>),
    /// Links over one of the host's.
    Macvlan {
        /// The host's link.
        parent: String,
        /// How they forward.
        mode: MacvlanMode,
    },
    /// Links over one of the host's, with its hardware address.
    Ipvlan {
        /// The host's link.
        parent: String,
        /// How they forward.
        mode: IpvlanMode,
        /// Further restrictions.
        flags: u16,
    },
    /// The host's own network.
    Host,
    /// None at all.
    Null,
    /// Only a configuration for other networks.
    Configuration,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// As it is stored.
    pub record: Record,
    /// For its driver.
    pub kind: Kind,
}

impl Network {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.record.shown.name
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.record.shown.id
    }

    /// Whether it is there from the beginning.
    pub fn is_predefined(&self) -> bool {
        is_predefined(self.name())
    }

    /// Whether users made it and containers find each other in it by name.
    pub fn has_names(&self) -> bool {
        !self.is_predefined() && self.kind != Kind::Configuration
    }

    /// Its bridge, if it has one.
    pub fn bridge(&self) -> Option<&BridgeSettings> {
        match &self.kind {
            Kind::Bridge(settings) => Some(settings),
            _ => None,
        }
    }
}

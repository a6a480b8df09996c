//! What a container is: the part that is written down ([`Outcome`]), and what readers see ([`View`]).

use super::config::ContainerConfig;
use super::health::Health;
use super::listed::Kept;
use super::state::State;
use messages::network::Published;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// What is remembered of a container's runs over a restart of the engine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// When its last run began: nanoseconds since 1970.
    pub started_at: Option<i64>,
    /// When its last run ended.
    pub finished_at: Option<i64>,
    /// The exit code of its last run, or of a start that failed.
    pub exit_code: i32,
    /// Whether the kernel killed one of its processes for want of memory in its last run.
    pub oom_killed: bool,
    /// Why its last start failed.
    pub error: String,
    /// Whether somebody stopped it.
    pub stopped_by_hand: bool,
    /// Whether somebody paused it. One that is frozen only while it is copied goes on when the engine dies meanwhile.
    pub paused: bool,
    /// Restarts by policy since it was last started by hand.
    pub restarts: u32,
    /// Whether it is meant to run now: from just before a start to the end of the run, and while it waits for a restart.
    pub running: bool,
    /// How it is plugged into networks while it runs.
    pub endpoints: Vec<Plugged>,
    /// Its published ports while it runs.
    pub ports: Vec<Published>,
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// The length of the network's prefix.
    pub prefix: u8,
    /// The next hop out of the network; none where nothing leads out.
    pub gateway: Option<IpAddr>,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// How a container is plugged into one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plugged {
    /// The endpoint's id, 64 hexadecimal digits.
    pub id: String,
    /// The network's name.
    pub network: String,
    /// The network's id.
    pub network_id: String,
    /// The interface in the container.
    pub interface: String,
    /// Its IPv4 address.
    pub ipv4: Option<Address>,
    /// Its IPv6 address.
    pub ipv6: Option<Address>,
    /// The hardware address.
    pub mac: [u8; 6],
    /// Whether the default route of IPv4, and of IPv6, leads here.
    pub main: [bool; 2],
}

impl Plugged {
    /// The hardware address as people write it.
    pub fn mac_text(&self) -> String {
        let parts: Vec<String> = self.mac.iter().map(|byte| format!("{byte:02x}")).collect();
        parts.join(":")
    }

    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = Address> {
        self.ipv4.into_iter().chain(self.ipv6)
    }

    /// Whether a default route of a family may lead here.
    pub fn leads_out(&self, ipv6: bool) -> bool {
        let address = if ipv6 { self.ipv6 } else { self.ipv4 };
        address.is_some_and(|address| address.gateway.is_some())
    }
}

/// A call that has not been answered for long.
#[derive(Debug, Clone, Copy)]
pub struct Busy {
    /// What is being done.
    pub verb: &'static str,
    /// Since when.
    pub since: Instant,
}

/// A container at one moment. Readers hold it as long as they like.
#[derive(Debug, Clone)]
pub struct View {
    /// What it shall be.
    pub config: Arc<ContainerConfig>,
    /// What it is doing.
    pub state: State,
    /// Its first process as the host sees it; 0 when there is none.
    pub pid: i32,
    /// Its runs.
    pub outcome: Outcome,
    /// What its health checks say; none without a check, and before its first start.
    pub health: Option<Arc<Health>>,
    /// How many runs have ended since the engine was started.
    pub ends: u64,
    /// What it is waiting for, when it is not idle.
    pub busy: Option<Busy>,
    /// True once it is gone.
    pub removed: bool,
    /// Why its removal failed, the last time; counted so that a waiter sees a second failure.
    pub removal_error: Option<Arc<str>>,
    /// How many removals failed.
    pub removal_failures: u64,
    /// Its line in lists, once somebody has asked for it.
    pub(crate) kept: Kept,
}

impl View {
    /// A container that is not doing anything.
    pub fn idle(config: Arc<ContainerConfig>, state: State, outcome: Outcome) -> Self {
        Self {
            config,
            state,
            pid: 0,
            outcome,
            health: None,
            ends: 0,
            busy: None,
            removed: false,
            removal_error: None,
            removal_failures: 0,
            kept: Kept::default(),
        }
    }
}

//! The packet filter around the bridges: one table of our own, `table inet coffer`, replaced as a whole.
//!
//! ```text
//! prerouting (raw)      from elsewhere straight to an address of a masqueraded or internal network: drop
//!                       from a bridge to 127.0.0.0/8: drop (CVE-2020-8558; the bridge has route_localnet)
//! prerouting (dstnat)   to this host, but not to loopback from outside  ─┐
//! output (dstnat)       to this host                                    ─┴─ ports: maps at4 at6 any4 any6 → dnat
//! forward (filter)      established: accept
//!                       by the bridge it goes to:    in-<bridge>   published or same bridge with icc: accept, else drop
//!                       by the bridge it comes from: out-<bridge>  internal: drop, else accept
//!                       neither is ours: drop, if the host did not forward that family before us; else pass
//! postrouting (srcnat)  from a network to elsewhere: masquerade
//!                       from a network, or from loopback, to a published port of it: masquerade
//! ```
//!
//! So an unpublished port is reachable from its own network and from this host, and from nowhere else, by routing or
//! otherwise; two networks do not reach each other. Published ports are elements of sets and maps: publishing one is
//! one small transaction, and a packet finds its port in constant time however many there are.
//!
//! Users' own rules have a table of their own, `table inet coffer-user`, whose chain `forward` is asked just before
//! ours: it is made once, and never changed or removed. What it drops is gone; what it accepts still passes ours.
//!
//! The kernel counts every transaction of anybody ([`Firewall::check`]): when the number is not the one that our last
//! transaction left, chains and rules are compared with what they shall be, and made again when they are not whole.

use crate::error::{firewall as failed, lacks_nftables};
pub use crate::published::{Opened, Published};
use crate::rules::{self, LAYOUT, OTHERS, USER_TABLE};
use crate::{BridgeError, Network};
use netlink::nft::{Family, Transaction};
use netlink::{NetfilterSocket, NetlinkError};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The name of our table; its family is inet.
pub const TABLE: &str = "coffer";

/// The rule set as it shall be: networks, published ports, and what happens to packets that are none of ours.
#[derive(Debug, Clone, Default)]
pub struct Firewall {
    pub(crate) networks: BTreeMap<String, Network>,
    pub(crate) published: BTreeSet<Published>,
    pub(crate) opened: BTreeSet<Opened>,
    /// Whether packets of IPv4, and of IPv6, between links that are none of ours are dropped.
    pub(crate) drop_others: [bool; 2],
    /// The kernel has had these rules.
    applied: bool,
    /// The number of the kernel's rule set when it was last found whole.
    seen: u32,
}

/// Whether the kernel remembers any connection in this network namespace. To go through its table takes ten
/// milliseconds even when nothing is in it.
fn remembers_any() -> bool {
    let count = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count");
    count.map_or(true, |count| count.trim() != "0")
}

impl Firewall {
    /// The networks and ports that the kernel's rule set knows of are the ones to go on with after a restart; the
    /// networks come from their bridges.
    pub fn adopt(
        socket: &mut NetfilterSocket,
        networks: Vec<Network>,
    ) -> Result<Self, BridgeError> {
        let mut adopted = Self::default();
        for network in networks {
            adopted.networks.insert(network.link.to_string(), network);
        }
        let chains = match socket.chains(Family::Inet, TABLE) {
            Ok(chains) => chains,
            // A kernel without nftables has no rules of ours; the first bridge will say what is missing.
            Err(error) if lacks_nftables(&error) => return Ok(adopted),
            Err(error) => return Err(failed(error)),
        };
        let has = |name: &str| chains.iter().any(|chain| chain.name == name);
        adopted.drop_others = OTHERS.map(has);
        adopted.applied = has(LAYOUT);
        if !chains.is_empty() {
            adopted.read_ports(socket)?;
        }
        Ok(adopted)
    }

    fn read_ports(&mut self, socket: &mut NetfilterSocket) -> Result<(), BridgeError> {
        let mut elements = |set: &str| match socket.elements(Family::Inet, TABLE, set) {
            Err(error) if error.is_missing() => Ok(Vec::new()),
            other => other.map_err(failed),
        };
        for map in ["at4", "at6", "any4", "any6"] {
            let read = elements(map)?;
            let ports = read.iter().filter_map(|e| Published::from_element(map, &e.key, &e.data));
            self.published.extend(ports);
        }
        let led_to: BTreeSet<Opened> = self.published.iter().map(Published::opened).collect();
        for set in ["open4", "open6"] {
            let read = elements(set)?;
            let open = read.iter().filter_map(|e| Opened::from_element(set, &e.key));
            self.opened.extend(open.filter(|opened| !led_to.contains(opened)));
        }
        Ok(())
    }

    /// Drops packets of a family between links that are none of ours, from the next change on.
    pub fn drop_others(&mut self, ipv6: bool) {
        if !std::mem::replace(&mut self.drop_others[usize::from(ipv6)], true) {
            self.applied = false;
        }
    }

    /// Adds a network, or changes it. Nothing is sent when the kernel has its rules already.
    pub fn ensure_network(
        &mut self,
        socket: &mut NetfilterSocket,
        network: &Network,
    ) -> Result<(), BridgeError> {
        let whole = self.is_whole(socket)?;
        let before = self.networks.insert(network.link.to_string(), network.clone());
        match before {
            _ if !whole => self.apply(socket),
            Some(known) if known.is_filtered_like(network) => Ok(()),
            Some(_) => self.apply(socket),
            None => {
                // However many networks there are, a new one costs only its own rules.
                let mut t = Transaction::new(Family::Inet, TABLE);
                rules::add_network(&mut t, network);
                self.commit(socket, t).map_err(failed)
            }
        }
    }

    /// Looks whether the kernel still has what it shall have, and makes it again if not; answers whether it had.
    pub fn check(&mut self, socket: &mut NetfilterSocket) -> Result<bool, BridgeError> {
        let idle = self.networks.is_empty() && self.published.is_empty();
        if idle && !self.applied || self.is_whole(socket)? {
            return Ok(true);
        }
        self.apply(socket)?;
        Ok(false)
    }

    fn is_whole(&mut self, socket: &mut NetfilterSocket) -> Result<bool, BridgeError> {
        if !self.applied {
            return Ok(false);
        }
        let now = socket.generation().map_err(failed)?;
        if now == self.seen {
            return Ok(true);
        }
        let chains = socket.chains(Family::Inet, TABLE).map_err(failed)?;
        let names: BTreeSet<&str> = chains.iter().map(|chain| chain.name.as_str()).collect();
        let users = socket.tables(Family::Inet).map_err(failed)?;
        let of_network = |link: &String| {
            let (inward, outward) = rules::chain_names(link);
            names.contains(inward.as_str()) && names.contains(outward.as_str())
        };
        let whole = names.contains(LAYOUT)
            && self.networks.keys().all(of_network)
            && users.iter().any(|table| table == USER_TABLE)
            && socket.rules(Family::Inet, TABLE).map_err(failed)?.len()
                == self.transaction().rules();
        if whole {
            self.seen = now;
        }
        Ok(whole)
    }

    /// Removes networks, and with them their rules; answers at once when none of them is known.
    pub fn remove_networks(
        &mut self,
        socket: &mut NetfilterSocket,
        gone: impl Fn(&str) -> bool,
    ) -> Result<(), BridgeError> {
        let mut addresses = Vec::new();
        let before = self.networks.len();
        self.networks.retain(|link, network| {
            let goes = gone(link);
            if goes {
                addresses.extend(network.gateways.iter().map(crate::Prefix::address));
            }
            !goes
        });
        if self.networks.len() == before {
            return Ok(());
        }
        self.apply(socket)?;
        // The bridge's own: it announces itself to groups, for instance.
        self.forget_addresses(socket, &addresses)
    }

    /// The networks, by the names of their bridges.
    pub fn networks(&self) -> impl Iterator<Item = &Network> {
        self.networks.values()
    }

    /// The published ports.
    pub fn published(&self) -> impl Iterator<Item = &Published> {
        self.published.iter()
    }

    /// The ports that are open at containers' own addresses only.
    pub fn opened(&self) -> impl Iterator<Item = &Opened> {
        self.opened.iter()
    }

    /// Replaces the whole table in one transaction.
    pub fn apply(&mut self, socket: &mut NetfilterSocket) -> Result<(), BridgeError> {
        self.applied = false;
        let tables = socket.tables(Family::Inet).map_err(failed)?;
        if !tables.iter().any(|table| table == USER_TABLE) {
            socket.commit(rules::users_table()).map_err(failed)?;
        }
        self.seen = socket.generation().map_err(failed)?;
        let transaction = self.transaction();
        self.commit(socket, transaction).map_err(failed)?;
        self.applied = true;
        Ok(())
    }

    /// Commits, and remembers the number that the rule set has by it; if somebody else was in between, the number does
    /// not fit and the next look is a close one.
    fn commit(
        &mut self,
        socket: &mut NetfilterSocket,
        transaction: Transaction,
    ) -> Result<(), NetlinkError> {
        socket.commit(transaction)?;
        if socket.generation()? == self.seen.wrapping_add(1) {
            self.seen = self.seen.wrapping_add(1);
        }
        Ok(())
    }

    /// Publishes ports, all or none: ports of one host address are given once.
    pub fn publish(
        &mut self,
        socket: &mut NetfilterSocket,
        ports: &[Published],
        opened: &[Opened],
    ) -> Result<(), BridgeError> {
        let mut taken: BTreeSet<_> = self.published.iter().map(Published::key).collect();
        for port in ports {
            if !taken.insert(port.key()) {
                return Err(BridgeError::Published { port: port.to_string() });
            }
        }
        let mut t = Transaction::new(Family::Inet, TABLE);
        for port in ports {
            rules::add(&mut t, port.translation());
            rules::add(&mut t, port.opened().element());
        }
        for opened in opened {
            rules::add(&mut t, opened.element());
        }
        if ports.is_empty() && opened.is_empty() {
            return Ok(());
        }
        self.published.extend(ports);
        self.opened.extend(opened);
        self.commit_ports(socket, t).inspect_err(|_| {
            self.published.retain(|port| !ports.contains(port));
            self.opened.retain(|port| !opened.contains(port));
        })?;
        ports.iter().try_for_each(|port| forget_flows(socket, port, true))
    }

    /// Takes ports back; those that are not published are left out.
    pub fn unpublish(
        &mut self,
        socket: &mut NetfilterSocket,
        ports: &[Published],
        opened: &[Opened],
    ) -> Result<(), BridgeError> {
        let before = (self.published.clone(), self.opened.clone());
        let gone: BTreeSet<Published> =
            ports.iter().filter(|port| self.published.remove(port)).copied().collect();
        let mut closed: BTreeSet<Opened> = gone.iter().map(Published::opened).collect();
        closed.extend(opened.iter().filter(|port| self.opened.remove(port)).copied());
        // Two host ports may lead to one container port, which stays open as long as one of them is there.
        for port in self.published.iter().map(Published::opened).chain(self.opened.iter().copied())
        {
            closed.remove(&port);
        }
        if gone.is_empty() && closed.is_empty() {
            return Ok(());
        }
        let mut t = Transaction::new(Family::Inet, TABLE);
        for port in &gone {
            let (map, element) = port.translation();
            t.delete_elements(map, &[element]);
        }
        for port in &closed {
            let (set, element) = port.element();
            t.delete_elements(set, &[element]);
        }
        self.commit_ports(socket, t).inspect_err(|_| (self.published, self.opened) = before)?;
        gone.iter().try_for_each(|port| forget_flows(socket, port, false))
    }

    /// Forgets every connection that an address began or answers.
    pub fn forget_addresses(
        &self,
        socket: &mut NetfilterSocket,
        addresses: &[IpAddr],
    ) -> Result<(), BridgeError> {
        if addresses.len() <= FEW {
            for address in addresses {
                let flows = socket.flows_of(*address).map_err(failed)?;
                socket.forget(&flows).map_err(failed)?;
            }
            return Ok(());
        }
        for ipv6 in
            [false, true].into_iter().filter(|v6| addresses.iter().any(|a| a.is_ipv6() == *v6))
        {
            let mut flows = socket.all_flows(ipv6).map_err(failed)?;
            let gone = |address: &IpAddr| addresses.contains(address);
            flows.retain(|flow| gone(&flow.source) || gone(&flow.answered_by));
            socket.forget(&flows).map_err(failed)?;
        }
        Ok(())
    }

    /// Forgets every connection of an address that is in a subnet of ours and in none of these.
    pub fn forget_strays(
        &self,
        socket: &mut NetfilterSocket,
        living: &[IpAddr],
    ) -> Result<(), BridgeError> {
        let stray = |address: IpAddr| {
            let ours = |network: &Network| {
                let gateway = network.gateways.iter().any(|own| own.address() == address);
                !gateway && network.subnets().any(|subnet| subnet.contains(address))
            };
            self.networks.values().any(ours) && !living.contains(&address)
        };
        if !remembers_any() {
            return Ok(());
        }
        for ipv6 in [false, true] {
            let mut subnets = self.networks.values().flat_map(Network::subnets);
            if !subnets.any(|subnet| subnet.address().is_ipv6() == ipv6) {
                continue;
            }
            let mut flows = socket.all_flows(ipv6).map_err(failed)?;
            flows.retain(|flow| stray(flow.source) || stray(flow.answered_by));
            socket.forget(&flows).map_err(failed)?;
        }
        Ok(())
    }

    /// Commits a change of elements; the change is in `published` already.
    fn commit_ports(
        &mut self,
        socket: &mut NetfilterSocket,
        transaction: Transaction,
    ) -> Result<(), BridgeError> {
        match self.commit(socket, transaction) {
            // Somebody has flushed the rule set: with everything else made again, the change can be made.
            Err(error) if error.is_missing() => self.apply(socket),
            other => other.map_err(failed),
        }
    }

    fn transaction(&self) -> Transaction {
        rules::transaction(self)
    }
}

const UDP: u8 = 17;
/// So many addresses are asked for one by one; each takes two walks of the kernel's table.
const FEW: usize = 2;

/// Lets flows to a port of the host begin anew: datagrams that began before it was published and so go on untranslated
/// (`now`), or everything that still goes to the container from which it was taken.
fn forget_flows(
    socket: &mut NetfilterSocket,
    port: &Published,
    now: bool,
) -> Result<(), BridgeError> {
    if now && port.protocol != UDP {
        // A connection begins with its own first packet.
        return Ok(());
    }
    let mut flows =
        socket.flows(port.host.is_ipv6(), port.protocol, port.host_port).map_err(failed)?;
    flows.retain(|flow| {
        let at_host = port.host.is_unspecified() || port.host == flow.destination;
        at_host && (flow.answered_by == port.container) != now
    });
    socket.forget(&flows).map_err(failed)
}

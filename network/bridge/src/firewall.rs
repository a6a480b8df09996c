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

use crate::error::{firewall as failed, lacks_nftables};
pub use crate::published::Published;
use crate::{BridgeError, Network};
use netlink::NetfilterSocket;
use netlink::nft::transaction::Element;
use netlink::nft::{
    BaseChain, ChainKind, Family, Hook, Policy, Rule, Set, SetKind, Transaction, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The name of our table; its family is inet.
pub const TABLE: &str = "coffer";

/// An empty chain that says which form of rules this is: a later engine replaces what an earlier one left. To be
/// counted up with every change of the rules.
const LAYOUT: &str = "layout-1";
/// The chains that drop packets of IPv4, and of IPv6, between links that are none of ours. That they are there is how
/// the next engine knows.
const OTHERS: [&str; 2] = ["others-ipv4", "others-ipv6"];

const SETS: [Set<'static>; 6] = [
    Set { name: "open4", kind: SetKind::Destinations, ipv6: false },
    Set { name: "open6", kind: SetKind::Destinations, ipv6: true },
    Set { name: "at4", kind: SetKind::DestinationMap, ipv6: false },
    Set { name: "at6", kind: SetKind::DestinationMap, ipv6: true },
    Set { name: "any4", kind: SetKind::PortMap, ipv6: false },
    Set { name: "any6", kind: SetKind::PortMap, ipv6: true },
];
const UDP: u8 = 17;
const INGRESS: Set<'static> = Set { name: "ingress", kind: SetKind::LinkVerdicts, ipv6: false };
const EGRESS: Set<'static> = Set { name: "egress", kind: SetKind::LinkVerdicts, ipv6: false };

/// What the kernel's rule set has of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// Its chains.
    Whole,
    /// Nothing, while the rest is there.
    Without,
    /// Something else: the rule set has to be made again.
    Broken,
}

/// The rule set as it shall be: networks, published ports, and what happens to packets that are none of ours.
#[derive(Debug, Clone, Default)]
pub struct Firewall {
    networks: BTreeMap<String, Network>,
    published: BTreeSet<Published>,
    /// Whether packets of IPv4, and of IPv6, between links that are none of ours are dropped.
    drop_others: [bool; 2],
    /// The kernel has had these rules.
    applied: bool,
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
            for map in ["at4", "at6", "any4", "any6"] {
                let elements = match socket.elements(Family::Inet, TABLE, map) {
                    Ok(elements) => elements,
                    Err(error) if error.is_missing() => continue,
                    Err(error) => return Err(failed(error)),
                };
                let read =
                    elements.iter().filter_map(|e| Published::from_element(map, &e.key, &e.data));
                adopted.published.extend(read);
            }
        }
        Ok(adopted)
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
        let link = network.link.as_str();
        let before = self.networks.insert(link.to_owned(), network.clone());
        match before {
            _ if !self.applied => self.apply(socket),
            Some(known) if known.is_filtered_like(network) => match self.presence(socket, link)? {
                Presence::Whole => Ok(()),
                _ => self.apply(socket),
            },
            Some(_) => self.apply(socket),
            None => match self.presence(socket, link)? {
                // However many networks there are, a new one costs only its own rules.
                Presence::Without => {
                    let mut t = Transaction::new(Family::Inet, TABLE);
                    add_network(&mut t, network);
                    socket.commit(t).map_err(failed)
                }
                _ => self.apply(socket),
            },
        }
    }

    /// Somebody may have flushed the whole rule set; somebody who changed a part of it has a reason.
    fn presence(&self, socket: &mut NetfilterSocket, link: &str) -> Result<Presence, BridgeError> {
        let chains = socket.chains(Family::Inet, TABLE).map_err(failed)?;
        let has = |name: &str| chains.iter().any(|chain| chain.name == name);
        let (inward, outward) = chain_names(link);
        Ok(match (has(LAYOUT), has(&inward), has(&outward)) {
            (true, true, true) => Presence::Whole,
            (true, false, false) => Presence::Without,
            _ => Presence::Broken,
        })
    }

    /// Removes networks, and with them their rules; answers at once when none of them is known.
    pub fn remove_networks(
        &mut self,
        socket: &mut NetfilterSocket,
        gone: impl Fn(&str) -> bool,
    ) -> Result<(), BridgeError> {
        let before = self.networks.len();
        self.networks.retain(|link, _| !gone(link));
        if self.networks.len() < before { self.apply(socket) } else { Ok(()) }
    }

    /// The networks, by the names of their bridges.
    pub fn networks(&self) -> impl Iterator<Item = &Network> {
        self.networks.values()
    }

    /// The published ports.
    pub fn published(&self) -> impl Iterator<Item = &Published> {
        self.published.iter()
    }

    /// Replaces the whole table in one transaction.
    pub fn apply(&mut self, socket: &mut NetfilterSocket) -> Result<(), BridgeError> {
        self.applied = false;
        socket.commit(self.transaction()).map_err(failed)?;
        self.applied = true;
        Ok(())
    }

    /// Publishes ports, all or none: ports of one host address are given once.
    pub fn publish(
        &mut self,
        socket: &mut NetfilterSocket,
        ports: &[Published],
    ) -> Result<(), BridgeError> {
        let mut taken: BTreeSet<_> = self.published.iter().map(Published::key).collect();
        for port in ports {
            if !taken.insert(port.key()) {
                return Err(BridgeError::Published { port: port.to_string() });
            }
        }
        let mut t = Transaction::new(Family::Inet, TABLE);
        for port in ports {
            add(&mut t, port.translation());
            add(&mut t, port.opening());
        }
        self.published.extend(ports);
        self.commit_ports(socket, t, ports).inspect_err(|_| {
            self.published.retain(|port| !ports.contains(port));
        })?;
        ports.iter().try_for_each(|port| forget_datagrams(socket, port, true))
    }

    /// Takes ports back; those that are not published are left out.
    pub fn unpublish(
        &mut self,
        socket: &mut NetfilterSocket,
        ports: &[Published],
    ) -> Result<(), BridgeError> {
        let gone: BTreeSet<_> = ports.iter().filter(|p| self.published.contains(p)).collect();
        let left = self.published.iter().filter(|port| !gone.contains(port));
        // Two host ports may lead to one container port, which stays open as long as one of them is there.
        let open: BTreeSet<_> = left.map(|p| (p.container, p.protocol, p.container_port)).collect();
        let mut closed = BTreeSet::new();
        let mut t = Transaction::new(Family::Inet, TABLE);
        for port in &gone {
            let (map, element) = port.translation();
            t.delete_elements(map, &[element]);
            let target = (port.container, port.protocol, port.container_port);
            if !open.contains(&target) && closed.insert(target) {
                let (set, element) = port.opening();
                t.delete_elements(set, &[element]);
            }
        }
        let gone: Vec<Published> = gone.into_iter().copied().collect();
        self.published.retain(|port| !gone.contains(port));
        self.commit_ports(socket, t, &gone).inspect_err(|_| self.published.extend(&gone))?;
        gone.iter().try_for_each(|port| forget_datagrams(socket, port, false))
    }

    /// Commits a change of elements; the change is in `published` already.
    fn commit_ports(
        &mut self,
        socket: &mut NetfilterSocket,
        transaction: Transaction,
        ports: &[Published],
    ) -> Result<(), BridgeError> {
        if ports.is_empty() {
            return Ok(());
        }
        match socket.commit(transaction) {
            // Somebody has flushed the rule set: with everything else made again, the change can be made.
            Err(error) if error.is_missing() => self.apply(socket),
            other => other.map_err(failed),
        }
    }

    fn transaction(&self) -> Transaction {
        let mut t = Transaction::new(Family::Inet, TABLE);
        t.replace_table();
        for set in SETS.iter().chain([&INGRESS, &EGRESS]) {
            t.add_set(set);
        }
        self.add_chains(&mut t);
        for port in &self.published {
            add(&mut t, port.translation());
            add(&mut t, port.opening());
        }
        for network in self.networks.values() {
            add_network(&mut t, network);
        }
        t
    }

    fn add_chains(&self, t: &mut Transaction) {
        t.add_base_chain("raw-prerouting", base(ChainKind::Filter, Hook::Prerouting, -300));
        t.add_chain("ports");
        for map in ["at4", "at6"] {
            t.add_rule("ports", &Rule::new().translate_destination(map == "at6", map));
        }
        for map in ["any4", "any6"] {
            t.add_rule("ports", &Rule::new().translate_port(map == "any6", map));
        }
        t.add_base_chain("prerouting", base(ChainKind::Nat, Hook::Prerouting, -100));
        let loopback = Rule::new().input_not("lo").destination(Ipv4Addr::LOCALHOST.into(), 8);
        t.add_rule("prerouting", &loopback.verdict(Verdict::Return));
        t.add_rule("prerouting", &Rule::new().to_this_host().jump("ports"));
        t.add_base_chain("output", base(ChainKind::Nat, Hook::Output, -100));
        // The kernel routes no packet from ::1 anywhere: translated, it would only be lost.
        let loopback = Rule::new().destination(Ipv6Addr::LOCALHOST.into(), 128);
        t.add_rule("output", &loopback.verdict(Verdict::Return));
        t.add_rule("output", &Rule::new().to_this_host().jump("ports"));
        t.add_base_chain("forward", base(ChainKind::Filter, Hook::Forward, 0));
        t.add_rule("forward", &Rule::new().established().accept());
        t.add_rule("forward", &Rule::new().output_decides(INGRESS.name));
        t.add_rule("forward", &Rule::new().input_decides(EGRESS.name));
        for ipv6 in [false, true].into_iter().filter(|ipv6| self.drop_others[usize::from(*ipv6)]) {
            let chain = OTHERS[usize::from(ipv6)];
            t.add_chain(chain);
            t.add_rule(chain, &Rule::new().of_family(ipv6).counter().drop());
            t.add_rule("forward", &Rule::new().jump(chain));
        }
        t.add_chain(LAYOUT);
        t.add_base_chain("postrouting", base(ChainKind::Nat, Hook::Postrouting, 100));
    }
}

/// The chains of a network: for what goes to it, and for what comes from it.
fn chain_names(link: &str) -> (String, String) {
    (format!("in-{link}"), format!("out-{link}"))
}

fn base(kind: ChainKind, hook: Hook, priority: i32) -> BaseChain {
    BaseChain { kind, hook, priority, policy: Policy::Accept }
}

/// Lets flows of datagrams to a port of the host begin anew: those that began before it was published and so go on
/// untranslated (`now`), or those that still go to the container from which it was taken. A connection of TCP begins
/// with its own first packet, and one whose container is gone ends by itself.
fn forget_datagrams(
    socket: &mut NetfilterSocket,
    port: &Published,
    now: bool,
) -> Result<(), BridgeError> {
    if port.protocol != UDP {
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

fn add(t: &mut Transaction, (set, element): (&'static str, Element)) {
    t.add_elements(set, &[element]);
}

/// The chains, rules and elements of one network.
fn add_network(t: &mut Transaction, network: &Network) {
    filter(t, network);
    guard(t, network);
    translate_source(t, network);
    let link = network.link.as_str();
    let (inward, outward) = chain_names(link);
    for (map, chain) in [(INGRESS, inward), (EGRESS, outward)] {
        t.add_elements(map.name, &[Element::link(link, Verdict::Jump(chain))]);
    }
}

/// What may be forwarded to and from a network.
fn filter(t: &mut Transaction, network: &Network) {
    let link = network.link.as_str();
    let (inward, outward) = chain_names(link);
    t.add_chain(&inward);
    if !network.internal {
        t.add_rule(&inward, &Rule::new().destination_in(false, "open4").accept());
        t.add_rule(&inward, &Rule::new().destination_in(true, "open6").accept());
    }
    if network.icc {
        t.add_rule(&inward, &Rule::new().input(link).accept());
    }
    t.add_rule(&inward, &Rule::new().counter().drop().comment("not published"));
    t.add_chain(&outward);
    if network.internal {
        t.add_rule(&outward, &Rule::new().counter().drop().comment("internal network"));
    } else {
        t.add_rule(&outward, &Rule::new().accept());
    }
}

/// Keeps packets off that were routed here straight to a container's address. A network that is not masqueraded is
/// meant to be routed to, at least by the answers to what it sends: there the filter alone decides.
fn guard(t: &mut Transaction, network: &Network) {
    let link = network.link.as_str();
    if network.masquerade || network.internal {
        for prefix in network.subnets() {
            let rule = Rule::new().input_not(link).destination(prefix.network(), prefix.length());
            t.add_rule("raw-prerouting", &rule.counter().drop().comment("direct access"));
        }
    }
    let rule = Rule::new().input(link).destination(Ipv4Addr::LOCALHOST.into(), 8);
    t.add_rule("raw-prerouting", &rule.counter().drop().comment("loopback"));
}

fn translate_source(t: &mut Transaction, network: &Network) {
    let link = network.link.as_str();
    for prefix in network.subnets() {
        let source = || Rule::new().source(prefix.network(), prefix.length());
        if network.masquerade && !network.internal {
            t.add_rule("postrouting", &source().output_not(link).masquerade());
        }
        // A container that asks for a published port of its own network must get the answer by way of the host.
        t.add_rule("postrouting", &source().output(link).translated().masquerade());
    }
    let loopback = Rule::new().source(Ipv4Addr::LOCALHOST.into(), 8);
    t.add_rule("postrouting", &loopback.output(link).masquerade());
}

//! The rules themselves, as one transaction or as the part of one network.

use crate::Network;
use crate::firewall::{Firewall, TABLE};
use crate::host;
use crate::network::GatewayMode;
use netlink::nft::transaction::Element;
use netlink::nft::{
    BaseChain, ChainKind, Family, Hook, Policy, Rule, Set, SetKind, Transaction, Verdict,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The table of users' own rules.
pub(crate) const USER_TABLE: &str = "coffer-user";

/// An empty chain that says which form of rules this is: a later engine replaces what an earlier one left. To be
/// counted up with every change of the rules.
pub(crate) const LAYOUT: &str = "layout-2";
/// The chains that drop packets of IPv4, and of IPv6, between links that are none of ours. That they are there is how
/// the next engine knows.
pub(crate) const OTHERS: [&str; 2] = ["others-ipv4", "others-ipv6"];

const SETS: [Set<'static>; 6] = [
    Set { name: "open4", kind: SetKind::Destinations, ipv6: false },
    Set { name: "open6", kind: SetKind::Destinations, ipv6: true },
    Set { name: "at4", kind: SetKind::DestinationMap, ipv6: false },
    Set { name: "at6", kind: SetKind::DestinationMap, ipv6: true },
    Set { name: "any4", kind: SetKind::PortMap, ipv6: false },
    Set { name: "any6", kind: SetKind::PortMap, ipv6: true },
];
const INGRESS: Set<'static> = Set { name: "ingress", kind: SetKind::LinkVerdicts, ipv6: false };
const EGRESS: Set<'static> = Set { name: "egress", kind: SetKind::LinkVerdicts, ipv6: false };
const ICMP: [u8; 2] = [1, 58];

/// The table of users' own rules, empty.
pub(crate) fn users_table() -> Transaction {
    let mut t = Transaction::new(Family::Inet, USER_TABLE);
    t.ensure_table();
    t.add_base_chain("forward", base(ChainKind::Filter, Hook::Forward, -1));
    t
}

/// The whole table, instead of the one that is there.
pub(crate) fn transaction(of: &Firewall) -> Transaction {
    let mut t = Transaction::new(Family::Inet, TABLE);
    t.replace_table();
    for set in SETS.iter().chain([&INGRESS, &EGRESS]) {
        t.add_set(set);
    }
    add_chains(&mut t, of.drop_others);
    for port in &of.published {
        add(&mut t, port.translation());
        add(&mut t, port.opened().element());
    }
    for opened in &of.opened {
        add(&mut t, opened.element());
    }
    for network in of.networks.values() {
        add_network(&mut t, network);
    }
    t
}

fn add_chains(t: &mut Transaction, drop_others: [bool; 2]) {
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
    if !host::delivers_to_loopback6() {
        // An answer that the bridge itself translates back to ::1 is lost: better refused than never answered.
        let loopback = Rule::new().destination(Ipv6Addr::LOCALHOST.into(), 128);
        t.add_rule("output", &loopback.verdict(Verdict::Return));
    }
    t.add_rule("output", &Rule::new().to_this_host().jump("ports"));
    t.add_base_chain("forward", base(ChainKind::Filter, Hook::Forward, 0));
    t.add_rule("forward", &Rule::new().established().accept());
    t.add_rule("forward", &Rule::new().output_decides(INGRESS.name));
    t.add_rule("forward", &Rule::new().input_decides(EGRESS.name));
    for ipv6 in [false, true].into_iter().filter(|ipv6| drop_others[usize::from(*ipv6)]) {
        let chain = OTHERS[usize::from(ipv6)];
        t.add_chain(chain);
        t.add_rule(chain, &Rule::new().of_family(ipv6).counter().drop());
        t.add_rule("forward", &Rule::new().jump(chain));
    }
    t.add_chain(LAYOUT);
    t.add_base_chain("postrouting", base(ChainKind::Nat, Hook::Postrouting, 100));
}

/// The chains of a network: for what goes to it, and for what comes from it.
pub(crate) fn chain_names(link: &str) -> (String, String) {
    (format!("in-{link}"), format!("out-{link}"))
}

fn base(kind: ChainKind, hook: Hook, priority: i32) -> BaseChain {
    BaseChain { kind, hook, priority, policy: Policy::Accept }
}

pub(crate) fn add(t: &mut Transaction, (set, element): (&'static str, Element)) {
    t.add_elements(set, &[element]);
}

/// The chains, rules and elements of one network.
pub(crate) fn add_network(t: &mut Transaction, network: &Network) {
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
    for ipv6 in [false, true].into_iter().filter(|_| !network.internal) {
        match network.mode(ipv6) {
            GatewayMode::NatUnprotected => {
                t.add_rule(&inward, &Rule::new().of_family(ipv6).accept().comment("unprotected"));
                continue;
            }
            GatewayMode::Routed => {
                let ping = Rule::new().of_family(ipv6).transport(ICMP[usize::from(ipv6)]);
                t.add_rule(&inward, &ping.accept());
            }
            GatewayMode::Nat | GatewayMode::Isolated => {
                // What came by the host's address and no other way: a port that is published at the loopback must not
                // be open to whoever routes to the container.
                t.add_rule(&inward, &Rule::new().of_family(ipv6).translated().accept());
                for trusted in &network.trusted {
                    let rule = Rule::new().input(trusted.as_str()).destination_in(ipv6, open(ipv6));
                    t.add_rule(&inward, &rule.accept().comment("trusted link"));
                }
                continue;
            }
        }
        t.add_rule(&inward, &Rule::new().destination_in(ipv6, open(ipv6)).accept());
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

fn open(ipv6: bool) -> &'static str {
    if ipv6 { "open6" } else { "open4" }
}

/// Keeps packets off that were routed here straight to a container's address. A network that is not masqueraded is
/// meant to be routed to, at least by the answers to what it sends: there the filter alone decides.
fn guard(t: &mut Transaction, network: &Network) {
    let link = network.link.as_str();
    for prefix in network.subnets() {
        let ipv6 = prefix.address().is_ipv6();
        let closed = network.mode(ipv6) == GatewayMode::Nat && network.hides(ipv6);
        if !closed && !network.internal {
            continue;
        }
        for trusted in network.trusted.iter().filter(|_| !network.internal) {
            let rule = Rule::new().input(trusted.as_str());
            let rule = rule.destination(prefix.network(), prefix.length());
            t.add_rule("raw-prerouting", &rule.accept().comment("trusted link"));
        }
        let rule = Rule::new().input_not(link).destination(prefix.network(), prefix.length());
        t.add_rule("raw-prerouting", &rule.counter().drop().comment("direct access"));
    }
    let rule = Rule::new().input(link).destination(Ipv4Addr::LOCALHOST.into(), 8);
    t.add_rule("raw-prerouting", &rule.counter().drop().comment("loopback"));
}

fn translate_source(t: &mut Transaction, network: &Network) {
    let link = network.link.as_str();
    for prefix in network.subnets() {
        let ipv6 = prefix.address().is_ipv6();
        let source = || Rule::new().source(prefix.network(), prefix.length());
        if network.hides(ipv6) {
            let rule = source().output_not(link);
            let own = network.sources.iter().find(|own| own.is_ipv6() == ipv6);
            let rule = match own {
                Some(own) => rule.source_nat(*own),
                None => rule.masquerade(),
            };
            t.add_rule("postrouting", &rule);
        }
        // A container that asks for a published port of its own network must get the answer by way of the host.
        t.add_rule("postrouting", &source().output(link).translated().masquerade());
    }
    let loopback = Rule::new().source(Ipv4Addr::LOCALHOST.into(), 8);
    t.add_rule("postrouting", &loopback.output(link).masquerade());
    if network.has_ipv6() {
        let loopback = Rule::new().source(IpAddr::from(Ipv6Addr::LOCALHOST), 128);
        t.add_rule("postrouting", &loopback.output(link).masquerade());
    }
}

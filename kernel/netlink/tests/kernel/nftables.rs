//! nftables transactions in fresh namespaces, judged by `nft -j list ruleset`.

use crate::support::{in_a_new_namespace, output};
use netlink::NetfilterSocket;
use netlink::nft::transaction::Element;
use netlink::nft::{
    BaseChain, ChainKind, Family, Hook, Policy, Rule, Set, SetKind, Transaction, Verdict,
};
use std::net::IpAddr;

const FORWARD: BaseChain =
    BaseChain { kind: ChainKind::Filter, hook: Hook::Forward, priority: 0, policy: Policy::Drop };
const PREROUTING: BaseChain = BaseChain {
    kind: ChainKind::Nat,
    hook: Hook::Prerouting,
    priority: -100,
    policy: Policy::Accept,
};
const POSTROUTING: BaseChain = BaseChain {
    kind: ChainKind::Nat,
    hook: Hook::Postrouting,
    priority: 100,
    policy: Policy::Accept,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The lines of `nft list table inet coffer`, without indentation.
fn listed() -> Vec<String> {
    let text = output(&["nft", "list", "table", "inet", "coffer"]);
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn assert_listed(lines: &[String], wanted: &[&str]) {
    for line in wanted {
        assert!(lines.iter().any(|l| l == line), "{line:?} is not in {lines:#?}");
    }
}

#[test]
fn each_matcher_and_verdict_is_what_nft_reads_back() {
    in_a_new_namespace(|| {
        let mut t = Transaction::new(Family::Inet, "coffer");
        t.replace_table();
        t.add_base_chain("forward", FORWARD);
        t.add_base_chain("postrouting", POSTROUTING);
        t.add_chain("own");
        t.add_rule("forward", &Rule::new().established().accept());
        t.add_rule("forward", &Rule::new().input("br0").output_not("br0").jump("own"));
        t.add_rule("forward", &Rule::new().input_not("br0").output("br0").counter().drop());
        t.add_rule("forward", &Rule::new().translated().accept());
        t.add_rule("forward", &Rule::new().of_family(true).drop());
        t.add_rule("own", &Rule::new().source(ip("10.1.2.3"), 16).accept());
        t.add_rule("own", &Rule::new().destination(ip("fd00::1"), 64).verdict(Verdict::Return));
        t.add_rule(
            "own",
            &Rule::new().destination(ip("10.9.9.9"), 32).transport(6).destination_port(80).accept(),
        );
        t.add_rule("own", &Rule::new().to_this_host().drop().comment("why not"));
        t.add_rule(
            "postrouting",
            &Rule::new().source(ip("10.1.0.0"), 16).output_not("br0").masquerade(),
        );
        NetfilterSocket::open().unwrap().commit(t).unwrap();
        assert_listed(
            &listed(),
            &[
                "type filter hook forward priority filter; policy drop;",
                "type nat hook postrouting priority srcnat; policy accept;",
                "ct state established,related accept",
                "iifname \"br0\" oifname != \"br0\" jump own",
                "iifname != \"br0\" oifname \"br0\" counter packets 0 bytes 0 drop",
                "ct status dnat accept",
                "meta nfproto ipv6 drop",
                "ip saddr 10.1.0.0/16 accept",
                "ip6 daddr fd00::/64 return",
                "ip daddr 10.9.9.9 tcp dport 80 accept",
                "fib daddr type local drop comment \"why not\"",
                "ip saddr 10.1.0.0/16 oifname != \"br0\" masquerade",
            ],
        );
    });
}

#[test]
fn maps_of_ports_translate_and_change_by_element() {
    in_a_new_namespace(|| {
        let mut socket = NetfilterSocket::open().unwrap();
        let mut t = Transaction::new(Family::Inet, "coffer");
        t.replace_table();
        for (name, kind, ipv6) in [
            ("open4", SetKind::Destinations, false),
            ("open6", SetKind::Destinations, true),
            ("at4", SetKind::DestinationMap, false),
            ("any4", SetKind::PortMap, false),
            ("any6", SetKind::PortMap, true),
            ("links", SetKind::LinkVerdicts, false),
        ] {
            t.add_set(&Set { name, kind, ipv6 });
        }
        t.add_chain("own");
        t.add_base_chain("prerouting", PREROUTING);
        t.add_base_chain("forward", FORWARD);
        t.add_rule("prerouting", &Rule::new().translate_destination(false, "at4"));
        t.add_rule("prerouting", &Rule::new().translate_port(false, "any4"));
        t.add_rule("prerouting", &Rule::new().translate_port(true, "any6"));
        t.add_rule("forward", &Rule::new().destination_in(false, "open4").accept());
        t.add_rule("forward", &Rule::new().destination_in(true, "open6").accept());
        t.add_rule("forward", &Rule::new().output_decides("links"));
        t.add_elements("open4", &[Element::destination(ip("10.1.0.2"), 6, 80)]);
        t.add_elements("open6", &[Element::destination(ip("fd00::2"), 17, 53)]);
        t.add_elements(
            "at4",
            &[Element::destination(ip("192.0.2.1"), 6, 8080).to(ip("10.1.0.2"), 80)],
        );
        t.add_elements("any4", &[Element::port(6, 9090).to(ip("10.1.0.2"), 90)]);
        t.add_elements("any6", &[Element::port(6, 9090).to(ip("fd00::2"), 90)]);
        t.add_elements("links", &[Element::link("br0", Verdict::Jump("own".to_owned()))]);
        socket.commit(t).unwrap();
        let lines = listed();
        let whole = lines.join("\n");
        for part in [
            "10.1.0.2 . tcp . 80",
            "fd00::2 . udp . 53",
            "192.0.2.1 . tcp . 8080 : 10.1.0.2 . 80",
            "tcp . 9090 : 10.1.0.2 . 90",
            "tcp . 9090 : fd00::2 . 90",
            "\"br0\" : jump own",
            "oifname vmap @links",
        ] {
            assert!(whole.contains(part), "{part:?} is not in {whole}");
        }
        let mut t = Transaction::new(Family::Inet, "coffer");
        t.delete_elements("any4", &[Element::port(6, 9090)]);
        t.add_elements("any4", &[Element::port(6, 9191).to(ip("10.1.0.3"), 91)]);
        socket.commit(t).unwrap();
        let elements = socket.elements(Family::Inet, "coffer", "any4").unwrap();
        assert_eq!(elements.len(), 1);
        assert_eq!(elements[0].key, [6, 0, 0, 0, 0x23, 0xe7, 0, 0]);
        assert_eq!(elements[0].data, [10, 1, 0, 3, 0, 91, 0, 0]);
    });
}

#[test]
fn a_transaction_with_one_wrong_change_changes_nothing() {
    in_a_new_namespace(|| {
        let mut socket = NetfilterSocket::open().unwrap();
        let mut t = Transaction::new(Family::Inet, "coffer");
        t.replace_table();
        t.add_base_chain("forward", FORWARD);
        socket.commit(t).unwrap();
        let mut t = Transaction::new(Family::Inet, "coffer");
        t.replace_table();
        t.add_rule("absent", &Rule::new().accept());
        let error = socket.commit(t).unwrap_err();
        assert_eq!(error.to_string(), "add nftables rule to coffer absent");
        let chains = socket.chains(Family::Inet, "coffer").unwrap();
        assert_eq!(chains.len(), 1);
        assert_eq!((chains[0].name.as_str(), chains[0].policy), ("forward", Some(Policy::Drop)));
    });
}

#[test]
fn replacing_a_table_leaves_nothing_of_the_old_one_and_spares_others() {
    in_a_new_namespace(|| {
        output(&["nft", "add", "table", "inet", "theirs"]);
        let mut socket = NetfilterSocket::open().unwrap();
        for rules in [3, 1] {
            let mut t = Transaction::new(Family::Inet, "coffer");
            t.replace_table();
            t.add_base_chain("forward", FORWARD);
            for _ in 0..rules {
                t.add_rule("forward", &Rule::new().input("br0").accept());
            }
            socket.commit(t).unwrap();
            assert_eq!(socket.rules(Family::Inet, "coffer").unwrap().len(), rules);
        }
        assert_eq!(socket.tables(Family::Inet).unwrap(), ["theirs", "coffer"]);
        let mut t = Transaction::new(Family::Inet, "coffer");
        t.delete_table();
        socket.commit(t).unwrap();
        assert_eq!(socket.tables(Family::Inet).unwrap(), ["theirs"]);
    });
}

#[test]
fn thousands_of_elements_fit_one_transaction() {
    in_a_new_namespace(|| {
        let mut socket = NetfilterSocket::open().unwrap();
        let mut t = Transaction::new(Family::Inet, "coffer");
        t.replace_table();
        t.add_set(&Set { name: "any4", kind: SetKind::PortMap, ipv6: false });
        let elements: Vec<_> =
            (1..=5000).map(|port| Element::port(6, port).to(ip("10.1.0.2"), port)).collect();
        t.add_elements("any4", &elements);
        socket.commit(t).unwrap();
        assert_eq!(socket.elements(Family::Inet, "coffer", "any4").unwrap().len(), 5000);
    });
}

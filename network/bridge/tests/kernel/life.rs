//! Bridges over their life, many sandboxes, and drivers that follow one another.

use crate::world::{
    driver, ip, json, links, listen, make, name, network, on_a_host, output, prefix, publish,
    sandbox, talk_from,
};
use bridge::firewall::Published;
use bridge::pool::NamespacePool;
use bridge::{BridgeError, ByRight, Driver, Permitted};
use std::time::Duration;

fn wait_for_links(wanted: &[&str]) {
    while links() != wanted {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn rules() -> serde_json::Value {
    json(&["nft", "-j", "list", "ruleset"])
}

/// The rule set without the kernel's numbers and counters, which change with every replacement.
fn rules_as_text() -> String {
    output(&["nft", "-s", "list", "ruleset"])
}

#[test]
fn ensuring_a_bridge_twice_changes_nothing_and_another_form_is_taken_on() {
    on_a_host(|| {
        let driver = driver();
        let mut net = network("br0", &["172.30.0.1/24"]);
        driver.ensure_bridge(&net).unwrap();
        // The kernel finds out by and by that a bridge without ports has no carrier.
        let shown = || {
            let mut link = json(&["ip", "-j", "addr", "show", "br0"])[0].take();
            link["operstate"].take();
            link["flags"].as_array_mut().unwrap().retain(|flag| flag != "NO-CARRIER");
            (link, rules_as_text())
        };
        let before = shown();
        driver.ensure_bridge(&net).unwrap();
        assert_eq!(shown(), before);
        let accept_ra = "/proc/sys/net/ipv6/conf/br0/accept_ra";
        assert_eq!(std::fs::read_to_string(accept_ra).unwrap().trim(), "0", "CVE-2020-13401");
        net.gateways = vec![prefix("172.31.0.1/16"), prefix("fd00:31::1/64")];
        net.mtu = Some(1300);
        net.icc = false;
        driver.ensure_bridge(&net).unwrap();
        let shown = &json(&["ip", "-j", "addr", "show", "br0"])[0];
        assert_eq!(shown["mtu"], 1300);
        let addresses: Vec<_> =
            shown["addr_info"].as_array().unwrap().iter().map(|a| a["local"].clone()).collect();
        assert_eq!(addresses, ["172.31.0.1", "fd00:31::1", "fe80::1"]);
        assert!(rules_as_text().contains("ip saddr 172.31.0.0/16"));
        assert!(!rules_as_text().contains("172.30.0"));
    });
}

#[test]
fn a_bridge_of_somebody_else_is_used_and_loses_nothing() {
    on_a_host(|| {
        output(&["ip", "link", "add", "br0", "type", "bridge"]);
        output(&["ip", "link", "set", "br0", "mtu", "1234"]);
        output(&["ip", "addr", "add", "10.77.0.1/24", "dev", "br0"]);
        let mut net = network("br0", &["172.30.0.1/24"]);
        net.mtu = Some(1400);
        let error = driver().ensure_bridge(&net).unwrap_err();
        assert!(matches!(error, BridgeError::Foreign { .. }));
        assert!(!output(&["ip", "addr", "show", "br0"]).contains("172.30"), "nothing was done");
        let permitted = Permitted { bridges: vec!["br0".into()], parents: None };
        let driver = Driver::open(NamespacePool::start(0).unwrap(), permitted).unwrap();
        driver.ensure_bridge(&net).unwrap();
        let shown = &json(&["ip", "-j", "addr", "show", "br0"])[0];
        assert_eq!(shown["mtu"], 1234);
        assert_eq!(shown["addr_info"][0]["local"], "10.77.0.1");
        assert_eq!(shown["addr_info"][1]["local"], "172.30.0.1");
        driver.remove_bridge(&name("br0")).unwrap();
        assert!(links().contains(&"br0".to_owned()), "it is not ours to remove");
        assert!(!rules_as_text().contains("br0"));
    });
}

#[test]
fn a_link_that_is_no_bridge_is_in_the_way() {
    on_a_host(|| {
        output(&["ip", "link", "add", "br0", "type", "veth", "peer", "name", "other"]);
        let error = driver().ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap_err();
        assert!(matches!(error, BridgeError::NotABridge { .. }));
        assert_eq!(
            error.to_string(),
            "create bridge br0: a link of this name exists and is not a bridge but veth"
        );
    });
}

#[test]
fn a_bridge_in_use_is_not_removed_and_a_gone_one_is_no_error() {
    on_a_host(|| {
        let driver = driver();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let a = sandbox(&driver, "br0", "172.30.0.2");
        let error = driver.remove_bridge(&name("br0")).unwrap_err();
        assert_eq!(error.to_string(), "remove bridge br0: 1 interfaces are plugged into it");
        drop(a);
        wait_for_links(&["lo", "br0"]);
        driver.remove_bridge(&name("br0")).unwrap();
        driver.remove_bridge(&name("br0")).unwrap();
        assert_eq!(links(), ["lo"]);
        assert!(!rules_as_text().contains("br0"));
    });
}

#[test]
fn two_hundred_sandboxes_leave_nothing() {
    on_a_host(|| {
        let driver = driver();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let before = rules();
        for turn in 0..200 {
            drop(sandbox(&driver, "br0", &format!("172.30.0.{}", 2 + turn % 200)));
        }
        wait_for_links(&["lo", "br0"]);
        assert_eq!(rules(), before);
    });
}

#[test]
fn sandboxes_are_made_in_parallel() {
    on_a_host(|| {
        let driver = driver();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let all: Vec<_> = std::thread::scope(|scope| {
            let make = |part: u8| {
                let driver = &driver;
                scope.spawn(move || {
                    (0..10u8)
                        .map(|n| {
                            sandbox(driver, "br0", &format!("172.30.0.{}", 10 + part * 10 + n))
                        })
                        .collect::<Vec<_>>()
                })
            };
            let threads: Vec<_> = (0..4).map(make).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let ports = json(&["ip", "-j", "link", "show", "master", "br0"]);
        assert_eq!(ports.as_array().unwrap().len(), 40);
        let server = listen(&all[0], 80);
        assert!(talk_from(&all[39], &server, "172.30.0.10:80").is_some());
    });
}

#[test]
fn the_next_driver_takes_over_networks_and_ports() {
    on_a_host(|| {
        let first = driver();
        first.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let mut apart = network("br1", &["172.30.1.1/24", "fd00:31::1/64"]);
        (apart.icc, apart.masquerade, apart.internal) = (false, false, true);
        first.ensure_bridge(&apart).unwrap();
        let a = sandbox(&first, "br0", "172.30.0.2");
        let port = |host: &str, container: &str| Published {
            protocol: 17,
            host: host.parse().unwrap(),
            host_port: 53,
            container: container.parse().unwrap(),
            container_port: 5353,
        };
        let ports = [
            port("0.0.0.0", "172.30.0.2"),
            Published { host_port: 54, ..port("127.0.0.1", "172.30.0.2") },
            port("::", "fd00:31::2"),
            Published { host_port: 54, ..port("fd00:31::1", "fd00:31::2") },
        ];
        for port in ports {
            publish(&first, port).unwrap();
        }
        let before = rules_as_text();
        drop(first);
        let second = driver();
        assert_eq!(rules_as_text(), before, "opening changes nothing");
        let mut read = second.published();
        read.sort();
        let mut wanted = ports;
        wanted.sort();
        assert_eq!(read, wanted);
        let (bridges, living) = ([name("br0"), name("br1")], [ip("172.30.0.2")]);
        let by_right = ByRight { bridges: &bridges, ports: &ports, opened: &[], living: &living };
        let removed = second.reconcile(&by_right, true).unwrap();
        assert!(removed.is_empty());
        assert_eq!(rules_as_text(), before, "what was read is what is written");
        let b = sandbox(&second, "br0", "172.30.0.3");
        let server = listen(&a, 80);
        assert!(talk_from(&b, &server, "172.30.0.2:80").is_some());
    });
}

#[test]
fn reconciling_removes_what_nobody_owns_and_spares_others() {
    on_a_host(|| {
        output(&["ip", "link", "add", "theirs", "type", "bridge"]);
        output(&["nft", "add", "table", "inet", "theirs"]);
        let driver = driver();
        for n in 0..3 {
            let gateway = format!("172.30.{n}.1/24");
            driver.ensure_bridge(&network(&format!("br{n}"), &[&gateway])).unwrap();
        }
        let keep = sandbox(&driver, "br0", "172.30.0.2");
        let stray = sandbox(&driver, "br1", "172.30.1.2");
        let by_right = ByRight { bridges: &[name("br0")], ..ByRight::default() };
        let removed = driver.reconcile(&by_right, true).unwrap();
        assert_eq!(removed, ["br1", "br2"]);
        let left = links();
        assert_eq!(left.len(), 4, "lo, theirs, br0 and its veth: {left:?}");
        let text = rules_as_text();
        assert!(text.contains("table inet theirs") && text.contains("in-br0"));
        assert!(!text.contains("br1") && !text.contains("br2"), "{text}");
        let lost = crate::world::endpoint("br1", &["172.30.1.3/24"], &[]);
        let error = make(&driver, &[lost], &[]).unwrap_err();
        assert!(matches!(error, BridgeError::UnknownBridge { .. }));
        drop((keep, stray));
    });
}

#[test]
fn host_routes_are_those_of_others() {
    on_a_host(|| {
        let driver = driver();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let out = crate::world::outside();
        output(&["ip", "route", "add", "10.8.0.0/16", "via", "203.0.113.2"]);
        output(&["ip", "route", "add", "default", "via", "203.0.113.2"]);
        let routes = driver.host_routes().unwrap();
        let v4: Vec<_> = routes.iter().filter(|r| r.address().is_ipv4()).collect();
        assert_eq!(v4, [&prefix("10.8.0.0/16"), &prefix("203.0.113.0/24")]);
        drop(out);
    });
}

#[test]
fn a_network_is_added_to_the_rules_or_the_rules_are_made_again() {
    on_a_host(|| {
        let driver = driver();
        let net = |n: u8| network(&format!("br{n}"), &[&format!("172.30.{n}.1/24")]);
        driver.ensure_bridge(&net(0)).unwrap();
        driver.ensure_bridge(&net(1)).unwrap();
        let one_by_one = rules_as_text();
        output(&["nft", "flush", "ruleset"]);
        driver.ensure_bridge(&net(1)).unwrap();
        assert_eq!(rules_as_text().lines().count(), one_by_one.lines().count());
        // Chains of a network that is not known: what is left of them must not stay in front.
        output(&["nft", "add chain inet coffer in-br2"]);
        output(&["nft", "add rule inet coffer in-br2 accept"]);
        driver.ensure_bridge(&net(2)).unwrap();
        let chain = output(&["nft", "-s", "list", "chain", "inet", "coffer", "in-br2"]);
        let first = chain.lines().find(|line| line.trim() == "accept");
        assert_eq!(first, None, "{chain}");
        let a = sandbox(&driver, "br2", "172.30.2.2");
        let b = sandbox(&driver, "br0", "172.30.0.2");
        assert_eq!(talk_from(&b, &listen(&a, 80), "172.30.2.2:80"), None);
    });
}

#[test]
fn a_network_in_which_the_host_or_its_router_lives_is_refused() {
    on_a_host(|| {
        let out = crate::world::outside();
        output(&["ip", "route", "add", "default", "via", "203.0.113.2"]);
        output(&["ip", "addr", "add", "10.0.1.5/16", "dev", "ext0"]);
        output(&["ip", "route", "add", "10.9.0.0/16", "via", "10.0.7.7"]);
        let driver = driver();
        for (gateway, sentence) in [
            ("203.0.113.200/25", None),
            (
                "203.0.113.100/24",
                Some(
                    "203.0.113.1, an address of the host or of its router, is within 203.0.113.100/24",
                ),
            ),
            (
                "10.0.7.1/24",
                Some("10.0.7.7, an address of the host or of its router, is within 10.0.7.1/24"),
            ),
            ("10.0.8.1/24", None),
            ("10.9.1.1/24", None),
        ] {
            let result = driver.ensure_bridge(&network("br0", &[gateway]));
            let wanted = sentence.map(|sentence| format!("create bridge br0: {sentence}"));
            assert_eq!(result.err().map(|error| error.to_string()), wanted, "{gateway}");
        }
        drop(out);
    });
}

//! Who reaches whom.

use crate::world::name as bridge_name;
use crate::world::{
    endpoint, ip, listen, make as make_sandbox, network, on_a_host, output, outside, publish,
    sandbox, talk, talk_from, unpublish,
};
use bridge::BridgeError;
use bridge::firewall::Published;
use netlink::Namespace;
use std::net::UdpSocket;
use std::time::Duration;

fn published(host: &str, host_port: u16, container: &str, container_port: u16) -> Published {
    let (host, container) = (ip(host), ip(container));
    Published { protocol: 6, host, host_port, container, container_port }
}

#[test]
fn containers_of_one_network_reach_each_other_and_their_gateway() {
    on_a_host(|| {
        let driver = crate::world::driver();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let a = sandbox(&driver, "br0", "172.30.0.2");
        let b = sandbox(&driver, "br0", "172.30.0.3");
        let server = listen(&b, 80);
        assert_eq!(talk_from(&a, &server, "172.30.0.3:80"), Some(ip("172.30.0.2")));
        assert_eq!(talk(&server, "172.30.0.3:80"), Some(ip("172.30.0.1")), "from the host");
        let host = Namespace::current().unwrap();
        let server = listen(&host, 80);
        assert_eq!(talk_from(&a, &server, "172.30.0.1:80"), Some(ip("172.30.0.2")));
    });
}

#[test]
fn what_leaves_the_host_has_the_hosts_address_over_tcp_and_udp() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let out = outside();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let a = sandbox(&driver, "br0", "172.30.0.2");
        let server = listen(&out, 80);
        assert_eq!(talk_from(&a, &server, "203.0.113.2:80"), Some(ip("203.0.113.1")));
        let socket = |namespace: &Namespace| {
            let socket = namespace.run(|| Ok(UdpSocket::bind("0.0.0.0:53").unwrap())).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket
        };
        let (server, client) = (socket(&out), socket(&a));
        client.send_to(b"question", "203.0.113.2:53").unwrap();
        let mut bytes = [0; 16];
        let (length, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!((&bytes[..length], from.ip()), (&b"question"[..], ip("203.0.113.1")));
        server.send_to(b"answer", from).unwrap();
        let (length, from) = client.recv_from(&mut bytes).unwrap();
        assert_eq!((&bytes[..length], from.ip()), (&b"answer"[..], ip("203.0.113.2")));
    });
}

#[test]
fn without_masquerade_the_container_keeps_its_address() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let out = outside();
        let mut plain = network("br0", &["172.30.0.1/24"]);
        plain.masquerade = false;
        driver.ensure_bridge(&plain).unwrap();
        let a = sandbox(&driver, "br0", "172.30.0.2");
        let server = listen(&out, 80);
        assert_eq!(talk_from(&a, &server, "203.0.113.2:80"), Some(ip("172.30.0.2")));
    });
}

#[test]
fn without_icc_containers_reach_the_outside_but_not_each_other() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let out = outside();
        let mut apart = network("br0", &["172.30.0.1/24"]);
        apart.icc = false;
        driver.ensure_bridge(&apart).unwrap();
        let a = sandbox(&driver, "br0", "172.30.0.2");
        let b = sandbox(&driver, "br0", "172.30.0.3");
        let server = listen(&b, 80);
        assert_eq!(talk_from(&a, &server, "172.30.0.3:80"), None);
        assert_eq!(talk(&server, "172.30.0.3:80"), Some(ip("172.30.0.1")), "from the host");
        let server = listen(&out, 80);
        assert_eq!(talk_from(&a, &server, "203.0.113.2:80"), Some(ip("203.0.113.1")));
    });
}

#[test]
fn networks_do_not_reach_each_other_and_an_internal_one_nothing_outside() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let out = outside();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let mut plain = network("br1", &["172.30.1.1/24"]);
        plain.masquerade = false;
        driver.ensure_bridge(&plain).unwrap();
        let mut inner = network("br2", &["172.30.2.1/24"]);
        inner.internal = true;
        driver.ensure_bridge(&inner).unwrap();
        let all: Vec<_> =
            (0..3).map(|n| sandbox(&driver, &format!("br{n}"), &format!("172.30.{n}.2"))).collect();
        for (n, target) in all.iter().enumerate() {
            let server = listen(target, 80);
            for (m, from) in all.iter().enumerate().filter(|(m, _)| *m != n) {
                let to = format!("172.30.{n}.2:80");
                assert_eq!(talk_from(from, &server, &to), None, "from network {m} to {n}");
            }
        }
        let server = listen(&out, 80);
        assert_eq!(talk_from(&all[2], &server, "203.0.113.2:80"), None, "internal");
        assert!(talk_from(&all[0], &server, "203.0.113.2:80").is_some());
    });
}

#[test]
fn an_unpublished_port_is_not_reachable_by_routing() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let out = outside();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let mut plain = network("br1", &["172.30.1.1/24"]);
        plain.masquerade = false;
        driver.ensure_bridge(&plain).unwrap();
        for (link, address) in [("br0", "172.30.0.2"), ("br1", "172.30.1.2")] {
            let a = sandbox(&driver, link, address);
            let server = listen(&a, 80);
            assert_eq!(talk_from(&out, &server, &format!("{address}:80")), None, "{link}");
        }
    });
}

#[test]
fn a_published_port_is_reached_from_everywhere_and_only_by_the_hosts_address() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let out = outside();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        driver.ensure_bridge(&network("br1", &["172.30.1.1/24"])).unwrap();
        let a = sandbox(&driver, "br0", "172.30.0.2");
        let b = sandbox(&driver, "br0", "172.30.0.3");
        let c = sandbox(&driver, "br1", "172.30.1.2");
        let server = listen(&a, 80);
        let port = published("0.0.0.0", 8080, "172.30.0.2", 80);
        publish(&driver, port).unwrap();
        assert_eq!(talk_from(&out, &server, "203.0.113.1:8080"), Some(ip("203.0.113.2")));
        assert_eq!(talk_from(&out, &server, "172.30.0.2:80"), None, "direct routing");
        assert_eq!(talk_from(&out, &server, "203.0.113.1:80"), None, "another port");
        assert_eq!(talk(&server, "127.0.0.1:8080"), Some(ip("172.30.0.1")), "from loopback");
        assert!(talk(&server, "203.0.113.1:8080").is_some(), "from the host");
        assert!(talk_from(&b, &server, "203.0.113.1:8080").is_some(), "from its own network");
        assert!(talk_from(&a, &server, "203.0.113.1:8080").is_some(), "from itself");
        assert!(talk_from(&c, &server, "203.0.113.1:8080").is_some(), "from another network");
        unpublish(&driver, port);
        assert_eq!(talk_from(&out, &server, "203.0.113.1:8080"), None);
        assert!(driver.published().is_empty());
    });
}

#[test]
fn a_port_published_on_loopback_is_not_reachable_from_outside() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let out = outside();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let a = sandbox(&driver, "br0", "172.30.0.2");
        let b = sandbox(&driver, "br0", "172.30.0.3");
        let server = listen(&a, 80);
        publish(&driver, published("127.0.0.1", 8080, "172.30.0.2", 80)).unwrap();
        assert!(talk(&server, "127.0.0.1:8080").is_some());
        assert_eq!(talk_from(&out, &server, "203.0.113.1:8080"), None);
        // A neighbour who sends loopback addresses over the wire.
        for (namespace, link, gateway) in
            [(&out, "out0", "203.0.113.1"), (&b, "eth0", "172.30.0.1")]
        {
            namespace
                .run(|| {
                    std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
                    output(&["ip", "addr", "flush", "dev", "lo"]);
                    output(&["ip", "route", "flush", "table", "local", "127.0.0.0/8"]);
                    output(&["ip", "route", "add", "127.0.0.0/8", "via", gateway, "dev", link]);
                    assert_eq!(talk(&server, "127.0.0.1:8080"), None, "from {link}");
                    Ok(())
                })
                .unwrap();
        }
    });
}

#[test]
fn a_host_port_is_given_once_and_a_container_port_stays_open_for_the_second() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let out = outside();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let a = sandbox(&driver, "br0", "172.30.0.2");
        let server = listen(&a, 80);
        let one = published("0.0.0.0", 8080, "172.30.0.2", 80);
        let two = published("203.0.113.1", 9090, "172.30.0.2", 80);
        publish(&driver, one).unwrap();
        publish(&driver, two).unwrap();
        let error = publish(&driver, published("0.0.0.0", 8080, "172.30.0.3", 81)).unwrap_err();
        assert!(matches!(error, BridgeError::Published { .. }));
        assert_eq!(error.to_string(), "Bind for 0.0.0.0:8080 failed: port is already allocated");
        unpublish(&driver, one);
        unpublish(&driver, one);
        assert_eq!(talk_from(&out, &server, "203.0.113.1:8080"), None);
        assert!(talk_from(&out, &server, "203.0.113.1:9090").is_some());
    });
}

#[test]
fn ipv6_works_like_ipv4() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let net = network("br0", &["172.30.0.1/24", "fd00:30::1/64"]);
        driver.ensure_bridge(&net).unwrap();
        driver.ensure_bridge(&network("br1", &["fd00:31::1/64"])).unwrap();
        let make = |link: &str, address: &str, gateway: &str| {
            let endpoint = endpoint(link, &[address], &[gateway]);
            Namespace::from_fd(make_sandbox(&driver, &[endpoint], &[]).unwrap())
        };
        let a = make("br0", "fd00:30::2/64", "fd00:30::1");
        let b = make("br0", "fd00:30::3/64", "fd00:30::1");
        let c = make("br1", "fd00:31::2/64", "fd00:31::1");
        let server = listen(&b, 80);
        assert_eq!(talk_from(&a, &server, "[fd00:30::3]:80"), Some(ip("fd00:30::2")));
        assert_eq!(talk_from(&c, &server, "[fd00:30::3]:80"), None, "another network");
        publish(&driver, published("::", 8080, "fd00:30::3", 80)).unwrap();
        assert!(talk_from(&c, &server, "[fd00:31::1]:8080").is_some());
        assert!(talk(&server, "[fd00:30::1]:8080").is_some(), "from the host");
    });
}

#[test]
fn a_port_is_reached_from_the_hosts_loopback_over_ipv6_unless_bridges_filter() {
    for bridges_filter in [false, true] {
        on_a_host(|| {
            // Where bridges do not pass packets to the filter, this is always so.
            let call = std::path::Path::new("/proc/sys/net/bridge/bridge-nf-call-ip6tables");
            if call.exists() {
                std::fs::write(call, if bridges_filter { "1" } else { "0" }).unwrap();
            } else if bridges_filter {
                return;
            }
            let driver = crate::world::driver();
            driver.ensure_bridge(&network("br0", &["fd00:30::1/64"])).unwrap();
            let endpoint = endpoint("br0", &["fd00:30::2/64"], &["fd00:30::1"]);
            let a = Namespace::from_fd(make_sandbox(&driver, &[endpoint], &[]).unwrap());
            let server = listen(&a, 80);
            publish(&driver, published("::", 8080, "fd00:30::2", 80)).unwrap();
            // A first packet may be lost while the neighbours of a new bridge find each other.
            let tries = if bridges_filter { 1 } else { 100 };
            let seen = (0..tries).find_map(|_| talk(&server, "[::1]:8080"));
            assert_eq!(seen, (!bridges_filter).then(|| ip("fd00:30::1")));
        });
    }
}

#[test]
fn users_rules_live_in_a_table_that_is_never_changed() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let out = outside();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let a = sandbox(&driver, "br0", "172.30.0.2");
        let server = listen(&a, 80);
        publish(&driver, published("0.0.0.0", 8080, "172.30.0.2", 80)).unwrap();
        assert!(talk_from(&out, &server, "203.0.113.1:8080").is_some());
        let rule = "add rule inet coffer-user forward ip saddr 203.0.113.2 tcp dport 80 drop";
        output(&["nft", rule]);
        assert_eq!(talk_from(&out, &server, "203.0.113.1:8080"), None);
        driver.ensure_bridge(&network("br1", &["172.30.1.1/24"])).unwrap();
        driver.remove_bridge(&bridge_name("br1")).unwrap();
        assert!(driver.rules_changed().unwrap(), "our rules are whole");
        assert_eq!(talk_from(&out, &server, "203.0.113.1:8080"), None);
    });
}

#[test]
fn rules_that_somebody_removed_are_noticed_and_made_again() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let out = outside();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let a = sandbox(&driver, "br0", "172.30.0.2");
        let server = listen(&a, 80);
        publish(&driver, published("0.0.0.0", 8080, "172.30.0.2", 80)).unwrap();
        for command in ["flush ruleset", "flush table inet coffer", "delete table inet coffer-user"]
        {
            output(&["nft", command]);
            assert!(!driver.rules_changed().unwrap(), "{command}");
            assert!(driver.rules_changed().unwrap(), "{command}");
            assert!(talk_from(&out, &server, "203.0.113.1:8080").is_some(), "{command}");
            assert_eq!(talk_from(&out, &server, "172.30.0.2:80"), None, "{command}");
        }
        output(&["nft", "add table inet theirs"]);
        assert!(driver.rules_changed().unwrap(), "others may change their own");
    });
}

#[test]
fn others_are_forwarded_only_where_they_were_before() {
    for was_on in [false, true] {
        on_a_host(|| {
            let value = if was_on { "1" } else { "0" };
            std::fs::write("/proc/sys/net/ipv4/ip_forward", value).unwrap();
            let driver = crate::world::driver();
            driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
            let read = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
            assert_eq!(read.trim(), "1");
            // What was decided once holds for the drivers that follow.
            for driver in [driver, crate::world::driver()] {
                driver.ensure_bridge(&network("br1", &["172.30.1.1/24"])).unwrap();
                let chain = output(&["nft", "list", "chain", "inet", "coffer", "forward"]);
                assert_eq!(chain.contains("jump others-ipv4"), !was_on, "{chain}");
                assert!(!chain.contains("others-ipv6"), "no IPv6 network was made: {chain}");
            }
        });
    }
}

#[test]
fn a_flushed_rule_set_comes_back_with_the_next_port() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let out = outside();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let a = sandbox(&driver, "br0", "172.30.0.2");
        let server = listen(&a, 80);
        publish(&driver, published("0.0.0.0", 8080, "172.30.0.2", 80)).unwrap();
        output(&["nft", "flush", "ruleset"]);
        publish(&driver, published("0.0.0.0", 8081, "172.30.0.2", 80)).unwrap();
        for port in [8080, 8081] {
            let to = format!("203.0.113.1:{port}");
            assert!(talk_from(&out, &server, &to).is_some(), "{port}");
        }
        output(&["nft", "flush", "ruleset"]);
        unpublish(&driver, published("0.0.0.0", 8080, "172.30.0.2", 80));
        assert_eq!(talk_from(&out, &server, "203.0.113.1:8080"), None);
        assert!(talk_from(&out, &server, "203.0.113.1:8081").is_some());
    });
}

#[test]
fn a_flow_of_datagrams_follows_the_port_from_one_container_to_the_next() {
    on_a_host(|| {
        let driver = crate::world::driver();
        let out = outside();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let socket = |namespace: &Namespace| {
            let socket = namespace.run(|| Ok(UdpSocket::bind("0.0.0.0:53").unwrap())).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket
        };
        let client = socket(&out);
        // Nobody is there yet: the host remembers a flow to itself.
        client.send_to(b"0", "203.0.113.1:5300").unwrap();
        let mut last: Option<Published> = None;
        for n in 2..4u8 {
            let address = format!("172.30.0.{n}");
            let container = sandbox(&driver, "br0", &address);
            let server = socket(&container);
            let port = Published { protocol: 17, ..published("0.0.0.0", 5300, &address, 53) };
            if let Some(last) = last.replace(port) {
                unpublish(&driver, last);
            }
            publish(&driver, port).unwrap();
            // An ICMP error of an earlier datagram is reported by the next call.
            if client.send_to(&[n], "203.0.113.1:5300").is_err() {
                client.send_to(&[n], "203.0.113.1:5300").unwrap();
            }
            let mut bytes = [0; 4];
            assert_eq!(server.recv_from(&mut bytes).unwrap().0, 1);
            assert_eq!(bytes[0], n);
        }
    });
}

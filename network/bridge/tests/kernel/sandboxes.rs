//! What a container finds in its namespace.

use crate::world::{
    driver, driver_with, endpoint, json, listen, make, name, network, on_a_host, output, talk_from,
};
use bridge::BridgeError;
use netlink::Namespace;
use rustix::io::Errno;

fn read(namespace: &Namespace, path: &str) -> String {
    let text = namespace.run(|| Ok(std::fs::read_to_string(path).unwrap())).unwrap();
    text.trim().replace('\t', " ")
}

/// Up with a carrier, which the kernel reports before its slower `operstate`.
fn is_up(link: &serde_json::Value) -> bool {
    let flags = link["flags"].as_array().unwrap();
    ["UP", "LOWER_UP"].iter().all(|flag| flags.iter().any(|f| f == flag))
}

const FIRST_PORT: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
const PING: &str = "/proc/sys/net/ipv4/ping_group_range";

#[test]
fn an_interface_has_name_address_mac_mtu_and_routes() {
    for prepared in [0, 2] {
        an_interface_is_as_described(prepared);
    }
}

fn an_interface_is_as_described(prepared: usize) {
    on_a_host(|| {
        let driver = driver_with(prepared);
        let mut net = network("br0", &["172.30.0.1/24", "fd00:30::1/64"]);
        net.mtu = Some(1400);
        driver.ensure_bridge(&net).unwrap();
        let endpoint =
            endpoint("br0", &["172.30.0.2/24", "fd00:30::2/64"], &["172.30.0.1", "fd00:30::1"]);
        let a = Namespace::from_fd(make(&driver, &[endpoint], &[]).unwrap());
        a.run(|| {
            let links = json(&["ip", "-j", "addr"]);
            assert_eq!(links.as_array().unwrap().len(), 2, "{links}");
            assert_eq!(links[0]["operstate"], "UNKNOWN", "the loopback is up");
            let eth0 = &links[1];
            assert_eq!(eth0["ifname"], "eth0");
            assert!(is_up(eth0), "{eth0}");
            assert_eq!(eth0["mtu"], 1400);
            assert_eq!(eth0["address"], "02:42:ac:1e:00:02");
            let addresses = eth0["addr_info"].as_array().unwrap();
            assert_eq!(addresses[0]["local"], "172.30.0.2");
            assert_eq!(addresses[0]["broadcast"], "172.30.0.255");
            assert_eq!(addresses[1]["local"], "fd00:30::2");
            assert_eq!(addresses[1]["tentative"], serde_json::Value::Null);
            let route = json(&["ip", "-j", "route", "show", "default"]);
            assert_eq!(route[0]["gateway"], "172.30.0.1");
            let route = json(&["ip", "-6", "-j", "route", "show", "default"]);
            assert_eq!(route[0]["gateway"], "fd00:30::1");
            Ok(())
        })
        .unwrap();
        let host = json(&["ip", "-j", "link", "show", "master", "br0"]);
        let veth = host[0]["ifname"].as_str().unwrap();
        assert!(veth.starts_with("veth") && veth.len() == 11, "{veth}");
        assert!(is_up(&host[0]), "{host}");
    });
}

#[test]
fn an_interface_without_ipv6_address_has_no_ipv6_but_loopback_has() {
    on_a_host(|| {
        let driver = driver();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let a = crate::world::sandbox(&driver, "br0", "172.30.0.2");
        let setting =
            |name: &str| read(&a, &format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"));
        assert_eq!((setting("eth0"), setting("lo"), setting("default")), {
            ("1".to_owned(), "0".to_owned(), "0".to_owned())
        });
        let shown = a.run(|| Ok(output(&["ip", "-6", "addr", "show", "dev", "eth0"]))).unwrap();
        assert_eq!(shown, "");
        let server = listen(&a, 80);
        assert!(talk_from(&a, &server, "[::1]:80").is_some());
    });
}

#[test]
fn a_sandbox_without_endpoints_has_only_its_loopback() {
    on_a_host(|| {
        let driver = driver();
        let a = Namespace::from_fd(make(&driver, &[], &[]).unwrap());
        a.run(|| {
            let links = json(&["ip", "-j", "link"]);
            assert_eq!(links.as_array().unwrap().len(), 1);
            assert_eq!(links[0]["flags"][1], "UP");
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn a_sandbox_is_plugged_into_several_networks() {
    on_a_host(|| {
        let driver = driver();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        driver.ensure_bridge(&network("br1", &["172.30.1.1/24", "fd00:31::1/64"])).unwrap();
        let first = endpoint("br0", &["172.30.0.2/24"], &["172.30.0.1"]);
        let mut second = endpoint("br1", &["172.30.1.2/24", "fd00:31::2/64"], &[]);
        second.interface = name("eth1");
        let a = Namespace::from_fd(make(&driver, &[first, second], &[]).unwrap());
        let b = crate::world::sandbox(&driver, "br0", "172.30.0.3");
        let c = crate::world::sandbox(&driver, "br1", "172.30.1.3");
        let server = listen(&a, 80);
        assert!(talk_from(&b, &server, "172.30.0.2:80").is_some());
        assert!(talk_from(&c, &server, "172.30.1.2:80").is_some());
        let setting =
            |name: &str| read(&a, &format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"));
        assert_eq!((setting("eth0"), setting("eth1")), ("1".to_owned(), "0".to_owned()));
    });
}

#[test]
fn sysctls_are_exactly_those_that_were_asked_for() {
    on_a_host(|| {
        let driver = driver();
        let ask = |sysctls: &[(&str, &str)]| {
            let all: Vec<_> =
                sysctls.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            make(&driver, &[], &all).map(Namespace::from_fd)
        };
        let untouched = netlink::Namespace::create(|| Ok(())).unwrap().0;
        let plain = ask(&[]).unwrap();
        assert_eq!(read(&plain, FIRST_PORT), read(&untouched, FIRST_PORT));
        assert_eq!(read(&plain, PING), read(&untouched, PING));
        let usual = ask(&[
            ("net.ipv4.ip_unprivileged_port_start", "0"),
            ("net.ipv4.ping_group_range", "0 2147483647"),
        ])
        .unwrap();
        assert_eq!(read(&usual, FIRST_PORT), "0");
        assert_eq!(read(&usual, PING), "0 2147483647");
        let own = ask(&[
            ("net.ipv4.ip_unprivileged_port_start", "80"),
            ("net.ipv4.conf.lo.forwarding", "1"),
        ])
        .unwrap();
        assert_eq!(read(&own, FIRST_PORT), "80");
        assert_eq!(read(&own, "/proc/sys/net/ipv4/conf/lo/forwarding"), "1");
        let error = ask(&[("kernel.hostname", "x")]).unwrap_err();
        assert_eq!(error.to_string(), "set kernel.hostname: not a network sysctl");
        let error = ask(&[("net.ipv4.no_such_thing", "x")]).unwrap_err();
        assert!(matches!(error, BridgeError::Sysctl { .. }));
        assert_eq!(error.class(), spec::Class::InvalidArgument);
    });
}

#[test]
fn a_sandbox_that_cannot_be_plugged_in_says_why_and_leaves_nothing() {
    on_a_host(|| {
        let driver = driver();
        let wanted = endpoint("absent", &["172.30.0.2/24"], &[]);
        let error = make(&driver, &[wanted], &[]).unwrap_err();
        assert_eq!(error.to_string(), "plug into bridge absent: no such bridge");
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let wanted = endpoint("br0", &["172.30.0.2/24"], &["10.9.9.9"]);
        let error = make(&driver, &[wanted], &[]).unwrap_err();
        assert_eq!(error.to_string(), "set up interface eth0");
        let BridgeError::Kernel { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.errno(), Some(Errno::NETUNREACH));
        assert!(source.to_string().starts_with("add route default"), "{source}");
        while crate::world::links().len() > 2 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
}

#[test]
fn a_running_sandbox_is_connected_to_another_network_and_disconnected() {
    on_a_host(|| {
        let driver = driver();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        driver.ensure_bridge(&network("br1", &["172.30.1.1/24"])).unwrap();
        let a = crate::world::sandbox(&driver, "br0", "172.30.0.2");
        let b = crate::world::sandbox(&driver, "br1", "172.30.1.3");
        let mut second = endpoint("br1", &["172.30.1.2/24"], &[]);
        second.interface = name("eth1");
        driver.connect(&a, &second).unwrap();
        let server = listen(&a, 80);
        assert!(talk_from(&b, &server, "172.30.1.2:80").is_some());
        assert_eq!(read(&a, "/proc/sys/net/ipv6/conf/eth1/disable_ipv6"), "1");
        let counted = driver.statistics(&a).unwrap();
        assert_eq!(counted.len(), 2);
        assert_eq!(counted[1].0, "eth1");
        assert!(counted[1].1.rx_bytes > 0 && counted[1].1.tx_packets > 0, "{counted:?}");
        driver.disconnect(&a, &name("eth1")).unwrap();
        driver.disconnect(&a, &name("eth1")).unwrap();
        assert_eq!(talk_from(&b, &server, "172.30.1.2:80"), None);
        assert_eq!(driver.statistics(&a).unwrap().len(), 1);
    });
}

#[test]
fn a_connection_that_fails_leaves_the_running_sandbox_as_it_was() {
    on_a_host(|| {
        let driver = driver();
        driver.ensure_bridge(&network("br0", &["172.30.0.1/24"])).unwrap();
        let a = crate::world::sandbox(&driver, "br0", "172.30.0.2");
        let mut second = endpoint("br0", &["172.30.0.3/24"], &["172.30.0.1"]);
        second.interface = name("eth1");
        let error = driver.connect(&a, &second).unwrap_err();
        assert_eq!(error.to_string(), "set up interface eth1", "there is a default route");
        assert_eq!(driver.statistics(&a).unwrap().len(), 1);
        let error = driver.disconnect(&a, &name("lo")).unwrap_err();
        assert!(matches!(error, BridgeError::NotAnEndpoint { .. }));
        let host = Namespace::current().unwrap();
        let error = driver.connect(&host, &second).unwrap_err();
        assert_eq!(
            error.to_string(),
            "enter the sandbox of eth1: it is the host's network namespace"
        );
        assert_eq!(error.class(), spec::Class::Forbidden);
    });
}

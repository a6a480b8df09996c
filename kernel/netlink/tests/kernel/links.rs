//! Links, addresses and routes in fresh namespaces, judged by `ip -j`.

use crate::support::{in_a_new_namespace, json, name};
use netlink::address::Address;
use netlink::link::{BridgeSpec, LinkChange, PortSpec, VethSpec};
use netlink::route::Route;
use netlink::{Batch, Mac, Namespace, NetlinkError, RouteSocket};
use rustix::io::Errno;
use std::net::IpAddr;
use std::os::fd::AsFd;

fn bridge(batch: &mut Batch, text: &str) {
    batch.create_bridge(&BridgeSpec {
        name: &name(text),
        mac: Some(Mac::parse("02:42:00:00:00:01").unwrap()),
        mtu: Some(1400),
    });
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_bridge_has_what_was_asked_for() {
    in_a_new_namespace(|| {
        let mut socket = RouteSocket::open().unwrap();
        let mut batch = Batch::new();
        bridge(&mut batch, "br0");
        batch.set_no_link_local(&name("br0"));
        batch.set_alias(&name("br0"), "our bridge");
        batch.set_up_by_name(&name("br0"));
        socket.run(batch).unwrap();
        let link = socket.link("br0").unwrap();
        assert_eq!(
            (link.kind.as_str(), link.alias.as_str(), link.up),
            ("bridge", "our bridge", true)
        );
        let mut batch = Batch::new();
        batch.set_route_localnet(link.index, "br0", true);
        batch.add_address(Address { link: link.index, address: ip("10.1.0.1"), prefix: 24 });
        batch.add_address(Address { link: link.index, address: ip("fd00::1"), prefix: 64 });
        socket.run(batch).unwrap();
        let shown = &json(&["ip", "-j", "-d", "addr", "show", "br0"])[0];
        assert_eq!(shown["address"], "02:42:00:00:00:01");
        assert_eq!(shown["mtu"], 1400);
        assert_eq!(shown["linkinfo"]["info_data"]["stp_state"], 0);
        let addresses = shown["addr_info"].as_array().unwrap();
        assert_eq!(addresses.len(), 2, "no link-local address: {addresses:?}");
        assert_eq!(addresses[0]["local"], "10.1.0.1");
        assert_eq!(addresses[0]["broadcast"], "10.1.0.255");
        assert_eq!(addresses[1]["local"], "fd00::1");
        let ours: Vec<_> =
            socket.addresses().unwrap().into_iter().filter(|a| a.link == link.index).collect();
        assert_eq!(ours.len(), 2);
    });
}

#[test]
fn a_veth_pair_is_made_and_connected_in_one_message() {
    in_a_new_namespace(|| {
        let mut socket = RouteSocket::open().unwrap();
        let (inside, mut inner) = Namespace::create(RouteSocket::open).unwrap();
        let mut batch = Batch::new();
        bridge(&mut batch, "br0");
        batch.set_up_by_name(&name("br0"));
        socket.run(batch).unwrap();
        let master = socket.link("br0").unwrap().index;
        let mut batch = Batch::new();
        batch.create_veth(&VethSpec {
            name: &name("veth0"),
            master: Some(master),
            group: 77,
            mtu: Some(1400),
            peer_name: &name("eth0"),
            peer_mac: Some(Mac::parse("02:42:0a:01:00:02").unwrap()),
            peer_namespace: Some(inside.as_fd()),
        });
        let port = PortSpec { hairpin: true, isolated: true };
        batch.set_port(&name("veth0"), port);
        socket.run(batch).unwrap();
        let host = socket.link("veth0").unwrap();
        assert_eq!((host.master, host.group, host.up), (master, 77, true));
        assert_eq!(host.port, Some(port));
        assert!(host.peer_elsewhere);
        let peer = inner.link("eth0").unwrap();
        assert_eq!((peer.mac, peer.mtu, peer.up), ([2, 0x42, 10, 1, 0, 2], 1400, false));
        assert_eq!(host.peer, peer.index);
        let mut batch = Batch::new();
        batch.set_up(peer.index, "eth0", true);
        batch.add_address(Address { link: peer.index, address: ip("10.1.0.2"), prefix: 24 });
        batch.add_route(Route::default_over(ip("10.1.0.1"), peer.index));
        inner.run(batch).unwrap();
        let routes = inner.routes().unwrap();
        assert!(routes.contains(&Route::default_over(ip("10.1.0.1"), peer.index)), "{routes:?}");
        inside
            .run(|| {
                let shown = json(&["ip", "-j", "route"]);
                assert_eq!(shown[0]["dst"], "default");
                assert_eq!(shown[0]["gateway"], "10.1.0.1");
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn links_are_renamed_moved_between_bridges_and_deleted() {
    in_a_new_namespace(|| {
        let mut socket = RouteSocket::open().unwrap();
        let mut batch = Batch::new();
        bridge(&mut batch, "br0");
        batch.create_veth(&VethSpec {
            name: &name("a"),
            master: None,
            group: 0,
            mtu: None,
            peer_name: &name("b"),
            peer_mac: None,
            peer_namespace: None,
        });
        socket.run(batch).unwrap();
        let (bridge, link) = (socket.link("br0").unwrap(), socket.link("a").unwrap());
        let mut batch = Batch::new();
        batch.set_master(link.index, "a", bridge.index);
        batch.set_up(link.index, "a", false);
        batch.rename(link.index, "a", &name("c"));
        socket.run(batch).unwrap();
        let link = socket.find_link_by_index(link.index).unwrap().unwrap();
        assert_eq!((link.name.as_str(), link.master, link.up), ("c", bridge.index, false));
        let mut batch = Batch::new();
        let change = LinkChange {
            up: true,
            mac: Some(Mac::parse("02:42:00:00:00:09").unwrap()),
            mtu: Some(1300),
            group: Some(9),
            master: Some(0),
        };
        batch.change_link(link.index, "c", change);
        batch.change_link(link.index, "c", LinkChange::default());
        socket.run(batch).unwrap();
        let link = socket.link("c").unwrap();
        assert_eq!((link.up, link.mtu, link.group, link.master), (true, 1300, 9, 0));
        assert_eq!(link.mac, [2, 0x42, 0, 0, 0, 9]);
        let mut batch = Batch::new();
        batch.set_master(link.index, "c", bridge.index);
        batch.delete_link(link.index, "c");
        batch.delete_link(bridge.index, "br0");
        socket.run(batch).unwrap();
        let left: Vec<_> = socket.links().unwrap().into_iter().map(|l| l.name).collect();
        assert_eq!(left, ["lo"]);
    });
}

#[test]
fn a_refusal_names_operation_object_and_cause_and_spares_the_rest() {
    in_a_new_namespace(|| {
        let mut socket = RouteSocket::open().unwrap();
        let mut batch = Batch::new();
        bridge(&mut batch, "br0");
        bridge(&mut batch, "br0");
        bridge(&mut batch, "br1");
        let error = socket.run(batch).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EXIST));
        assert!(error.to_string().starts_with("create bridge br0"), "{error}");
        assert!(
            socket.find_link("br1").unwrap().is_some(),
            "requests behind the refusal are tried"
        );
        let mut batch = Batch::new();
        bridge(&mut batch, "br0");
        batch.tolerate(Errno::EXIST);
        socket.run(batch).unwrap();
        assert!(socket.find_link("absent").unwrap().is_none());
        let missing = socket.link("absent").unwrap_err();
        assert!(matches!(missing, NetlinkError::Missing { kind: "link", .. }));
    });
}

#[test]
fn a_batch_larger_than_the_receive_buffer_is_acknowledged_in_full() {
    in_a_new_namespace(|| {
        let mut socket = RouteSocket::open().unwrap();
        let mut batch = Batch::new();
        for host in 1..=1000u32 {
            let address = IpAddr::from((0x0a00_0000 + host).to_be_bytes());
            batch.add_address(Address { link: 1, address, prefix: 32 });
        }
        socket.run(batch).unwrap();
        let count = socket.addresses().unwrap().iter().filter(|a| a.address.is_ipv4()).count();
        assert_eq!(count, 1001, "127.0.0.1 and ours");
    });
}

#[test]
fn a_namespace_ends_with_its_last_descriptor() {
    in_a_new_namespace(|| {
        let mut socket = RouteSocket::open().unwrap();
        let (inside, inner) = Namespace::create(RouteSocket::open).unwrap();
        let copy = inside.try_clone().unwrap();
        let mut batch = Batch::new();
        batch.create_veth(&VethSpec {
            name: &name("veth0"),
            master: None,
            group: 0,
            mtu: None,
            peer_name: &name("eth0"),
            peer_mac: None,
            peer_namespace: Some(copy.as_fd()),
        });
        socket.run(batch).unwrap();
        drop((inside, inner));
        assert!(socket.find_link("veth0").unwrap().is_some());
        drop(copy);
        while socket.find_link("veth0").unwrap().is_some() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
}

#[test]
fn entering_what_is_no_namespace_is_refused() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let error = Namespace::from_fd(file.into()).route_socket().unwrap_err();
    assert_eq!(error.errno(), Some(Errno::INVAL));
    assert_eq!(error.to_string(), "enter network namespace");
}

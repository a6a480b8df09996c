//! What the tests share: a host, an outside, sandboxes, and ways to send something from one to another.

use bridge::pool::NamespacePool;
use bridge::{
    Attachment, Driver, Endpoint, Network, Opened, Permitted, Prefix, Published, SandboxSpec,
    Wanted,
};
use netlink::address::Address;
use netlink::link::VethSpec;
use netlink::route::Route;
use netlink::{Batch, InterfaceName, Mac, Namespace, RouteSocket};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

/// How long a packet that should not come is waited for: longer than a lost one takes to be sent once more.
const NEVER: Duration = Duration::from_millis(1500);

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn name(text: &str) -> InterfaceName {
    InterfaceName::parse(text).unwrap()
}

pub(crate) fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix::new(ip(address), length.parse().unwrap()).unwrap()
}

/// Runs `test` in a namespace that plays the host.
pub(crate) fn on_a_host(test: impl FnOnce() + Send) {
    Namespace::create(|| {
        let mut batch = Batch::new();
        batch.set_up(1, "lo", true);
        RouteSocket::open()?.run(batch)?;
        test();
        Ok(())
    })
    .unwrap();
}

/// A driver with two namespaces ready, so that a test sees some that were made ahead and some that were not.
pub(crate) fn driver() -> Driver {
    driver_with(2)
}

/// A driver whose pool is full.
pub(crate) fn driver_with(prepared: usize) -> Driver {
    let driver =
        Driver::open(NamespacePool::start(prepared).unwrap(), Permitted::default()).unwrap();
    assert!(driver.pool().wait_full(Duration::from_secs(10)));
    driver
}

/// A network with Docker's usual settings.
pub(crate) fn network(link: &str, gateways: &[&str]) -> Network {
    Network::plain(name(link), gateways.iter().map(|text| prefix(text)).collect())
}

/// Publishes exactly this port.
pub(crate) fn publish(driver: &Driver, port: Published) -> Result<(), bridge::BridgeError> {
    let Published { protocol, host, host_port, container, container_port } = port;
    let routes = vec![(Some(host), container)];
    let range = Some((host_port, host_port));
    driver.publish(&[Wanted { protocol, routes, range, container_port }]).map(|_| ())
}

/// Takes a port back.
pub(crate) fn unpublish(driver: &Driver, port: Published) {
    driver.release(&[port], &[] as &[Opened], &[port.container]).unwrap();
}

/// A namespace with these interfaces and sysctls.
pub(crate) fn make(
    driver: &Driver,
    endpoints: &[Endpoint],
    sysctls: &[(String, String)],
) -> Result<std::os::fd::OwnedFd, bridge::BridgeError> {
    let spec = SandboxSpec { endpoints, sysctls, ..SandboxSpec::default() };
    driver.create_sandbox(&spec).map(|sandbox| sandbox.namespace)
}

/// An endpoint `eth0` with these addresses, the gateway being the first address of each network.
pub(crate) fn endpoint(link: &str, addresses: &[&str], gateways: &[&str]) -> Endpoint {
    let addresses: Vec<Prefix> = addresses.iter().map(|text| prefix(text)).collect();
    let mac = match addresses.first().map(Prefix::address) {
        Some(IpAddr::V4(v4)) => Mac::from_ipv4(v4),
        Some(IpAddr::V6(v6)) => Mac::from_ipv4(Ipv4Addr::from_bits(v6.to_bits() as u32)),
        None => Mac::from_ipv4(Ipv4Addr::LOCALHOST),
    };
    Endpoint {
        attachment: Attachment::Bridge(name(link)),
        on_link: [false; 2],
        interface: name("eth0"),
        mac,
        addresses,
        gateways: gateways.iter().map(|text| ip(text)).collect(),
        mtu: None,
    }
}

/// A sandbox on a network 172.30.N.0/24 whose gateway is .1.
pub(crate) fn sandbox(driver: &Driver, link: &str, address: &str) -> Namespace {
    let gateway = address.rsplit_once('.').unwrap().0.to_owned() + ".1";
    let endpoint = endpoint(link, &[&format!("{address}/24")], &[&gateway]);
    Namespace::from_fd(make(driver, &[endpoint], &[]).unwrap())
}

/// A namespace outside: 203.0.113.2, with the host at 203.0.113.1 as its default route.
pub(crate) fn outside() -> Namespace {
    let mut host = RouteSocket::open().unwrap();
    let (outside, mut inner) = Namespace::create(RouteSocket::open).unwrap();
    let mut batch = Batch::new();
    batch.create_veth(&VethSpec {
        name: &name("ext0"),
        master: None,
        group: 0,
        mtu: None,
        peer_name: &name("out0"),
        peer_mac: None,
        peer_namespace: Some(outside.as_fd()),
    });
    host.run(batch).unwrap();
    let link = inner.link("out0").unwrap().index;
    let mut batch = Batch::new();
    batch.set_up(1, "lo", true);
    batch.set_up(link, "out0", true);
    batch.add_address(Address { link, address: ip("203.0.113.2"), prefix: 24 });
    batch.add_route(Route::default_over(ip("203.0.113.1"), link));
    inner.run(batch).unwrap();
    let mut batch = Batch::new();
    let link = host.link("ext0").unwrap().index;
    batch.add_address(Address { link, address: ip("203.0.113.1"), prefix: 24 });
    host.run(batch).unwrap();
    outside
}

/// A listener in a namespace; the socket stays there, whoever uses it.
pub(crate) fn listen(namespace: &Namespace, port: u16) -> TcpListener {
    let any: IpAddr = ip("::");
    namespace.run(|| Ok(TcpListener::bind((any, port)).unwrap())).unwrap()
}

/// Connects from the calling thread's namespace and exchanges a few bytes; answers the address from which the
/// listener saw it come, or `None` when nothing came.
pub(crate) fn talk(listener: &TcpListener, to: &str) -> Option<IpAddr> {
    let to: SocketAddr = to.parse().unwrap();
    let mut client = match TcpStream::connect_timeout(&to, NEVER) {
        Ok(client) => client,
        Err(_) => return None,
    };
    client.write_all(b"ping").unwrap();
    let (mut server, from) = listener.accept().unwrap();
    let mut bytes = [0; 4];
    server.read_exact(&mut bytes).unwrap();
    server.write_all(b"pong").unwrap();
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"pong");
    Some(from.ip().to_canonical())
}

/// [`talk`] from inside a namespace.
pub(crate) fn talk_from(from: &Namespace, listener: &TcpListener, to: &str) -> Option<IpAddr> {
    from.run(|| Ok(talk(listener, to))).unwrap()
}

/// The output of a command that must succeed, run in the calling thread's namespace.
pub(crate) fn output(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn json(command: &[&str]) -> serde_json::Value {
    serde_json::from_str(&output(command)).unwrap()
}

/// The names of the host's links, without those that wait in a pool.
pub(crate) fn links() -> Vec<String> {
    const WAITING: u32 = 0x00c0_ffee;
    let links = RouteSocket::open().unwrap().links().unwrap();
    links.into_iter().filter(|link| link.group != WAITING).map(|link| link.name).collect()
}

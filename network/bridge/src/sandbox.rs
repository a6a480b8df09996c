//! One network namespace: prepared, then furnished with interfaces.

use crate::error::during;
use crate::host::{read_sysctl, write_sysctl};
use crate::veth::{self, HostEnd};
use crate::{BridgeError, Endpoint};
use netlink::address::Address;
use netlink::link::LinkChange;
use netlink::route::Route;
use netlink::{Batch, InterfaceName, Namespace, NetlinkError, RouteSocket};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// What Docker sets in each container's namespace (ports below 1024 and ping for everybody): set ahead, since nearly
/// every sandbox asks for it, and set back for one that does not.
const USUAL: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];

/// The setting that a new interface of the namespace begins with.
const DEFAULT_DISABLE_IPV6: &str = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
const FIRST_DISABLE_IPV6: &str = "/proc/sys/net/ipv6/conf/eth0/disable_ipv6";

/// The name of the interface that is made ahead: what the first interface of nearly every container is called.
pub(crate) const FIRST: &str = "eth0";

/// A veth pair that waits: its end in the namespace is [`FIRST`], up, without IPv6 and addresses.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) host: HostEnd,
    inside: u32,
    /// As [`Prepared::disable_ipv6`], of this interface.
    disable_ipv6: Option<File>,
}

/// A namespace with its loopback up, in which new interfaces begin without IPv6.
#[derive(Debug)]
pub(crate) struct Prepared {
    namespace: Namespace,
    socket: RouteSocket,
    /// Open for writing; a file of procfs stays one of the namespace in which it was opened. None: no IPv6 here.
    disable_ipv6: Option<File>,
    /// The sysctls of [`USUAL`] that have been set: index, and the value from before.
    set_ahead: Vec<(usize, String)>,
    pair: Option<Pair>,
}

impl Prepared {
    /// Makes a namespace and prepares it. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN.
    pub(crate) fn make() -> Result<Self, NetlinkError> {
        let (namespace, (socket, disable_ipv6, set_ahead)) = Namespace::create(|| {
            let mut socket = RouteSocket::open()?;
            let mut batch = Batch::new();
            batch.set_up(1, "lo", true);
            socket.run(batch)?;
            Ok((socket, begin_without_ipv6(), set_usual_sysctls()))
        })?;
        Ok(Self { namespace, socket, disable_ipv6, set_ahead, pair: None })
    }

    /// Makes a veth pair ahead, its other end in the namespace of `host`.
    pub(crate) fn add_pair(&mut self, host: &mut RouteSocket) -> Result<(), NetlinkError> {
        let name = InterfaceName::parse(FIRST).expect("a constant that is a name");
        let host = veth::make_waiting(host, &name, self.namespace.as_fd())?;
        let inside = self.socket.link(FIRST)?.index;
        let mut batch = Batch::new();
        batch.set_up(inside, FIRST, true);
        self.socket.run(batch)?;
        let disable_ipv6 =
            self.namespace.run(|| Ok(File::options().write(true).open(FIRST_DISABLE_IPV6).ok()))?;
        self.pair = Some(Pair { host, inside, disable_ipv6 });
        Ok(())
    }

    /// The pair that was made ahead, for an interface of its name.
    pub(crate) fn take_pair(&mut self, interface: &InterfaceName) -> Option<Pair> {
        self.pair.take_if(|_| interface.as_str() == FIRST)
    }

    /// The namespace itself.
    pub(crate) fn namespace_ref(&self) -> &Namespace {
        &self.namespace
    }

    pub(crate) fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Says whether the interface that is made next has IPv6: only one with an address of it, so that no container
    /// talks over link-local addresses that nobody gave it.
    pub(crate) fn next_interface(&self, ipv6: bool) -> Result<(), BridgeError> {
        disable_ipv6(self.disable_ipv6.as_ref(), "default", !ipv6)
    }

    /// Gives an interface that was made ahead what its endpoint says.
    pub(crate) fn adapt(
        &mut self,
        pair: &Pair,
        endpoint: &Endpoint,
        mtu: Option<u32>,
    ) -> Result<(), BridgeError> {
        let change = LinkChange { up: true, mac: Some(endpoint.mac), mtu, ..LinkChange::default() };
        let mut batch = Batch::new();
        batch.change_link(pair.inside, FIRST, change);
        if endpoint.has_ipv6() {
            disable_ipv6(pair.disable_ipv6.as_ref(), FIRST, false)?;
        }
        settle(&mut self.socket, endpoint, pair.inside, batch)
    }

    /// Brings an interface up that has just been made in the namespace, with its addresses and routes.
    pub(crate) fn furnish(&mut self, endpoint: &Endpoint) -> Result<(), BridgeError> {
        let name = endpoint.interface.as_str();
        let link = self.socket.link(name).map_err(during("set up interface", name))?.index;
        let mut batch = Batch::new();
        batch.set_up(link, name, true);
        settle(&mut self.socket, endpoint, link, batch)
    }

    /// Ends the preparation: sets the sysctls, and takes back what was set ahead and is not wanted.
    pub(crate) fn finish(self, sysctls: &[(String, String)]) -> Result<OwnedFd, BridgeError> {
        self.next_interface(true)?;
        let is_set = |name: &str, value: &str| {
            self.set_ahead.iter().any(|(index, _)| USUAL[*index] == (name, value))
        };
        let mut left: Vec<(&str, &str)> = Vec::new();
        for (index, before) in &self.set_ahead {
            let name = USUAL[*index].0;
            if !sysctls.iter().any(|(wanted, _)| wanted == name) {
                left.push((name, before));
            }
        }
        left.extend(
            sysctls
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .filter(|(name, value)| !is_set(name, value)),
        );
        if !left.is_empty() {
            self.write_inside(&left)?;
        }
        Ok(self.namespace.into_fd())
    }

    fn write_inside(&self, sysctls: &[(&str, &str)]) -> Result<(), BridgeError> {
        self.namespace
            .run(|| Ok(sysctls.iter().try_for_each(|(name, value)| write_sysctl(name, value))))
            .map_err(during("enter", "sandbox"))?
    }
}

/// Gives an interface its addresses and routes, behind what the batch does with it already.
pub(crate) fn settle(
    inside: &mut RouteSocket,
    endpoint: &Endpoint,
    link: u32,
    mut batch: Batch,
) -> Result<(), BridgeError> {
    for prefix in &endpoint.addresses {
        let (address, prefix) = (prefix.address(), prefix.length());
        batch.add_address(Address { link, address, prefix });
    }
    for gateway in &endpoint.gateways {
        batch.add_route(Route::default_over(*gateway, link));
    }
    for ipv6 in [false, true].into_iter().filter(|ipv6| endpoint.on_link[usize::from(*ipv6)]) {
        batch.add_route(default_on(link, ipv6));
    }
    inside.run(batch).map_err(during("set up interface", endpoint.interface.as_str()))
}

/// The default route over a link whose neighbours are everybody.
pub(crate) fn default_on(link: u32, ipv6: bool) -> Route {
    let destination: IpAddr =
        if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    Route { destination, prefix: 0, gateway: None, link, metric: 0 }
}

/// Writes a `disable_ipv6`, if there is one to write.
fn disable_ipv6(file: Option<&File>, interface: &str, disable: bool) -> Result<(), BridgeError> {
    let Some(file) = file else { return Ok(()) };
    let value = if disable { "1" } else { "0" };
    file.write_all_at(value.as_bytes(), 0).map_err(|source| BridgeError::Sysctl {
        name: format!("net.ipv6.conf.{interface}.disable_ipv6"),
        value: value.to_owned(),
        source,
    })
}

/// Where procfs is read-only or the kernel has no IPv6, interfaces are left as the kernel makes them.
fn begin_without_ipv6() -> Option<File> {
    let file = File::options().read(true).write(true).open(DEFAULT_DISABLE_IPV6).ok()?;
    file.write_all_at(b"1", 0).ok()?;
    Some(file)
}

fn set_usual_sysctls() -> Vec<(usize, String)> {
    let mut set = Vec::new();
    for (index, (name, value)) in USUAL.iter().enumerate() {
        let Some(before) = read_sysctl(name) else { continue };
        if write_sysctl(name, value).is_ok() {
            set.push((index, before));
        }
    }
    set
}

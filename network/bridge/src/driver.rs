//! The driver: bridges, and sandboxes plugged into them.

use crate::error::{during, firewall as firewall_failed};
use crate::firewall::Firewall;
use crate::network::GatewayMode;
use crate::pool::NamespacePool;
use crate::published::{Opened, Published, Wanted};
use crate::reserve::Reserved;
use crate::sandbox::{FIRST, Prepared};
use crate::veth::{self, Bridge};
use crate::{Attachment, BridgeError, Endpoint, Network, Prefix, Resolver, host, resolver};
use netlink::address::Address;
use netlink::link::{BridgeSpec, LinkChange};
use netlink::link_info::Link;
use netlink::{
    Batch, InterfaceName, Mac, Namespace, NetfilterSocket, NetlinkError, RouteSocket, RuleMonitor,
};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a link that has just come up is waited for: 100 ms in all.
const OPERATIONAL_TRIES: usize = 200;
const OPERATIONAL_PAUSE: Duration = Duration::from_micros(500);

/// The link-local address of every bridge with IPv6.
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// Behind the loopback's own route to `::1`, so that nobody else ever takes ours.
const LOOPBACK6_METRIC: u32 = 4096;

#[derive(Debug)]
struct State {
    route: RouteSocket,
    filter: NetfilterSocket,
    firewall: Firewall,
    reserved: Reserved,
    bridges: BTreeMap<String, Bridge>,
    permitted: Permitted,
    /// What an earlier driver had published.
    adopted: (BTreeSet<Published>, BTreeSet<Opened>),
}

/// What there shall be, for [`Driver::reconcile`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ByRight<'a> {
    /// Bridges.
    pub bridges: &'a [InterfaceName],
    /// Published ports.
    pub ports: &'a [Published],
    /// Ports that are open at containers' own addresses.
    pub opened: &'a [Opened],
    /// The addresses of containers.
    pub living: &'a [IpAddr],
}

/// What of the host root lets networks use, besides what this engine made.
#[derive(Debug, Clone, Default)]
pub struct Permitted {
    /// Bridges that somebody else made.
    pub bridges: Vec<String>,
    /// Links that interfaces may be put over; `None` for all.
    pub parents: Option<Vec<String>>,
}

/// What a sandbox shall have.
#[derive(Debug, Clone, Default)]
pub struct SandboxSpec<'a> {
    /// Its interfaces.
    pub endpoints: &'a [Endpoint],
    /// Its sysctls, by dotted name.
    pub sysctls: &'a [(String, String)],
    /// The ports of the host that lead to it.
    pub ports: &'a [Wanted],
    /// Whether it gets sockets for a name server.
    pub resolver: bool,
}

/// A sandbox that was made.
#[derive(Debug)]
pub struct Sandbox {
    /// The namespace.
    pub namespace: OwnedFd,
    /// What was published.
    pub published: (Vec<Published>, Vec<Opened>),
    /// The sockets for a name server.
    pub resolver: Option<Resolver>,
}

/// The bridge driver of one network namespace, the host's.
#[derive(Debug)]
pub struct Driver {
    state: Mutex<State>,
    pool: NamespacePool,
    host: Namespace,
    /// None where the kernel has no nftables.
    monitor: Option<RuleMonitor>,
}

impl Driver {
    /// The driver of the calling thread's network namespace, with what an earlier one left there. Its pool holds
    /// `prepared` namespaces. Nothing is changed before the first request.
    pub fn open(pool: NamespacePool, permitted: Permitted) -> Result<Self, BridgeError> {
        let failed = || during("read", "bridges");
        let mut route = RouteSocket::open().map_err(failed())?;
        let mut filter = NetfilterSocket::open().map_err(firewall_failed)?;
        let mut bridges = BTreeMap::new();
        let addresses = route.addresses().map_err(failed())?;
        let mut networks = Vec::new();
        for link in route.links().map_err(failed())? {
            let Some(mut network) = ours(&link) else { continue };
            let of_link = addresses.iter().filter(|a| a.link == link.index);
            network.gateways = of_link.filter_map(|a| Prefix::new(a.address, a.prefix)).collect();
            let bridge = Bridge { index: link.index, icc: network.icc, mtu: Some(link.mtu) };
            bridges.insert(link.name, bridge);
            networks.push(network);
        }
        let monitor = RuleMonitor::open().ok();
        let firewall = Firewall::adopt(&mut filter, networks)?;
        let reserved = Reserved::adopt(firewall.published());
        let adopted = (firewall.published.clone(), firewall.opened.clone());
        let state = State { route, filter, firewall, reserved, bridges, permitted, adopted };
        let host = Namespace::current().map_err(failed())?;
        Ok(Self { state: Mutex::new(state), pool, host, monitor })
    }

    /// Becomes readable when somebody has changed the packet filter; [`Driver::rules_changed`] is due then.
    pub fn monitor(&self) -> Option<BorrowedFd<'_>> {
        self.monitor.as_ref().map(AsFd::as_fd)
    }

    /// Looks whether the rules are still whole after somebody changed some, and makes them again if not; answers
    /// whether they were.
    pub fn rules_changed(&self) -> Result<bool, BridgeError> {
        if let Some(monitor) = &self.monitor {
            monitor.drain();
        }
        let mut state = self.state();
        let State { filter, firewall, .. } = &mut *state;
        firewall.check(filter)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A state that a panic left behind is still what the kernel acknowledged so far.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host's own namespace.
    pub(crate) fn host(&self) -> &Namespace {
        &self.host
    }

    /// Does something with the host's links and the bridge of an endpoint, under the driver's lock.
    pub(crate) fn with_bridge<T>(
        &self,
        endpoint: &Endpoint,
        work: impl FnOnce(&mut RouteSocket, &Bridge) -> Result<T, BridgeError>,
    ) -> Result<T, BridgeError> {
        let mut state = self.state();
        let bridge = state.bridge_of(endpoint)?;
        work(&mut state.route, &bridge)
    }

    /// The prepared namespaces.
    pub fn pool(&self) -> &NamespacePool {
        &self.pool
    }

    /// Makes a bridge with its rules, or brings one of ours into this form. A bridge that somebody else made is refused
    /// unless it is permitted; then it is used as it is: it gets the addresses that it lacks, and loses nothing.
    pub fn ensure_bridge(&self, network: &Network) -> Result<(), BridgeError> {
        let mut state = self.state();
        let state = &mut *state;
        let link = state.ensure_link(network)?;
        let bridge = Bridge { index: link.index, icc: network.icc, mtu: network.mtu };
        state.bridges.insert(link.name, bridge);
        let families: &[bool] = match network.has_ipv6() {
            _ if network.internal => &[],
            true => &[false, true],
            false => &[false],
        };
        let routed = |ipv6: &&bool| network.mode(**ipv6) != GatewayMode::Isolated;
        let families: Vec<bool> = families.iter().filter(routed).copied().collect();
        // Nobody else relies on forwarding where it is off. The rules come first: nothing is forwarded without them.
        for ipv6 in families.iter().filter(|ipv6| !host::forwards(**ipv6)) {
            state.firewall.drop_others(*ipv6);
        }
        state.firewall.ensure_network(&mut state.filter, network)?;
        families.iter().try_for_each(|ipv6| host::ensure_forwarding(*ipv6))
    }

    /// Removes a bridge of ours and its rules; of somebody else's bridge only the rules. A bridge into which
    /// something is plugged is not removed; one that is gone is no error.
    pub fn remove_bridge(&self, link: &InterfaceName) -> Result<(), BridgeError> {
        let mut state = self.state();
        let state = &mut *state;
        let name = link.as_str();
        let links = state.route.links().map_err(during("remove bridge", name))?;
        if let Some(bridge) = links.iter().find(|l| l.name == name)
            && ours(bridge).is_some()
        {
            let ports = links.iter().filter(|l| l.master == bridge.index).count();
            if ports > 0 {
                return Err(BridgeError::InUse { link: name.to_owned(), ports });
            }
            state.delete_links(std::slice::from_ref(bridge))?;
        }
        state.bridges.remove(name);
        state.firewall.remove_networks(&mut state.filter, |link| link == name)
    }

    /// Makes a sandbox. It lives as long as the descriptor, or a process in it; its ports until they are taken back.
    pub fn create_sandbox(&self, spec: &SandboxSpec<'_>) -> Result<Sandbox, BridgeError> {
        // From the pool before the lock is taken: without a stock it takes a while.
        let first = |endpoint: &Endpoint| {
            endpoint.interface.as_str() == FIRST && endpoint.attachment.bridge().is_some()
        };
        let with_pair = spec.endpoints.iter().any(first);
        let mut sandbox = self.pool.take(with_pair).map_err(during("create", "sandbox"))?;
        for endpoint in spec.endpoints {
            self.furnish(&mut sandbox, endpoint)?;
        }
        let resolver =
            spec.resolver.then(|| resolver::open(sandbox.namespace_ref())).transpose()?;
        let namespace = sandbox.finish(spec.sysctls)?;
        // Last, for it is what somebody would have to undo.
        let published = self.publish(spec.ports)?;
        Ok(Sandbox { namespace, published, resolver })
    }

    fn furnish(&self, sandbox: &mut Prepared, endpoint: &Endpoint) -> Result<(), BridgeError> {
        let bridge_name = endpoint.attachment.link().as_str();
        let pair = match endpoint.attachment.bridge() {
            Some(_) => sandbox.take_pair(&endpoint.interface),
            None => None,
        };
        let Some(pair) = pair else {
            sandbox.next_interface(endpoint.has_ipv6())?;
            let end = self.attach(endpoint, sandbox.namespace())?;
            sandbox.furnish(endpoint)?;
            self.wait_for_both(endpoint, end.as_ref());
            return Ok(());
        };
        let mtu = self.with_bridge(endpoint, |_, bridge| Ok(bridge.mtu_of(endpoint)))?;
        sandbox.adapt(&pair, endpoint, mtu)?;
        self.with_bridge(endpoint, |route, bridge| {
            veth::plug_waiting(route, &pair.host, bridge, endpoint)
        })?;
        self.wait_for(bridge_name);
        Ok(())
    }

    /// Makes the interface of an endpoint, down, in the namespace; answers the name of the host's end, if there is one.
    pub(crate) fn attach(
        &self,
        endpoint: &Endpoint,
        namespace: BorrowedFd<'_>,
    ) -> Result<Option<InterfaceName>, BridgeError> {
        match &endpoint.attachment {
            Attachment::Bridge(_) => self
                .with_bridge(endpoint, |route, bridge| {
                    veth::plug_new(route, bridge, endpoint, namespace)
                })
                .map(Some),
            Attachment::Over(parent, kind) => {
                let mut state = self.state();
                if let Some(parents) = &state.permitted.parents
                    && !parents.iter().any(|allowed| allowed == parent.as_str())
                {
                    return Err(BridgeError::ParentDenied { link: parent.to_string() });
                }
                veth::put_over(&mut state.route, parent, *kind, endpoint, namespace)?;
                Ok(None)
            }
        }
    }

    /// [`Driver::wait_for`] the host's end of an endpoint, and its bridge.
    pub(crate) fn wait_for_both(&self, endpoint: &Endpoint, end: Option<&InterfaceName>) {
        if let Some(end) = end {
            self.wait_for(end.as_str());
            self.wait_for(endpoint.attachment.link().as_str());
        }
    }

    /// Waits until a link is operational. The kernel activates the queue of a new link, and of a bridge that gets its
    /// first port, a little later and on a thread of its own; a packet that is sent before is lost, and whoever
    /// sent it waits a second and more until it tries again. After a while we go on all the same.
    pub(crate) fn wait_for(&self, link: &str) {
        for _ in 0..OPERATIONAL_TRIES {
            match self.state().route.find_link(link) {
                Ok(Some(link)) if !link.operational => {}
                _ => return,
            }
            std::thread::sleep(OPERATIONAL_PAUSE);
        }
    }

    /// The networks that the host has routes to, without default routes and without those of our own bridges.
    pub fn host_routes(&self) -> Result<Vec<Prefix>, BridgeError> {
        let mut state = self.state();
        let failed = || during("read", "routes");
        let links = state.route.links().map_err(failed())?;
        let own: Vec<u32> = links.iter().filter(|l| ours(l).is_some()).map(|l| l.index).collect();
        let mut all: Vec<Prefix> = state
            .route
            .routes()
            .map_err(failed())?
            .into_iter()
            .filter(|route| route.prefix > 0 && !own.contains(&route.link))
            .filter_map(|route| Prefix::new(route.destination, route.prefix))
            .collect();
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Removes each bridge of ours that is not in the list, with what is plugged into it, and each rule for another
    /// bridge; then ports that are not in their lists, and connections of addresses in our networks that are not in
    /// theirs. Ports that are missing are published again. Answers the names of the bridges that were removed.
    /// Unless that is `complete`, ports that this driver published itself stay in any case.
    pub fn reconcile(
        &self,
        by_right: &ByRight<'_>,
        complete: bool,
    ) -> Result<Vec<String>, BridgeError> {
        let mut state = self.state();
        let state = &mut *state;
        let known = |name: &str| by_right.bridges.iter().any(|link| link.as_str() == name);
        let links = state.route.links().map_err(during("read", "bridges"))?;
        let strays: Vec<Link> =
            links.iter().filter(|l| ours(l).is_some() && !known(&l.name)).cloned().collect();
        // Ends that are in no bridge any more, and those in a bridge that goes.
        let lost = |link: &&Link| {
            link.group == veth::GROUP
                && link.kind == "veth"
                && (link.master == 0 || strays.iter().any(|s| s.index == link.master))
        };
        let mut gone: Vec<Link> = links.iter().filter(lost).cloned().collect();
        gone.extend(strays.iter().cloned());
        state.delete_links(&gone)?;
        state.bridges.retain(|name, _| known(name));
        state.firewall.remove_networks(&mut state.filter, |link| !known(link))?;
        state.reconcile_ports(by_right, complete)?;
        if state.firewall.networks().next().is_some() {
            state.firewall.forget_strays(&mut state.filter, by_right.living)?;
        }
        Ok(strays.into_iter().map(|link| link.name).collect())
    }

    /// Publishes ports of the host, all or none.
    pub fn publish(&self, wanted: &[Wanted]) -> Result<(Vec<Published>, Vec<Opened>), BridgeError> {
        if wanted.is_empty() {
            return Ok(Default::default());
        }
        let mut state = self.state();
        let State { filter, firewall, reserved, .. } = &mut *state;
        for (_, container) in wanted.iter().flat_map(|one| &one.routes) {
            let mut subnets = firewall.networks().flat_map(Network::subnets);
            if !subnets.any(|subnet| subnet.contains(*container)) {
                return Err(BridgeError::NotOurs { address: *container });
            }
        }
        let chosen = reserved.choose(wanted)?;
        firewall.publish(filter, &chosen.published, &chosen.opened)?;
        let opened = chosen.opened.clone();
        Ok((reserved.keep(chosen), opened))
    }

    /// Takes published ports back, and forgets the connections of addresses that are nobody's any more. Ports that are
    /// not published are no error.
    pub fn release(
        &self,
        ports: &[Published],
        opened: &[Opened],
        addresses: &[IpAddr],
    ) -> Result<(), BridgeError> {
        let mut state = self.state();
        let State { filter, firewall, reserved, .. } = &mut *state;
        firewall.unpublish(filter, ports, opened)?;
        reserved.release(ports);
        firewall.forget_addresses(filter, addresses)
    }

    /// Opens sockets for a name server in a sandbox, instead of those that it had.
    pub fn open_resolver(&self, sandbox: &Namespace) -> Result<Resolver, BridgeError> {
        self.refuse_host(sandbox, "name server")?;
        resolver::open(sandbox)
    }

    /// The ports that are published now.
    pub fn published(&self) -> Vec<Published> {
        self.state().firewall.published().copied().collect()
    }
}

/// The network whose bridge this link is, when it is one of ours.
fn ours(link: &Link) -> Option<Network> {
    if link.kind != "bridge" {
        return None;
    }
    Network::from_alias(InterfaceName::parse(&link.name).ok()?, &link.alias)
}

impl State {
    fn ensure_link(&mut self, network: &Network) -> Result<Link, BridgeError> {
        let name = network.link.as_str();
        let failed = || during("create bridge", name);
        let found = self.route.find_link(name).map_err(failed())?;
        self.refuse_hijack(network, found.as_ref())?;
        let (link, is_ours) = match found {
            None => (self.create_link(network)?, true),
            Some(link) if link.kind != "bridge" => {
                let kind = if link.kind.is_empty() { "a device".to_owned() } else { link.kind };
                return Err(BridgeError::NotABridge { link: name.to_owned(), kind });
            }
            Some(link) => {
                let is_ours = ours(&link).is_some();
                if !is_ours && !self.permitted.bridges.iter().any(|allowed| allowed == name) {
                    return Err(BridgeError::Foreign { link: name.to_owned() });
                }
                (link, is_ours)
            }
        };
        if network.has_ipv6() {
            host::allow_ipv6(name)?;
        }
        self.adjust_addresses(network, &link, is_ours)?;
        let mut batch = Batch::new();
        if is_ours {
            batch.set_alias(&network.link, &network.alias());
            host::ignore_routers(name)?;
            if let Some(mtu) = network.mtu.filter(|mtu| *mtu != link.mtu) {
                batch.set_mtu(link.index, name, mtu);
            }
        }
        batch.set_up(link.index, name, true);
        if network.gateways.iter().any(|prefix| prefix.address().is_ipv4()) {
            batch.set_route_localnet(link.index, name, true);
        }
        self.route.run(batch).map_err(failed())?;
        if network.gateways.iter().any(|prefix| prefix.address().is_ipv6()) {
            self.deliver_to_loopback6(&link).map_err(failed())?;
        }
        Ok(link)
    }

    /// The answers to what was sent to `::1` and translated come in by the bridge; the kernel asks for a route to `::1`
    /// by that very link. What comes from the wire to `::1` is thrown away before (ipv6_rcv).
    fn deliver_to_loopback6(&mut self, link: &Link) -> Result<(), NetlinkError> {
        let mut batch = Batch::new();
        // Of two with one metric the kernel keeps the first alone.
        let metric = LOOPBACK6_METRIC + link.index;
        batch.add_local_route(Ipv6Addr::LOCALHOST.into(), link.index, metric);
        batch.tolerate(Errno::EXIST);
        self.route.run(batch)
    }

    /// Takes back what nobody has a right to, and publishes again what is missing.
    fn reconcile_ports(
        &mut self,
        by_right: &ByRight<'_>,
        complete: bool,
    ) -> Result<(), BridgeError> {
        let Self { filter, firewall, reserved, adopted, .. } = self;
        let (ports, opened): (BTreeSet<_>, BTreeSet<_>) =
            (by_right.ports.iter().collect(), by_right.opened.iter().collect());
        let stray =
            |port: &&Published| !ports.contains(*port) && (complete || adopted.0.contains(*port));
        let strays: Vec<Published> = firewall.published().filter(stray).copied().collect();
        let shut =
            |port: &&Opened| !opened.contains(*port) && (complete || adopted.1.contains(*port));
        let closed: Vec<Opened> = firewall.opened().filter(shut).copied().collect();
        firewall.unpublish(filter, &strays, &closed)?;
        reserved.release(&strays);
        let missing = |port: &&Published| !firewall.published().any(|known| known == *port);
        let missing: Vec<Published> = by_right.ports.iter().filter(missing).copied().collect();
        let shut = |port: &&Opened| !firewall.opened().any(|known| known == *port);
        let shut: Vec<Opened> = by_right.opened.iter().filter(shut).copied().collect();
        firewall.publish(filter, &missing, &shut)?;
        for port in &missing {
            reserved.take_back(port);
        }
        Ok(())
    }

    /// Refuses a network in which the host itself lives, or the routers that it uses: the bridge would take their
    /// traffic. A network that only overlaps a route is the asker's business, as the longer prefix wins.
    fn refuse_hijack(
        &mut self,
        network: &Network,
        bridge: Option<&Link>,
    ) -> Result<(), BridgeError> {
        let failed = || during("read", "addresses");
        let addresses = self.route.addresses().map_err(failed())?;
        let own = addresses.iter().map(|a| (a.link, a.address));
        let routes = self.route.routes().map_err(failed())?;
        let hops = routes.iter().filter_map(|route| Some((route.link, route.gateway?)));
        for (index, address) in own.chain(hops) {
            let Some(subnet) = network.subnets().find(|subnet| subnet.contains(address)) else {
                continue;
            };
            if bridge.is_some_and(|link| link.index == index) {
                continue;
            }
            // A bridge of ours that is about to be removed may have had the subnet before.
            let link = self.route.find_link_by_index(index).map_err(failed())?;
            if link.as_ref().and_then(ours).is_none() {
                let link = network.link.to_string();
                return Err(BridgeError::OverlapsHost { link, subnet, address });
            }
        }
        Ok(())
    }

    fn create_link(&mut self, network: &Network) -> Result<Link, BridgeError> {
        let name = network.link.as_str();
        let failed = || during("create bridge", name);
        let mut batch = Batch::new();
        batch.create_bridge(&BridgeSpec {
            name: &network.link,
            mac: Some(random_mac()),
            mtu: network.mtu,
        });
        batch.set_alias(&network.link, &network.alias());
        // Without IPv6 in the kernel there is nothing to turn off.
        batch.set_no_link_local(&network.link);
        batch.tolerate(Errno::AFNOSUPPORT);
        self.route.run(batch).map_err(failed())?;
        self.route.link(name).map_err(failed())
    }

    fn adjust_addresses(
        &mut self,
        network: &Network,
        link: &Link,
        is_ours: bool,
    ) -> Result<(), BridgeError> {
        let name = network.link.as_str();
        let failed = || during("set addresses of bridge", name);
        let mut present = self.route.addresses().map_err(failed())?;
        present.retain(|address| address.link == link.index);
        let mut wanted: Vec<Address> = network
            .gateways
            .iter()
            .map(|p| Address { link: link.index, address: p.address(), prefix: p.length() })
            .collect();
        if is_ours && wanted.iter().any(|own| own.address.is_ipv6()) {
            // Whoever forwards a stranger's packet asks for its receiver from this address, or not at all.
            let address = LINK_LOCAL.into();
            wanted.push(Address { link: link.index, address, prefix: 64 });
        }
        let mut batch = Batch::new();
        for address in present.iter().filter(|a| is_ours && !wanted.contains(a)) {
            batch.delete_address(*address);
        }
        for address in wanted.iter().filter(|a| !present.contains(a)) {
            batch.add_address(*address);
        }
        self.route.run(batch).map_err(failed())
    }

    /// The bridge of an endpoint.
    fn bridge_of(&self, endpoint: &Endpoint) -> Result<Bridge, BridgeError> {
        let link = endpoint.attachment.link().as_str();
        let unknown = || BridgeError::UnknownBridge { link: link.to_owned() };
        self.bridges.get(link).cloned().ok_or_else(unknown)
    }

    /// Deletes links together: each on its own would wait for 30 ms.
    fn delete_links(&mut self, links: &[Link]) -> Result<(), BridgeError> {
        if links.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for link in links {
            let change = LinkChange { group: Some(veth::DOOMED), ..LinkChange::default() };
            batch.change_link(link.index, &link.name, change);
            // A veth whose other end is gone has gone with it.
            batch.tolerate(Errno::NODEV);
        }
        batch.delete_group(veth::DOOMED);
        batch.tolerate(Errno::NODEV);
        self.route.run(batch).map_err(during("delete", "links"))
    }
}

/// A locally administered address such as Docker gives its bridges.
fn random_mac() -> Mac {
    Mac::from_ipv4(Ipv4Addr::from(veth::random::<4>()))
}

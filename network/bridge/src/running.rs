//! Sandboxes in which containers already run: plugged into another network, unplugged, counted.

use crate::error::during;
use crate::host::{read_sysctl, write_sysctl};
use crate::{BridgeError, Driver, Endpoint, sandbox};
use netlink::link_info::Statistics;
use netlink::route::Route;
use netlink::{Batch, InterfaceName, Namespace, RouteSocket};
use std::net::IpAddr;
use std::os::fd::AsFd;

/// A default route that a sandbox shall have: interface, next hop if there is one, whether it is IPv6's.
pub type DefaultRoute = (InterfaceName, Option<IpAddr>, bool);

impl Driver {
    /// Plugs a running sandbox into one more network. When it has a default route of a family already, the endpoint
    /// must have none.
    pub fn connect(&self, sandbox: &Namespace, endpoint: &Endpoint) -> Result<(), BridgeError> {
        let name = endpoint.interface.as_str();
        let mut inside = self.enter(sandbox, name)?;
        let end = self.attach(endpoint, sandbox.as_fd())?;
        if !endpoint.has_ipv6() {
            without_ipv6(sandbox, &endpoint.interface)?;
        }
        let link = inside.link(name).map_err(during("set up interface", name))?.index;
        let mut batch = Batch::new();
        batch.set_up(link, name, true);
        let settled = sandbox::settle(&mut inside, endpoint, link, batch);
        if settled.is_err() {
            // The sandbox lives on, and with it a half-made interface would. Its end here tells the first failure.
            let mut batch = Batch::new();
            batch.delete_link(link, name);
            inside.run(batch).ok();
        }
        settled?;
        self.wait_for_both(endpoint, end.as_ref());
        Ok(())
    }

    /// Gives a running sandbox these default routes and no other.
    pub fn set_default_routes(
        &self,
        sandbox: &Namespace,
        wanted: &[DefaultRoute],
    ) -> Result<(), BridgeError> {
        let failed = || during("set default routes of", "sandbox");
        let mut inside = self.enter(sandbox, "routes")?;
        let mut routes = Vec::new();
        for (interface, gateway, ipv6) in wanted {
            let link = inside.link(interface.as_str()).map_err(failed())?.index;
            routes.push(match gateway {
                Some(gateway) => Route::default_over(*gateway, link),
                None => sandbox::default_on(link, *ipv6),
            });
        }
        replace_defaults(&mut inside, &routes).map_err(failed())
    }

    /// Sets sysctls in a running sandbox.
    pub fn set_sysctls(
        &self,
        sandbox: &Namespace,
        sysctls: &[(String, String)],
    ) -> Result<(), BridgeError> {
        if sysctls.is_empty() {
            return Ok(());
        }
        self.refuse_host(sandbox, "sysctls")?;
        sandbox
            .run(|| Ok(sysctls.iter().try_for_each(|(name, value)| write_sysctl(name, value))))
            .map_err(during("enter", "sandbox"))?
    }

    /// Takes an interface out of a running sandbox; one that is gone is no error. Only such as are made for containers
    /// are taken.
    pub fn disconnect(
        &self,
        sandbox: &Namespace,
        interface: &InterfaceName,
    ) -> Result<(), BridgeError> {
        let name = interface.as_str();
        let failed = || during("remove interface", name);
        let mut inside = self.enter(sandbox, name)?;
        match inside.find_link(name).map_err(failed())? {
            Some(link) if matches!(link.kind.as_str(), "veth" | "macvlan" | "ipvlan") => {
                let mut batch = Batch::new();
                batch.delete_link(link.index, name);
                inside.run(batch).map_err(failed())
            }
            Some(link) => Err(BridgeError::NotAnEndpoint { link: link.name, kind: link.kind }),
            None => Ok(()),
        }
    }

    /// The counters of a sandbox's interfaces, the loopback left out, as the container sees them.
    pub fn statistics(
        &self,
        sandbox: &Namespace,
    ) -> Result<Vec<(String, Statistics)>, BridgeError> {
        let mut inside = self.enter(sandbox, "statistics")?;
        let links = inside.links().map_err(during("read", "statistics"))?;
        Ok(links
            .into_iter()
            .filter(|link| link.index != 1)
            .map(|link| (link.name, link.statistics))
            .collect())
    }

    /// A socket in a sandbox, which must not be the host's own namespace, whoever passed the descriptor.
    fn enter(&self, sandbox: &Namespace, object: &str) -> Result<RouteSocket, BridgeError> {
        self.refuse_host(sandbox, object)?;
        sandbox.route_socket().map_err(during("enter the sandbox of", object))
    }

    /// Fails for the host's own namespace, whoever passed the descriptor.
    pub(crate) fn refuse_host(&self, sandbox: &Namespace, object: &str) -> Result<(), BridgeError> {
        if sandbox.is(self.host()).map_err(during("enter the sandbox of", object))? {
            return Err(BridgeError::HostNamespace { object: object.to_owned() });
        }
        Ok(())
    }
}

fn replace_defaults(
    inside: &mut RouteSocket,
    wanted: &[Route],
) -> Result<(), netlink::NetlinkError> {
    let same = |a: &Route, b: &Route| {
        (a.destination, a.gateway, a.link) == (b.destination, b.gateway, b.link)
    };
    let mut present = inside.routes()?;
    present.retain(|route| route.prefix == 0);
    let mut batch = Batch::new();
    for route in present.iter().filter(|route| !wanted.iter().any(|own| same(own, route))) {
        batch.delete_route(*route);
        batch.tolerate(rustix::io::Errno::SRCH);
    }
    for route in wanted.iter().filter(|route| !present.iter().any(|own| same(own, route))) {
        batch.add_route(*route);
    }
    inside.run(batch)
}

/// Turns IPv6 off on an interface that is still down; where there is no IPv6, or procfs may not be written, it stays.
fn without_ipv6(sandbox: &Namespace, interface: &InterfaceName) -> Result<(), BridgeError> {
    let link = interface.as_str().replace('.', "/");
    let name = format!("net.ipv6.conf.{link}.disable_ipv6");
    let write = || {
        Ok(match read_sysctl(&name).as_deref() {
            Some("0") => write_sysctl(&name, "1"),
            _ => Ok(()),
        })
    };
    sandbox.run(write).map_err(during("enter the sandbox of", interface.as_str()))?
}

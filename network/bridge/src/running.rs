//! Sandboxes in which containers already run: plugged into another network, unplugged, counted.

use crate::error::during;
use crate::host::{read_sysctl, write_sysctl};
use crate::{BridgeError, Driver, Endpoint, sandbox, veth};
use netlink::link_info::Statistics;
use netlink::{Batch, InterfaceName, Namespace};
use std::os::fd::AsFd;

impl Driver {
    /// Plugs a running sandbox into one more network. When it has a default route of a family already, the endpoint
    /// must have none.
    pub fn connect(&self, sandbox: &Namespace, endpoint: &Endpoint) -> Result<(), BridgeError> {
        let name = endpoint.interface.as_str();
        let mut inside = self.enter(sandbox, name)?;
        let end = self.with_bridge(endpoint, |route, bridge| {
            veth::plug_new(route, bridge, endpoint, sandbox.as_fd())
        })?;
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
        self.wait_for(end.as_str());
        self.wait_for(endpoint.bridge.as_str());
        Ok(())
    }

    /// Takes an interface out of a running sandbox; one that is gone is no error. Only veth ends are taken.
    pub fn disconnect(
        &self,
        sandbox: &Namespace,
        interface: &InterfaceName,
    ) -> Result<(), BridgeError> {
        let name = interface.as_str();
        let failed = || during("remove interface", name);
        let mut inside = self.enter(sandbox, name)?;
        match inside.find_link(name).map_err(failed())? {
            Some(link) if link.kind == "veth" => {
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
    fn enter(
        &self,
        sandbox: &Namespace,
        object: &str,
    ) -> Result<netlink::RouteSocket, BridgeError> {
        let failed = || during("enter the sandbox of", object);
        if sandbox.is(self.host()).map_err(failed())? {
            return Err(BridgeError::HostNamespace { object: object.to_owned() });
        }
        sandbox.route_socket().map_err(failed())
    }
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

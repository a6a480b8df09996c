//! Interfaces of the host that move into the container.

use crate::LaunchError;
use netlink::address::Address;
use netlink::{Batch, InterfaceName, Namespace, NetlinkError, RouteSocket};
use plan::NetDevicePlan;
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// Moves each interface to the namespace, and gives it there what the move takes away: its lasting addresses, and being
/// up (config-linux.md, network devices). Hardware address and MTU go with it.
pub(crate) fn move_in(devices: &[NetDevicePlan], namespace: OwnedFd) -> Result<(), LaunchError> {
    if devices.is_empty() {
        return Ok(());
    }
    let failed = |error: NetlinkError| LaunchError::new("open", "netlink socket", errno(&error));
    let mut here = RouteSocket::open().map_err(failed)?;
    let namespace = Namespace::from_fd(namespace);
    let mut there = namespace.route_socket().map_err(failed)?;
    let namespace = namespace.into_fd();
    for device in devices {
        move_one(device, &mut here, &mut there, &namespace).map_err(|error| {
            let object = format!("interface {:?} into the container", device.host);
            LaunchError::new("move", object, errno(&error))
        })?;
    }
    Ok(())
}

fn move_one(
    device: &NetDevicePlan,
    here: &mut RouteSocket,
    there: &mut RouteSocket,
    namespace: &OwnedFd,
) -> Result<(), NetlinkError> {
    let name = InterfaceName::parse(&device.name)
        .map_err(|_| NetlinkError::Malformed("an interface name that is none"))?;
    let link = here.link(&device.host)?;
    let addresses = here.lasting_addresses()?;
    let addresses = addresses.into_iter().filter(|address| address.link == link.index);
    let mut batch = Batch::new();
    batch.move_to_namespace(link.index, &device.host, namespace.as_fd(), &name);
    here.run(batch)?;
    let index = there.link(&device.name)?.index;
    let mut batch = Batch::new();
    for address in addresses {
        batch.add_address(Address { link: index, ..address });
    }
    batch.set_up(index, &device.name, true);
    there.run(batch)
}

fn errno(error: &NetlinkError) -> Errno {
    match error {
        NetlinkError::Refused { errno, .. }
        | NetlinkError::Socket { errno, .. }
        | NetlinkError::Namespace { errno, .. } => *errno,
        NetlinkError::Missing { .. } => Errno::NODEV,
        _ => Errno::IO,
    }
}

//! Routes of the main table (linux/rtnetlink.h).

use crate::address::{family, octets, parse_ip};
use crate::wire::{self, Attributes, Message};
use crate::{Batch, NetlinkError, RouteSocket};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_TABLE: u16 = 15;
const TABLE_MAIN: u8 = 254;
const TABLE_LOCAL: u8 = 255;
const PROTOCOL_BOOT: u8 = 3;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;
const LOCAL: u8 = 2;
const UNICAST: u8 = 1;

/// One unicast route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The network that it leads to; the unspecified address with prefix 0 is the default route.
    pub destination: IpAddr,
    /// The length of the destination's prefix in bits.
    pub prefix: u8,
    /// The next hop; none when the network is on the link.
    pub gateway: Option<IpAddr>,
    /// The number of the link.
    pub link: u32,
    /// The metric; 0 lets the kernel choose.
    pub metric: u32,
}

impl Route {
    /// The default route over `gateway`.
    pub fn default_over(gateway: IpAddr, link: u32) -> Self {
        let destination = match gateway {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self { destination, prefix: 0, gateway: Some(gateway), link, metric: 0 }
    }
}

impl Batch {
    /// Adds a route. EEXIST when there is one with the same destination and metric, ENETUNREACH when the gateway is
    /// not on a network of the link.
    pub fn add_route(&mut self, route: Route) {
        let object = match route.prefix {
            0 => "default".to_owned(),
            prefix => format!("{}/{prefix}", route.destination),
        };
        let flags = wire::CREATE | wire::EXCLUSIVE;
        let m = self.begin(RTM_NEWROUTE, flags, "add route", object);
        let scope = if route.gateway.is_some() { SCOPE_UNIVERSE } else { SCOPE_LINK };
        m.fixed(&[
            family(route.destination),
            route.prefix,
            0,
            0,
            TABLE_MAIN,
            PROTOCOL_BOOT,
            scope,
            UNICAST,
            0,
            0,
            0,
            0,
        ]);
        if route.prefix > 0 {
            m.put(RTA_DST, &octets(route.destination));
        }
        if let Some(gateway) = route.gateway {
            m.put(RTA_GATEWAY, &octets(gateway));
        }
        m.put_u32(RTA_OIF, route.link);
        if route.metric > 0 {
            m.put_u32(RTA_PRIORITY, route.metric);
        }
        m.end();
    }

    /// Removes a route of the main table. ESRCH when there is none like it.
    pub fn delete_route(&mut self, route: Route) {
        let object = match route.prefix {
            0 => "default".to_owned(),
            prefix => format!("{}/{prefix}", route.destination),
        };
        let m = self.begin(RTM_DELROUTE, 0, "delete route", object);
        let nowhere = 255; // RT_SCOPE_NOWHERE: whatever its scope is.
        let kind = family(route.destination);
        m.fixed(&[kind, route.prefix, 0, 0, TABLE_MAIN, 0, nowhere, UNICAST, 0, 0, 0, 0]);
        if route.prefix > 0 {
            m.put(RTA_DST, &octets(route.destination));
        }
        if let Some(gateway) = route.gateway {
            m.put(RTA_GATEWAY, &octets(gateway));
        }
        m.put_u32(RTA_OIF, route.link);
        if route.metric > 0 {
            m.put_u32(RTA_PRIORITY, route.metric);
        }
        m.end();
    }

    /// Lets packets that arrive on a link, and whose destination was translated back to a local address, be delivered:
    /// the kernel looks for `::1` on the very link on which the packet came (rt6_need_strict). EEXIST when it is there.
    pub fn add_local_route(&mut self, address: IpAddr, link: u32, metric: u32) {
        let flags = wire::CREATE | wire::EXCLUSIVE;
        let m = self.begin(RTM_NEWROUTE, flags, "add local route", address.to_string());
        let length = if address.is_ipv4() { 32 } else { 128 };
        let kind = family(address);
        m.fixed(&[kind, length, 0, 0, TABLE_LOCAL, PROTOCOL_BOOT, SCOPE_HOST, LOCAL, 0, 0, 0, 0]);
        m.put(RTA_DST, &octets(address));
        m.put_u32(RTA_OIF, link);
        m.put_u32(RTA_PRIORITY, metric);
        m.end();
    }
}

impl RouteSocket {
    /// The unicast routes of the main table, of both families.
    pub fn routes(&mut self) -> Result<Vec<Route>, NetlinkError> {
        let mut batch = Batch::new();
        let m = batch.begin(RTM_GETROUTE, wire::DUMP, "list", "routes");
        m.fixed(&[0; 12]);
        m.end();
        self.list("routes", batch, parse)
    }
}

fn parse(message: Message<'_>) -> Result<Option<Route>, NetlinkError> {
    if message.kind != RTM_NEWROUTE {
        return Ok(None);
    }
    let Some(fixed) = message.body.get(..12) else {
        return Err(NetlinkError::Malformed("a route shorter than its fixed part"));
    };
    let destination = match i32::from(fixed[0]) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return Ok(None),
    };
    let mut table = u32::from(fixed[4]);
    let mut route = Route { destination, prefix: fixed[1], gateway: None, link: 0, metric: 0 };
    for attribute in Attributes::after(message.body, 12)? {
        match attribute? {
            (RTA_DST, value) => route.destination = parse_ip(value)?,
            (RTA_GATEWAY, value) => route.gateway = Some(parse_ip(value)?),
            (RTA_OIF, value) => route.link = wire::number(value)?,
            (RTA_PRIORITY, value) => route.metric = wire::number(value)?,
            (RTA_TABLE, value) => table = wire::number(value)?,
            _ => {}
        }
    }
    Ok((table == u32::from(TABLE_MAIN) && fixed[7] == UNICAST).then_some(route))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_routes_are_parsed_or_refused(body in proptest::collection::vec(any::<u8>(), 0..128)) {
            let message = Message { kind: RTM_NEWROUTE, flags: 0, sequence: 1, body: &body };
            if let Ok(Some(route)) = parse(message) {
                prop_assert_eq!(route.prefix, body[1]);
            }
        }
    }
}

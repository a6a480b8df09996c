//! Connections that the packet filter remembers (linux/netfilter/nfnetlink_conntrack.h), as far as they stand in the
//! way: a flow of datagrams keeps the translation that its first packet found, for as long as it goes on.

use crate::address::parse_ip;
use crate::wire::{self, Attributes, Message};
use crate::{Batch, NetfilterSocket, NetlinkError};
use rustix::io::Errno;
use std::net::IpAddr;

const SUBSYSTEM: u16 = 1;
const NEW: u16 = SUBSYSTEM << 8;
const GET: u16 = SUBSYSTEM << 8 | 1;
const DELETE: u16 = SUBSYSTEM << 8 | 2;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_FILTER: u16 = 25;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
/// Compare protocol and destination port of the first packet.
const FILTER_PROTO_AND_PORT: u32 = 1 << 3 | 1 << 5;
/// Compare the source address of one direction.
const FILTER_SOURCE: u32 = 1 << 0;

/// A flow that the kernel remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Where its first packet came from.
    pub source: IpAddr,
    /// Where its first packet was sent to.
    pub destination: IpAddr,
    /// To which port.
    pub destination_port: u16,
    /// The transport protocol.
    pub protocol: u8,
    /// Who answers: another address than the destination when that is translated.
    pub answered_by: IpAddr,
    /// How the kernel finds it again: the attributes of its first direction, and its number.
    key: (Vec<u8>, Vec<u8>),
}

impl NetfilterSocket {
    /// The flows of a protocol to a port. None where the kernel does not track connections, or cannot tell of them.
    pub fn flows(
        &mut self,
        ipv6: bool,
        protocol: u8,
        port: u16,
    ) -> Result<Vec<Flow>, NetlinkError> {
        let all = match self.0.list("flows", dump(ipv6, protocol, port), parse) {
            Err(NetlinkError::Refused { errno: Errno::INVAL | Errno::OPNOTSUPP, .. }) => Vec::new(),
            other => other?,
        };
        // Before Linux 5.8 the kernel does not know the filter and answers with all.
        let wanted = |flow: &Flow| flow.protocol == protocol && flow.destination_port == port;
        Ok(all.into_iter().filter(wanted).collect())
    }

    /// The flows that an address began or answers, whatever their protocol. None where the kernel does not track
    /// connections, or cannot tell of them.
    pub fn flows_of(&mut self, address: IpAddr) -> Result<Vec<Flow>, NetlinkError> {
        let mut all = Vec::new();
        for reply in [false, true] {
            match self.0.list("flows", dump_of(address, reply), parse) {
                Err(NetlinkError::Refused { errno: Errno::INVAL | Errno::OPNOTSUPP, .. }) => {}
                other => all.extend(other?),
            }
        }
        all.retain(|flow: &Flow| flow.source == address || flow.answered_by == address);
        Ok(all)
    }

    /// All flows of a family. None where the kernel does not track connections.
    pub fn all_flows(&mut self, ipv6: bool) -> Result<Vec<Flow>, NetlinkError> {
        let mut batch = Batch::new();
        let m = batch.begin(GET, wire::DUMP, "list", "flows");
        m.fixed(&[family(ipv6), 0, 0, 0]);
        m.end();
        match self.0.list("flows", batch, parse) {
            Err(NetlinkError::Refused { errno: Errno::INVAL | Errno::OPNOTSUPP, .. }) => {
                Ok(Vec::new())
            }
            other => other,
        }
    }

    /// Forgets flows; one that has ended meanwhile is no error. Their next packets begin them anew.
    pub fn forget(&mut self, flows: &[Flow]) -> Result<(), NetlinkError> {
        let mut batch = Batch::new();
        for flow in flows {
            let object = format!("to {} port {}", flow.destination, flow.destination_port);
            let (tuple, id) = &flow.key;
            let m = batch.begin(DELETE, 0, "forget flow", object);
            m.fixed(&[family(flow.destination.is_ipv6()), 0, 0, 0]);
            m.nest(CTA_TUPLE_ORIG, |inner| inner.fixed(tuple));
            m.put(CTA_ID, id);
            m.end();
            batch.tolerate(Errno::NOENT);
        }
        self.0.run(batch)
    }
}

fn family(ipv6: bool) -> u8 {
    if ipv6 { 10 } else { 2 }
}

fn dump(ipv6: bool, protocol: u8, port: u16) -> Batch {
    let mut batch = Batch::new();
    let m = batch.begin(GET, wire::DUMP, "list", "flows");
    m.fixed(&[family(ipv6), 0, 0, 0]);
    m.nest(CTA_TUPLE_ORIG, |tuple| {
        tuple.nest(CTA_TUPLE_PROTO, |proto| {
            proto.put_u8(CTA_PROTO_NUM, protocol);
            proto.put(CTA_PROTO_DST_PORT, &port.to_be_bytes());
        });
    });
    m.nest(CTA_FILTER, |filter| {
        filter.put_u32(CTA_FILTER_ORIG_FLAGS, FILTER_PROTO_AND_PORT);
        filter.put_u32(CTA_FILTER_REPLY_FLAGS, 0);
    });
    m.end();
    batch
}

/// Flows one direction of which comes from this address.
fn dump_of(address: IpAddr, reply: bool) -> Batch {
    let mut batch = Batch::new();
    let m = batch.begin(GET, wire::DUMP, "list", "flows");
    m.fixed(&[family(address.is_ipv6()), 0, 0, 0]);
    m.nest(if reply { CTA_TUPLE_REPLY } else { CTA_TUPLE_ORIG }, |tuple| {
        tuple.nest(CTA_TUPLE_IP, |ip| match address {
            IpAddr::V4(v4) => ip.put(CTA_IP_V4_SRC, &v4.octets()),
            IpAddr::V6(v6) => ip.put(CTA_IP_V6_SRC, &v6.octets()),
        });
    });
    m.nest(CTA_FILTER, |filter| {
        let flags = |of: bool| if of == reply { FILTER_SOURCE } else { 0 };
        filter.put_u32(CTA_FILTER_ORIG_FLAGS, flags(false));
        filter.put_u32(CTA_FILTER_REPLY_FLAGS, flags(true));
    });
    m.end();
    batch
}

/// What one direction of a flow says.
#[derive(Debug, Default)]
struct Tuple {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    protocol: Option<u8>,
    port: u16,
}

fn parse_tuple(bytes: &[u8]) -> Result<Tuple, NetlinkError> {
    let mut tuple = Tuple::default();
    for part in Attributes::new(bytes) {
        let (part, value) = part?;
        for attribute in Attributes::new(value) {
            match (part, attribute?) {
                // 1 and 3 are the sources of IPv4 and IPv6, 2 and 4 the destinations.
                (CTA_TUPLE_IP, (1 | 3, ip)) => tuple.source = Some(parse_ip(ip)?),
                (CTA_TUPLE_IP, (2 | 4, ip)) => tuple.destination = Some(parse_ip(ip)?),
                (CTA_TUPLE_PROTO, (CTA_PROTO_NUM, number)) => {
                    tuple.protocol = number.first().copied();
                }
                (CTA_TUPLE_PROTO, (CTA_PROTO_DST_PORT, port)) => {
                    tuple.port = wire::u16_at(port, 0).map_or(0, u16::from_be);
                }
                _ => {}
            }
        }
    }
    Ok(tuple)
}

fn parse(message: Message<'_>) -> Result<Option<Flow>, NetlinkError> {
    if message.kind != NEW {
        return Ok(None);
    }
    let (mut first, mut reply) = (Tuple::default(), Tuple::default());
    let mut key = (Vec::new(), Vec::new());
    for attribute in Attributes::after(message.body, 4)? {
        match attribute? {
            (CTA_TUPLE_ORIG, value) => {
                first = parse_tuple(value)?;
                key.0 = value.to_vec();
            }
            (CTA_TUPLE_REPLY, value) => reply = parse_tuple(value)?,
            (CTA_ID, value) => key.1 = value.to_vec(),
            _ => {}
        }
    }
    let (Some(source), Some(destination), Some(protocol), Some(answered_by)) =
        (first.source, first.destination, first.protocol, reply.source)
    else {
        return Ok(None);
    };
    let destination_port = first.port;
    Ok(Some(Flow { source, destination, destination_port, protocol, answered_by, key }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_flows_are_parsed_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let message = Message { kind: NEW, flags: 0, sequence: 1, body: &body };
            if let Ok(Some(flow)) = parse(message) {
                prop_assert!(flow.key.0.len() <= body.len());
            }
        }
    }
}

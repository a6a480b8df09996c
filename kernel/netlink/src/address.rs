//! Addresses of links (linux/if_addr.h).

use crate::wire::{self, Attributes, Message};
use crate::{Batch, NetlinkError, RouteSocket};
use std::net::IpAddr;

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
/// No duplicate address detection: the address may be used at once (we know that nobody else has it).
const NODAD: u32 = 0x02;

/// One address of one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The number of the link.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix in bits.
    pub prefix: u8,
}

pub(crate) fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

pub(crate) fn parse_ip(bytes: &[u8]) -> Result<IpAddr, NetlinkError> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(bytes)
        .map(IpAddr::from)
        .map_err(|_| NetlinkError::Malformed("an address that is neither 4 nor 16 bytes long"))
}

/// The fixed part: struct ifaddrmsg.
fn ifaddrmsg(address: &Address) -> [u8; 8] {
    let [a, b, c, d] = address.link.to_ne_bytes();
    [family(address.address), address.prefix, 0, 0, a, b, c, d]
}

impl Batch {
    /// Gives a link an address; an IPv4 address gets its broadcast address, an IPv6 address is usable at once.
    /// EEXIST when the link has it.
    pub fn add_address(&mut self, address: Address) {
        let object = format!("{}/{}", address.address, address.prefix);
        let flags = wire::CREATE | wire::EXCLUSIVE;
        let m = self.begin(RTM_NEWADDR, flags, "add address", object);
        m.fixed(&ifaddrmsg(&address));
        let bytes = octets(address.address);
        m.put(IFA_LOCAL, &bytes);
        m.put(IFA_ADDRESS, &bytes);
        match address.address {
            IpAddr::V4(v4) if address.prefix < 31 => {
                let host = u32::MAX.checked_shr(u32::from(address.prefix)).unwrap_or(0);
                m.put(IFA_BROADCAST, &(v4.to_bits() | host).to_be_bytes());
            }
            IpAddr::V4(_) => {}
            IpAddr::V6(_) => m.put_u32(IFA_FLAGS, NODAD),
        }
        m.end();
    }

    /// Takes an address from a link. EADDRNOTAVAIL when the link has it not.
    pub fn delete_address(&mut self, address: Address) {
        let object = format!("{}/{}", address.address, address.prefix);
        let m = self.begin(RTM_DELADDR, 0, "delete address", object);
        m.fixed(&ifaddrmsg(&address));
        m.put(IFA_LOCAL, &octets(address.address));
        m.end();
    }
}

impl RouteSocket {
    /// All addresses of all links of the namespace, of both families.
    pub fn addresses(&mut self) -> Result<Vec<Address>, NetlinkError> {
        let mut batch = Batch::new();
        let m = batch.begin(RTM_GETADDR, wire::DUMP, "list", "addresses");
        m.fixed(&[0; 8]);
        m.end();
        self.list("addresses", batch, parse)
    }

    /// The addresses that stay with a link wherever it goes: global ones that nobody gave for a time only.
    pub fn lasting_addresses(&mut self) -> Result<Vec<Address>, NetlinkError> {
        let mut batch = Batch::new();
        let m = batch.begin(RTM_GETADDR, wire::DUMP, "list", "addresses");
        m.fixed(&[0; 8]);
        m.end();
        self.list("addresses", batch, parse_lasting)
    }
}

/// An address of global scope (0) that does not expire (IFA_F_PERMANENT, 0x80).
fn parse_lasting(message: Message<'_>) -> Result<Option<Address>, NetlinkError> {
    let lasting = message.body.get(2).is_some_and(|flags| flags & 0x80 != 0);
    let global = message.body.get(3) == Some(&0);
    if lasting && global { parse(message) } else { Ok(None) }
}

fn parse(message: Message<'_>) -> Result<Option<Address>, NetlinkError> {
    if message.kind != RTM_NEWADDR {
        return Ok(None);
    }
    let short = NetlinkError::Malformed("an address shorter than its fixed part");
    let (Some(prefix), Some(link)) = (message.body.get(1), wire::u32_at(message.body, 4)) else {
        return Err(short);
    };
    let mut found = None;
    for attribute in Attributes::after(message.body, 8)? {
        match attribute? {
            // On a point-to-point link the plain address is the peer's, and the local one ours.
            (IFA_LOCAL, value) => found = Some(parse_ip(value)?),
            (IFA_ADDRESS, value) => found = found.or(Some(parse_ip(value)?)),
            _ => {}
        }
    }
    Ok(found.map(|address| Address { link, address, prefix: *prefix }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_addresses_are_parsed_or_refused(body in proptest::collection::vec(any::<u8>(), 0..128)) {
            let message = Message { kind: RTM_NEWADDR, flags: 0, sequence: 1, body: &body };
            if let Ok(Some(address)) = parse(message) {
                prop_assert_eq!(address.prefix, body[1]);
            }
        }
    }
}

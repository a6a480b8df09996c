//! A rule in the words of `nft`: `Rule::new().input("docker0").established().accept()`.
//!
//! Each matcher loads into slot 0 and compares there; the ones that feed a set lookup load side by side, each part on
//! a four-byte boundary, which is how the kernel lays out a concatenation.

use super::expression::{Connection, Expression, Header, Meta, Verdict};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP_CT_ESTABLISHED and IP_CT_RELATED as bits of `ct state`.
const STATE_ESTABLISHED_RELATED: u32 = 0b110;
/// IPS_DST_NAT of nf_conntrack_common.h.
const STATUS_DESTINATION_NAT: u32 = 1 << 5;
const RTN_LOCAL: u32 = 2;
const NAME_LENGTH: usize = 16;

/// A rule under construction, and when finished its steps and comment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    pub(super) expressions: Vec<Expression>,
    pub(super) comment: String,
}

fn padded(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(NAME_LENGTH, 0);
    bytes
}

/// The first `prefix` bits of a mask of `length` bytes.
fn mask(length: usize, prefix: u8) -> Vec<u8> {
    (0..length)
        .map(|index| {
            let bits = usize::from(prefix).saturating_sub(index * 8).min(8);
            u8::try_from(0xff00u32 >> bits & 0xff).unwrap_or(0xff)
        })
        .collect()
}

impl Rule {
    /// A rule that matches everything and does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    fn then(mut self, expression: Expression) -> Self {
        self.expressions.push(expression);
        self
    }

    fn compare(self, value: Vec<u8>, inverted: bool) -> Self {
        self.then(Expression::Compare { slot: 0, inverted, value })
    }

    /// The packet came on the link of this name.
    pub fn input(self, name: &str) -> Self {
        self.then(Expression::Meta(Meta::InputName, 0)).compare(padded(name), false)
    }

    /// The packet came on any other link than this.
    pub fn input_not(self, name: &str) -> Self {
        self.then(Expression::Meta(Meta::InputName, 0)).compare(padded(name), true)
    }

    /// The packet leaves on the link of this name.
    pub fn output(self, name: &str) -> Self {
        self.then(Expression::Meta(Meta::OutputName, 0)).compare(padded(name), false)
    }

    /// The packet leaves on any other link than this.
    pub fn output_not(self, name: &str) -> Self {
        self.then(Expression::Meta(Meta::OutputName, 0)).compare(padded(name), true)
    }

    /// The link on which the packet came decides, by a map of links and verdicts.
    pub fn input_decides(self, map: &str) -> Self {
        let map = map.to_owned();
        self.then(Expression::Meta(Meta::InputName, 0)).then(Expression::VerdictMap { map, key: 0 })
    }

    /// The link on which the packet leaves decides, by a map of links and verdicts.
    pub fn output_decides(self, map: &str) -> Self {
        let map = map.to_owned();
        self.then(Expression::Meta(Meta::OutputName, 0))
            .then(Expression::VerdictMap { map, key: 0 })
    }

    /// The source address is in this network.
    pub fn source(self, network: IpAddr, prefix: u8) -> Self {
        let offset = if network.is_ipv4() { 12 } else { 8 };
        self.address(offset, network, prefix)
    }

    /// The destination address is in this network.
    pub fn destination(self, network: IpAddr, prefix: u8) -> Self {
        let offset = if network.is_ipv4() { 16 } else { 24 };
        self.address(offset, network, prefix)
    }

    fn address(self, offset: u32, network: IpAddr, prefix: u8) -> Self {
        let value = match network {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let mask = mask(value.len(), prefix);
        let value: Vec<u8> = value.iter().zip(&mask).map(|(v, m)| v & m).collect();
        let length = if network.is_ipv4() { 4 } else { 16 };
        let loaded =
            self.family(network).then(Expression::Payload(Header::Network, offset, length, 0));
        if usize::from(prefix) < value.len() * 8 {
            loaded.then(Expression::Mask(0, mask)).compare(value, false)
        } else {
            loaded.compare(value, false)
        }
    }

    /// In a table of both families the header must be known before its bytes are read.
    fn family(self, address: IpAddr) -> Self {
        let family = if address.is_ipv4() { 2 } else { 10 };
        self.then(Expression::Meta(Meta::Family, 0)).compare(vec![family], false)
    }

    /// The packet is one of IPv4, or of IPv6.
    pub fn of_family(self, ipv6: bool) -> Self {
        self.family(any(ipv6))
    }

    /// The transport protocol is this one (6 TCP, 17 UDP, 132 SCTP, 1 ICMP, 58 ICMPv6).
    pub fn transport(self, protocol: u8) -> Self {
        self.then(Expression::Meta(Meta::Transport, 0)).compare(vec![protocol], false)
    }

    /// The destination port is this one; after [`Rule::transport`].
    pub fn destination_port(self, port: u16) -> Self {
        self.then(Expression::Payload(Header::Transport, 2, 2, 0))
            .compare(port.to_be_bytes().to_vec(), false)
    }

    /// The connection has seen packets of both directions, or belongs to one that has.
    pub fn established(self) -> Self {
        self.any_bit(Connection::State, STATE_ESTABLISHED_RELATED)
    }

    /// The destination of the connection was translated.
    pub fn translated(self) -> Self {
        self.any_bit(Connection::Status, STATUS_DESTINATION_NAT)
    }

    fn any_bit(self, what: Connection, bits: u32) -> Self {
        self.then(Expression::Connection(what, 0))
            .then(Expression::Mask(0, bits.to_ne_bytes().to_vec()))
            .compare(vec![0; 4], true)
    }

    /// The destination is an address of this host.
    pub fn to_this_host(self) -> Self {
        self.then(Expression::DestinationType(0)).compare(RTN_LOCAL.to_ne_bytes().to_vec(), false)
    }

    /// Destination address, transport protocol and destination port are an element of the set; the family is that
    /// of `family_of`.
    pub fn destination_in(self, ipv6: bool, set: &str) -> Self {
        let (rule, key) = self.load_destination(ipv6);
        rule.then(Expression::Lookup { set: set.to_owned(), key, data: None })
    }

    /// Transport protocol and destination port are an element of the set, for packets of one family.
    pub fn port_in(self, ipv6: bool, set: &str) -> Self {
        let rule = self.family(any(ipv6)).load_port(0);
        rule.then(Expression::Lookup { set: set.to_owned(), key: 0, data: None })
    }

    /// Translates the destination by a map whose key is address, protocol and port.
    pub fn translate_destination(self, ipv6: bool, map: &str) -> Self {
        let (rule, key) = self.load_destination(ipv6);
        rule.translate(ipv6, map, key)
    }

    /// Translates the destination by a map whose key is protocol and port.
    pub fn translate_port(self, ipv6: bool, map: &str) -> Self {
        self.family(any(ipv6)).load_port(0).translate(ipv6, map, 0)
    }

    fn translate(self, ipv6: bool, map: &str, key: u8) -> Self {
        let port = if ipv6 { 4 } else { 1 };
        self.then(Expression::Lookup { set: map.to_owned(), key, data: Some(0) })
            .then(Expression::DestinationNat { ipv6, address: 0, port })
    }

    fn load_destination(self, ipv6: bool) -> (Self, u8) {
        let (offset, length, next) = if ipv6 { (24, 16, 4) } else { (16, 4, 1) };
        let rule = self
            .family(any(ipv6))
            .then(Expression::Payload(Header::Network, offset, length, 0))
            .load_port(next);
        (rule, 0)
    }

    fn load_port(self, slot: u8) -> Self {
        self.then(Expression::Meta(Meta::Transport, slot)).then(Expression::Payload(
            Header::Transport,
            2,
            2,
            slot + 1,
        ))
    }

    /// Counts what matched so far.
    pub fn counter(self) -> Self {
        self.then(Expression::Counter)
    }

    /// Ends with a verdict.
    pub fn verdict(self, verdict: Verdict) -> Self {
        self.then(Expression::Verdict(verdict))
    }

    /// Lets the packet pass.
    pub fn accept(self) -> Self {
        self.verdict(Verdict::Accept)
    }

    /// Drops the packet.
    pub fn drop(self) -> Self {
        self.verdict(Verdict::Drop)
    }

    /// Asks another chain and comes back.
    pub fn jump(self, chain: &str) -> Self {
        self.verdict(Verdict::Jump(chain.to_owned()))
    }

    /// Gives the connection the address of the outgoing link as its source.
    pub fn masquerade(self) -> Self {
        self.then(Expression::Masquerade)
    }

    /// Gives the connection this source address; behind a matcher of the address's family.
    pub fn source_nat(self, address: IpAddr) -> Self {
        let ipv6 = address.is_ipv6();
        self.then(Expression::Immediate(0, bytes(address)))
            .then(Expression::SourceNat { ipv6, address: 0 })
    }

    /// Gives the connection this destination; behind a matcher of the address's family.
    pub fn destination_nat(self, address: IpAddr, port: u16) -> Self {
        let (ipv6, slot) = if address.is_ipv6() { (true, 4) } else { (false, 1) };
        self.then(Expression::Immediate(0, bytes(address)))
            .then(Expression::Immediate(slot, port.to_be_bytes().to_vec()))
            .then(Expression::DestinationNat { ipv6, address: 0, port: slot })
    }

    /// A text for whoever lists the rules.
    pub fn comment(mut self, text: &str) -> Self {
        self.comment = text.to_owned();
        self
    }
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn any(ipv6: bool) -> IpAddr {
    if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_their_first_bits_set() {
        assert_eq!(mask(4, 0), [0, 0, 0, 0]);
        assert_eq!(mask(4, 12), [255, 240, 0, 0]);
        assert_eq!(mask(4, 32), [255; 4]);
        assert_eq!(mask(16, 65)[8..10], [128, 0]);
    }
}

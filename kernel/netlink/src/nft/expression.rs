//! The expressions of the kernel's rule machine, as far as we use them.
//!
//! Values pass through registers: sixteen of four bytes (numbers 8 to 23 on the wire), of which four form one of the
//! old registers of sixteen bytes. We name the four-byte ones by their slot, 0 to 15.

use crate::wire::Encoder;

const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
pub(super) const LIST_ELEM: u16 = 1;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const REGISTER_VERDICT: u32 = 0;
const REGISTER_FIRST: u32 = 8;

/// What `meta` reads of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    /// The name of the link on which the packet came, 16 bytes padded with zero.
    InputName,
    /// The name of the link on which the packet leaves, 16 bytes padded with zero.
    OutputName,
    /// The family (2 or 10), one byte.
    Family,
    /// The transport protocol, one byte.
    Transport,
}

/// The header from which `payload` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// IPv4 or IPv6.
    Network,
    /// TCP, UDP, ....
    Transport,
}

/// What `ct` reads of a connection, four bytes in the machine's byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// A bit per state: see [`crate::nft::rule`].
    State,
    /// The status bits (linux/netfilter/nf_conntrack_common.h).
    Status,
}

/// What happens to the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This chain lets it pass; later chains of the same hook are still asked.
    Accept,
    /// It is gone.
    Drop,
    /// Another chain is asked, and this one goes on when that says nothing.
    Jump(String),
    /// Another chain is asked instead of the rest of this one.
    Goto(String),
    /// Back to the chain that jumped here.
    Return,
}

impl Verdict {
    /// The kernel's code (NF_DROP 0, NF_ACCEPT 1, NFT_JUMP -3, ...).
    fn code(&self) -> i32 {
        match self {
            Self::Drop => 0,
            Self::Accept => 1,
            Self::Jump(_) => -3,
            Self::Goto(_) => -4,
            Self::Return => -5,
        }
    }

    pub(super) fn encode(&self, into: &mut Encoder) {
        into.nest(DATA_VERDICT, |verdict| {
            verdict.put_be32(VERDICT_CODE, self.code().cast_unsigned());
            if let Self::Jump(chain) | Self::Goto(chain) = self {
                verdict.put_text(VERDICT_CHAIN, chain);
            }
        });
    }
}

/// One step of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Loads what is known of the packet beside its bytes.
    Meta(Meta, u8),
    /// Loads bytes of a header: header, offset, length, slot.
    Payload(Header, u32, u32, u8),
    /// Loads a property of the connection.
    Connection(Connection, u8),
    /// Loads the type of the destination address as the routing table sees it (RTN_LOCAL is 2), four bytes.
    DestinationType(u8),
    /// Ends the rule unless the bytes from the slot on are (or, inverted, are not) these.
    Compare {
        /// Where they begin.
        slot: u8,
        /// End the rule when they are equal instead.
        inverted: bool,
        /// What they are compared with.
        value: Vec<u8>,
    },
    /// Replaces the value by itself AND the mask.
    Mask(u8, Vec<u8>),
    /// Ends the rule unless the bytes from the slot on are an element of the set; loads the element's data when a
    /// slot is given for it.
    Lookup {
        /// The name of the set, or of the map.
        set: String,
        /// Where the key begins.
        key: u8,
        /// Where the data of a map goes.
        data: Option<u8>,
    },
    /// Decides by the verdict that a map of [`crate::nft::SetKind::LinkVerdicts`] has for the bytes from the slot on,
    /// if any.
    VerdictMap {
        /// The name of the map.
        map: String,
        /// Where the key begins.
        key: u8,
    },
    /// Counts packets and bytes.
    Counter,
    /// Decides.
    Verdict(Verdict),
    /// Gives the connection the address of the link by which it leaves as its source.
    Masquerade,
    /// Puts these bytes into the slots from this one on.
    Immediate(u8, Vec<u8>),
    /// Gives the connection another source, an address in the slot.
    SourceNat {
        /// The address has 16 bytes instead of 4.
        ipv6: bool,
        /// Where the address begins.
        address: u8,
    },
    /// Gives the connection another destination: IPv6, slot of the address, slot of the port.
    DestinationNat {
        /// The address has 16 bytes instead of 4.
        ipv6: bool,
        /// Where the address begins.
        address: u8,
        /// Where the port is.
        port: u8,
    },
}

fn register(slot: u8) -> u32 {
    REGISTER_FIRST + u32::from(slot.min(15))
}

impl Expression {
    fn name(&self) -> &'static str {
        match self {
            Self::Meta(..) => "meta",
            Self::Payload(..) => "payload",
            Self::Connection(..) => "ct",
            Self::DestinationType(_) => "fib",
            Self::Compare { .. } => "cmp",
            Self::Mask(..) => "bitwise",
            Self::Lookup { .. } | Self::VerdictMap { .. } => "lookup",
            Self::Counter => "counter",
            Self::Verdict(_) | Self::Immediate(..) => "immediate",
            Self::Masquerade => "masq",
            Self::SourceNat { .. } | Self::DestinationNat { .. } => "nat",
        }
    }

    pub(super) fn encode(&self, list: &mut Encoder) {
        list.nest(LIST_ELEM, |element| {
            element.put_text(EXPR_NAME, self.name());
            element.nest(EXPR_DATA, |data| self.encode_data(data));
        });
    }

    /// The numbers are the attributes of each expression, in the order of linux/netfilter/nf_tables.h.
    fn encode_data(&self, data: &mut Encoder) {
        match self {
            Self::Meta(key, slot) => {
                data.put_be32(1, register(*slot));
                data.put_be32(2, meta_key(*key));
            }
            Self::Payload(header, offset, length, slot) => {
                data.put_be32(1, register(*slot));
                data.put_be32(2, if *header == Header::Network { 1 } else { 2 });
                data.put_be32(3, *offset);
                data.put_be32(4, *length);
            }
            Self::Connection(key, slot) => {
                data.put_be32(1, register(*slot));
                data.put_be32(2, if *key == Connection::State { 0 } else { 2 });
            }
            Self::DestinationType(slot) => {
                const ADDRESS_TYPE: u32 = 3;
                const OF_DESTINATION: u32 = 2;
                data.put_be32(1, register(*slot));
                data.put_be32(2, ADDRESS_TYPE);
                data.put_be32(3, OF_DESTINATION);
            }
            Self::Compare { slot, inverted, value } => {
                data.put_be32(1, register(*slot));
                data.put_be32(2, u32::from(*inverted));
                data.nest(3, |inner| inner.put(DATA_VALUE, value));
            }
            Self::Mask(slot, mask) => {
                data.put_be32(1, register(*slot));
                data.put_be32(2, register(*slot));
                data.put_be32(3, u32::try_from(mask.len()).unwrap_or(16));
                data.nest(4, |inner| inner.put(DATA_VALUE, mask));
                data.nest(5, |inner| inner.put(DATA_VALUE, &vec![0; mask.len()]));
            }
            Self::Lookup { set, key, data: loaded } => {
                data.put_text(1, set);
                data.put_be32(2, register(*key));
                if let Some(slot) = loaded {
                    data.put_be32(3, register(*slot));
                }
            }
            Self::VerdictMap { map, key } => {
                data.put_text(1, map);
                data.put_be32(2, register(*key));
                data.put_be32(3, REGISTER_VERDICT);
            }
            Self::Counter => {
                data.put(1, &0u64.to_be_bytes());
                data.put(2, &0u64.to_be_bytes());
            }
            Self::Verdict(verdict) => {
                data.put_be32(1, REGISTER_VERDICT);
                data.nest(2, |inner| verdict.encode(inner));
            }
            Self::Masquerade => {}
            Self::Immediate(slot, value) => {
                data.put_be32(1, register(*slot));
                data.nest(2, |inner| inner.put(DATA_VALUE, value));
            }
            Self::SourceNat { ipv6, address } => {
                const SNAT: u32 = 0;
                data.put_be32(1, SNAT);
                data.put_be32(2, if *ipv6 { 10 } else { 2 });
                data.put_be32(3, register(*address));
            }
            Self::DestinationNat { ipv6, address, port } => {
                const DNAT: u32 = 1;
                data.put_be32(1, DNAT);
                data.put_be32(2, if *ipv6 { 10 } else { 2 });
                data.put_be32(3, register(*address));
                data.put_be32(5, register(*port));
            }
        }
    }
}

fn meta_key(key: Meta) -> u32 {
    match key {
        Meta::InputName => 6,
        Meta::OutputName => 7,
        Meta::Family => 15,
        Meta::Transport => 16,
    }
}

/// Puts a value as the data of a set element or a key.
pub(super) fn put_value(into: &mut Encoder, kind: u16, value: &[u8]) {
    into.nest(kind, |inner| inner.put(DATA_VALUE, value));
}

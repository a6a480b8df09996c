//! A transaction: changes that happen together.
//!
//! ```text
//! [batch begin][change 1]...[change n, with NLM_F_ACK][batch end]     one send
//! ```
//!
//! The kernel prepares every change, and commits all of them or none at the end of the batch; the acknowledgement of
//! the last change comes only behind the commit.

use super::expression::{LIST_ELEM, Verdict, put_value};
use super::{
    DELSETELEM, DELTABLE, Family, NEWCHAIN, NEWRULE, NEWSET, NEWSETELEM, NEWTABLE, Rule, SUBSYSTEM,
    kind, nfgenmsg,
};
use crate::wire::{self, Encoder};
use crate::{Batch, NetfilterSocket, NetlinkError};
use std::net::IpAddr;

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const SET_MAP: u32 = 0x8;
const SET_CONCATENATION: u32 = 0x80;
const VERDICT_TYPE: u32 = 0xffff_ff00;
/// NFTNL_UDATA_RULE_COMMENT of libnftnl: how `nft` finds the comment of a rule.
const USERDATA_COMMENT: u8 = 0;
/// The kernel's limit for user data is 256 bytes (NFT_USERDATA_MAXLEN).
const COMMENT_LIMIT: usize = 128;
/// How many elements go in one message: an attribute holds at most 64 KiB.
const ELEMENTS_PER_MESSAGE: usize = 512;

/// Where a base chain is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// Routed through.
    Forward,
    /// To this host.
    Input,
    /// From this host.
    Output,
    /// Behind routing, on the way out.
    Postrouting,
}

impl Hook {
    fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

/// What happens to a packet for which a base chain says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It passes.
    Accept,
    /// It is dropped.
    Drop,
}

/// What a base chain is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainKind {
    /// Lets pass or drops.
    Filter,
    /// Translates addresses: sees the first packet of a connection.
    Nat,
}

/// A chain that the kernel itself calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseChain {
    /// What it is for.
    pub kind: ChainKind,
    /// Where.
    pub hook: Hook,
    /// When, among the chains of the hook: lower is earlier (raw -300, dstnat -100, filter 0, srcnat 100).
    pub priority: i32,
    /// What it says at its end.
    pub policy: Policy,
}

/// What the keys and data of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetKind {
    /// Key: destination address, transport protocol, destination port.
    Destinations,
    /// Key: the same; data: address and port to which it is translated.
    DestinationMap,
    /// Key: transport protocol and destination port; data: address and port to which it is translated.
    PortMap,
    /// Key: the name of a link; data: a verdict.
    LinkVerdicts,
}

/// A named set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set<'a> {
    /// Its name, at most 255 bytes.
    pub name: &'a str,
    /// What it holds.
    pub kind: SetKind,
    /// Addresses in it are IPv6.
    pub ipv6: bool,
}

/// One element of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    key: Vec<u8>,
    data: Option<Vec<u8>>,
    verdict: Option<Verdict>,
}

fn put_port(bytes: &mut Vec<u8>, port: u16) {
    bytes.extend_from_slice(&port.to_be_bytes());
    bytes.extend_from_slice(&[0; 2]);
}

fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

impl Element {
    /// A key of [`SetKind::Destinations`] and [`SetKind::DestinationMap`].
    pub fn destination(address: IpAddr, protocol: u8, port: u16) -> Self {
        let mut key = address_bytes(address);
        key.extend_from_slice(&[protocol, 0, 0, 0]);
        put_port(&mut key, port);
        Self { key, data: None, verdict: None }
    }

    /// A key of [`SetKind::PortMap`].
    pub fn port(protocol: u8, port: u16) -> Self {
        let mut key = vec![protocol, 0, 0, 0];
        put_port(&mut key, port);
        Self { key, data: None, verdict: None }
    }

    /// Gives the element of a map its data.
    pub fn to(mut self, address: IpAddr, port: u16) -> Self {
        let mut data = address_bytes(address);
        put_port(&mut data, port);
        self.data = Some(data);
        self
    }

    /// An element of [`SetKind::LinkVerdicts`].
    pub fn link(name: &str, verdict: Verdict) -> Self {
        let mut key = name.as_bytes().to_vec();
        key.resize(16, 0);
        Self { key, data: None, verdict: Some(verdict) }
    }

    fn encode(&self, list: &mut Encoder) {
        list.nest(LIST_ELEM, |element| {
            put_value(element, 1, &self.key);
            if let Some(data) = &self.data {
                put_value(element, 2, data);
            }
            if let Some(verdict) = &self.verdict {
                element.nest(2, |inner| verdict.encode(inner));
            }
        });
    }
}

/// The numbers of a set as the kernel and `nft` know them.
struct Shape {
    key_type: u32,
    key_fields: &'static [u32],
    data: Option<(u32, u32)>,
}

/// The types of `nft` (its datatype.h): a concatenation shifts six bits per part.
const IPV4: u32 = 7;
const IPV6: u32 = 8;
const PROTOCOL: u32 = 12;
const SERVICE: u32 = 13;
const LINK_NAME: u32 = 41;

impl Set<'_> {
    fn shape(&self) -> Shape {
        let address = if self.ipv6 { IPV6 } else { IPV4 };
        let target = Some((address << 6 | SERVICE, if self.ipv6 { 20 } else { 8 }));
        let destination = (address << 6 | PROTOCOL) << 6 | SERVICE;
        let fields: &[u32] = if self.ipv6 { &[16, 1, 2] } else { &[4, 1, 2] };
        match self.kind {
            SetKind::Destinations => {
                Shape { key_type: destination, key_fields: fields, data: None }
            }
            SetKind::DestinationMap => {
                Shape { key_type: destination, key_fields: fields, data: target }
            }
            SetKind::PortMap => {
                Shape { key_type: PROTOCOL << 6 | SERVICE, key_fields: &[1, 2], data: target }
            }
            SetKind::LinkVerdicts => {
                Shape { key_type: LINK_NAME, key_fields: &[16], data: Some((VERDICT_TYPE, 0)) }
            }
        }
    }
}

/// A list of changes.
#[derive(Debug)]
pub struct Transaction {
    batch: Batch,
    family: Family,
    table: String,
    sets: u32,
    rules: usize,
}

impl Transaction {
    /// A transaction on one table.
    pub fn new(family: Family, table: &str) -> Self {
        let mut batch = Batch::new();
        let m = batch.begin(BATCH_BEGIN, 0, "begin", "transaction");
        m.fixed(&nfgenmsg(0, SUBSYSTEM));
        m.end();
        Self { batch, family, table: table.to_owned(), sets: 0, rules: 0 }
    }

    fn begin(&mut self, command: u16, flags: u16, what: &'static str, name: &str) -> &mut Encoder {
        let family = self.family.number();
        let object = format!("{} {name}", self.table);
        let m = self.batch.begin(kind(command), flags, what, object.trim_end());
        m.fixed(&nfgenmsg(family, 0));
        m
    }

    /// Makes the table when it is not there.
    pub fn ensure_table(&mut self) {
        let table = self.table.clone();
        let m = self.begin(NEWTABLE, wire::CREATE, "create nftables table", "");
        m.put_text(1, &table);
        m.put_be32(2, 0);
        m.end();
    }

    /// Deletes the table with all that is in it; it must be there.
    pub fn delete_table(&mut self) {
        let table = self.table.clone();
        let m = self.begin(DELTABLE, 0, "delete nftables table", "");
        m.put_text(1, &table);
        m.end();
    }

    /// Begins the table anew, whether it is there or not.
    pub fn replace_table(&mut self) {
        self.ensure_table();
        self.delete_table();
        self.ensure_table();
    }

    /// Makes a chain that other chains jump to.
    pub fn add_chain(&mut self, name: &str) {
        let table = self.table.clone();
        let m = self.begin(NEWCHAIN, wire::CREATE, "create nftables chain", name);
        m.put_text(1, &table);
        m.put_text(3, name);
        m.end();
    }

    /// Makes a chain that the kernel calls.
    pub fn add_base_chain(&mut self, name: &str, chain: BaseChain) {
        let table = self.table.clone();
        let m = self.begin(NEWCHAIN, wire::CREATE, "create nftables chain", name);
        m.put_text(1, &table);
        m.put_text(3, name);
        m.nest(4, |hook| {
            hook.put_be32(1, chain.hook.number());
            hook.put_be32(2, chain.priority.cast_unsigned());
        });
        m.put_be32(5, if chain.policy == Policy::Accept { 1 } else { 0 });
        m.put_text(7, if chain.kind == ChainKind::Filter { "filter" } else { "nat" });
        m.end();
    }

    /// Makes a set or a map, empty.
    pub fn add_set(&mut self, set: &Set<'_>) {
        let table = self.table.clone();
        let shape = set.shape();
        self.sets += 1;
        let id = self.sets;
        let length = |length: &u32| length.next_multiple_of(4);
        let m = self.begin(NEWSET, wire::CREATE, "create nftables set", set.name);
        m.put_text(1, &table);
        m.put_text(2, set.name);
        let concatenation = if shape.key_fields.len() > 1 { SET_CONCATENATION } else { 0 };
        let map = if shape.data.is_some() { SET_MAP } else { 0 };
        m.put_be32(3, map | concatenation);
        m.put_be32(4, shape.key_type);
        m.put_be32(5, shape.key_fields.iter().map(length).sum());
        if let Some((data_type, data_length)) = shape.data {
            m.put_be32(6, data_type);
            m.put_be32(7, data_length);
        }
        if concatenation > 0 {
            m.nest(9, |description| {
                description.nest(2, |fields| {
                    for field in shape.key_fields {
                        fields.nest(LIST_ELEM, |inner| inner.put_be32(1, *field));
                    }
                });
            });
        }
        m.put_be32(10, id);
        if set.kind == SetKind::LinkVerdicts {
            // NFTNL_UDATA_SET_KEYBYTEORDER, 4 bytes, host order: without it `nft` shows the names reversed.
            let [a, b, c, d] = 1u32.to_ne_bytes();
            m.put(13, &[0, 4, a, b, c, d]);
        }
        m.end();
    }

    /// Adds elements to a set; one that is there already is no error.
    pub fn add_elements(&mut self, set: &str, elements: &[Element]) {
        for part in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.elements(NEWSETELEM, wire::CREATE, "add to nftables set", set, part);
        }
    }

    /// Takes elements out of a set. ENOENT when one is not in it.
    pub fn delete_elements(&mut self, set: &str, elements: &[Element]) {
        for part in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.elements(DELSETELEM, 0, "delete from nftables set", set, part);
        }
    }

    fn elements(
        &mut self,
        command: u16,
        flags: u16,
        what: &'static str,
        set: &str,
        elements: &[Element],
    ) {
        let table = self.table.clone();
        let m = self.begin(command, flags, what, set);
        m.put_text(1, &table);
        m.put_text(2, set);
        m.nest(3, |list| {
            for element in elements {
                element.encode(list);
            }
        });
        m.end();
    }

    /// How many rules it adds.
    pub fn rules(&self) -> usize {
        self.rules
    }

    /// Adds a rule at the end of a chain.
    pub fn add_rule(&mut self, chain: &str, rule: &Rule) {
        self.rules += 1;
        let table = self.table.clone();
        let flags = wire::CREATE | wire::APPEND;
        let m = self.begin(NEWRULE, flags, "add nftables rule to", chain);
        m.put_text(1, &table);
        m.put_text(2, chain);
        m.nest(4, |list| {
            for expression in &rule.expressions {
                expression.encode(list);
            }
        });
        if !rule.comment.is_empty() {
            let text: String = rule.comment.chars().filter(char::is_ascii).collect();
            let text = &text.as_bytes()[..text.len().min(COMMENT_LIMIT)];
            let mut userdata = vec![USERDATA_COMMENT, u8::try_from(text.len() + 1).unwrap_or(1)];
            userdata.extend_from_slice(text);
            userdata.push(0);
            m.put(7, &userdata);
        }
        m.end();
    }

    fn finish(mut self) -> Batch {
        self.batch.encoder.add_flags(wire::ACK);
        let m = self.batch.begin(BATCH_END, 0, "end", "transaction");
        m.fixed(&nfgenmsg(0, SUBSYSTEM));
        m.end();
        self.batch
    }
}

impl NetfilterSocket {
    /// Commits a transaction. EOPNOTSUPP or ENOENT of the first change: the kernel has no nftables, or lacks a part
    /// of it; EPERM without CAP_NET_ADMIN.
    pub fn commit(&mut self, transaction: Transaction) -> Result<(), NetlinkError> {
        self.0.commit(transaction.finish())
    }
}

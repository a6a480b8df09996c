//! nftables through nfnetlink (linux/netfilter/nf_tables.h): what a rule set of our own needs, and no more.
//!
//! A [`Transaction`] is a list of changes that the kernel takes as a whole or not at all, between two packets: a
//! table is replaced by deleting and making it again in one transaction. A [`Rule`] is a list of [`Expression`]s; the
//! kernel's virtual machine evaluates them in order and ends the rule at the first comparison that fails.
//!
//! Reading order: [`transaction`] (tables, chains, sets, elements, rules), [`expression`], [`rule`] (the builder in
//! the words of `nft`), [`listing`] (what is there now).

pub mod expression;
pub mod listing;
pub mod rule;
pub mod transaction;

pub use expression::{Expression, Verdict};
pub use rule::Rule;
pub use transaction::{BaseChain, ChainKind, Hook, Policy, Set, SetKind, Transaction};

/// The subsystem number of nf_tables in nfnetlink.
const SUBSYSTEM: u16 = 10;

const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
const GETRULE: u16 = 7;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;
const GETSETELEM: u16 = 13;
const DELSETELEM: u16 = 14;
const GETGENERATION: u16 = 16;

const fn kind(command: u16) -> u16 {
    (SUBSYSTEM << 8) | command
}

/// The family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6 together (nat chains since Linux 5.2).
    Inet,
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
    /// Frames on a bridge.
    Bridge,
}

impl Family {
    fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ipv4 => 2,
            Self::Bridge => 7,
            Self::Ipv6 => 10,
        }
    }
}

/// The fixed part of every message: struct nfgenmsg.
fn nfgenmsg(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

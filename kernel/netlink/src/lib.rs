//! Links, addresses, routes and packet filter rules of a network namespace, spoken to the kernel over netlink.
//!
//! Requests are encoded here and sent synchronously, several in one send; every one of them is acknowledged before
//! the call returns, and a refusal names the operation and the object. Nothing here runs a program, keeps a thread
//! or remembers anything between calls but a socket: the kernel is the only state. The crate never decides policy:
//! which bridge, which rule, which address is the caller's business.
//!
//! Whatever the kernel answers is parsed with bounds (a message, an attribute or a string that does not fit is a
//! [`NetlinkError::Malformed`]), since a parser that trusts its peer tends to be reused for one that lies.
//!
//! Reading order: [`name`] (interface names and hardware addresses, checked once), [`wire`] (messages and
//! attributes), [`socket`] (a socket, a batch, its acknowledgements), [`link`] and [`link_info`], [`address`],
//! [`route`], [`nft`] (nftables: tables, chains, sets, rules, in one transaction), [`conntrack`], [`namespace`] (creating a network
//! namespace, and sockets that live in one).
//!
//! `unsafe` is needed for three calls that have no safe wrapper: two socket options, one ioctl and `unshare`; each is
//! in [`socket`] or [`namespace`] with its reason.

pub mod address;
pub mod conntrack;
pub mod link;
pub mod link_info;
pub mod name;
pub mod namespace;
pub mod nft;
pub mod route;
pub mod socket;
pub mod wire;

mod error;

pub use error::NetlinkError;
pub use name::{InterfaceName, Mac, NameError};
pub use namespace::Namespace;
pub use socket::{Batch, NetfilterSocket, RouteSocket, RuleMonitor};

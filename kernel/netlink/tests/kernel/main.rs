//! What the kernel makes of our requests, in fresh namespaces, with `ip` and `nft` as judges.

#![expect(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

mod links;
mod nftables;
mod support;

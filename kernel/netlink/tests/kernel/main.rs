//! What the kernel makes of our requests, in fresh namespaces, with `ip` and `nft` as judges.

mod links;
mod nftables;
mod support;

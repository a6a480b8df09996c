//! The store of a registry: repositories with blobs, manifests, tags and referrers in a directory.
//!
//! It never speaks HTTP, never asks who may do what, and never shows anything that is not whole and durable. The truth
//! is on the disk alone: any number of processes may work on one directory, and any of them may be killed at any time.
//!
//! Reading order: [`Name`], [`Tag`], [`Digest`], [`Reference`]; [`Store`]; `blob` and [`Upload`] (how bytes get in);
//! [`Document`] (what a manifest says) and `manifest`; `tag`, `referrers`; [`Collection`] (what removes); `tree` (paths
//! below the root) and `lock`.
//!
//! # On disk
//!
//! ```text
//! <root>/coffer-registry.json                             {"format":1}
//! <root>/blobs/<algorithm>/<2 hex>/<hex>                  a blob, whole, never written again
//! <root>/repositories/<name>/_blobs/<algorithm>/<hex>     the same file: a hard link
//! <root>/repositories/<name>/_manifests/<algorithm>/<hex> media type, line feed, the manifest's bytes
//! <root>/repositories/<name>/_tags/<tag>                  the digest of a manifest
//! <root>/repositories/<name>/_referrers/<algorithm>/<hex of the subject>/<algorithm>-<hex>   a descriptor
//! <root>/repositories/<name>/_uploads/<uuid>              the bytes of an upload until now
//! <root>/secrets/<name>                                   what all processes share, such as the key of tokens
//! <root>/tmp/<uuid>                                       files before their rename
//! <root>/lock/gate, lock/lock                             see `lock`
//! ```
//!
//! A name's parts begin with a letter or digit, so nothing that begins with `_` is one. A blob's link count says how
//! many repositories have it; nobody has to keep a second account. Everything gets in by write, fsync, rename or link,
//! fsync of the directory.
//!
//! # What is removed, and what is kept
//!
//! [`Store::collect`] runs beside everything else. A blob goes when no manifest of the repository refers to it and
//! nobody has written it or asked for it for [`GRACE`]; looking a blob up, mounting it and referring to it renew that
//! time. The collector looks once more under the exclusive lock; who refers to a blob looks under the shared one.
//!
//! All functions block for the disk: async code calls them from blocking threads. There are no tasks. Locks, in this
//! order: an upload's `flock`, `lock/gate`, `lock/lock`, the mutex of the kept hashes.

#![forbid(unsafe_code)]

mod blob;
mod check;
mod collect;
mod digest;
mod document;
mod error;
mod lock;
mod manifest;
mod name;
mod referrers;
mod store;
mod tag;
mod tree;
mod upload;

pub use blob::Blob;
pub use check::Finding;
pub use collect::{Collected, Collection};
pub use digest::{Algorithm, Digest};
pub use document::{Document, INDEX_TYPE, MANIFEST_MAX, Part};
pub use error::Error;
pub use manifest::{Check, Manifest, Reference};
pub use name::{NAME_MAX, Name, NameError, TAG_MAX, Tag, UploadId};
pub use referrers::Referrer;
pub use store::{GRACE, Store};
pub use tag::Page;
pub use upload::Upload;

/// A random id; `doing` something with `path` fails when the kernel has no random bytes.
fn random_id(doing: &'static str, path: &std::path::Path) -> Result<UploadId, Error> {
    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())
        .map_err(Error::io(doing, path))?;
    Ok(UploadId::from_random(random))
}

//! The store of layers and of containers' writable directories, and the overlay mounts made of them.
//!
//! A *layer* is committed: it has a tree that never changes again, and is named by its chain id. A *container* has a
//! writable directory over a list of layers, its *parents*, the lowest first. Both are named by a [`spec::SnapshotKey`].
//!
//! ```text
//! <root>/snapshots/          0700
//!   format                   "coffer snapshots 1\n"; another text: the store is refused
//!   empty/one/ empty/two/    lower directories for an overlay of layers that has too few
//!   init/                    the lowest directory of every container: the places that the engine mounts over, so that
//!                            they exist without counting as changes (dev/pts, etc/hosts, .dockerenv ...)
//!   <key>/                   a layer:
//!     fs/                      its tree; a file deleted in it is a character device 0:0, a directory that hides those
//!                              below has trusted.overlay.opaque=y
//!     meta                     "layer <bytes of content>\n"
//!   <key>/                   a container:
//!     upper/ work/             as overlayfs wants them
//!     meta                     "container <key of a parent>...\n", the lowest first
//!   tmp/<name>/              what is being made; nobody sees it, and the next start removes it
//!   trash/<name>/            what is being removed; the next start goes on with it
//! ```
//!
//! A directory under its key is complete: it is made in `tmp`, synced if it is a layer (one `syncfs`), and renamed. So a
//! crash leaves nothing half visible, and after a power loss a layer is there with all its bytes or not at all. Removal
//! renames into `trash` first, which frees the name at once.
//!
//! This crate never attaches a mount anywhere, never reads an archive, and keeps no list in memory: the directory is the
//! list. There are no locks; what races is decided by a rename that does not replace. One process at a time opens the
//! store with [`Store::open`]; its children work on the opened one.
//!
//! Reading order: [`Store`], [`Staging`] (a layer in the making), [`Snapshot`], [`StoreError`].

#![forbid(unsafe_code)]

mod error;
mod init;
mod meta;
mod mount;
mod staging;
mod store;
#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use meta::Snapshot;
pub use staging::Staging;
pub use store::Store;

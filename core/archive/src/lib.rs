//! Tar archives: a streaming reader and writer, decompression by content, digests on the way, and the two directions
//! between an archive and a directory.
//!
//! Everything read here comes from strangers. So every size is bounded before it is believed, names are bytes, and an
//! archive that two readers could understand in two ways is refused with one sentence that names the entry and the
//! cause, instead of being guessed at (the class of RUSTSEC-2025-0111, where a PAX size and a header size differ).
//! On archives without such a flaw the reader agrees with Go's archive/tar, because that is what other engines use.
//!
//! This crate never resolves a path by its text: a directory is a descriptor, and what an entry names is looked up
//! inside that directory as if it were the root of the file system (`openat2`, RESOLVE_IN_ROOT). It starts no process
//! and no thread, and knows nothing of snapshots: whoever extracts what a stranger made calls it from a process that
//! is locked into the directory.
//!
//! Reading order:
//! - [`Entry`], [`Kind`], [`Time`]: one member of an archive;
//! - [`Reader`] and [`Limits`]: ustar, GNU, PAX, v7 and all sparse forms into entries;
//! - [`Writer`]: entries into ustar, or PAX where ustar cannot hold a value;
//! - [`Decoder`] and [`Compression`]: gzip, zstd, bzip2, xz or nothing, told apart by content, with a bound;
//! - [`HashReader`] and [`HashWriter`]: SHA-256 while streaming;
//! - [`extract()`] and [`ExtractOptions`]: an archive into a directory, as an image layer or as it is;
//! - [`create()`] and [`CreateOptions`]: a directory, an overlay's upper directory, or one path into an archive;
//! - [`changes()`] and [`opaque_directories`]: what an overlay's upper directory changes, as `docker diff` shows it;
//! - [`open_directory`], [`remove_tree`] and [`disk_usage`]: lookups and walks by descriptor that the store of snapshots needs too.
//!
//! ```text
//! blob ─ Decoder ─ HashReader ─ Reader ─ extract ─ directory
//! directory ─ create ─ Writer ─ HashWriter ─ pipe
//! ```

#![forbid(unsafe_code)]

mod changes;
mod compress;
mod create;
mod directory;
mod entry;
mod extract;
mod gzip;
mod hash;
mod name;
mod number;
#[cfg(test)]
mod raw;
mod read;
mod removal;
mod usage;
mod write;

pub use changes::{Change, ChangeError, ChangeKind, changes, opaque_directories};
pub use compress::{Compression, Decoder};
pub use create::{CreateError, CreateOptions, Created, Layout, create};
pub use directory::open_directory;
pub use entry::{Attributes, Entry, Kind, Segment, Time};
pub use extract::{ExtractError, ExtractOptions, Extracted, Owners, Place, Refusal, extract};
pub use gzip::gzip;
pub use hash::{HashReader, HashWriter};
pub use name::escape;
pub use read::{Flaw, Limits, ReadError, Reader};
pub use removal::{RemoveError, remove_tree};
pub use usage::{UsageError, disk_usage};
pub use write::{WriteError, Writer};

/// How the name of a file begins that deletes another one in the layers below (OCI image specification, layer.md).
pub const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// The name of the file that hides all that the layers below have in its directory (OCI image specification, layer.md).
pub const OPAQUE_NAME: &[u8] = b".wh..wh..opq";

/// The extended attribute by which overlayfs knows a directory that hides the ones below; its value is `y`.
pub const OPAQUE_ATTRIBUTE: &str = "trusted.overlay.opaque";

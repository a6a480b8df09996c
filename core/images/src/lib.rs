//! The image store: what images there are, their names, their layers, and how images get in and out.
//!
//! It never unpacks a layer itself (it asks through [`Layers`]), never talks to a registry, and does not know
//! containers: who uses an image is told with each call that depends on it ([`User`]). All archives and configurations
//! come from strangers; each is bounded, and refused with one sentence.
//!
//! Reading order: [`Image`] (what is known about one), [`Store`] (open, look up, add), [`Lease`] (what keeps blobs and
//! layers of an image that is being made), [`Layers`]; then the verbs: [`Store::list`] with [`Filters`],
//! [`Store::tag`], [`Store::remove`], [`Store::prune`], [`Store::load`], [`Store::save`], [`Store::import`],
//! [`Store::commit`], [`Store::collect`].
//!
//! # What lies where
//!
//! ```text
//! content   blobs: configuration (its digest is the image's id), manifest, layers as they came
//! metadata  images      id -> Image: manifest, layers, parent, sizes
//!           references  full name with tag or digest -> id
//!           fetched     digest -> since when: blobs of a pull that is not, or never was, finished
//!           layers      chain id -> Layer: a snapshot of this name exists, and how large it is
//! ```
//!
//! # What is garbage
//!
//! Nothing counts references. A blob or layer is alive when an image's record, a container ([`User`]) or a [`Lease`]
//! has it. Leases live in memory: after a crash there are none, so what a load left half done is garbage, and
//! [`Store::collect`], to be called once after the store was opened and whenever containers were removed, removes it.
//! An image's record is written last, in one transaction with its names, after its blobs and layers are on the disk.
//!
//! # Blocking, tasks and locks
//!
//! Functions that are not `async` read the metadata database and small blobs: microseconds, a millisecond for lists.
//! Those that do more say `blocking` in their name and belong on a blocking thread. `async` functions move their disk
//! work to blocking threads themselves; they may be dropped at any point, which leaves at most garbage. Lock order:
//! collecting, metadata writer, held.

#![forbid(unsafe_code)]

mod changes;
mod collect;
mod commit;
mod error;
mod fetched;
mod filter;
mod glob;
mod history;
mod import;
mod layers;
mod lease;
mod list;
mod load;
mod lookup;
mod prune;
mod pushed;
mod record;
mod remove;
mod save;
mod store;
mod tag;
mod time;

pub use changes::apply_changes;
pub use collect::Collected;
pub use commit::NewCommit;
pub use error::{ChangeError, Error, LoadError};
pub use filter::Filters;
pub use history::HistoryItem;
pub use import::NewImport;
pub use layers::{Layers, Pending};
pub use lease::Lease;
pub use list::Summary;
pub use load::{Loaded, Progress};
pub use prune::Pruned;
pub use record::{Image, ImageLayer, Layer, User, chain};
pub use remove::{RemoveOptions, Removed};
pub use save::Save;
pub use store::{NewImage, NewLayer, Store};

//! The systemd cgroup driver: a container's group is that of a transient scope, which the service manager makes.
//!
//! The manager is asked over D-Bus by a client that knows the few types and calls that this needs (decision 010, docs/decisions). It
//! starts no thread and no other program; every wait has a deadline; a message is never longer than
//! [`wire::MAX_MESSAGE`].
//!
//! In reading order: [`Unit`] (the names: `cgroupsPath` as `slice:prefix:name`), [`properties`] (limits as properties of
//! a unit, pure), [`Manager`] (start, change, stop), [`scope`] (all of it together with [`cgroups`]). Inside: [`wire`]
//! (values as bytes), `message`, [`bus`] (one connection), [`annotation`] (properties that a bundle names itself).
//!
//! *No process without limits.* A scope cannot be made without a process in it. Here this is a child that waits: the
//! scope is made around it, the limits are written, the container's first process is born in the group, and then the
//! child is ended ([`scope::Started`]).
//!
//! ```text
//! start    StartTransientUnit(unit, properties, our waiting child) ── JobRemoved: done
//!          take the group over, make it where the manager does not, write all limits
//! update   SetUnitProperties, then write the files: the manager rounds and knows only some
//! delete   StopUnit ── JobRemoved, ResetFailedUnit, remove what is left
//! ```

#![forbid(unsafe_code)]

pub mod annotation;
pub mod bus;
mod devices;
mod error;
mod manager;
mod message;
pub mod properties;
pub mod scope;
#[cfg(test)]
mod tests;
mod unit;
pub mod waiting;
pub mod wire;

pub use error::SystemdError;
pub use manager::{Manager, Whose};
pub use properties::Property;
pub use unit::Unit;

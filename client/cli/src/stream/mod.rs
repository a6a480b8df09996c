//! Terminals, signals, and the copying between them and a container.

pub(crate) mod archive;
pub(crate) mod attached;
pub(crate) mod bars;
pub(crate) mod detach;
pub(crate) mod exit;
pub(crate) mod input;
pub(crate) mod signals;
pub(crate) mod terminal;

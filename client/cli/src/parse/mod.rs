//! Texts of flags into bodies of the API, as docker's own client reads them.

pub(crate) mod csv;
pub(crate) mod device;
pub(crate) mod duration;
pub(crate) mod env;
pub(crate) mod filter;
pub(crate) mod limits;
pub(crate) mod mount;
pub(crate) mod network;
pub(crate) mod platform;
pub(crate) mod port;
pub(crate) mod reference;
pub(crate) mod security;
pub(crate) mod size;
pub(crate) mod volume;

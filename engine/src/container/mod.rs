//! Containers.

pub mod config;
pub mod facts;
pub mod live;
pub mod logging;
pub mod merge;
pub mod mounts;
pub mod name;
pub mod options;
pub mod resources;
pub mod restart;
pub mod security;
pub mod signal;
mod skeleton;
pub mod state;
pub mod validate;
pub mod wait;

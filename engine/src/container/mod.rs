//! Containers.

pub mod name;
pub mod options;
pub mod restart;
mod skeleton;
pub mod state;
pub mod wait;

//! Whether a container is healthy: what its image or its maker says how to ask, asked again and again while it runs.
//!
//! [`check`] is what is asked, [`state`] what follows from the answers (both pure), `probe` asks once, `monitor` asks
//! again and again, `actor` is the owner's part: it alone changes the state and tells of it.
//!
//! ```text
//!   start ─▶ starting ──success──▶ healthy ◀──success── unhealthy
//!               │                     │                     ▲
//!               └──failures in a row, as many as retries────┘   also whenever nobody asks any more
//! ```

mod actor;
pub mod check;
mod monitor;
mod probe;
pub mod state;

pub(crate) use monitor::Monitor;
pub use state::{Health, Outcome, Status};

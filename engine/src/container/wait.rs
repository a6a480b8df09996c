//! Waiting for a container.

use api_types::container::WaitReply;

/// A wait that has begun.
#[derive(Debug)]
pub struct WaitHandle {}

impl WaitHandle {
    /// Waits for the condition.
    pub async fn finish(self) -> WaitReply {
        todo!()
    }
}

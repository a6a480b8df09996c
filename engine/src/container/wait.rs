//! Waiting for a container.

use super::live::View;
use super::options::WaitCondition;
use crate::open::Engine;
use api_types::container::{WaitError, WaitReply};
use spec::Failure;
use std::sync::Arc;
use tokio::sync::watch;

/// A wait that has begun: nothing that happens from now on is missed.
#[derive(Debug)]
pub struct WaitHandle {
    view: watch::Receiver<Arc<View>>,
    condition: WaitCondition,
    ends: u64,
    removal_failures: u64,
}

impl Engine {
    /// Begins to wait; resolves at once, so that the client can be told that its request was heard.
    pub async fn wait(&self, name: &str, condition: WaitCondition) -> Result<WaitHandle, Failure> {
        let handle = self.0.containers.find(name)?;
        let view = handle.view();
        Ok(WaitHandle {
            view: handle.view,
            condition,
            ends: view.ends,
            removal_failures: view.removal_failures,
        })
    }
}

impl WaitHandle {
    /// Waits for the condition. Safe to be cancelled.
    pub async fn finish(mut self) -> WaitReply {
        let (condition, ends, failures) = (self.condition, self.ends, self.removal_failures);
        let met = |view: &Arc<View>| match condition {
            WaitCondition::NotRunning => {
                !view.state.is_active() || view.ends > ends || view.removed
            }
            WaitCondition::NextExit => view.ends > ends || view.removed,
            WaitCondition::Removed => view.removed || view.removal_failures > failures,
        };
        // An engine that ends leaves the last view as the answer.
        self.view.wait_for(met).await.map(|_| ()).ok();
        let view = Arc::clone(&self.view.borrow());
        let failed = view.removal_failures > failures && !view.removed;
        let message = view.removal_error.as_ref().filter(|_| failed);
        WaitReply {
            status_code: i64::from(view.outcome.exit_code),
            error: message.map(|message| WaitError { message: message.to_string() }),
        }
    }
}

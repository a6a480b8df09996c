//! Undoing a create that could not be undone at once, since a worker was away or a disk full.

use super::remove::finish_removal;
use crate::open::Shared;
use crate::store::Intent;
use spec::ContainerId;
use std::sync::Arc;
use std::time::Duration;

/// The pause before the first try; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Tries until it is done or the engine ends; then the intent is left for the next start.
pub(crate) fn undo_later(shared: &Arc<Shared>, id: ContainerId, intent: Intent) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let Some(shared) = shared.upgrade() else { return };
            match finish_removal(&shared, &id, intent.clone(), true).await {
                Ok(()) => return,
                Err(failure) => {
                    tracing::debug!(container = id.as_str(), "undo a create: {failure}");
                }
            }
        }
    });
}

//! The thread that makes commits durable in the background.

use crate::store::{GROUP_COMMIT, Shared};
use std::sync::{Condvar, Mutex, PoisonError};

/// What the thread waits for.
#[derive(Debug, Default)]
pub(crate) struct SyncState {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    wanted: bool,
    stopped: bool,
}

impl SyncState {
    /// Asks for a sync at most [`GROUP_COMMIT`] later.
    pub(crate) fn request(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.wanted {
            state.wanted = true;
            self.changed.notify_all();
        }
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.changed.notify_all();
    }

    /// Waits until a sync is due; false when the thread is to end.
    fn wait(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self
            .changed
            .wait_while(state, |state| !state.wanted && !state.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        // More commits come in meanwhile; one sync is for all of them.
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, GROUP_COMMIT, |state| !state.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        state.wanted = false;
        !state.stopped
    }
}

/// Syncs until it is stopped. A sync that failed is tried again.
pub(crate) fn run(shared: &Shared) {
    while shared.sync.wait() {
        if shared.sync_now().is_err() {
            shared.sync.request();
        }
    }
}

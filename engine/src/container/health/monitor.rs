//! Asking again and again, as long as somebody holds the [`Monitor`].

use super::check::Check;
use super::probe::probe;
use super::state::Status;
use crate::container::actor::Command;
use crate::event;
use crate::open::{Engine, Shared};
use spec::ContainerId;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;

/// The task that asks; it ends with this value. A check that is under way then goes on to its own end, of which nobody
/// hears any more.
#[derive(Debug)]
pub(crate) struct Monitor {
    /// Tells answers that come too late from those of this run.
    pub(super) number: u64,
    _stop: oneshot::Sender<()>,
}

impl Monitor {
    /// Begins to ask a container that was started at `started_at` (nanoseconds since 1970) and is `status` now.
    pub(super) fn start(
        shared: &Arc<Shared>,
        id: ContainerId,
        check: Check,
        (number, started_at, status): (u64, i64, Status),
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        // The engine may be closed while nothing is asked.
        let shared = Arc::downgrade(shared);
        tokio::spawn(async move {
            let asking = ask_always(&shared, &id, &check, number, started_at, status);
            run(asking, stopped).await;
        });
        Self { number, _stop: stop }
    }
}

async fn run(asking: impl Future<Output = ()>, stopped: oneshot::Receiver<()>) {
    tokio::select! {
        () = asking => {}
        _ = stopped => {}
    }
}

async fn ask_always(
    shared: &Weak<Shared>,
    id: &ContainerId,
    check: &Check,
    number: u64,
    started_at: i64,
    mut status: Status,
) {
    loop {
        let pause = check.pause(ran(started_at, event::now()), status == Status::Starting);
        tokio::time::sleep(pause).await;
        let Some(engine) = shared.upgrade().map(Engine) else { return };
        // In a task of its own, so that one that is not waited for any more still leaves nothing behind.
        let (asked, asked_id, asked_check) = (engine.clone(), id.clone(), check.clone());
        let probing = tokio::spawn(async move { probe(&asked, &asked_id, &asked_check).await });
        let Ok(outcome) = probing.await else { return };
        let Some(handle) = engine.0.containers.get(id) else { return };
        drop(engine);
        let told = handle.ask(|reply| Command::Probed { number, outcome, reply }).await;
        match told {
            Ok(now) => status = now,
            Err(_) => return,
        }
    }
}

/// From one time to another, both nanoseconds since 1970.
pub(super) fn ran(from: i64, to: i64) -> Duration {
    Duration::from_nanos(to.saturating_sub(from).max(0).unsigned_abs())
}

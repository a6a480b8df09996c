//! What is left of execs: after their end, after a start that failed, and after an engine that died.

use crate::open::Shared;
use messages::shim::{self, Event};
use messages::task::TaskInfo;
use spec::{Class, ContainerId, ExecId, Failure};
use std::sync::Arc;
use std::time::Duration;
use transport::Channel;

/// How often the removal of a record is tried.
const TRIES: u32 = 5;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Removes the record of an exec, and kills its process if it still runs.
pub(super) async fn clean_up(shared: &Shared, container: &ContainerId, exec: &ExecId) {
    for _ in 0..TRIES {
        match shared.workers.delete_task(container.clone(), Some(exec.clone())).await {
            Ok(()) => return,
            Err(failure) => tracing::debug!(exec = exec.as_str(), "clean up: {failure}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::warn!(exec = exec.as_str(), "an exec's record stays until its container ends");
}

/// Sees to the execs that an earlier engine has left: those that run are waited for, so that their shims may end when
/// they do, and of the others what is left is removed. Nobody can ask for them any more.
pub(crate) fn take_over(shared: &Arc<Shared>, tasks: &[TaskInfo]) {
    for task in tasks {
        let Some(exec) = task.exec.clone() else { continue };
        let (shared, container, lives) = (Arc::clone(shared), task.id.clone(), task.shim_alive);
        tokio::spawn(async move {
            for _ in 0..TRIES {
                if !lives {
                    break;
                }
                match outwait(&shared, &container, &exec).await {
                    Ok(()) => break,
                    Err(failure) if failure.class == Class::NotFound => break,
                    Err(failure) => tracing::warn!(exec = exec.as_str(), "take over: {failure}"),
                }
                tokio::time::sleep(PAUSE).await;
            }
            clean_up(&shared, &container, &exec).await;
        });
    }
}

/// Waits until the process has ended, or its shim.
async fn outwait(shared: &Shared, id: &ContainerId, exec: &ExecId) -> Result<(), Failure> {
    let socket = shared.workers.connect_task(id.clone(), Some(exec.clone())).await?;
    let channel = Channel::new(socket)
        .map_err(|error| Failure::internal(format!("connect to shim: {error}")))?;
    loop {
        match channel.receive().await {
            Ok(Some(Event::Exited(_) | Event::Status { exit: Some(_), .. })) => break,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return Ok(()),
        }
    }
    // A shim that is gone needs no answer.
    channel.send(&shim::Request::Acknowledge, Vec::new()).await.ok();
    Ok(())
}

//! Execs: further processes in a container that runs.
//!
//! An exec is made, then started at most once; how it ended can be asked for some minutes more. Execs live in memory:
//! one that runs when the engine dies goes on, but nobody can ask for it afterwards, as with Docker. One task per exec
//! that runs reads its shim's events; nothing here waits for the container's own task.

mod clean_up;
mod create;
mod process;
mod start;

pub(crate) use clean_up::take_over;

use crate::open::{Engine, Shared};
use api_types::List;
use api_types::exec::{CreateBody, Inspect, ProcessConfig};
use spec::{ContainerId, ExecId, Failure};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long the end of an exec can be asked for.
const KEPT: Duration = Duration::from_secs(300);
/// How long a resize waits for the process to be started.
const RESIZE_PATIENCE: Duration = Duration::from_secs(10);

/// What an exec is doing.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// It was not started.
    Created,
    /// It is being started.
    Starting,
    /// It runs.
    Running {
        /// The process as the host sees it.
        pid: i32,
        /// The connection to its shim.
        channel: Arc<transport::Channel>,
    },
    /// It has ended, or could not be started.
    Ended {
        /// The exit code.
        code: i32,
    },
}

/// One exec.
#[derive(Debug)]
pub(crate) struct Exec {
    pub(crate) id: ExecId,
    pub(crate) container: ContainerId,
    pub(crate) body: CreateBody,
    /// Who it runs as and that user's home directory, looked up when it was made.
    pub(crate) user: (spec::oci::User, String),
    pub(crate) detach_keys: Vec<u8>,
    pub(crate) phase: watch::Sender<Phase>,
    /// Whether it is known why the client's stream ends.
    pub(crate) parted: watch::Sender<bool>,
}

impl Exec {
    fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    fn words(&self) -> String {
        let (program, arguments) = self
            .body
            .cmd
            .split_first()
            .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        // Docker has a space behind the program even when nothing follows.
        format!("{program} {}", arguments.join(" "))
    }
}

/// All execs that can be asked for.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<HashMap<ExecId, Arc<Exec>>>);

impl Registry {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ExecId, Arc<Exec>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds an exec by its id, or a prefix of it that no other has.
    pub(crate) fn find(&self, id: &str) -> Result<Arc<Exec>, Failure> {
        let all = self.lock();
        if let Some(exec) = ExecId::parse(id).ok().and_then(|id| all.get(&id)) {
            return Ok(Arc::clone(exec));
        }
        let mut matching =
            all.values().filter(|exec| !id.is_empty() && exec.id.as_str().starts_with(id));
        match (matching.next(), matching.next()) {
            (Some(exec), None) => Ok(Arc::clone(exec)),
            _ => Err(Failure::not_found(format!("No such exec instance: {id}"))),
        }
    }
}

/// Forgets an exec some minutes after its end.
fn forget_later(shared: &Arc<Shared>, id: ExecId) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        tokio::time::sleep(KEPT).await;
        if let Some(shared) = shared.upgrade() {
            shared.execs.lock().remove(&id);
        }
    });
}

impl Registry {
    /// Takes an exec away, so that nobody can ask for it any more.
    pub(crate) fn take(&self, id: &ExecId) -> Option<Arc<Exec>> {
        self.lock().remove(id)
    }
}

impl Engine {
    /// The ids of a container's execs that have not ended.
    pub(crate) fn exec_ids(&self, container: &ContainerId) -> List<String> {
        let all = self.0.execs.lock();
        let mut ids: Vec<String> = all
            .values()
            .filter(|exec| {
                exec.container == *container && !matches!(*exec.phase.borrow(), Phase::Ended { .. })
            })
            .map(|exec| exec.id.to_string())
            .collect();
        ids.sort();
        if ids.is_empty() { List::default() } else { ids.into() }
    }

    /// Shows an exec.
    pub async fn exec_inspect(&self, id: &str) -> Result<Inspect, Failure> {
        let exec = self.0.execs.find(id)?;
        let (running, exit_code, pid) = match exec.phase() {
            Phase::Created | Phase::Starting => (false, None, 0),
            Phase::Running { pid, .. } => (true, None, pid),
            Phase::Ended { code } => (false, Some(i64::from(code)), 0),
        };
        let body = &exec.body;
        let mut words = body.cmd.iter().cloned();
        Ok(Inspect {
            id: exec.id.to_string(),
            running,
            exit_code,
            process_config: ProcessConfig {
                tty: body.tty,
                entrypoint: words.next().unwrap_or_default(),
                arguments: words.collect(),
                privileged: Some(body.privileged),
                user: body.user.clone(),
            },
            open_stdin: body.attach_stdin,
            open_stderr: body.attach_stderr,
            open_stdout: body.attach_stdout,
            can_remove: false,
            container_id: exec.container.to_string(),
            detach_keys: String::from_utf8_lossy(&exec.detach_keys).into_owned(),
            pid: i64::from(pid),
        })
    }

    /// Sets the size of an exec's terminal; waits for the exec to be started, since clients ask at once.
    pub async fn exec_resize(&self, id: &str, width: u16, height: u16) -> Result<(), Failure> {
        let exec = self.0.execs.find(id)?;
        let mut phase = exec.phase.subscribe();
        let settled =
            phase.wait_for(|phase| matches!(phase, Phase::Running { .. } | Phase::Ended { .. }));
        let now = match tokio::time::timeout(RESIZE_PATIENCE, settled).await {
            Ok(Ok(phase)) => phase.clone(),
            _ => return Err(Failure::invalid("exec process is not started")),
        };
        let Phase::Running { channel, .. } = now else {
            return Err(Failure::invalid("exec process is not started"));
        };
        crate::calls::ask_shim(
            &channel,
            messages::shim::Request::Resize { width, height },
            Vec::new(),
        )
        .await?;
        let handle = self.0.containers.find(exec.container.as_str())?;
        let more = [
            ("height", height.to_string()),
            ("width", width.to_string()),
            ("execID", exec.id.to_string()),
        ];
        crate::container::actor::tell(&self.0, &handle.view().config, "resize", &more);
        Ok(())
    }
}

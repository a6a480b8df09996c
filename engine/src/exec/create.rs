//! Making an exec: everything that can be judged before the start is judged here.

use super::{Exec, Phase, process};
use crate::container::act::restarting;
use crate::container::actor::tell;
use crate::container::attach::detach_keys;
use crate::container::live::View;
use crate::container::state::State;
use crate::ids;
use crate::open::Engine;
use api_types::exec::CreateBody;
use spec::{ExecId, Failure};
use std::sync::Arc;
use tokio::sync::watch;

/// Execs that a container may have at once, ended ones that can still be asked for included.
const MOST: usize = 4096;

/// Fails unless processes can be started in the container, which the client calls `asked`.
pub(super) fn check(view: &View, asked: &str) -> Result<(), Failure> {
    let id = &view.config.id;
    match view.state {
        State::Running => Ok(()),
        State::Paused => Err(Failure::conflict(format!(
            "Container {asked} is paused, unpause the container before exec"
        ))),
        State::Restarting => Err(restarting(id.as_str())),
        _ => Err(Failure::conflict(format!("Container {id} is not running"))),
    }
}

impl Engine {
    /// Makes an exec in a container that runs; its id.
    pub async fn exec_create(&self, name: &str, body: CreateBody) -> Result<String, Failure> {
        let handle = self.0.containers.find(name)?;
        let view = handle.view();
        check(&view, name)?;
        if body.cmd.is_empty() {
            return Err(Failure::invalid("No exec command specified"));
        }
        if let Some(variable) =
            body.env.iter().find(|variable| variable.is_empty() || variable.starts_with('='))
        {
            return Err(Failure::invalid(format!("invalid environment variable: {variable}")));
        }
        let keys = detach_keys(Some(&body.detach_keys))?;
        // The user is looked up now, so that a wrong one is an error of this call.
        let user = process::user(&self.0, &view.config, &body.user).await?;
        let exec = Exec {
            id: ExecId::from_bytes(&ids::random()?),
            container: handle.id.clone(),
            body,
            user,
            detach_keys: keys,
            phase: watch::Sender::new(Phase::Created),
            parted: watch::Sender::new(false),
        };
        let id = exec.id.clone();
        let action = format!("exec_create: {}", exec.words());
        {
            let mut all = self.0.execs.lock();
            let own = all.values().filter(|other| other.container == exec.container).count();
            if own >= MOST {
                return Err(Failure::conflict(format!(
                    "container {} has {MOST} execs already",
                    handle.id
                )));
            }
            all.insert(id.clone(), Arc::new(exec));
        }
        tell(&self.0, &view.config, &action, &[("execID", id.to_string())]);
        Ok(id.to_string())
    }
}

//! Stopping all processes where they are, and letting them go on.

use crate::runtime::Runtime;
use crate::{Error, Id, Status};
use cgroups::Group;
use std::time::Duration;

/// How long processes may take. Those that wait for a disk or a network file system cannot be stopped before it answers.
const FREEZE: Duration = Duration::from_secs(10);

impl Runtime {
    /// Stops all processes of a container that runs or waits for its start.
    pub fn pause(&self, id: &Id) -> Result<(), Error> {
        let container = self.container(id)?;
        match container.status()? {
            Status::Running | Status::Created => {}
            _ => return Err(Error::NotRunning),
        }
        Ok(existing(container.group()?)?.freeze(FREEZE)?)
    }

    /// Lets the processes of a container that is paused go on.
    pub fn resume(&self, id: &Id) -> Result<(), Error> {
        let container = self.container(id)?;
        match container.status()? {
            Status::Paused => {}
            _ => return Err(Error::NotPaused),
        }
        Ok(existing(container.group()?)?.thaw(FREEZE)?)
    }
}

/// The group, which some commands cannot do without.
pub(crate) fn existing(group: Option<Group>) -> Result<Group, Error> {
    group.ok_or_else(|| Error::Unsupported {
        what: "use cgroup of the container".to_owned(),
        cause: "it has none".to_owned(),
    })
}

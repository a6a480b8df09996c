//! Starting what was created.

use crate::root::file;
use crate::runtime::{Container, Runtime};
use crate::{Error, Id, Status, bundle};
use plan::{Given, HooksPlan, ProcessPlan};
use spec::oci::Spec;

impl Runtime {
    /// Starts the program of a container that was created.
    pub fn start(&self, id: &Id) -> Result<(), Error> {
        let container = self.container(id)?;
        match container.status()? {
            Status::Created => {}
            Status::Running => return Err(Error::Started),
            Status::Paused => return Err(Error::StartPaused),
            Status::Stopped | Status::Creating => return Err(Error::Stopped),
        }
        let spec = container.spec()?;
        let process = spec.process.clone().unwrap_or_default();
        let plan = ProcessPlan::joining(&process, &Given::default())?;
        self.stage("read");
        launch::gate::open(container.entry.fd(), file::GATE, &plan)?;
        container.entry.unlink(file::GATE)?;
        self.stage("start");
        self.after_start(&container, &spec)
    }

    /// Calls the hooks for what runs now. One that fails is only reported (runtime.md, "Lifecycle", 9).
    pub(crate) fn after_start(&self, container: &Container, spec: &Spec) -> Result<(), Error> {
        let hooks = HooksPlan::of(spec.hooks.as_ref())?.poststart;
        if hooks.is_empty() {
            return Ok(());
        }
        let state = serde_json::to_string(&container.state()?).unwrap_or_default();
        if let Err(error) = launch::hooks::call("poststart", &hooks, &state) {
            self.warn(&error.to_string());
        }
        self.stage("poststart hooks");
        Ok(())
    }
}

impl Container {
    /// The specification, as it was when the container was created.
    pub(crate) fn spec(&self) -> Result<Spec, Error> {
        let text = self.entry.read(file::CONFIG)?.ok_or(Error::NotFound)?;
        bundle::parse_spec(file::CONFIG, &text)
    }
}

//! Making and starting in one, and staying until the end.

use crate::create::CreateOptions;
use crate::foreground::{self, Child, Signals};
use crate::runtime::Runtime;
use crate::{Error, Id, bundle};

/// What `run` is told.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The same as for a container that is only created.
    pub create: CreateOptions,
    /// Whether to leave it once it runs.
    pub detach: bool,
    /// Whether to keep its record when it has ended.
    pub keep: bool,
    /// Whether orphans go to somebody else.
    pub no_subreaper: bool,
}

impl Runtime {
    /// Makes and starts a container; answers its status, or 0 at once if it is left alone.
    pub fn run(&self, id: &Id, options: &RunOptions) -> Result<u8, Error> {
        let signals = match options.detach {
            true => None,
            false => Some(Signals::take()?),
        };
        if !options.detach && !options.no_subreaper {
            sys::process::set_child_subreaper(true)
                .map_err(|error| Error::system("become", "subreaper", error.errno()))?;
        }
        let mut made = self.make(id, &options.create, false, options.detach)?;
        let created = made.created.take().ok_or(Error::NotRunning)?;
        let running = created.start()?;
        made.keep();
        drop(made);
        self.stage("start");
        let container = self.container(id)?;
        if let Some(text) = container.entry.read(crate::root::file::CONFIG)? {
            let spec = bundle::parse_spec("config.json", &text)?;
            self.after_start(&container, &spec)?;
        }
        let Some(signals) = signals else { return Ok(0) };
        let child = Child { pid: running.pid, pidfd: running.pidfd, console: running.console };
        let status = foreground::wait(child, &signals)?;
        self.stage("wait");
        if !options.keep {
            self.delete(id, true)?;
            self.stage("delete");
        }
        Ok(status)
    }
}

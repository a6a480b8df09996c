//! `docker logs`: which part of which log.

use super::directory::Directory;
use super::logging::{self, Driver};
use super::options::LogOptions;
use super::registry::Handle;
use super::state::State;
use crate::logs::files::Place;
use crate::logs::render::Show;
use crate::logs::{self, LogStream, Part};
use crate::open::Engine;
use spec::{Class, Failure};

impl Engine {
    /// Reads a container's log. Following ends with the run that goes on now.
    pub async fn logs(&self, name: &str, options: LogOptions) -> Result<LogStream, Failure> {
        let handle = self.0.containers.find(name)?;
        if !options.stdout && !options.stderr {
            return Err(Failure::invalid("You must choose at least one stream"));
        }
        if matches!(handle.view().state, State::Removing | State::Dead) {
            return Err(Failure::conflict(
                "can not get logs from container which is dead or marked for removal",
            ));
        }
        self.read_log(&handle, options, false)
    }

    /// Reads a log; `raw` is without frames even without a terminal.
    pub(super) fn read_log(
        &self,
        handle: &Handle,
        options: LogOptions,
        raw: bool,
    ) -> Result<LogStream, Failure> {
        let view = handle.view();
        let config = &view.config;
        if logging::driver(&config.host.log_config)? == Driver::None {
            return Err(Failure::new(
                Class::NotImplemented,
                "configured logging driver does not support reading",
            ));
        }
        let directory = Directory::of(&self.0.config, &config.id);
        let show = Show {
            stdout: options.stdout,
            stderr: options.stderr,
            since: options.since,
            until: options.until,
            timestamps: options.timestamps,
            details: options.details,
            raw: raw || config.config.tty,
        };
        let follow = (options.follow
            && (view.state.has_process() || view.state == State::Starting))
            .then(|| {
                let (ends, mut view) = (view.ends, handle.view.clone());
                async move {
                    // An engine that ends ends the stream as well.
                    view.wait_for(|view| view.ends > ends || view.removed).await.ok();
                }
            });
        let place = Place { path: directory.file(&directory.log_name()) };
        let mut stream = logs::read(place, Part { show, tail: options.tail }, follow);
        stream.tty = config.config.tty;
        Ok(stream)
    }
}

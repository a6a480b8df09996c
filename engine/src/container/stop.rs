//! Ending a container's run: stop, kill, restart; and pausing it.

use super::actor::Command;
use super::live::View;
use super::registry::Handle;
use super::signal::{self, KILL, TERM};
use super::state::State;
use crate::open::Engine;
use spec::{Class, Failure};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How long the end of a process that got SIGKILL is waited for before the container is called stuck.
const DYING: Duration = Duration::from_secs(10);

impl Engine {
    /// Stops a container: its stop signal, and SIGKILL after `timeout` seconds (negative: never; not set: what the
    /// container or the engine says). [`Class::NotModified`] when it does not run. A caller that goes away does not
    /// cancel the stop.
    pub async fn stop(
        &self,
        name: &str,
        timeout: Option<i64>,
        signal: Option<String>,
    ) -> Result<(), Failure> {
        let handle = self.0.containers.find(name)?;
        let signal =
            signal.filter(|text| !text.is_empty()).map(|text| signal::parse(&text)).transpose()?;
        if !handle.view().state.is_active() {
            return Err(Failure::new(Class::NotModified, "container is already stopped"));
        }
        let wrap = |failure: Failure| {
            Failure::new(failure.class, format!("cannot stop container: {name}: {failure}"))
        };
        self.detached(handle, move |engine, handle| async move {
            engine.stop_and_wait(&handle, timeout, signal).await
        })
        .await
        .map_err(wrap)
    }

    /// Stops a container if it runs, and starts it.
    pub async fn restart(
        &self,
        name: &str,
        timeout: Option<i64>,
        signal: Option<String>,
    ) -> Result<(), Failure> {
        let handle = self.0.containers.find(name)?;
        let signal =
            signal.filter(|text| !text.is_empty()).map(|text| signal::parse(&text)).transpose()?;
        let wrap = |failure: Failure| {
            Failure::new(failure.class, format!("Cannot restart container {name}: {failure}"))
        };
        self.detached(handle, move |engine, handle| async move {
            if handle.view().state.is_active() {
                engine.stop_and_wait(&handle, timeout, signal).await?;
            }
            handle.ask(Command::Start).await?;
            super::actor::tell(&engine.0, &handle.view().config, "restart", &[]);
            Ok(())
        })
        .await
        .map_err(wrap)
    }

    /// Sends a signal; SIGKILL, also when none is given, waits for the end.
    pub async fn kill(&self, name: &str, signal: Option<String>) -> Result<(), Failure> {
        let beyond = signal.as_deref().and_then(signal::unsupported);
        let signal = match signal.as_deref() {
            None | Some("") => KILL,
            Some(_) if beyond.is_some() => KILL,
            Some(text) => signal::parse(text)?,
        };
        let wrap = |failure: Failure| {
            Failure::new(failure.class, format!("Cannot kill container: {name}: {failure}"))
        };
        if let Some(refused) = beyond {
            return Err(wrap(refused));
        }
        let handle = self.0.containers.find(name).map_err(wrap)?;
        if handle.view().state == State::Restarting {
            return Err(wrap(super::act::restarting(handle.id.as_str())));
        }
        let sent = if signal == KILL {
            self.kill_and_wait(&handle).await
        } else {
            self.send(&handle, signal).await
        };
        sent.map_err(wrap)
    }

    /// Freezes all processes of a container.
    pub async fn pause(&self, name: &str) -> Result<(), Failure> {
        self.0.containers.find(name)?.ask(|reply| Command::Pause { lasting: true, reply }).await
    }

    /// Lets the processes of a container go on.
    pub async fn unpause(&self, name: &str) -> Result<(), Failure> {
        self.0.containers.find(name)?.ask(Command::Unpause).await
    }

    /// Starts a container. [`Class::NotModified`] when it runs already.
    pub async fn start(&self, name: &str) -> Result<(), Failure> {
        self.0.containers.find(name)?.ask(Command::Start).await
    }

    /// Runs `work` so that it goes on when the caller stops waiting.
    async fn detached<F, W>(&self, handle: Handle, work: W) -> Result<(), Failure>
    where
        W: FnOnce(Self, Handle) -> F,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        match tokio::spawn(work(self.clone(), handle)).await {
            Ok(done) => done,
            Err(_) => Err(Failure::internal("the engine is ending")),
        }
    }

    /// Sends a signal that may mean the end, as the container's stop signal does.
    async fn send(&self, handle: &Handle, signal: i32) -> Result<(), Failure> {
        let view = handle.view();
        let stop = &view.config.config.stop_signal;
        let ends = stop.is_empty()
            || signal::parse(stop).is_ok_and(|stop| stop == signal)
            || signal == KILL;
        handle.ask(|reply| Command::Signal { signal, ends, reply }).await
    }

    async fn stop_and_wait(
        &self,
        handle: &Handle,
        timeout: Option<i64>,
        signal: Option<i32>,
    ) -> Result<(), Failure> {
        let ends = handle.view().ends;
        if handle.ask(Command::Disarm).await? {
            let view = handle.view();
            let config = &view.config.config;
            let own = if config.stop_signal.is_empty() {
                TERM
            } else {
                signal::parse(&config.stop_signal)?
            };
            let seconds = timeout.or(config.stop_timeout).unwrap_or(self.0.config.stop_timeout);
            self.end(handle, ends, signal.unwrap_or(own), seconds).await?;
        }
        Ok(())
    }

    /// Sends `signal`, and SIGKILL when the run has not ended after `seconds`.
    async fn end(
        &self,
        handle: &Handle,
        ends: u64,
        signal: i32,
        seconds: i64,
    ) -> Result<(), Failure> {
        let signalled = handle.ask(|reply| Command::Signal { signal, ends: true, reply }).await;
        match signalled {
            Ok(()) => {}
            Err(_) if handle.view().ends > ends => return Ok(()),
            Err(failure) => return Err(failure),
        }
        let patience = u64::try_from(seconds).ok().map(Duration::from_secs);
        if ended(handle.view.clone(), ends, patience).await {
            return Ok(());
        }
        self.kill_and_wait(handle).await
    }

    /// Kills a container and waits for its end.
    pub(super) async fn kill_and_wait(&self, handle: &Handle) -> Result<(), Failure> {
        let ends = handle.view().ends;
        if handle.view().state == State::Restarting {
            handle.ask(Command::Disarm).await?;
            return Ok(());
        }
        match self.send(handle, KILL).await {
            Err(_) if handle.view().ends > ends => return Ok(()),
            sent => sent?,
        }
        if ended(handle.view.clone(), ends, Some(DYING)).await {
            return Ok(());
        }
        Err(Failure::new(
            Class::DeadlineExceeded,
            format!(
                "container {} is stuck: it did not end {} s after SIGKILL",
                handle.id,
                DYING.as_secs()
            ),
        ))
    }
}

/// Whether a run more than `ends` has ended within `patience`; without it, waits for ever.
async fn ended(
    mut view: watch::Receiver<Arc<View>>,
    ends: u64,
    patience: Option<Duration>,
) -> bool {
    let over = view.wait_for(|view| view.ends > ends || view.removed);
    match patience {
        Some(patience) => timeout_at(Instant::now() + patience, over).await.is_ok(),
        None => {
            over.await.ok();
            true
        }
    }
}

//! Starting an exec, and watching it.

use super::clean_up::clean_up;
use super::create::check;
use super::{Exec, Phase, forget_later, process};
use crate::calls;
use crate::container::actor::tell;
use crate::container::attach::stream_pair;
use crate::container::config::ContainerConfig;
use crate::container::launch::exec_filter;
use crate::container::options::Attached;
use crate::open::{Engine, Shared};
use crate::wording;
use api_types::exec::StartBody;
use messages::Fd;
use messages::shim::{self, Attach, Event};
use messages::task::{self, Stdio};
use spec::{Class, Failure};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use transport::Channel;

/// The exit code of a process that SIGKILL ended.
const KILLED: i32 = 137;

impl Engine {
    /// Starts an exec. With `detach` nothing is given back and a failure is an error; otherwise the stream of its
    /// process, in which a failure to start it is text.
    pub async fn exec_start(&self, id: &str, body: StartBody) -> Result<Option<Attached>, Failure> {
        let detach = body.detach;
        let announced = self.exec_announced(id, body)?;
        if !detach {
            return announced.start().await.map(Some);
        }
        let Announced { engine, exec, config, size } = announced;
        begin(&engine.0, &exec, &config, None, size).await?;
        Ok(None)
    }

    /// Takes an exec that nobody has started yet, for who tells the client first that there will be a stream.
    pub fn exec_announced(&self, id: &str, body: StartBody) -> Result<Announced, Failure> {
        let (exec, config) = self.announce(id)?;
        let size = body.console_size.or(exec.body.console_size);
        Ok(Announced { engine: self.clone(), exec, config, size })
    }

    /// Starts an exec without a terminal; its stream. A failure to start it is an error.
    pub(crate) async fn exec_attached(&self, id: &str) -> Result<UnixStream, Failure> {
        let (exec, config) = self.announce(id)?;
        let (stream, far) = stream_pair()?;
        begin(&self.0, &exec, &config, Some(far), None).await?;
        Ok(stream)
    }

    /// Takes an exec that was not started yet and may be.
    fn announce(&self, id: &str) -> Result<(Arc<Exec>, Arc<ContainerConfig>), Failure> {
        let exec = self.0.execs.find(id)?;
        let handle = self.0.containers.find(exec.container.as_str())?;
        let view = handle.view();
        let begun = exec.phase.send_if_modified(|phase| {
            let first = matches!(phase, Phase::Created);
            if first {
                *phase = Phase::Starting;
            }
            first
        });
        if !begun {
            let what = match exec.phase() {
                Phase::Ended { .. } => "has already run",
                _ => "is already running",
            };
            return Err(Failure::conflict(format!("exec command {} {what}", exec.id)));
        }
        if let Err(failure) = check(&view, exec.container.as_str()) {
            exec.phase.send_replace(Phase::Created);
            return Err(failure);
        }
        let config = Arc::clone(&view.config);
        let action = format!("exec_start: {}", exec.words());
        tell(&self.0, &config, &action, &[("execID", exec.id.to_string())]);
        Ok((exec, config))
    }
}

/// An exec that is about to be started, by nobody else.
#[derive(Debug)]
pub struct Announced {
    engine: Engine,
    exec: Arc<Exec>,
    config: Arc<ContainerConfig>,
    size: Option<[u32; 2]>,
}

impl Announced {
    /// Whether its stream is a terminal's.
    pub fn tty(&self) -> bool {
        self.exec.body.tty
    }

    /// Starts it; the stream of its process, in which a failure to start it is text.
    pub async fn start(self) -> Result<Attached, Failure> {
        let Self { engine, exec, config, size } = self;
        let tty = exec.body.tty;
        let (stream, far) = stream_pair()?;
        match begin(&engine.0, &exec, &config, Some(far), size).await {
            Ok(()) => {
                let parted = Some(exec.parted.subscribe());
                Ok(Attached { stream, tty, parted })
            }
            Err(failure) => Ok(Attached::new(told(&failure, tty)?, tty)),
        }
    }
}

/// A stream that says why the process could not be started, as Docker words it, and ends.
fn told(failure: &Failure, tty: bool) -> Result<UnixStream, Failure> {
    let (stream, far) = stream_pair()?;
    let text = format!("{failure}\r\n");
    let mut bytes = Vec::new();
    if !tty {
        bytes.extend_from_slice(&[1, 0, 0, 0]);
        bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    }
    bytes.extend_from_slice(text.as_bytes());
    let far = std::os::unix::net::UnixStream::from(far);
    far.set_nonblocking(true)
        .map_err(|error| Failure::internal(format!("use a stream for a client: {error}")))?;
    let mut far = UnixStream::from_std(far)
        .map_err(|error| Failure::internal(format!("use a stream for a client: {error}")))?;
    tokio::spawn(async move {
        // A client that is gone needs no text.
        far.write_all(&bytes).await.ok();
    });
    Ok(stream)
}

/// Starts it whether or not the client goes away meanwhile: a process that nobody watches would never be cleaned up.
async fn begin(
    shared: &Arc<Shared>,
    exec: &Arc<Exec>,
    config: &Arc<ContainerConfig>,
    stream: Option<OwnedFd>,
    size: Option<[u32; 2]>,
) -> Result<(), Failure> {
    let (shared, exec, config) = (Arc::clone(shared), Arc::clone(exec), Arc::clone(config));
    let started = tokio::spawn(async move { start(&shared, &exec, &config, stream, size).await });
    let ending = |_| Err(Failure::internal("start exec: the engine is ending"));
    started.await.unwrap_or_else(ending)
}

async fn start(
    shared: &Arc<Shared>,
    exec: &Arc<Exec>,
    config: &Arc<ContainerConfig>,
    stream: Option<OwnedFd>,
    size: Option<[u32; 2]>,
) -> Result<(), Failure> {
    let started = Box::pin(launch(shared, exec, config, stream, size)).await;
    match started {
        Ok((channel, pid)) => {
            let channel = Arc::new(channel);
            exec.phase.send_replace(Phase::Running { pid, channel: Arc::clone(&channel) });
            let watch = watch(Arc::clone(shared), Arc::clone(exec), Arc::clone(config), channel);
            tokio::spawn(watch);
            Ok(())
        }
        Err(failure) => {
            let code = if failure.class == Class::CommandNotFound { 127 } else { 126 };
            exec.phase.send_replace(Phase::Ended { code });
            forget_later(shared, exec.id.clone());
            Err(failure)
        }
    }
}

async fn launch(
    shared: &Shared,
    exec: &Exec,
    config: &ContainerConfig,
    stream: Option<OwnedFd>,
    size: Option<[u32; 2]>,
) -> Result<(Channel, i32), Failure> {
    let body = &exec.body;
    if !body.working_dir.is_empty() && !body.working_dir.starts_with('/') {
        return Err(wording::relative_directory());
    }
    let process = process::process(shared, config, body, exec.user.clone(), size)?;
    let (channel, theirs) = calls::shim_channel()?;
    let mut fds = vec![theirs];
    let mut attaches = Vec::new();
    if let Some(stream) = stream {
        fds.push(stream);
        let attach = Attach {
            number: 0,
            stdin: body.attach_stdin,
            stdout: body.attach_stdout,
            stderr: body.attach_stderr,
            raw: false,
            detach_keys: exec.detach_keys.clone(),
        };
        attaches.push((attach, Fd(1)));
    }
    let terminal = body.tty.then(|| {
        let [height, width] =
            size.unwrap_or_default().map(|size| u16::try_from(size).unwrap_or(u16::MAX));
        (width, height)
    });
    let attached = !attaches.is_empty();
    let request = task::Exec {
        id: exec.container.clone(),
        exec: exec.id.clone(),
        process,
        seccomp: exec_filter(shared, config)?,
        stdio: Stdio { terminal, open_stdin: body.attach_stdin && attached, stdin_once: true },
        attaches,
        channel: Fd(0),
    };
    let started = shared.workers.start_task(task::Request::Exec(Box::new(request)), fds).await;
    if started.is_err() {
        // A start of which nobody knows how it ended must leave nothing behind.
        clean_up(shared, &exec.container, &exec.id).await;
    }
    let (pid, _, warnings) = started.map_err(wording::exec)?;
    for warning in warnings {
        tracing::warn!(exec = exec.id.as_str(), "{warning}");
    }
    Ok((channel, pid))
}

/// Reads the shim's events until the process has ended.
async fn watch(
    shared: Arc<Shared>,
    exec: Arc<Exec>,
    config: Arc<ContainerConfig>,
    channel: Arc<Channel>,
) {
    let id = ("execID", exec.id.to_string());
    let code = loop {
        match channel.receive().await {
            Ok(Some(Event::Exited(exit) | Event::Status { exit: Some(exit), .. })) => {
                break exit.code;
            }
            Ok(Some(Event::Detached { by_keys: true, .. })) => {
                tell(&shared, &config, "exec_detach", std::slice::from_ref(&id));
                exec.parted.send_replace(true);
            }
            Ok(Some(Event::Detached { .. })) => drop(exec.parted.send_replace(true)),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break KILLED,
        }
    };
    // Before the clients see their streams end: the shim tells of the exit first, and then closes them.
    exec.phase.send_replace(Phase::Ended { code });
    exec.parted.send_replace(true);
    // A shim that is gone needs no answer.
    channel.send(&shim::Request::Acknowledge, Vec::new()).await.ok();
    tell(&shared, &config, "exec_die", &[id, ("exitCode", code.to_string())]);
    clean_up(&shared, &exec.container, &exec.id).await;
    forget_later(&shared, exec.id.clone());
}

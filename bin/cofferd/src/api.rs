//! The api worker's runtime: it waits until the supervisor has introduced everybody, opens the engine, and answers.

use crate::settings::Settings;
use engine::{Engine, Workers};
use messages::control::{Control, Listener, Role};
use std::error::Error;
use std::os::fd::OwnedFd;
use tokio::sync::mpsc;
use transport::{Connection, TransportError};

/// Threads that run tasks. More would not answer sooner: the work is done by the other workers.
const THREADS: usize = 2;

/// Serves until the supervisor says stop or is gone.
pub(crate) fn run(control: OwnedFd) -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(16)
        .enable_all()
        .build()?;
    runtime.block_on(serve(control))
}

/// What has arrived before [`Control::Ready`].
#[derive(Default)]
struct Introduction {
    settings: Option<Settings>,
    listeners: Vec<(Listener, OwnedFd)>,
}

async fn serve(control: OwnedFd) -> Result<(), Box<dyn Error>> {
    let mut controls = read(control);
    let workers = Workers::new();
    let mut introduction = Introduction::default();
    while let Some((control, mut fds)) = controls.recv().await {
        match control {
            Control::Ready => break,
            Control::Settings(text) => introduction.settings = Some(serde_json::from_str(&text)?),
            Control::Listener(listener) => {
                introduction.listeners.extend(fds.pop().map(|fd| (listener, fd)));
            }
            Control::Peer(role) => connect(&workers, role, fds.pop())?,
            Control::Stop => return Ok(()),
        }
    }
    let settings = introduction.settings.ok_or("the supervisor sent no settings")?;
    let engine = Engine::open(settings.engine()?, workers.clone()).await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let server = tokio::spawn(api_server::serve(engine.clone(), introduction.listeners, stopped));
    while let Some((control, mut fds)) = controls.recv().await {
        match control {
            Control::Peer(role) => connect(&workers, role, fds.pop())?,
            Control::Settings(text) => reload(&engine, &text),
            Control::Stop => break,
            Control::Listener(_) | Control::Ready => {}
        }
    }
    stop.send_replace(true);
    server.await??;
    engine.close().await;
    Ok(())
}

fn reload(engine: &Engine, text: &str) {
    match serde_json::from_str::<Settings>(text).map(|settings| settings.engine()) {
        Ok(Ok(config)) => engine.reload(config),
        Ok(Err(error)) => tracing::error!("configuration not taken over: {error}"),
        Err(error) => tracing::error!("configuration not taken over: {error}"),
    }
}

fn connect(workers: &Workers, role: Role, fd: Option<OwnedFd>) -> Result<(), Box<dyn Error>> {
    let fd = fd.ok_or("the supervisor sent a peer without its socket")?;
    match role {
        Role::Storage => workers.storage.connect(fd)?,
        Role::Network => workers.network.connect(fd)?,
        Role::Task => workers.task.connect(fd)?,
        Role::Api => return Err("the api worker cannot be its own peer".into()),
    }
    Ok(())
}

type Controls = mpsc::UnboundedReceiver<(Control, Vec<OwnedFd>)>;

/// Reads the control socket on a thread of its own; the receiver ends with the supervisor.
fn read(control: OwnedFd) -> Controls {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let connection = Connection::from(control);
        let next = || -> Result<Option<(Control, Vec<OwnedFd>)>, TransportError> {
            let Some(frame) = connection.receive()? else { return Ok(None) };
            Ok(Some((transport::decode(&frame.payload)?, frame.descriptors)))
        };
        while let Ok(Some(control)) = next() {
            if sender.send(control).is_err() {
                return;
            }
        }
    });
    receiver
}

//! The api worker's runtime: it waits until the supervisor has introduced everybody, opens the engine, and answers.

use crate::settings::Settings;
use api_server::{Options, Server};
use engine::{Engine, Workers};
use messages::control::{Control, Listener, Role};
use std::error::Error;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use transport::{Connection, TransportError};

/// Threads that run tasks. More would not answer sooner: the work is done by the other workers.
const THREADS: usize = 2;

/// How often it is looked whether the process has nothing to do.
const QUIET: Duration = Duration::from_secs(5);
/// Processor time that a process which has nothing to do uses in that time at most.
const NEXT_TO_NOTHING: Duration = Duration::from_millis(2);

/// Serves until the supervisor says stop or is gone.
pub(crate) fn run(control: OwnedFd) -> Result<(), Box<dyn Error>> {
    sys::memory::limit_heaps(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(16)
        .enable_all()
        .build()?;
    runtime.block_on(serve(control))
}

/// Logs what is at least this important to standard error, which is the supervisor's.
fn log(level: tracing::Level) {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_max_level(level)
        .init();
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
            Control::Settings(text) => {
                let settings: Settings = serde_json::from_str(&text)?;
                log(settings.level()?);
                introduction.settings = Some(settings);
            }
            Control::Listener(listener) => {
                introduction.listeners.extend(fds.pop().map(|fd| (listener, fd)));
            }
            Control::Peer(role) => connect(&workers, role, fds.pop())?,
            Control::Stop => return Ok(()),
        }
    }
    let settings = introduction.settings.ok_or("the supervisor sent no settings")?;
    let opening = Engine::open(settings.engine()?, workers.clone());
    let Some((engine, replaced)) = open(opening, &mut controls, &workers).await? else {
        return Ok(());
    };
    for role in replaced {
        let engine = engine.clone();
        tokio::spawn(async move { engine.peer_replaced(role).await });
    }
    let server = Server::new(engine.clone(), Options::default());
    tokio::spawn(give_memory_back());
    let mut serving = JoinSet::new();
    for (listener, socket) in introduction.listeners {
        let server = server.clone();
        serving.spawn(async move { server.serve(socket, &listener).await });
    }
    let mut told = false;
    while let Some((control, mut fds)) = controls.recv().await {
        match control {
            Control::Peer(role) => {
                connect(&workers, role, fds.pop())?;
                let engine = engine.clone();
                tokio::spawn(async move { engine.peer_replaced(role).await });
            }
            Control::Stop => {
                told = true;
                break;
            }
            Control::Settings(_) | Control::Listener(_) | Control::Ready => {}
        }
    }
    if told {
        server.stop();
        while let Some(ended) = serving.join_next().await {
            ended??;
        }
    } else {
        // The supervisor was killed. Its successor's api worker waits for the database, and clients can be told nothing
        // that would still be true when they read it.
        serving.shutdown().await;
    }
    engine.close()?;
    Ok(())
}

/// Gives memory that only work needs back to the kernel whenever there has been work and now is none.
async fn give_memory_back() {
    let mut given_at = Duration::ZERO;
    let mut before = Duration::ZERO;
    loop {
        tokio::time::sleep(QUIET).await;
        let now = processor_time();
        let is_quiet = now.saturating_sub(before) < NEXT_TO_NOTHING;
        if is_quiet && now.saturating_sub(given_at) >= NEXT_TO_NOTHING {
            sys::memory::trim();
            sys::memory::release_program();
            given_at = processor_time();
        }
        before = now;
    }
}

/// What this process has used so far.
fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or_default())
}

/// Opens the engine; the answer is also which workers were replaced meanwhile, and none when the engine shall stop. A
/// worker that dies now is asked for by the opening itself, so its successor must be connected at once.
async fn open(
    opening: impl Future<Output = Result<Engine, engine::OpenError>>,
    controls: &mut Controls,
    workers: &Workers,
) -> Result<Option<(Engine, Vec<Role>)>, Box<dyn Error>> {
    let mut opening = std::pin::pin!(opening);
    let mut replaced = Vec::new();
    loop {
        tokio::select! {
            opened = &mut opening => return Ok(Some((opened?, replaced))),
            control = controls.recv() => match control {
                Some((Control::Peer(role), mut fds)) => {
                    connect(workers, role, fds.pop())?;
                    replaced.push(role);
                }
                Some((Control::Stop, _)) | None => return Ok(None),
                Some(_) => {}
            },
        }
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

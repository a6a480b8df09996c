//! Sockets, signals and the runtime.

use crate::config::{self, Settings};
use clap::ArgMatches;
use registry::Registry;
use repositories::Store;
use rustix::process::{Resource, Rlimit};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

type Outcome = Result<ExitCode, Box<dyn Error + Send + Sync>>;

/// Threads that block for the disk.
const BLOCKING: usize = 64;

/// The first of these, listening at all its addresses, could not be.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}")]
struct ListenError {
    address: String,
    source: io::Error,
}

/// An error with its causes, outermost first.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn serve(matches: &ArgMatches) -> Outcome {
    let settings = config::load(matches)?;
    log(&settings.log_level);
    raise_descriptors();
    let store = Store::open(&settings.root)?;
    let registry = Registry::new(store, settings.options.clone())?;
    // More than processors: some wait for a disk now and then.
    let workers = std::thread::available_parallelism().map_or(4, |n| (n.get() * 2).clamp(4, 16));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build()?
        .block_on(run(settings, registry))
}

async fn run(settings: Settings, registry: Registry) -> Outcome {
    let mut tasks = JoinSet::new();
    for address in &settings.listen {
        let listener = listen(address).await?;
        tracing::info!("serving on {}", listener.local_addr()?);
        let registry = registry.clone();
        tasks.spawn(async move { registry.serve(listener).await });
    }
    if let Some(address) = &settings.metrics_listen {
        let listener = listen(address).await?;
        tracing::info!("metrics on {}", listener.local_addr()?);
        let registry = registry.clone();
        tasks.spawn(async move { registry.serve_metrics(listener).await });
    }
    let collects = settings.collect_every > Duration::ZERO && !settings.options.read_only;
    if collects {
        let (registry, every) = (registry.clone(), settings.collect_every);
        tasks.spawn(async move { registry.collect_every(every).await });
    }
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => match registry.reload() {
                Ok(()) => tracing::info!("certificate read again"),
                Err(error) => tracing::error!(error = %chain(&error), "keep the old certificate"),
            },
        }
    }
    tracing::info!("stopping");
    registry.stop();
    while tasks.join_next().await.is_some() {}
    Ok(ExitCode::SUCCESS)
}

async fn listen(address: &str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ListenError { address: address.to_owned(), source })
}

/// One collection, beside a registry that may run.
pub(crate) fn collect(matches: &ArgMatches) -> Outcome {
    let settings = config::load(matches)?;
    let store = Store::open(&settings.root)?;
    let collected = store.collect(&settings.options.collection, &|| true)?;
    let mut out = io::stdout().lock();
    writeln!(out, "uploads    {}", collected.uploads)?;
    writeln!(out, "manifests  {}", collected.manifests)?;
    writeln!(out, "blobs      {} ({} bytes)", collected.blobs, collected.bytes)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads everything; fails when something is not as it should be.
pub(crate) fn check(matches: &ArgMatches) -> Outcome {
    let settings = config::load(matches)?;
    let store = Store::open(&settings.root)?;
    let mut findings = Vec::new();
    store.check(&mut |finding| findings.push(finding))?;
    let mut out = io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{}: {}", finding.path, finding.wrong)?;
    }
    writeln!(out, "{} faults", findings.len())?;
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn log(level: &str) {
    let level = match level {
        "error" => tracing::Level::ERROR,
        "warn" => tracing::Level::WARN,
        "debug" => tracing::Level::DEBUG,
        _ => tracing::Level::INFO,
    };
    tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(io::stderr).init();
}

/// A connection takes one or two descriptors; shells allow 1,024.
fn raise_descriptors() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "raise the limit of open files");
    }
}

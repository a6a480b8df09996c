//! Bringing records and tasks together.

use super::{Engine, OpenError, Shared, networks, sweep};
use crate::container::actor::{Actor, Command, Seed};
use crate::container::config::ContainerConfig;
use crate::container::health::Health;
use crate::container::live::Outcome;
use crate::container::remove::finish_removal;
use crate::container::restart::{Policy, wanted_at_boot};
use crate::container::state::State;
use crate::container::undo::undo_later;
use crate::event;
use crate::store;
use messages::shim::Exit;
use messages::task::TaskInfo;
use metadata::Read;
use spec::{ContainerId, Failure};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The exit code of a run whose end nobody saw, since the host went down.
const UNSEEN: i32 = 255;
/// The exit code of a process that died with its shim.
const KILLED: i32 = 137;

pub(super) async fn reconcile(engine: &Engine) -> Result<(), OpenError> {
    let shared = &engine.0;
    let store = shared.store.clone();
    let written = tokio::task::spawn_blocking(move || Written::read(&store));
    let workers = &shared.workers;
    // Nobody waits for another here. What is listed now and has no owner cannot be anybody's that begins later.
    let (written, mut tasks, snapshots) = tokio::try_join!(
        async {
            written.await.map_err(|_| Failure::internal("read database: the engine is ending"))
        },
        workers.tasks(),
        async { Ok(workers.snapshots().await) },
    )?;
    let Written { mut records, mut outcomes, mut health, intents } = written?;
    networks::restore(shared)?;
    let was_cut = !intents.is_empty();
    for (id, intent) in intents {
        if let Err(failure) = finish_removal(shared, &id, intent.clone(), true).await {
            tracing::warn!(container = id.as_str(), "finish what was begun: {failure}");
            // With a record it is shown as dead, and its owner tries again.
            if !records.contains_key(&id) {
                undo_later(shared, id, intent);
            }
            continue;
        }
        records.remove(&id);
    }
    sweep::volumes(shared).await;
    if was_cut {
        tasks = shared.workers.tasks().await?;
    }
    let running: HashMap<ContainerId, TaskInfo> = tasks
        .iter()
        .filter(|task| task.exec.is_none())
        .map(|task| (task.id.clone(), task.clone()))
        .collect();
    let removing: Vec<ContainerId> =
        shared.store.read()?.list(store::INTENTS)?.into_iter().map(|(id, _)| id).collect();
    let mut actors = Vec::with_capacity(records.len());
    for (id, config) in &records {
        let outcome = outcomes.remove(id).unwrap_or_default();
        let dead = removing.contains(id);
        if !dead {
            // Two records with one name cannot be; if they are, the second is reached by its id.
            shared.containers.reserve(&config.name, id).ok();
        }
        actors.push(seed(shared, config.clone(), outcome, health.remove(id), dead));
    }
    for (actor, _) in &mut actors {
        let task = running.get(actor.id());
        Box::pin(settle(shared, actor, task)).await;
    }
    // Before any of them can start something: what is in no list now is nobody's.
    networks::tell(shared, true).await?;
    for (actor, commands) in actors {
        networks::name(shared, &actor);
        tokio::spawn(actor.run(commands));
    }
    sweep::tasks(shared, &tasks).await;
    crate::exec::take_over(shared, &tasks);
    sweep::snapshots(engine, snapshots);
    sweep::directories(shared);
    Ok(())
}

/// What the database says.
struct Written {
    records: BTreeMap<ContainerId, ContainerConfig>,
    outcomes: HashMap<ContainerId, Outcome>,
    health: HashMap<ContainerId, Health>,
    intents: Vec<(ContainerId, store::Intent)>,
}

impl Written {
    fn read(store: &metadata::Store) -> Result<Self, metadata::Error> {
        let reader = store.read()?;
        Ok(Self {
            records: reader.list(store::CONTAINERS)?.into_iter().collect(),
            outcomes: reader.list(store::OUTCOMES)?.into_iter().collect(),
            health: reader.list(store::HEALTH)?.into_iter().collect(),
            intents: reader.list(store::INTENTS)?,
        })
    }
}

type Made = (Actor, tokio::sync::mpsc::Receiver<Command>);

fn seed(
    shared: &Arc<Shared>,
    config: ContainerConfig,
    outcome: Outcome,
    health: Option<Health>,
    dead: bool,
) -> Made {
    let state = match (dead, outcome.started_at) {
        (true, _) => State::Dead,
        (_, Some(_)) => State::Exited,
        _ => State::Created,
    };
    let seed = Seed { config, outcome, state, pristine: false };
    let (mut actor, commands) = Actor::new(Arc::clone(shared), seed);
    if let Some(health) = health {
        actor.view.health = Some(Arc::new(health));
        actor.publish();
    }
    (actor, commands)
}

/// Gives a container's owner what is known about its task.
async fn settle(shared: &Arc<Shared>, actor: &mut Actor, task: Option<&TaskInfo>) {
    if actor.view.state == State::Dead {
        return actor.reap_soon();
    }
    match task {
        Some(task) if task.shim_alive => match connect(shared, actor.id()).await {
            // A shim whose process has ended says so first.
            Ok(channel) => {
                let frozen = task.frozen && !thawed(shared, actor).await;
                actor.adopt(channel, task.pid, task.started_at, frozen);
            }
            Err(failure) => {
                tracing::error!(container = actor.id().as_str(), "connect to the shim: {failure}");
                let unseen = Exit { code: KILLED, oom_killed: false, at: event::now() };
                take_over(actor, task, task.exit.unwrap_or(unseen)).await;
            }
        },
        // Its start was cut before there was a process.
        Some(task) if task.started_at == 0 && task.exit.is_none() => {
            if let Err(failure) = shared.workers.delete_task(actor.id().clone(), None).await {
                tracing::warn!(
                    container = actor.id().as_str(),
                    "clean up after a start: {failure}"
                );
            }
            not_running(actor, Exit { code: UNSEEN, oom_killed: false, at: event::now() });
        }
        Some(task) => {
            let killed = Exit { code: KILLED, oom_killed: false, at: event::now() };
            take_over(actor, task, task.exit.unwrap_or(killed)).await;
        }
        None if actor.view.outcome.running => {
            let ended = Exit { code: UNSEEN, oom_killed: false, at: event::now() };
            not_running(actor, ended);
        }
        None => boot_policy(actor, false),
    }
}

/// Lets a container go on that an engine which died had frozen for a moment; false for one that somebody paused.
async fn thawed(shared: &Shared, actor: &Actor) -> bool {
    if actor.view.outcome.paused {
        return false;
    }
    match shared.workers.thaw(actor.id().clone()).await {
        Ok(()) => true,
        Err(failure) => {
            tracing::warn!(container = actor.id().as_str(), "let it go on: {failure}");
            false
        }
    }
}

async fn connect(shared: &Shared, id: &ContainerId) -> Result<transport::Channel, Failure> {
    let socket = shared.workers.connect_task(id.clone(), None).await?;
    transport::Channel::new(socket)
        .map_err(|error| Failure::internal(format!("connect to shim: {error}")))
}

/// Takes over an exit that happened while no engine ran: the same as if it had been heard.
async fn take_over(actor: &mut Actor, task: &TaskInfo, exit: Exit) {
    actor.adopt_without_shim(task.started_at);
    Box::pin(actor.take_exit(exit)).await;
}

/// A container that shall run and has no task: it waited for a restart, its start was cut, or the host went down.
fn not_running(actor: &mut Actor, ended: Exit) {
    actor.end_health();
    let outcome = &mut actor.view.outcome;
    outcome.endpoints.clear();
    outcome.ports.clear();
    let ran = outcome.started_at > outcome.finished_at;
    if ran {
        (outcome.exit_code, outcome.finished_at) = (ended.code, Some(ended.at));
    }
    boot_policy(actor, true);
}

fn boot_policy(actor: &mut Actor, was_running: bool) {
    let policy = actor.policy();
    let outcome = &actor.view.outcome;
    let ever = outcome.started_at.is_some() || was_running;
    if ever && wanted_at_boot(policy, outcome.stopped_by_hand, was_running, outcome.exit_code) {
        actor.start_soon();
    } else if was_running {
        actor.view.outcome.running = false;
        if let Err(failure) = actor.save_outcome() {
            tracing::error!(
                container = actor.id().as_str(),
                "an exit was not written down: {failure}"
            );
        }
        actor.publish();
        if actor.view.config.host.auto_remove && policy == Policy::No {
            actor.reap_soon();
        }
    } else if actor.view.config.host.auto_remove && policy == Policy::No {
        // The end was written down, and the removal that follows it was not. One that was never started is kept.
        let outcome = &actor.view.outcome;
        if outcome.started_at.is_some() || !outcome.error.is_empty() {
            actor.reap_soon();
        }
    }
}

/// After the task worker was restarted: containers that have lost their shim meanwhile look what has become of it.
pub(super) async fn look_again(engine: &Engine) -> Result<(), Failure> {
    let tasks = engine.0.workers.tasks().await?;
    for handle in engine.0.containers.all() {
        if handle.view().state.has_process() {
            // One whose inbox is full asks by itself before long.
            handle.inbox.try_send(Command::Vanished).ok();
        }
    }
    sweep::tasks(&engine.0, &tasks).await;
    Ok(())
}

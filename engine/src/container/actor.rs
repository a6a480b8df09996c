//! The owner of one container: a task that takes commands one after the other, reads the shim's events, and publishes
//! what the container is.
//!
//! ```text
//!   verbs --Command--> inbox --+
//!   shim  --Event----> channel-+--> Actor --View--> watch --> readers, waiters
//!   restart or reaper timer ---+
//! ```
//!
//! A command is answered when it is done. What takes long, waiting for a stop for instance, is not done here but by the
//! verb, which sends short commands and watches the view.

use super::config::ContainerConfig;
use super::health;
use super::live::{Busy, Outcome, View};
use super::registry::Handle;
use super::restart::{Policy, Restarts};
use super::state::{State, Step, transition};
use crate::network::Network;
use crate::open::Shared;
use crate::store;
use api_types::network::EndpointSettings;
use messages::shim::{Attach, Event};
use spec::{Class, ContainerId, Failure};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use transport::Channel;

/// Commands that wait in an inbox.
const INBOX: usize = 64;
/// How long a verb waits for the container's task: longer than any single call to a worker that it makes.
const PATIENCE: Duration = Duration::from_secs(150);

/// Where the answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Failure>>;

/// What can be asked of a container's task.
#[derive(Debug)]
pub(crate) enum Command {
    /// Start it, by hand.
    Start(Reply<()>),
    /// Send a signal to its first process. `ends` is whether this means that somebody wants it ended.
    Signal { signal: i32, ends: bool, reply: Reply<()> },
    /// Somebody wants it stopped: no restart. Answers whether it has a process.
    Disarm(Reply<bool>),
    /// Freeze it, until somebody unpauses it or, if that is not `lasting`, at most until the engine ends.
    Pause { lasting: bool, reply: Reply<()> },
    /// Let it go on.
    Unpause(Reply<()>),
    /// Attach a client.
    Attach { attach: Attach, stream: OwnedFd, reply: Reply<()> },
    /// Set the terminal's size.
    Resize { width: u16, height: u16, reply: Reply<()> },
    /// Change its configuration, and the limits of its processes if it runs.
    Configure { change: Change, live: Option<Box<spec::oci::Resources>>, reply: Reply<()> },
    /// Connect it with a network.
    Connect { network: Arc<Network>, settings: Box<EndpointSettings>, reply: Reply<()> },
    /// Disconnect it from a network.
    Disconnect { network: Arc<Network>, reply: Reply<()> },
    /// Remove it; it must not run.
    Remove { volumes: bool, reply: Reply<()> },
    /// A health check of this number of monitor was made. Answers how the container is now.
    Probed { number: u64, outcome: health::Outcome, reply: Reply<health::Status> },
    /// Something was written into its root file system from outside.
    Touched,
    /// The task worker does not know it any more.
    Vanished,
}

/// A change to a configuration; one that fails changes nothing.
pub(crate) struct Change(pub(crate) Box<Apply>);

type Apply = dyn FnOnce(&mut ContainerConfig) -> Result<(), Failure> + Send;

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Change")
    }
}

/// The task's own state. Other files of this folder add what it does.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) view: View,
    publish: watch::Sender<Arc<View>>,
    pub(crate) channel: Option<Channel>,
    /// Clients that attached before the start.
    pub(crate) pending: Vec<(Attach, OwnedFd)>,
    pub(crate) restarts: Restarts,
    /// When something is to be done without being asked: a restart, another try to remove it, or to find its shim.
    pub(crate) due: Option<Instant>,
    /// Whether its root file system is still the image's.
    pub(crate) pristine: bool,
    /// Whether somebody wants the present run ended.
    pub(crate) by_hand: bool,
    /// Whether it is being stopped, so that its end is told as a stop too.
    pub(crate) stopping: bool,
    /// Whether the task worker may still have something of it.
    pub(crate) task_left: bool,
    /// Whether its removal takes its anonymous volumes along.
    pub(crate) remove_volumes: bool,
    /// Failed removals in a row.
    pub(crate) removal_tries: u32,
    /// What asks for its health while it runs.
    pub(crate) monitor: Option<health::Monitor>,
    /// How many of them there were.
    pub(crate) monitors: u64,
}

/// What an actor starts from.
#[derive(Debug)]
pub(crate) struct Seed {
    pub(crate) config: ContainerConfig,
    pub(crate) outcome: Outcome,
    pub(crate) state: State,
    pub(crate) pristine: bool,
}

impl Actor {
    /// Makes the owner of a container, puts it into the registry, and gives it back to be run.
    pub(crate) fn new(shared: Arc<Shared>, seed: Seed) -> (Self, mpsc::Receiver<Command>) {
        let (inbox, commands) = mpsc::channel(INBOX);
        let restarts = Restarts::resumed(seed.outcome.restarts);
        let view = View::idle(Arc::new(seed.config), seed.state, seed.outcome);
        let (publish, published) = watch::channel(Arc::new(view.clone()));
        shared.containers.insert(Handle { id: view.config.id.clone(), inbox, view: published });
        let actor = Self {
            shared,
            view,
            publish,
            channel: None,
            pending: Vec::new(),
            restarts,
            due: None,
            pristine: seed.pristine,
            by_hand: false,
            stopping: false,
            task_left: !seed.pristine,
            remove_volumes: false,
            removal_tries: 0,
            monitor: None,
            monitors: 0,
        };
        (actor, commands)
    }

    /// Runs until the container is removed or the engine is closed.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while !self.view.removed {
            tokio::select! {
                biased;
                event = receive(self.channel.as_ref()) => self.heard(event).await,
                () = until(self.due) => {
                    self.due = None;
                    Box::pin(self.timed()).await;
                }
                command = commands.recv() => match command {
                    Some(command) => Box::pin(self.command(command)).await,
                    None => return,
                },
            }
        }
        // Commands that came too late see that it is gone: their answers are dropped.
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Start(reply) => answer(reply, self.start_by_hand().await),
            Command::Signal { signal, ends, reply } => {
                answer(reply, self.signal(signal, ends).await)
            }
            Command::Disarm(reply) => answer(reply, self.disarm().await),
            Command::Pause { lasting, reply } => answer(reply, self.pause(lasting).await),
            Command::Unpause(reply) => answer(reply, self.unpause().await),
            Command::Attach { attach, stream, reply } => {
                answer(reply, self.attach(attach, stream).await)
            }
            Command::Resize { width, height, reply } => {
                answer(reply, self.resize(width, height).await)
            }
            Command::Configure { change, live, reply } => {
                answer(reply, self.configure(change, live).await)
            }
            Command::Connect { network, settings, reply } => {
                answer(reply, self.connect(&network, *settings).await)
            }
            Command::Disconnect { network, reply } => {
                answer(reply, self.disconnect(&network).await)
            }
            Command::Remove { volumes, reply } => answer(reply, self.remove(volumes).await),
            Command::Probed { number, outcome, reply } => {
                answer(reply, self.probed(number, outcome));
            }
            Command::Touched => self.pristine = false,
            Command::Vanished => self.vanished().await,
        }
    }

    async fn timed(&mut self) {
        match self.view.state {
            State::Restarting => self.start_by_policy().await,
            State::Running | State::Paused => self.vanished().await,
            // Dead, or to be removed by itself after an end that no engine saw.
            State::Dead | State::Exited | State::Created => {
                let volumes = self.remove_volumes;
                // Whoever asked was told of the first failure; this is the reaper's own try.
                self.remove(volumes).await.ok();
            }
            _ => {}
        }
    }

    async fn heard(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Status { pid, started_at, exit }) => {
                self.view.pid = pid;
                self.view.outcome.started_at = Some(started_at);
                match exit {
                    Some(exit) => Box::pin(self.ended(exit)).await,
                    None => self.publish(),
                }
            }
            Some(Event::Exited(exit)) => Box::pin(self.ended(exit)).await,
            Some(Event::OutOfMemory) => {
                self.view.outcome.oom_killed = true;
                self.publish();
                self.tell("oom", &[]);
            }
            Some(Event::Detached { by_keys: true, .. }) => self.tell("detach", &[]),
            Some(Event::Detached { .. }) => {}
            Some(Event::LogLost { bytes }) => {
                tracing::warn!(
                    container = self.id().as_str(),
                    bytes,
                    "output was lost: it could not be written"
                );
            }
            None => Box::pin(self.channel_ended()).await,
        }
    }

    /// The container's id.
    pub(crate) fn id(&self) -> &ContainerId {
        &self.view.config.id
    }

    /// The restart policy.
    pub(crate) fn policy(&self) -> Policy {
        let policy = &self.view.config.host.restart_policy;
        Policy::parse(&policy.name, policy.maximum_retry_count).unwrap_or_default()
    }

    /// Goes to the next state; fails when the step is not legal in the present one.
    pub(crate) fn step(&mut self, step: Step) -> Result<(), Failure> {
        match transition(self.view.state, step) {
            Some(next) => {
                self.view.state = next;
                Ok(())
            }
            None => {
                let (id, state) = (self.id(), self.view.state.word());
                Err(Failure::conflict(format!("container {id} is {state}")))
            }
        }
    }

    /// Shows readers and waiters the present view.
    pub(crate) fn publish(&self) {
        self.publish.send_replace(Arc::new(self.view.clone()));
    }

    /// Shows that a call has begun that may take long; [`Actor::publish`] after it shows that it is over.
    pub(crate) fn busy(&mut self, verb: &'static str) {
        self.dying(verb);
        self.view.busy = None;
    }

    /// Shows that the end of the run is waited for, which a process that the kernel cannot kill puts off for ever.
    pub(crate) fn dying(&mut self, verb: &'static str) {
        self.view.busy = Some(Busy { verb, since: std::time::Instant::now() });
        self.publish();
    }

    /// Writes the outcome down.
    pub(crate) fn save_outcome(&self) -> Result<(), Failure> {
        let (id, outcome) = (self.id(), &self.view.outcome);
        store::change(&self.shared.store, |writer| writer.put(store::OUTCOMES, id, outcome))
    }

    /// Tells listeners what happened to this container.
    pub(crate) fn tell(&self, action: &str, more: &[(&str, String)]) {
        tell(&self.shared, &self.view.config, action, more);
    }
}

/// Tells listeners what happened to a container: labels, image and name are among the attributes.
pub(crate) fn tell(
    shared: &Shared,
    config: &ContainerConfig,
    action: &str,
    more: &[(&str, String)],
) {
    let mut attributes: BTreeMap<String, String> = config.config.labels.clone().into_inner();
    if !config.config.image.is_empty() {
        attributes.insert("image".into(), config.config.image.clone());
    }
    attributes.insert("name".into(), config.name.clone());
    attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    shared.events.publish("container", action, config.id.as_str(), attributes);
}

fn answer<T>(reply: Reply<T>, result: Result<T, Failure>) {
    // An asker that went away needs no answer.
    reply.send(result).ok();
}

/// The shim's next event; never for a container without a shim.
async fn receive(channel: Option<&Channel>) -> Option<Event> {
    match channel {
        Some(channel) => channel.receive().await.unwrap_or_else(|error| {
            tracing::warn!("connection to a shim: {error}");
            None
        }),
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Handle {
    /// Sends a command and waits for its answer; a container that does not answer is told so and blocks nobody else.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            if self.inbox.send(command(reply)).await.is_err() {
                return Err(self.gone());
            }
            answer.await.unwrap_or_else(|_| Err(self.gone()))
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answered) => answered,
            Err(_) => Err(self.stuck()),
        }
    }

    pub(crate) fn gone(&self) -> Failure {
        Failure::not_found(format!("No such container: {}", self.id))
    }

    fn stuck(&self) -> Failure {
        let doing = match self.view().busy {
            Some(busy) => format!("{} for {} s", busy.verb, busy.since.elapsed().as_secs()),
            None => "it does not answer".to_owned(),
        };
        Failure::new(Class::DeadlineExceeded, format!("container {} is stuck: {doing}", self.id))
    }
}

//! Three workers and any number of shims, in this process: they remember what they were asked and what would be there.

use crate::Workers;
use messages::shim::{Event, Exit};
use messages::{Fd, Request, network, storage, task};
use spec::{Class, ContainerId, ExecId, Failure, SnapshotKey, VolumeName};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use transport::{Connection, Descriptors, Kind, decode, encode, pair};

type Answer<R> = Result<(<R as Request>::Reply, Vec<OwnedFd>), Failure>;
type Task = (ContainerId, Option<ExecId>);

/// A process that runs, or whose end nobody has taken notice of.
#[derive(Default)]
pub(super) struct Process {
    pub(super) connections: Vec<Connection>,
    pub(super) exit: Option<Exit>,
    pub(super) frozen: bool,
    pub(super) shim_dead: bool,
    /// Only SIGKILL ends it.
    pub(super) stubborn: bool,
    /// Not even SIGKILL ends it.
    pub(super) immortal: bool,
    pub(super) attaches: usize,
}

/// What the workers have.
#[derive(Default)]
pub(super) struct State {
    pub(super) asked: Vec<String>,
    pub(super) snapshots: BTreeSet<SnapshotKey>,
    pub(super) layers: BTreeSet<SnapshotKey>,
    pub(super) volumes: BTreeSet<VolumeName>,
    pub(super) tasks: BTreeMap<Task, Process>,
    pub(super) launches: Vec<task::Launch>,
    /// What the next request of this verb fails with; kept until taken away.
    pub(super) faults: BTreeMap<&'static str, Failure>,
    /// Signals by task, in order.
    pub(super) signals: Vec<i32>,
    /// Processes are started like this.
    pub(super) stubborn: bool,
    pub(super) immortal: bool,
    generation: u64,
}

/// The workers; clones are the same.
#[derive(Clone, Default)]
pub(super) struct World(Arc<Mutex<State>>);

impl World {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Clients that are connected with these workers.
    pub(super) fn workers(&self) -> Workers {
        let workers = Workers::new();
        let generation = self.lock().generation;
        workers.storage.connect(self.serve(generation, State::storage)).unwrap();
        workers.network.connect(self.serve(generation, State::network)).unwrap();
        workers.task.connect(self.serve(generation, State::task)).unwrap();
        workers
    }

    /// Whatever an engine asked that is dead by now is not done any more.
    pub(super) fn cut(&self) {
        self.lock().generation += 1;
    }

    pub(super) fn fail(&self, verb: &'static str, class: Class) {
        self.lock().faults.insert(verb, Failure::new(class, format!("{verb} broke")));
    }

    pub(super) fn heal(&self) {
        self.lock().faults.clear();
    }

    /// The container's process ends.
    pub(super) fn exit(&self, id: &str, code: i32) {
        let id = ContainerId::parse(id).unwrap();
        self.lock().end(&(id, None), code);
    }

    /// How often this was asked.
    pub(super) fn count(&self, verb: &str) -> usize {
        self.lock().asked.iter().filter(|asked| *asked == verb).count()
    }

    fn serve<R: Request>(
        &self,
        generation: u64,
        answer: fn(&mut State, R, Descriptors) -> Answer<R>,
    ) -> OwnedFd {
        let (ours, theirs) = pair().unwrap();
        let (world, connection) = (self.clone(), Connection::from(ours));
        std::thread::spawn(move || {
            while let Ok(Some(frame)) = connection.receive() {
                let request: R = decode(&frame.payload).unwrap();
                let mut state = world.lock();
                if state.generation != generation {
                    return;
                }
                let verb = request.verb();
                state.asked.push(verb.to_owned());
                let answered = match state.faults.get(verb) {
                    Some(failure) => Err(failure.clone()),
                    None => answer(&mut state, request, Descriptors::new(frame.descriptors)),
                };
                drop(state);
                let (kind, payload, fds) = match answered {
                    Ok((reply, fds)) => (Kind::Success, encode(&reply).unwrap(), fds),
                    Err(failure) => (Kind::Failure, encode(&failure).unwrap(), Vec::new()),
                };
                let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                connection.send(kind, frame.sequence, &payload, &fds).ok();
            }
        });
        theirs
    }
}

fn done<T>(reply: T) -> Result<(T, Vec<OwnedFd>), Failure> {
    Ok((reply, Vec::new()))
}

fn some_file() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

fn missing(what: &str) -> Failure {
    Failure::not_found(format!("{what}: no such file or directory"))
}

impl State {
    fn storage(
        &mut self,
        request: storage::Request,
        mut fds: Descriptors,
    ) -> Answer<storage::Request> {
        use storage::{Reply, Request as Ask};
        match request {
            Ask::Unpack { key, .. } => {
                self.layers.insert(key);
                done(Reply::Unpacked { size: 0 })
            }
            Ask::Prepare { key, .. } => {
                self.snapshots.insert(key);
                done(Reply::Done)
            }
            Ask::Mount { key } if self.snapshots.contains(&key) => {
                Ok((Reply::Mount { mount: Fd(0) }, vec![some_file()]))
            }
            Ask::Mount { .. } => Err(missing("mount snapshot")),
            Ask::Remove { key } => {
                self.snapshots.remove(&key);
                self.layers.remove(&key);
                done(Reply::Done)
            }
            Ask::List => {
                let info = |committed: bool| {
                    move |key: &SnapshotKey| storage::SnapshotInfo { key: key.clone(), committed }
                };
                let all = self
                    .layers
                    .iter()
                    .map(info(true))
                    .chain(self.snapshots.iter().map(info(false)));
                done(Reply::Snapshots(all.collect()))
            }
            Ask::Usage { .. } | Ask::VolumeUsage { .. } => done(Reply::Usage { bytes: 7 }),
            Ask::Changes { .. } => done(Reply::Changes(vec![storage::Change {
                path: b"/etc".to_vec(),
                kind: storage::ChangeKind::Modified,
            }])),
            Ask::DiffTar { out, .. } | Ask::ExportTar { out, .. } => {
                use std::io::Write;
                std::fs::File::from(fds.take(out)?).write_all(&[0; 1024]).ok();
                done(Reply::Written { bytes: 1024 })
            }
            Ask::OpenFile { path, .. } => {
                let content: &[u8] = match path.as_slice() {
                    b"/etc/passwd" => {
                        b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/srv:/bin/sh\n"
                    }
                    b"/etc/group" => b"root:x:0:\nweb:x:33:\n",
                    _ => return Err(missing("open file")),
                };
                let mut file = tempfile::tempfile().unwrap();
                std::io::Write::write_all(&mut file, content).unwrap();
                std::io::Seek::rewind(&mut file).unwrap();
                Ok((Reply::Opened { file: Fd(0), directory: false }, vec![file.into()]))
            }
            Ask::OpenHostPath { path, create_directory, .. } => {
                if path.starts_with(b"/missing") && !create_directory {
                    return Err(missing("open host path"));
                }
                Ok((Reply::Opened { file: Fd(0), directory: true }, vec![some_file()]))
            }
            Ask::HostDevice { .. } => done(Reply::Devices(Vec::new())),
            Ask::VolumeCreate { name } => {
                self.volumes.insert(name);
                done(Reply::Done)
            }
            Ask::VolumeRemove { name } => {
                self.volumes.remove(&name);
                done(Reply::Done)
            }
            Ask::VolumeOpen { .. } => {
                Ok((Reply::Opened { file: Fd(0), directory: true }, vec![some_file()]))
            }
            Ask::VolumeList => done(Reply::Volumes(self.volumes.iter().cloned().collect())),
            _ => Err(Failure::new(Class::NotImplemented, "not in this world")),
        }
    }

    fn network(&mut self, request: network::Request, _: Descriptors) -> Answer<network::Request> {
        match request {
            network::Request::CreateSandbox { .. } => {
                let reply =
                    network::Reply::Sandbox { netns: Fd(0), ports: Vec::new(), resolver: None };
                Ok((reply, vec![some_file()]))
            }
            network::Request::HostRoutes => done(network::Reply::Routes(Vec::new())),
            _ => done(network::Reply::Done),
        }
    }

    fn task(&mut self, request: task::Request, mut fds: Descriptors) -> Answer<task::Request> {
        use task::{Reply, Request as Ask};
        match request {
            Ask::Launch(launch) => {
                let key = (launch.id.clone(), None);
                let attaches = launch.attaches.len();
                self.spawn(key, fds.take(launch.channel)?, attaches)?;
                self.launches.push(*launch);
                done(Reply::Started { pid: 4711, at: crate::event::now(), warnings: Vec::new() })
            }
            Ask::Exec(exec) => {
                let key = (exec.id.clone(), Some(exec.exec.clone()));
                self.spawn(key, fds.take(exec.channel)?, exec.attaches.len())?;
                done(Reply::Started { pid: 4712, at: crate::event::now(), warnings: Vec::new() })
            }
            Ask::Connect { id, exec } => {
                let process = self.process(&(id, exec))?;
                let (ours, theirs) = pair().unwrap();
                let connection = Connection::from(ours);
                let status = Event::Status { pid: 4711, started_at: 5, exit: process.exit };
                tell(&connection, &status);
                process.connections.push(connection);
                Ok((Reply::Channel { channel: Fd(0) }, vec![theirs]))
            }
            Ask::Signal { id, exec, signal } => {
                self.signals.push(signal);
                let key = (id, exec);
                let process = self.process(&key)?;
                let deadly =
                    !process.immortal && (signal == 9 || signal == 15 && !process.stubborn);
                if deadly && !process.frozen {
                    self.end(&key, 128 + signal);
                }
                done(Reply::Done)
            }
            Ask::Freeze { id } => {
                self.process(&(id, None))?.frozen = true;
                done(Reply::Done)
            }
            Ask::Thaw { id } => {
                let killed = self.signals.last() == Some(&9);
                self.process(&(id.clone(), None))?.frozen = false;
                if killed {
                    self.end(&(id, None), 137);
                }
                done(Reply::Done)
            }
            Ask::OpenInit { .. } => Ok((Reply::Init { pidfd: Fd(0) }, vec![some_file()])),
            Ask::OpenNetwork { .. } => Ok((Reply::Network { netns: Fd(0) }, vec![some_file()])),
            Ask::Top { .. } => done(Reply::Top { output: "UID PID CMD\nroot 4711 sh\n".into() }),
            Ask::Delete { id, exec } => {
                self.tasks.retain(|(owner, own), _| *owner != id || exec.is_some() && *own != exec);
                done(Reply::Done)
            }
            Ask::List => {
                let info = |((id, exec), process): (&Task, &Process)| task::TaskInfo {
                    id: id.clone(),
                    exec: exec.clone(),
                    pid: if process.exit.is_some() { 0 } else { 4711 },
                    started_at: 5,
                    exit: process.exit,
                    shim_alive: !process.shim_dead,
                    frozen: process.frozen,
                };
                done(Reply::Tasks(self.tasks.iter().map(info).collect()))
            }
            Ask::Processes { .. } => done(Reply::Processes(vec![4711])),
            Ask::Statistics { .. } => done(Reply::Statistics(Box::default())),
            Ask::Update { .. } => done(Reply::Done),
        }
    }

    fn spawn(&mut self, key: Task, channel: OwnedFd, attaches: usize) -> Result<(), Failure> {
        if self.tasks.contains_key(&key) {
            return Err(Failure::conflict("task exists"));
        }
        let process = Process {
            connections: vec![Connection::from(channel)],
            stubborn: self.stubborn,
            immortal: self.immortal,
            attaches,
            ..Process::default()
        };
        self.tasks.insert(key, process);
        Ok(())
    }

    fn process(&mut self, key: &Task) -> Result<&mut Process, Failure> {
        self.tasks.get_mut(key).ok_or_else(|| Failure::not_found("no such task"))
    }

    pub(super) fn end(&mut self, key: &Task, code: i32) {
        let Some(process) = self.tasks.get_mut(key) else { return };
        let exit = Exit { code, oom_killed: false, at: crate::event::now() };
        process.exit = Some(exit);
        for connection in &process.connections {
            tell(connection, &Event::Exited(exit));
        }
    }
}

fn tell(connection: &Connection, event: &Event) {
    connection.send(Kind::Oneway, 0, &encode(event).unwrap(), &[]).ok();
}

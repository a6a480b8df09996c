//! The loop: start all, connect all, start again what dies, pass signals on, stop.

use crate::listen::Socket;
use crate::worker::{Program, Worker, WorkerError};
use messages::control::{Control, Role};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use sys::signals::{self, SignalSet};

/// How long the workers may take to finish when the engine stops.
const STOP: Duration = Duration::from_secs(10);

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// What the supervisor runs.
#[derive(Debug)]
pub struct Plan {
    /// The four workers' programs.
    pub api: Program,
    /// See [`Plan::api`].
    pub storage: Program,
    /// See [`Plan::api`].
    pub network: Program,
    /// See [`Plan::api`].
    pub task: Program,
    /// Where clients connect.
    pub sockets: Vec<Socket>,
    /// The api worker's configuration, as JSON.
    pub settings: String,
}

impl Plan {
    fn program(&self, role: Role) -> &Program {
        match role {
            Role::Api => &self.api,
            Role::Storage => &self.storage,
            Role::Network => &self.network,
            Role::Task => &self.task,
        }
    }
}

/// Why the supervisor ended.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// A worker could not be started at all.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A system call failed.
    #[error("supervise workers")]
    Call(#[from] sys::Error),
    /// A system call failed.
    #[error("supervise workers: {call}")]
    Kernel {
        /// Which.
        call: &'static str,
        /// Why.
        #[source]
        source: rustix::io::Errno,
    },
}

/// The privileged workers, which the api worker asks.
const SERVANTS: [Role; 3] = [Role::Task, Role::Storage, Role::Network];

/// Runs the plan until a signal ends it.
#[derive(Debug)]
pub struct Supervisor {
    plan: Plan,
    signals: OwnedFd,
    workers: Vec<Worker>,
    /// Workers to be started, and when.
    due: Vec<(Role, Instant)>,
    short_lives: [u32; 4],
}

impl Supervisor {
    /// A supervisor of `plan`.
    ///
    /// The signals are blocked here, before any worker exists, so that none is lost.
    pub fn new(plan: Plan) -> Result<Self, SupervisorError> {
        let set = [SIGHUP, SIGINT, SIGTERM].into_iter().fold(SignalSet::default(), SignalSet::with);
        signals::set_mask(set)?;
        let signals = signals::signal_fd(set)?;
        Ok(Self { plan, signals, workers: vec![], due: vec![], short_lives: [0; 4] })
    }

    /// Starts the workers and serves until SIGTERM or SIGINT.
    pub fn run(mut self) -> Result<(), SupervisorError> {
        // The one that takes longest begins first; the others are ready when it asks them.
        for role in [Role::Api].into_iter().chain(SERVANTS) {
            let worker = Worker::start(role, self.plan.program(role))?;
            self.workers.push(worker);
        }
        self.introduce_api()?;
        // From here on next to nothing happens in this process.
        sys::memory::trim();
        sys::memory::release_program();
        loop {
            let signalled = self.wait()?;
            if signalled && self.signal()? {
                return self.stop();
            }
            self.bury();
            self.revive();
        }
    }

    /// Waits for a signal, the end of a worker, or the time to start one again; true for a signal.
    fn wait(&self) -> Result<bool, SupervisorError> {
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        fds.extend(self.workers.iter().map(|worker| PollFd::new(worker, PollFlags::IN)));
        let next = self.due.iter().map(|(_, at)| *at).min();
        let timeout = next.map(|at| {
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        rustix::io::retry_on_intr(|| poll(&mut fds, timeout.as_ref()))
            .map_err(|source| SupervisorError::Kernel { call: "poll", source })?;
        Ok(fds.first().is_some_and(|fd| !fd.revents().is_empty()))
    }

    /// Handles the signals that came; true when one of them ends the engine. The configuration is read at the start
    /// only, so SIGHUP, which would end a process that does not know it, means nothing.
    fn signal(&self) -> Result<bool, SupervisorError> {
        while let Some(received) = signals::receive(&self.signals)? {
            if received.number != SIGHUP {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells a worker; one that is dying will be told by its successor's introduction.
    fn tell(&self, role: Role, control: &Control) {
        if let Some(worker) = self.workers.iter().find(|worker| worker.role == role)
            && let Err(error) = worker.tell(control, &[])
        {
            complain(&error);
        }
    }

    /// Takes away the workers that have ended, and sets when they start again.
    fn bury(&mut self) {
        let mut position = 0;
        while let Some(worker) = self.workers.get_mut(position) {
            if !worker.ended() {
                position += 1;
                continue;
            }
            let mut worker = self.workers.swap_remove(position);
            let status = worker.reap();
            let lives = self.short_lives.get_mut(worker.role as usize).expect("four roles");
            let pause = worker.pause(lives);
            eprintln!("cofferd: {} worker ended ({status}), starting it again", worker.role.name());
            self.due.push((worker.role, Instant::now() + pause));
        }
    }

    /// Starts the workers whose time has come, and introduces them.
    fn revive(&mut self) {
        let now = Instant::now();
        let due: Vec<Role> =
            self.due.extract_if(.., |(_, at)| *at <= now).map(|(role, _)| role).collect();
        for role in due {
            match Worker::start(role, self.plan.program(role)) {
                Ok(worker) => {
                    self.workers.push(worker);
                    self.introduce_again(role);
                }
                Err(error) => {
                    complain(&error);
                    self.due.push((role, now + Duration::from_secs(1)));
                }
            }
        }
    }

    /// A worker that ends before it has heard everything is found dead by the loop, which starts its successor: to do
    /// that here too would make two of one.
    fn introduce_again(&self, role: Role) {
        let introduced = match role {
            Role::Api => self.introduce_api(),
            role => self.introduce(role),
        };
        if let Err(error) = introduced {
            complain(&error);
        }
    }

    /// Gives the api worker everything that it needs to answer clients.
    fn introduce_api(&self) -> Result<(), SupervisorError> {
        let Some(api) = self.workers.iter().find(|worker| worker.role == Role::Api) else {
            return Ok(());
        };
        api.tell(&Control::Settings(self.plan.settings.clone()), &[])?;
        for socket in &self.plan.sockets {
            let control = Control::Listener(socket.listener.clone());
            api.tell(&control, &[socket.descriptor.as_fd()])?;
        }
        for role in SERVANTS {
            // One that has just ended will be introduced as its successor; the others are needed now.
            if let Err(error) = self.introduce(role) {
                complain(&error);
            }
        }
        api.tell(&Control::Ready, &[])?;
        Ok(())
    }

    /// Connects a privileged worker with the api worker, if both live.
    fn introduce(&self, role: Role) -> Result<(), SupervisorError> {
        let find = |role| self.workers.iter().find(|worker| worker.role == role);
        let (Some(api), Some(servant)) = (find(Role::Api), find(role)) else { return Ok(()) };
        let (one, other) =
            transport::pair().map_err(|source| WorkerError::Tell { role, source })?;
        servant.tell(&Control::Peer(Role::Api), &[one.as_fd()])?;
        api.tell(&Control::Peer(role), &[other.as_fd()])?;
        Ok(())
    }

    /// The api worker first, so that no request is cut off in the middle of the others' work.
    fn stop(mut self) -> Result<(), SupervisorError> {
        self.tell(Role::Api, &Control::Stop);
        let deadline = Instant::now() + STOP;
        self.await_end(|worker| worker.role == Role::Api, deadline);
        for role in SERVANTS {
            self.tell(role, &Control::Stop);
        }
        self.await_end(|_| true, deadline);
        Ok(())
    }

    fn await_end(&mut self, which: impl Fn(&Worker) -> bool, deadline: Instant) {
        for worker in self.workers.iter_mut().filter(|worker| which(worker)) {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut fds = [PollFd::new(&*worker, PollFlags::IN)];
            let ended = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timeout)));
            if ended == Ok(0) {
                worker.kill();
            }
            worker.reap();
        }
        self.workers.retain(|worker| !which(worker));
    }
}

/// Says what went wrong and is dealt with elsewhere.
fn complain(error: &dyn std::error::Error) {
    eprintln!("cofferd: {}", spec::Failure::from_error(spec::Class::Internal, error));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        let file = std::fs::File::open("/bin/true").unwrap().into();
        Program { file, name: "true".into(), arguments: vec![] }
    }

    /// A supervisor whose api worker cannot be told its settings.
    fn speechless() -> Supervisor {
        Supervisor::new(Plan {
            api: program(),
            storage: program(),
            network: program(),
            task: program(),
            sockets: vec![],
            settings: "x".repeat(64 << 20),
        })
        .unwrap()
    }

    #[test]
    fn a_worker_that_cannot_be_introduced_is_not_started_a_second_time_beside_itself() {
        let mut supervisor = speechless();
        supervisor.due.push((Role::Api, Instant::now()));
        // Until its third life, after which the pauses are long.
        while supervisor.short_lives[Role::Api as usize] < 3 {
            supervisor.bury();
            supervisor.revive();
            assert_eq!(supervisor.workers.len() + supervisor.due.len(), 1);
            supervisor.wait().unwrap();
        }
        supervisor.await_end(|_| true, Instant::now());
    }

    #[test]
    fn a_worker_that_cannot_be_started_is_tried_again_later() {
        let mut supervisor = speechless();
        supervisor.plan.task.file = std::fs::File::open("/").unwrap().into();
        supervisor.due.push((Role::Task, Instant::now()));
        supervisor.revive();
        assert_eq!((supervisor.workers.len(), supervisor.due.len()), (0, 1));
    }
}

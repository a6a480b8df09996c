//! One child per request, each with a deadline.

use crate::layers::Answer;
use messages::storage::Request;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use spec::{Class, Failure};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use transport::Responder;

const SIGKILL: i32 = 9;

/// The exit status of a job that has sent its answer.
const ANSWERED: u8 = 0;

/// Removing what is in the trash.
pub(crate) const SWEEP: Duration = Duration::from_secs(24 * 3600);

/// How long a request may take.
pub(crate) fn deadline(request: &Request) -> Duration {
    match request {
        // The other end may be a person's slow line.
        Request::Unpack { .. }
        | Request::DiffTar { .. }
        | Request::LayerTar { .. }
        | Request::ExportTar { .. }
        | Request::CopyOut { .. }
        | Request::CopyIn { .. } => Duration::from_secs(24 * 3600),
        Request::Usage { .. }
        | Request::VolumeUsage { .. }
        | Request::Changes { .. }
        | Request::VolumeOpen { .. } => Duration::from_secs(600),
        _ => Duration::from_secs(30),
    }
}

#[derive(Debug)]
struct Job {
    pidfd: OwnedFd,
    /// Whom to answer if the job dies, or misses its deadline; None for the sweep and after that answer.
    responder: Option<Responder<Request>>,
    sweep: bool,
    deadline: Instant,
}

/// The children that are at work.
#[derive(Debug)]
pub(crate) struct Jobs {
    jobs: Vec<Job>,
    /// Ticks once a second while there are jobs.
    clock: OwnedFd,
}

/// What [`Jobs::collect`] found.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Ended {
    /// A job ended without having answered.
    pub(crate) died: bool,
    /// The sweep ended.
    pub(crate) swept: bool,
}

type Refused = (Option<Responder<Request>>, Failure);

impl Jobs {
    pub(crate) fn new() -> Result<Self, Errno> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self { jobs: Vec::new(), clock: timerfd_create(TimerfdClockId::Monotonic, flags)? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The clock, and each job that becomes readable when it ends.
    pub(crate) fn watched(&self) -> Vec<BorrowedFd<'_>> {
        let jobs = self.jobs.iter().map(|job| job.pidfd.as_fd());
        std::iter::once(self.clock.as_fd()).chain(jobs).collect()
    }

    /// Starts a child that does `work` and answers. Without a responder it is the sweep, whose answer nobody reads.
    pub(crate) fn start(
        &mut self,
        responder: Option<Responder<Request>>,
        limit: Duration,
        work: impl FnOnce() -> Answer,
    ) -> Result<(), Refused> {
        let worker = rustix::process::getpid();
        let sweep = responder.is_none();
        let mut slot = responder;
        let mut work = Some(work);
        // In the child both are taken out of its copy of their slots; here the responder stays for an answer in the
        // child's place.
        let forked = once_alone(|| {
            sys::fork::fork_child(|| {
                if sys::process::set_parent_death_signal(SIGKILL).is_err()
                    || rustix::process::getppid() != Some(worker)
                {
                    return 1;
                }
                let answer = work.take().map(|work| work());
                if let (Some(responder), Some(answer)) = (slot.take(), answer) {
                    responder.answer(answer);
                }
                ANSWERED
            })
        });
        let refused = |slot, error: &dyn std::error::Error| {
            (slot, Failure::from_error(Class::Internal, error))
        };
        let pid = match forked {
            Ok(pid) => pid,
            Err(error) => return Err(refused(slot, &error)),
        };
        // The child is not reaped before this, so the number is still its own.
        let opened = Pid::from_raw(pid).ok_or(Errno::SRCH);
        match opened.and_then(|pid| pidfd_open(pid, PidfdFlags::empty())) {
            Ok(pidfd) => {
                let deadline = Instant::now() + limit;
                self.jobs.push(Job { pidfd, responder: slot, sweep, deadline });
                self.tick();
                Ok(())
            }
            Err(errno) => Err(refused(slot, &errno)),
        }
    }

    /// Lets the clock tick while there is a job.
    fn tick(&self) {
        let second = i64::from(!self.jobs.is_empty());
        let span = Timespec { tv_sec: second, tv_nsec: 0 };
        let timer = Itimerspec { it_interval: span, it_value: span };
        // It fails for a wrong descriptor or number only; without it a deadline would be noticed later.
        timerfd_settime(&self.clock, TimerfdTimerFlags::empty(), &timer).ok();
    }

    /// Kills the jobs that are over their deadline and answers for them at once: one that hangs in the kernel may take
    /// longer to die than anybody wants to wait.
    pub(crate) fn enforce_deadlines(&mut self) {
        rustix::io::read(&self.clock, &mut [0u8; 8]).ok();
        let now = Instant::now();
        for job in self.jobs.iter_mut().filter(|job| job.deadline <= now) {
            sys::pidfd::send_signal(&job.pidfd, SIGKILL).ok();
            if let Some(responder) = job.responder.take() {
                let message = format!("{}: it took too long and was stopped", responder.verb());
                responder.answer(Err(Failure::new(Class::DeadlineExceeded, message)));
            }
        }
    }

    /// Waits until all jobs but the sweep have ended, at most so long.
    pub(crate) fn finish(&mut self, limit: Duration) {
        use rustix::event::{PollFd, PollFlags, poll};
        let end = Instant::now() + limit;
        while self.jobs.iter().any(|job| !job.sweep) && Instant::now() < end {
            let mut fds: Vec<_> =
                self.jobs.iter().map(|job| PollFd::new(&job.pidfd, PollFlags::IN)).collect();
            let second = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
            // An interrupted wait only means to look sooner.
            poll(&mut fds, Some(&second)).ok();
            self.collect();
        }
    }

    /// Reaps the jobs that have ended and answers for those that did not.
    pub(crate) fn collect(&mut self) -> Ended {
        let mut ended = Ended::default();
        let mut running = Vec::with_capacity(self.jobs.len());
        for mut job in self.jobs.drain(..) {
            let exit = match sys::pidfd::try_wait(&job.pidfd) {
                Ok(None) => {
                    running.push(job);
                    continue;
                }
                Ok(Some(exit)) => exit,
                // It was reaped by somebody else, so it has ended; how is not known.
                Err(_) => sys::pidfd::Exit::Code(1),
            };
            ended.swept |= job.sweep;
            if exit == sys::pidfd::Exit::Code(ANSWERED) {
                continue;
            }
            ended.died = true;
            if let Some(responder) = job.responder.take() {
                let message = format!("{}: its process {}", responder.verb(), describe(exit));
                responder.answer(Err(Failure::internal(message)));
            }
        }
        self.jobs = running;
        if self.jobs.is_empty() {
            self.tick();
        }
        ended
    }
}

/// Forks; and tries again for a moment when there seems to be a second thread. On a kernel before 6.13 an overlay is
/// mounted by a thread of its own, which the kernel may still list just after it was joined.
pub(crate) fn once_alone(mut fork: impl FnMut() -> sys::Result<i32>) -> sys::Result<i32> {
    for _ in 0..100 {
        match fork() {
            Err(error) if error.errno() == Errno::BUSY => {
                std::thread::sleep(Duration::from_millis(1));
            }
            forked => return forked,
        }
    }
    fork()
}

/// How a process ended, as the end of a sentence about it.
pub(crate) fn describe(exit: sys::pidfd::Exit) -> String {
    match exit {
        sys::pidfd::Exit::Code(code) => format!("ended with status {code}"),
        sys::pidfd::Exit::Signal { signal, .. } => format!("was ended by signal {signal}"),
    }
}

//! The zygote: one thread that forks a child for each request which could wait.

use crate::host::{Host, HostError, Settings};
use crate::records::{Name, broken, directory, network, process};
use crate::{container, delete, exec, group, list, top};
use messages::Fd;
use messages::task::{Reply, Request, Seccomp};
use rustix::net::{RecvFlags, recv};
use rustix::process::WaitOptions;
use spec::{Class, Failure};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use sys::signals::{SignalSet, receive, set_mask, signal_fd};
use transport::{Descriptors, Handler, Incoming, Responder, Server, StandIn, TransportError};

const SIGCHLD: i32 = 17;

/// Why the worker ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It could not begin.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The control socket failed.
    #[error("serve requests")]
    Serve(#[from] TransportError),
}

/// Serves requests that arrive over `control` until the supervisor is gone.
pub fn run(settings: &Settings, control: OwnedFd) -> Result<(), WorkerError> {
    // Executed by descriptor, the process would be called by its number.
    rustix::thread::set_name(c"coffer-shim").ok();
    let blocked = SignalSet::EMPTY.with(SIGCHLD);
    set_mask(blocked).map_err(HostError::System)?;
    let children = signal_fd(blocked).map_err(HostError::System)?;
    let (answered, report) = transport::pair()?;
    let host = Host::prepare(settings)?;
    let report = Arc::new(report);
    let mut worker = Worker { host, children, answered, report, forked: HashMap::new() };
    // What was needed for compiling filters would otherwise be in the memory of every shim.
    sys::memory::trim();
    sys::memory::release_program();
    Ok(Server::new(control).run(&mut worker)?)
}

#[derive(Debug)]
struct Worker {
    host: Host,
    /// Readable when a child has ended.
    children: OwnedFd,
    /// Where children tell that they have answered.
    answered: OwnedFd,
    /// Their end of it.
    report: Arc<OwnedFd>,
    /// The requests that children were forked for and have not answered, by the child's process id.
    forked: HashMap<i32, StandIn>,
}

impl Handler<Request> for Worker {
    fn request(&mut self, incoming: Incoming<Request>) {
        let Incoming { request, descriptors, responder } = incoming;
        if let Some(answer) = self.answer_at_once(&request) {
            return responder.answer(answer);
        }
        self.compile_for(&request);
        let stand_in = responder.stand_in();
        let mut left = Some((request, descriptors, responder));
        let (host, report) = (&self.host, &self.report);
        let forked = sys::fork::fork_child(|| {
            // Only the child runs this, in its own copy.
            if let Some((request, descriptors, responder)) = left.take() {
                serve(host, request, descriptors, responder.reporting_to(report));
            }
            0
        });
        match (forked, left) {
            (Ok(pid), _) => drop(self.forked.insert(pid, stand_in)),
            (Err(error), Some((_, _, responder))) => {
                responder.answer(Err(Failure::from_error(Class::Unavailable, &error)));
            }
            (Err(_), None) => {}
        }
    }

    fn watched(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.children.as_fd(), self.answered.as_fd()]
    }

    fn readable(&mut self, _position: usize) {
        // What was answered before anybody's end is settled first, so that a shim's end is not taken for a failure.
        self.settle();
        while let Ok(Some(_)) = receive(&self.children) {}
        let no_hang = WaitOptions::NOHANG;
        while let Ok(Some((pid, status))) = rustix::process::wait(no_hang) {
            self.settle();
            let Some(request) = self.forked.remove(&pid.as_raw_nonzero().get()) else { continue };
            let message = match status.terminating_signal() {
                Some(signal) => {
                    format!("{}: its process was killed (signal {signal})", request.verb())
                }
                None => format!("{}: its process ended without an answer", request.verb()),
            };
            request.refuse(&Failure::internal(message));
        }
    }
}

impl Worker {
    /// Forgets the requests that children have answered.
    fn settle(&mut self) {
        let mut pid = [0; 4];
        while let Ok((4, _)) = recv(&self.answered, &mut pid, RecvFlags::DONTWAIT) {
            self.forked.remove(&i32::from_ne_bytes(pid));
        }
    }
}

type Answer = Result<(Reply, Vec<OwnedFd>), Failure>;

fn with_descriptor(fd: OwnedFd, reply: impl FnOnce(Fd) -> Reply) -> (Reply, Vec<OwnedFd>) {
    (reply(Fd(0)), vec![fd])
}

impl Worker {
    /// Requests that take a few system calls, none of which waits.
    fn answer_at_once(&self, request: &Request) -> Option<Answer> {
        Some(match request {
            Request::Signal { id, exec, signal } => {
                let name = Name(id, exec.as_ref());
                send_signal(&self.host, name, *signal).map(|()| (Reply::Done, Vec::new()))
            }
            Request::OpenInit { id } => process(&self.host, Name(id, None))
                .map(|pidfd| with_descriptor(pidfd, |pidfd| Reply::Init { pidfd })),
            Request::OpenNetwork { id } => network(&self.host, Name(id, None))
                .map(|netns| with_descriptor(netns, |netns| Reply::Network { netns })),
            Request::Connect { id, exec } => connect(&self.host, Name(id, exec.as_ref()))
                .map(|socket| with_descriptor(socket, |channel| Reply::Channel { channel })),
            // After every run: a fork for it would cost more than the rest.
            Request::Delete { id, exec } => {
                let deleted = match exec {
                    None => delete::delete_ended(&self.host, id)?,
                    Some(exec) => delete::delete_ended_exec(&self.host, id, exec)?,
                };
                deleted.map(|()| (Reply::Done, Vec::new()))
            }
            _ => return None,
        })
    }

    /// Compiles the default profile for capabilities that are new, here, so that the next container has it ready. A
    /// failure is the child's to report, which tries the same.
    fn compile_for(&mut self, request: &Request) {
        let (process, seccomp) = match request {
            Request::Launch(launch) => (launch.spec.process.as_ref(), &launch.seccomp),
            Request::Exec(exec) => (Some(&exec.process), &exec.seccomp),
            _ => return,
        };
        let capabilities = process.and_then(|process| process.capabilities.as_ref());
        if let (Some(capabilities), Seccomp::Default) = (capabilities, seccomp) {
            self.host.filters.keep(&capabilities.bounding).ok();
        }
    }
}

fn send_signal(host: &Host, name: Name<'_>, signal: i32) -> Result<(), Failure> {
    if !(1..=64).contains(&signal) {
        return Err(Failure::invalid(format!("invalid signal {signal}: must be 1 to 64")));
    }
    let pidfd = process(host, name)?;
    sys::pidfd::send_signal(&pidfd, signal).map_err(|error| match error.errno() {
        rustix::io::Errno::SRCH => Failure::conflict(format!("{name} is not running")),
        _ => Failure::from_error(Class::Internal, &error),
    })
}

fn connect(host: &Host, name: Name<'_>) -> Result<OwnedFd, Failure> {
    directory(host, name)?.connect().map_err(|error| match error.errno() {
        Some(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => {
            Failure::not_found(format!("{name} has no shim"))
        }
        Some(rustix::io::Errno::AGAIN) => {
            Failure::new(Class::Unavailable, format!("shim of {name} does not answer"))
        }
        _ => broken(&error),
    })
}

/// In a child: handles the request and answers it. A launch or exec goes on as shim.
fn serve(host: &Host, request: Request, descriptors: Descriptors, responder: Responder<Request>) {
    // The worker's own blocked signals are not its children's.
    set_mask(SignalSet::EMPTY).ok();
    let done = |result: Result<(), Failure>| result.map(|()| Reply::Done);
    let reply = match request {
        Request::Launch(launch) => return container::start(host, *launch, descriptors, responder),
        Request::Exec(exec) => return exec::start(host, *exec, descriptors, responder),
        Request::Freeze { id } => done(group::freeze(host, &id)),
        Request::Thaw { id } => done(group::thaw(host, &id)),
        Request::Update { id, resources } => done(group::update(host, &id, &resources)),
        Request::Processes { id } => group::processes(host, &id).map(Reply::Processes),
        Request::Statistics { id } => {
            group::statistics(host, &id).map(|figures| Reply::Statistics(Box::new(figures)))
        }
        Request::Top { id, arguments } => {
            top::top(host, &id, &arguments).map(|output| Reply::Top { output })
        }
        Request::Delete { id, exec: None } => done(delete::delete_container(host, &id)),
        Request::Delete { id, exec: Some(exec) } => done(delete::delete_exec(host, &id, &exec)),
        Request::List => list::list(host).map(Reply::Tasks),
        Request::Signal { .. }
        | Request::OpenInit { .. }
        | Request::OpenNetwork { .. }
        | Request::Connect { .. } => {
            Err(Failure::internal("a request that is answered at once was forked for"))
        }
    };
    responder.answer(reply.map(|reply| (reply, Vec::new())));
}

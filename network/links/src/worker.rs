//! The worker itself.

use crate::check;
use bridge::pool::NamespacePool;
use bridge::{BridgeError, Driver};
use messages::Fd;
use messages::network::{Prefix, Reply, Request};
use spec::Failure;
use std::os::fd::OwnedFd;
use transport::{Handler, Incoming, Server, TransportError};

/// Why the worker could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The pool's thread could not be started.
    #[error("start network worker: start the thread of the namespace pool")]
    Pool(#[source] std::io::Error),
    /// What the kernel has could not be read.
    #[error("start network worker: read what is there")]
    Driver(#[source] BridgeError),
    /// The control socket broke.
    #[error("serve network requests")]
    Transport(#[from] TransportError),
}

/// The network worker.
#[derive(Debug)]
pub struct Worker {
    driver: Driver,
}

impl Worker {
    /// Starts in the calling thread's network namespace and takes over what an earlier worker left in it; `prepared`
    /// namespaces are kept ready (8 are enough for twenty starts at once on two processors).
    pub fn start(prepared: usize) -> Result<Self, StartError> {
        let pool = NamespacePool::start(prepared).map_err(StartError::Pool)?;
        let driver = Driver::open(pool).map_err(StartError::Driver)?;
        Ok(Self { driver })
    }

    /// Does what is asked; descriptors of the answer are beside it, by position.
    pub fn answer(&self, request: &Request) -> Result<(Reply, Vec<OwnedFd>), Failure> {
        match request {
            Request::EnsureBridge(bridge) => {
                self.driver.ensure_bridge(&check::network(bridge)?).map_err(failure)?;
                Ok((Reply::Done, Vec::new()))
            }
            Request::RemoveBridge { link } => {
                self.driver.remove_bridge(&check::link_name(link)?).map_err(failure)?;
                Ok((Reply::Done, Vec::new()))
            }
            Request::CreateSandbox { endpoints, sysctls } => {
                check::sysctls(sysctls)?;
                let endpoints = check::endpoints(endpoints)?;
                let netns = self.driver.create_sandbox(&endpoints, sysctls).map_err(failure)?;
                Ok((Reply::Sandbox { netns: Fd(0) }, vec![netns]))
            }
            Request::HostRoutes => {
                let routes = self.driver.host_routes().map_err(failure)?;
                let prefix =
                    |p: bridge::Prefix| Prefix { address: p.address(), length: p.length() };
                Ok((Reply::Routes(routes.into_iter().map(prefix).collect()), Vec::new()))
            }
            Request::Reconcile { bridges } => {
                self.driver.reconcile(&check::bridges(bridges)?).map_err(failure)?;
                Ok((Reply::Done, Vec::new()))
            }
        }
    }
}

impl Handler<Request> for Worker {
    fn request(&mut self, incoming: Incoming<Request>) {
        let answer = self.answer(&incoming.request);
        incoming.responder.answer(answer);
    }
}

/// Answers requests until the supervisor says stop or is gone. `control` is the worker's control socket.
pub fn serve(control: OwnedFd, prepared: usize) -> Result<(), StartError> {
    let mut worker = Worker::start(prepared)?;
    Ok(Server::new(control).run(&mut worker)?)
}

fn failure(error: BridgeError) -> Failure {
    Failure::from_error(error.class(), &error)
}

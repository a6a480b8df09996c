//! The worker itself.

use crate::check;
use bridge::pool::NamespacePool;
use bridge::{BridgeError, ByRight, Driver, Opened, Permitted, Published, Resolver, SandboxSpec};
use messages::Fd;
use messages::network::{self as message, Counters, Prefix, Reply, Request};
use netlink::Namespace;
use netlink::link_info::Statistics;
use spec::Failure;
use std::os::fd::{BorrowedFd, OwnedFd};
use transport::{Descriptors, Handler, Incoming, Server, TransportError};

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

type Answer = Result<(Reply, Vec<OwnedFd>), Failure>;

fn done() -> Answer {
    Ok((Reply::Done, Vec::new()))
}

impl Worker {
    /// Starts in the calling thread's network namespace and takes over what an earlier worker left in it; `prepared`
    /// namespaces are kept ready (8 are enough for twenty starts at once on two processors). `permitted` is what root
    /// lets networks use of the host.
    pub fn start(prepared: usize, permitted: Permitted) -> Result<Self, StartError> {
        let pool = NamespacePool::start(prepared).map_err(StartError::Pool)?;
        let driver = Driver::open(pool, permitted).map_err(StartError::Driver)?;
        Ok(Self { driver })
    }

    /// Does what is asked; descriptors of the answer are beside it, by position.
    pub fn answer(&self, request: &Request, fds: &mut Descriptors) -> Answer {
        match request {
            Request::EnsureBridge(bridge) => {
                self.driver.ensure_bridge(&check::network(bridge)?).map_err(failure)?;
                done()
            }
            Request::RemoveBridge { link } => {
                self.driver.remove_bridge(&check::link_name(link)?).map_err(failure)?;
                done()
            }
            Request::CreateSandbox { .. } => self.create_sandbox(request),
            Request::Resolver { sandbox } => {
                let sandbox = namespace(*sandbox, fds)?;
                let Resolver { udp, tcp } = self.driver.open_resolver(&sandbox).map_err(failure)?;
                Ok((Reply::Resolver { udp: Fd(0), tcp: Fd(1) }, vec![udp, tcp]))
            }
            Request::Connect { sandbox, endpoint, gateways, sysctls } => {
                self.connect(&namespace(*sandbox, fds)?, endpoint, gateways, sysctls)
            }
            Request::Disconnect { sandbox, interface, gateways } => {
                let sandbox = namespace(*sandbox, fds)?;
                let interface = check::link_name(interface)?;
                let routes = check::default_routes(gateways)?;
                self.driver.disconnect(&sandbox, &interface).map_err(failure)?;
                self.driver.set_default_routes(&sandbox, &routes).map_err(failure)?;
                done()
            }
            Request::Statistics { sandbox } => {
                let counted =
                    self.driver.statistics(&namespace(*sandbox, fds)?).map_err(failure)?;
                let counted = counted.into_iter().map(counters).collect();
                Ok((Reply::Statistics(counted), Vec::new()))
            }
            Request::Publish { ports } => {
                let ports = self.driver.publish(&check::wanted(ports)?).map_err(failure)?;
                Ok((Reply::Published(shown(ports)), Vec::new()))
            }
            Request::Release { ports, addresses } => {
                let (ports, opened) = check::published(ports)?;
                let addresses = check::addresses(addresses)?;
                self.driver.release(&ports, &opened, addresses).map_err(failure)?;
                done()
            }
            Request::HostRoutes => self.host_routes(),
            Request::Reconcile { bridges, ports, addresses, complete } => {
                let bridges = check::bridges(bridges)?;
                let (ports, opened) = check::published(ports)?;
                let living = check::addresses(addresses)?;
                let by_right =
                    ByRight { bridges: &bridges, ports: &ports, opened: &opened, living };
                self.driver.reconcile(&by_right, *complete).map_err(failure)?;
                done()
            }
        }
    }

    fn create_sandbox(&self, request: &Request) -> Answer {
        let Request::CreateSandbox { endpoints, sysctls, ports, resolver } = request else {
            return Err(Failure::internal("create sandbox: another request"));
        };
        check::sysctls(sysctls)?;
        let made = self.driver.create_sandbox(&SandboxSpec {
            endpoints: &check::endpoints(endpoints)?,
            sysctls,
            ports: &check::wanted(ports)?,
            resolver: *resolver,
        });
        let made = made.map_err(failure)?;
        let mut fds = vec![made.namespace];
        let resolver = made.resolver.map(|Resolver { udp, tcp }| {
            fds.extend([udp, tcp]);
            (Fd(1), Fd(2))
        });
        Ok((Reply::Sandbox { netns: Fd(0), ports: shown(made.published), resolver }, fds))
    }

    fn connect(
        &self,
        sandbox: &Namespace,
        endpoint: &message::Endpoint,
        gateways: &[(String, Option<std::net::IpAddr>, message::Family)],
        sysctls: &[(String, String)],
    ) -> Answer {
        check::sysctls(sysctls)?;
        let mut endpoint = check::one_endpoint(endpoint)?;
        let routes = check::default_routes(gateways)?;
        (endpoint.gateways, endpoint.on_link) = (Vec::new(), [false; 2]);
        self.driver.connect(sandbox, &endpoint).map_err(failure)?;
        let settled = self
            .driver
            .set_sysctls(sandbox, sysctls)
            .and_then(|()| self.driver.set_default_routes(sandbox, &routes));
        if settled.is_err() {
            // What the caller hears is the first failure; the interface must not stay without it.
            self.driver.disconnect(sandbox, &endpoint.interface).ok();
        }
        settled.map_err(failure)?;
        done()
    }

    fn host_routes(&self) -> Answer {
        let routes = self.driver.host_routes().map_err(failure)?;
        let prefix = |p: bridge::Prefix| Prefix { address: p.address(), length: p.length() };
        Ok((Reply::Routes(routes.into_iter().map(prefix).collect()), Vec::new()))
    }
}

fn namespace(fd: Fd, fds: &mut Descriptors) -> Result<Namespace, Failure> {
    Ok(Namespace::from_fd(fds.take(fd)?))
}

fn protocol(number: u8) -> message::Protocol {
    match number {
        6 => message::Protocol::Tcp,
        17 => message::Protocol::Udp,
        _ => message::Protocol::Sctp,
    }
}

/// Published ports as messages have them.
fn shown((published, opened): (Vec<Published>, Vec<Opened>)) -> Vec<message::Published> {
    let published = published.into_iter().map(|port| message::Published {
        protocol: protocol(port.protocol),
        host: Some((port.host, port.host_port)),
        container: port.container,
        container_port: port.container_port,
    });
    let opened = opened.into_iter().map(|port| message::Published {
        protocol: protocol(port.protocol),
        host: None,
        container: port.container,
        container_port: port.port,
    });
    published.chain(opened).collect()
}

fn counters((interface, counted): (String, Statistics)) -> Counters {
    let s = counted;
    Counters {
        interface,
        received: [s.rx_bytes, s.rx_packets, s.rx_errors, s.rx_dropped],
        sent: [s.tx_bytes, s.tx_packets, s.tx_errors, s.tx_dropped],
    }
}

impl Handler<Request> for Worker {
    fn request(&mut self, mut incoming: Incoming<Request>) {
        let answer = self.answer(&incoming.request, &mut incoming.descriptors);
        incoming.responder.answer(answer);
    }

    fn watched(&self) -> Vec<BorrowedFd<'_>> {
        self.driver.monitor().into_iter().collect()
    }

    fn readable(&mut self, _position: usize) {
        match self.driver.rules_changed() {
            Ok(true) => {}
            Ok(false) => {
                eprintln!("network: firewall rules were removed by somebody and made again")
            }
            Err(error) => {
                let failure = failure(error);
                eprintln!("network: check firewall rules: {failure}");
            }
        }
    }
}

/// Answers requests until the supervisor says stop or is gone. `control` is the worker's control socket.
pub fn serve(control: OwnedFd, prepared: usize, permitted: Permitted) -> Result<(), StartError> {
    let mut worker = Worker::start(prepared, permitted)?;
    Ok(Server::new(control).run(&mut worker)?)
}

fn failure(error: BridgeError) -> Failure {
    Failure::from_error(error.class(), &error)
}

//! The worker behind its walls: a process of its own with the capabilities, files and system calls that
//! `sandbox::Confinement` leaves to it, which must be enough for every request.
//!
//! Without the test harness, since a process can only be confined as long as it has one thread.

#![expect(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

use messages::control::{Control, Role};
use messages::network::{Attachment, Bridge, Endpoint, Prefix, Protocol, Reply, Request, Wanted};
use netlink::{Batch, Namespace, RouteSocket};
use sandbox::{Confinement, Directories};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use transport::{Connection, Kind, decode, encode, pair};

/// CAP_NET_BIND_SERVICE (10), CAP_NET_ADMIN (12) and CAP_SYS_ADMIN (21).
const CAPABILITIES: u64 = 1 << 10 | 1 << 12 | 1 << 21;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        be_the_worker();
    } else {
        every_request_works_behind_the_walls();
        a_killed_worker_leaves_what_containers_use_and_nothing_else();
    }
}

fn be_the_worker() {
    let control = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let root = std::env::temp_dir();
    let directories = Directories { data_root: root.clone(), exec_root: root };
    Confinement::of(Role::Network, &directories, (0, 0)).enter().unwrap();
    links::serve(control, 2, links::Permitted::default()).unwrap();
}

/// A worker, its control socket and the engine's end of its connection.
struct Worker {
    process: Child,
    control: Connection,
    engine: Connection,
}

/// A namespace that plays the host.
fn host() -> Namespace {
    let lo_up = || {
        let mut batch = Batch::new();
        batch.set_up(1, "lo", true);
        RouteSocket::open()?.run(batch)
    };
    Namespace::create(lo_up).unwrap().0
}

fn start(host: &Namespace) -> Worker {
    let (ours, theirs) = pair().unwrap();
    let spawn = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Ok(command.arg("worker").stdin(Stdio::from(theirs)).spawn().unwrap())
    };
    let process = host.run(spawn).unwrap();
    let control = Connection::from(ours);
    let (ours, theirs) = pair().unwrap();
    let peer = encode(&Control::Peer(Role::Api)).unwrap();
    control.send(Kind::Oneway, 0, &peer, &[theirs.as_fd()]).unwrap();
    Worker { process, control, engine: ours.into() }
}

fn stop(mut worker: Worker) {
    worker.control.send(Kind::Oneway, 0, &encode(&Control::Stop).unwrap(), &[]).unwrap();
    assert!(worker.process.wait().unwrap().success());
}

fn ask(engine: &Connection, request: Request) -> (Reply, Vec<OwnedFd>) {
    engine.send(Kind::Request, 1, &encode(&request).unwrap(), &[]).unwrap();
    let frame = engine.receive().unwrap().unwrap();
    assert!(
        frame.kind == Kind::Success,
        "{request:?}: {:?}",
        decode::<spec::Failure>(&frame.payload)
    );
    (decode(&frame.payload).unwrap(), frame.descriptors)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn bridge(link: &str) -> Bridge {
    Bridge {
        link: link.into(),
        gateways: vec![
            Prefix { address: ip("172.17.0.1"), length: 16 },
            Prefix { address: ip("fd00:17::1"), length: 64 },
        ],
        mtu: Some(1400),
        icc: false,
        masquerade: true,
        internal: false,
        ..Bridge::default()
    }
}

fn sandbox(engine: &Connection) -> Namespace {
    let endpoint = Endpoint {
        attachment: Attachment::Bridge("docker0".into()),
        on_link: vec![],
        interface: "eth0".into(),
        mac: [2, 0x42, 172, 17, 0, 2],
        addresses: vec![
            Prefix { address: ip("172.17.0.2"), length: 16 },
            Prefix { address: ip("fd00:17::2"), length: 64 },
        ],
        gateways: vec![ip("172.17.0.1"), ip("fd00:17::1")],
        mtu: None,
    };
    let sysctls = vec![("net.ipv4.conf.eth0.forwarding".to_owned(), "1".to_owned())];
    let request = Request::CreateSandbox {
        endpoints: vec![endpoint],
        sysctls,
        ports: vec![],
        resolver: true,
    };
    let (_, mut fds) = ask(engine, request);
    Namespace::from_fd(fds.swap_remove(0))
}

fn every_request_works_behind_the_walls() {
    let worker = start(&host());
    let engine = &worker.engine;
    ask(engine, Request::EnsureBridge(bridge("docker0")));
    // More than the pool holds, so that some are made ahead and some at once.
    for _ in 0..4 {
        let eth0 = sandbox(engine).route_socket().unwrap().link("eth0").unwrap();
        assert_eq!((eth0.up, eth0.mtu), (true, 1400));
    }
    let none = Request::CreateSandbox {
        endpoints: vec![],
        sysctls: vec![],
        ports: vec![],
        resolver: false,
    };
    ask(engine, none);
    // A port that only CAP_NET_BIND_SERVICE can hold.
    let port = Wanted {
        protocol: Protocol::Tcp,
        routes: vec![(Some(ip("0.0.0.0")), ip("172.17.0.2"))],
        range: Some((80, 80)),
        container_port: 8080,
    };
    let (reply, _) = ask(engine, Request::Publish { ports: vec![port] });
    let Reply::Published(ports) = reply else { unreachable!("{reply:?}") };
    assert_eq!(ports[0].host, Some((ip("0.0.0.0"), 80)));
    ask(engine, Request::Release { ports, addresses: vec![ip("172.17.0.2")] });
    ask(engine, Request::HostRoutes);
    assert_eq!(capabilities(&worker.process), CAPABILITIES);
    ask(
        engine,
        Request::Reconcile { bridges: vec![], ports: vec![], addresses: vec![], complete: true },
    );
    ask(engine, Request::RemoveBridge { link: "docker0".into() });
    stop(worker);
}

fn a_killed_worker_leaves_what_containers_use_and_nothing_else() {
    let host = host();
    let mut inspector = host.route_socket().unwrap();
    let mut wait_for_links = |count: usize| {
        while inspector.links().unwrap().len() != count {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    let mut worker = start(&host);
    ask(&worker.engine, Request::EnsureBridge(bridge("docker0")));
    let container = sandbox(&worker.engine);
    worker.process.kill().unwrap();
    worker.process.wait().unwrap();
    // The loopback, the bridge and the container's port; what waited in the pool is gone.
    wait_for_links(3);
    let worker = start(&host);
    ask(&worker.engine, Request::EnsureBridge(bridge("docker0")));
    ask(
        &worker.engine,
        Request::Reconcile {
            bridges: vec!["docker0".into()],
            ports: vec![],
            addresses: vec![],
            complete: true,
        },
    );
    let eth0 = container.route_socket().unwrap().link("eth0").unwrap();
    assert!(eth0.up && eth0.operational, "the container's link outlives the worker");
    drop(container);
    stop(worker);
    wait_for_links(2);
}

/// The permitted capabilities of a process.
fn capabilities(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapPrm:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

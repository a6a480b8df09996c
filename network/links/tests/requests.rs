//! The worker as the engine sees it: requests over the transport, on a host of its own.

#![expect(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

use messages::Fd;
use messages::control::{Control, Role};
use messages::network::{Attachment, Bridge, Endpoint, Prefix, Reply, Request};
use netlink::{Batch, Namespace, RouteSocket};
use spec::{Class, Failure};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use transport::{Connection, Kind, decode, encode, pair};

type Answer = Result<(Reply, Vec<OwnedFd>), Failure>;

/// A worker that serves in a network namespace of its own, and the engine's end of its connection.
struct Host {
    control: Connection,
    engine: Connection,
    /// The namespace that plays the host.
    namespace: Namespace,
    thread: std::thread::JoinHandle<()>,
}

impl Host {
    fn start() -> Self {
        let namespace = Namespace::create(|| {
            let mut batch = Batch::new();
            batch.set_up(1, "lo", true);
            RouteSocket::open()?.run(batch)
        })
        .unwrap()
        .0;
        Self::start_in(namespace)
    }

    fn start_in(namespace: Namespace) -> Self {
        let (ours, theirs) = pair().unwrap();
        let host = namespace.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            host.enter().unwrap();
            links::serve(theirs, 2, links::Permitted::default()).unwrap();
        });
        let control = Connection::from(ours);
        let (ours, theirs) = pair().unwrap();
        let peer = encode(&Control::Peer(Role::Api)).unwrap();
        control.send(Kind::Oneway, 0, &peer, &[theirs.as_fd()]).unwrap();
        Self { control, engine: ours.into(), namespace, thread }
    }

    fn ask(&self, request: Request) -> Answer {
        self.engine.send(Kind::Request, 7, &encode(&request).unwrap(), &[]).unwrap();
        let frame = self.engine.receive().unwrap().unwrap();
        assert_eq!(frame.sequence, 7);
        match frame.kind {
            Kind::Success => Ok((decode(&frame.payload).unwrap(), frame.descriptors)),
            _ => Err(decode(&frame.payload).unwrap()),
        }
    }

    fn links(&self) -> Vec<String> {
        // Those that wait in the worker's pool are not counted.
        const WAITING: u32 = 0x00c0_ffee;
        let links = self.namespace.route_socket().unwrap().links().unwrap();
        links.into_iter().filter(|link| link.group != WAITING).map(|link| link.name).collect()
    }

    fn stop(self) -> Namespace {
        let stop = encode(&Control::Stop).unwrap();
        self.control.send(Kind::Oneway, 0, &stop, &[]).unwrap();
        self.thread.join().unwrap();
        self.namespace
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn bridge(link: &str, gateway: &str) -> Bridge {
    Bridge {
        link: link.into(),
        gateways: vec![Prefix { address: ip(gateway), length: 16 }],
        mtu: None,
        icc: true,
        masquerade: true,
        internal: false,
        ..Bridge::default()
    }
}

fn endpoint(bridge: &str, address: &str, gateway: &str) -> Endpoint {
    Endpoint {
        attachment: Attachment::Bridge(bridge.into()),
        on_link: vec![],
        interface: "eth0".into(),
        mac: [2, 0x42, 172, 17, 0, 2],
        addresses: vec![Prefix { address: ip(address), length: 16 }],
        gateways: vec![ip(gateway)],
        mtu: None,
    }
}

fn sandbox(endpoints: Vec<Endpoint>) -> Request {
    let sysctls = vec![("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned())];
    Request::CreateSandbox { endpoints, sysctls, ports: vec![], resolver: false }
}

#[test]
fn a_sandbox_comes_as_a_descriptor_of_its_namespace() {
    let host = Host::start();
    let (reply, _) = host.ask(Request::EnsureBridge(bridge("docker0", "172.17.0.1"))).unwrap();
    assert_eq!(reply, Reply::Done);
    let wanted = endpoint("docker0", "172.17.0.2", "172.17.0.1");
    let (reply, mut fds) = host.ask(sandbox(vec![wanted])).unwrap();
    assert_eq!(reply, Reply::Sandbox { netns: Fd(0), ports: vec![], resolver: None });
    let inside = Namespace::from_fd(fds.pop().unwrap());
    assert!(fds.is_empty());
    let eth0 = inside.route_socket().unwrap().link("eth0").unwrap();
    assert_eq!((eth0.up, eth0.mac), (true, [2, 0x42, 172, 17, 0, 2]));
    let refused = host.ask(Request::RemoveBridge { link: "docker0".into() }).unwrap_err();
    assert_eq!(refused.class, Class::Conflict);
    drop(inside);
    while host.links().len() > 2 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    host.ask(Request::RemoveBridge { link: "docker0".into() }).unwrap();
    assert_eq!(host.links(), ["lo"]);
    host.stop();
}

#[test]
fn wrong_requests_are_refused_with_one_sentence_and_the_worker_lives_on() {
    let host = Host::start();
    let refused = |request: Request| host.ask(request).unwrap_err();
    let failure = refused(Request::EnsureBridge(bridge("../x", "172.17.0.1")));
    assert_eq!(failure.class, Class::InvalidArgument);
    assert!(failure.message.starts_with("invalid interface name \"../x\""), "{failure}");
    let failure = refused(Request::EnsureBridge(bridge("lo", "172.17.0.1")));
    assert_eq!(failure.message, "invalid interface name lo: it is the loopback's");
    let failure = refused(Request::EnsureBridge(bridge("docker0", "224.0.0.1")));
    assert_eq!(failure.message, "invalid address 224.0.0.1/16: it is a multicast address");
    let failure = refused(sandbox(vec![endpoint("docker0", "172.17.0.2", "172.17.0.1")]));
    assert_eq!(failure.class, Class::NotFound);
    assert_eq!(failure.message, "plug into bridge docker0: no such bridge");
    host.ask(Request::EnsureBridge(bridge("docker0", "172.17.0.1"))).unwrap();
    let failure = refused(sandbox(vec![endpoint("docker0", "172.17.0.2", "10.1.1.1")]));
    assert!(
        failure.message.starts_with("set up interface eth0: add route default"),
        "the causes are in the sentence: {failure}"
    );
    let sysctls = vec![("kernel.core_pattern".to_owned(), "|/bin/sh".to_owned())];
    let failure = refused(Request::CreateSandbox {
        endpoints: vec![],
        sysctls,
        ports: vec![],
        resolver: false,
    });
    assert_eq!(failure.message, "set kernel.core_pattern: not a network sysctl");
    host.stop();
}

#[test]
fn host_routes_leave_own_bridges_and_the_default_out() {
    let host = Host::start();
    host.ask(Request::EnsureBridge(bridge("docker0", "172.17.0.1"))).unwrap();
    host.namespace
        .run(|| {
            for command in [
                "link add ext0 type bridge",
                "addr add 192.0.2.1/24 dev ext0",
                "link set ext0 up",
                "route add default via 192.0.2.9",
            ] {
                let ip = std::process::Command::new("ip").args(command.split(' ')).status();
                assert!(ip.unwrap().success(), "{command}");
            }
            Ok(())
        })
        .unwrap();
    let (reply, _) = host.ask(Request::HostRoutes).unwrap();
    let Reply::Routes(mut routes) = reply else { panic!("{reply:?}") };
    routes.retain(|prefix| prefix.address.is_ipv4());
    assert_eq!(routes, [Prefix { address: ip("192.0.2.0"), length: 24 }]);
    host.stop();
}

#[test]
fn the_next_worker_knows_the_bridges_and_reconciles_them() {
    let host = Host::start();
    host.ask(Request::EnsureBridge(bridge("docker0", "172.17.0.1"))).unwrap();
    host.ask(Request::EnsureBridge(bridge("br-stray", "172.18.0.1"))).unwrap();
    let host = Host::start_in(host.stop());
    let wanted = endpoint("docker0", "172.17.0.2", "172.17.0.1");
    let (_, fds) = host.ask(sandbox(vec![wanted])).unwrap();
    host.ask(Request::Reconcile {
        bridges: vec!["docker0".into()],
        ports: vec![],
        addresses: vec![],
        complete: true,
    })
    .unwrap();
    let links = host.links();
    assert_eq!(links.len(), 3, "lo, docker0 and its veth: {links:?}");
    assert!(!links.contains(&"br-stray".to_owned()));
    drop(fds);
    host.stop();
}

//! What is asked of the network worker.

use crate::rig::{Place, Worker, cofferd};
use messages::network::{Attachment, Bridge, Endpoint, Prefix, Protocol, Reply, Request, Wanted};
use spec::Class;
use std::process::Command;

type Network = Worker<Request>;

fn worker() -> (Place, Network) {
    let place = Place::new("");
    let mut worker = Worker::start(cofferd("network", &place));
    // Once it answers, it is in its own network namespace.
    assert_eq!(worker.ask(&Request::HostRoutes, &[]).unwrap().0, Reply::Routes(vec![]));
    (place, worker)
}

/// Links, addresses, rules and settings of the worker's namespace, but for the pairs that it keeps ready.
fn state(worker: &Network) -> String {
    let script = "(ip -o addr; ip -o link; nft list ruleset; sysctl -a 2>/dev/null | grep ^net.ipv4) \
        | grep -v veth";
    let out = Command::new("nsenter")
        .args(["-t", &worker.pid().to_string(), "-n", "sh", "-c", script])
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn prefix(address: &str, length: u8) -> Prefix {
    Prefix { address: address.parse().unwrap(), length }
}

fn bridge(change: impl FnOnce(&mut Bridge)) -> Request {
    let mut bridge = Bridge {
        link: "br-attack".into(),
        gateways: vec![prefix("10.99.0.1", 24)],
        mtu: None,
        icc: true,
        masquerade: true,
        internal: false,
        ..Default::default()
    };
    change(&mut bridge);
    Request::EnsureBridge(bridge)
}

fn reconcile(bridges: Vec<String>) -> Request {
    Request::Reconcile { bridges, ports: vec![], addresses: vec![], complete: true }
}

fn sandbox(change: impl FnOnce(&mut Endpoint)) -> Request {
    let mut endpoint = Endpoint {
        attachment: Attachment::Bridge("br-attack".into()),
        on_link: vec![],
        interface: "eth0".into(),
        mac: [2, 0x42, 10, 99, 0, 2],
        addresses: vec![prefix("10.99.0.2", 24)],
        gateways: vec!["10.99.0.1".parse().unwrap()],
        mtu: None,
    };
    change(&mut endpoint);
    Request::CreateSandbox {
        endpoints: vec![endpoint],
        sysctls: vec![],
        ports: vec![],
        resolver: false,
    }
}

fn with_sysctl(name: &str, value: &str) -> Request {
    Request::CreateSandbox {
        endpoints: vec![],
        sysctls: vec![(name.into(), value.into())],
        ports: vec![],
        resolver: false,
    }
}

#[test]
fn links_that_are_not_the_engines_are_neither_changed_nor_removed() {
    let (_place, mut worker) = worker();
    let run = |worker: &Network, command: &str| {
        let pid = worker.pid().to_string();
        let script = ["-t", &pid, "-n", "sh", "-c", command];
        assert!(Command::new("nsenter").args(script).status().unwrap().success());
    };
    run(
        &worker,
        "ip link add uplink type veth peer name upstream && ip addr add 192.0.2.1/24 dev uplink && \
        ip link set uplink up && ip link add br-host type bridge",
    );
    // The engine's own table of rules exists from here on.
    assert_eq!(worker.ask(&reconcile(vec![]), &[]).unwrap().0, Reply::Done);
    let before = state(&worker);
    for link in ["uplink", "br-host"] {
        let remove = Request::RemoveBridge { link: link.into() };
        assert_eq!(worker.ask(&remove, &[]).unwrap().0, Reply::Done, "it is not ours: it is gone");
    }
    let ensure = bridge(|bridge| bridge.link = "uplink".into());
    assert!(worker.ask(&ensure, &[]).is_err());
    let foreign = bridge(|bridge| bridge.link = "br-host".into());
    let (class, sentence) = worker.refusal(&foreign, &[]);
    assert!(class == Class::Forbidden && sentence.contains("name it in `bridges`"), "{sentence}");
    let plug = sandbox(|endpoint| endpoint.attachment = Attachment::Bridge("uplink".into()));
    assert!(worker.ask(&plug, &[]).is_err());
    let port = Wanted {
        protocol: Protocol::Tcp,
        routes: vec![(Some([0, 0, 0, 0].into()), [192, 0, 2, 9].into())],
        range: Some((22, 22)),
        container_port: 22,
    };
    let (class, sentence) = worker.refusal(&Request::Publish { ports: vec![port] }, &[]);
    assert!(class == Class::Forbidden && sentence.contains("in no network"), "{sentence}");
    for taken in ["192.0.2.1", "192.0.2.77"] {
        let (class, sentence) =
            worker.refusal(&bridge(|bridge| bridge.gateways = vec![prefix(taken, 24)]), &[]);
        let cause = "192.0.2.1, an address of the host or of its router, is within";
        assert!(class == Class::Forbidden && sentence.contains(cause), "{sentence}");
    }
    assert_eq!(worker.ask(&reconcile(vec![]), &[]).unwrap().0, Reply::Done);
    assert_eq!(state(&worker), before);
}

#[test]
fn names_addresses_and_settings_that_no_network_has_are_refused() {
    let (_place, mut worker) = worker();
    let before = state(&worker);
    let long = "x".repeat(16);
    let mut requests = vec![
        bridge(|bridge| bridge.gateways = vec![prefix("0.0.0.0", 8)]),
        bridge(|bridge| bridge.gateways = vec![prefix("10.0.0.1", 0)]),
        bridge(|bridge| bridge.gateways = vec![prefix("127.0.0.1", 8)]),
        bridge(|bridge| bridge.gateways = vec![prefix("10.99.0.1", 24); 100_000]),
        bridge(|bridge| bridge.mtu = Some(0)),
        reconcile(vec!["br-x".into(); 300_000]),
        sandbox(|endpoint| endpoint.mac = [0xFF; 6]),
        sandbox(|endpoint| endpoint.interface = "lo".into()),
    ];
    for name in ["", ".", "..", "lo", "a/b", "../x", "a b", "a\0b", &long] {
        requests.push(bridge(|bridge| bridge.link = name.into()));
        requests.push(sandbox(|endpoint| endpoint.interface = format!("{name}/")));
    }
    for name in [
        "kernel.core_pattern",
        "net/../kernel/core_pattern",
        "net.../kernel.core_pattern",
        "net.ipv4.../../../kernel/core_pattern",
        "/proc/sys/kernel/core_pattern",
        "net.ipv4\0.ip_forward",
        "",
        "net",
    ] {
        requests.push(with_sysctl(name, "1"));
    }
    requests.push(with_sysctl("net.ipv4.ip_forward", &"1".repeat(100_000)));
    requests.push(with_sysctl("net.ipv4.ip_forward", "1\n0"));
    for request in &requests {
        let (class, sentence) = worker.refusal(request, &[]);
        let shown: String = format!("{request:?}").chars().take(120).collect();
        assert_eq!(class, Class::InvalidArgument, "{sentence} for {shown}");
        assert!(sentence.len() < 400, "{sentence}");
    }
    assert_eq!(state(&worker), before);
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    assert_ne!(pattern.trim(), "1");
    assert_eq!(worker.ask(&bridge(|_| ()), &[]).unwrap().0, Reply::Done);
    let (_, netns) = worker.ask(&sandbox(|_| ()), &[]).unwrap();
    assert_eq!(netns.len(), 1);
}

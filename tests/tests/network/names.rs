//! The name server of containers in networks that users make.

use crate::world::{docker, refused};
use e2e::Engine;
use std::os::fd::AsFd;

fn lookup(engine: &Engine, from: &str, name: &str) -> Vec<String> {
    let said = engine.docker(&["exec", from, "nslookup", name]);
    let mut found: Vec<String> = said
        .out
        .lines()
        .skip_while(|line| !line.starts_with("Name:"))
        .filter_map(|line| line.strip_prefix("Address: ").map(str::to_owned))
        .collect();
    found.sort();
    found
}

#[test]
fn containers_of_one_network_find_each_other_by_every_name_and_no_other() {
    let mut engine = Engine::with_busybox();
    docker(&engine, "network create --subnet 10.79.0.0/24 --ipv6 --subnet fd00:79::/64 app");
    docker(&engine, "network create other");
    docker(
        &engine,
        "run -d --name db --network app --network-alias data --ip 10.79.0.9 --ip6 fd00:79::9 busybox sleep 1000",
    );
    docker(
        &engine,
        "run -d --name db2 --network app --network-alias data --ip 10.79.0.10 --ip6 fd00:79::a busybox sleep 1000",
    );
    docker(&engine, "run -d --name asker --network app --link db:database busybox sleep 1000");
    docker(&engine, "run -d --name stranger --network other busybox sleep 1000");
    let short = &docker(&engine, "ps -q --filter name=^db$").trim().to_owned();
    for name in ["db", "DB", "db.app", short.as_str(), "database"] {
        assert_eq!(lookup(&engine, "asker", name), ["10.79.0.9", "fd00:79::9"], "{name}");
    }
    assert_eq!(lookup(&engine, "asker", "data").len(), 4);
    assert_eq!(lookup(&engine, "stranger", "db"), [] as [&str; 0]);
    assert_eq!(lookup(&engine, "db2", "database"), [] as [&str; 0], "a link is its owner's alone");
    let reverse = engine.docker(&["exec", "asker", "nslookup", "10.79.0.9"]).out;
    assert!(reverse.contains("name = db.app"), "{reverse}");
    docker(&engine, "rename db renamed");
    assert_eq!(lookup(&engine, "asker", "renamed").len(), 2);
    assert_eq!(lookup(&engine, "asker", "db"), [] as [&str; 0]);
    engine.restart("KILL");
    e2e::eventually("names are answered again", || lookup(&engine, "asker", "renamed").len() == 2);
    docker(&engine, "stop -t 0 renamed");
    assert_eq!(lookup(&engine, "asker", "renamed"), [] as [&str; 0]);
}

#[test]
fn other_names_are_asked_of_the_given_server_over_both_protocols_unless_the_network_is_internal() {
    let engine = Engine::with_busybox();
    docker(&engine, "network create app");
    docker(&engine, "network create --internal inner");
    // A server on the host's loopback, which a container alone could not reach.
    server_of_the_host(&engine);
    let ask = |network: &str| {
        engine.docker(&[
            "run",
            "--rm",
            "--network",
            network,
            "--dns",
            "127.0.0.5",
            "busybox",
            "nslookup",
            "-type=a",
            "example.test",
        ])
    };
    let said = ask("app");
    assert!(said.out.contains("192.0.2.7"), "{} {}", said.out, said.err);
    let said = ask("inner");
    assert!(said.out.contains("SERVFAIL"), "{} {}", said.out, said.err);
}

/// Answers in the host's namespace, at 127.0.0.5, each question with 192.0.2.7.
fn server_of_the_host(engine: &Engine) {
    let namespace = std::fs::File::open(format!("/proc/{}/ns/net", engine.space().pid())).unwrap();
    let (ready, waiting) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let kind = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind)).unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.5:53").unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(120))).unwrap();
        ready.send(()).unwrap();
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut answer = buffer[..length].to_vec();
            (answer[2], answer[3], answer[7]) = (0x81, 0x80, 1);
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 7]);
            socket.send_to(&answer, from).unwrap();
        }
    });
    waiting.recv().unwrap();
}

#[test]
fn a_container_has_its_own_port_53_and_its_own_hosts_lines() {
    let engine = Engine::with_busybox();
    docker(&engine, "network create app");
    let script =
        "busybox nc -l -p 53 & busybox nslookup me >/dev/null; cat /etc/resolv.conf /etc/hosts";
    let out = engine
        .docker(&[
            "run",
            "--rm",
            "--name",
            "me",
            "--network",
            "app",
            "--dns-option",
            "timeout:3",
            "--dns-search",
            "a.test",
            "--add-host",
            "gw:host-gateway",
            "busybox",
            "sh",
            "-c",
            script,
        ])
        .text();
    assert!(out.contains("nameserver 127.0.0.11\n") && out.contains("search a.test\n"), "{out}");
    assert!(out.contains("options timeout:3 ndots:0\n"), "{out}");
    assert!(out.contains("172.17.0.1\tgw\n"), "{out}");
}

#[test]
fn wrong_networks_are_refused_with_docker_s_words() {
    let engine = Engine::with_busybox();
    docker(&engine, "network create --subnet 10.80.0.0/29 small");
    for (command, words) in [
        ("network create small", "network with name small already exists"),
        ("network create bridge", "operation is not permitted on predefined bridge network"),
        ("network create --subnet 10.80.0.0/24 over", "overlaps 10.80.0.0/29 of network small"),
        ("network create --subnet 10.81.0.1/24 odd", "it should be 10.81.0.0/24"),
        (
            "network create --subnet 10.81.0.0/24 --gateway 10.82.0.1 odd",
            "no matching subnet for gateway 10.82.0.1",
        ),
        ("network create -d nosuch odd", "plugin \"nosuch\" not found"),
        ("network create -d macvlan odd", "needs the option parent"),
        ("network rm bridge", "bridge is a pre-defined network and cannot be removed"),
        ("network rm nosuch", "network nosuch not found"),
        ("run --network nosuch busybox true", "network nosuch not found"),
        (
            "run --network small --ip 10.99.0.1 busybox true",
            "no configured subnet or ip-range contain the IP address",
        ),
        (
            "run --ip 10.99.0.1 busybox true",
            "user specified IP address is supported on user defined networks only",
        ),
        ("run --network small -p 0.0.0.0:99999:80 busybox true", "invalid"),
    ] {
        let said = refused(&engine, command);
        assert!(said.contains(words), "{command}: {said}");
    }
    for _ in 0..5 {
        docker(&engine, "run -d --network small busybox sleep 1000");
    }
    let said = refused(&engine, "run --network small busybox true");
    assert!(
        said.contains(
            "no available IPv4 addresses on this network's address pools: small (10.80.0.0/29)"
        ),
        "{said}"
    );
    let said = refused(&engine, "network rm small");
    assert!(said.contains("network small has active endpoints"), "{said}");
}

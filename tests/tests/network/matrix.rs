//! Who reaches whom: for each kind of network, family and way of publishing, from each place. The outcome is a table
//! that stands in docs/networks.md, word by word.

use crate::world::{docker, neighbour, probe, server, sh};
use e2e::Engine;
use std::collections::BTreeMap;

/// Name of the network, what it is called in the table, its options.
const NETWORKS: [(&str, &str, &str); 7] = [
    ("nat", "nat (default)", ""),
    ("apart", "nat, icc=false", "-o com.docker.network.bridge.enable_icc=false"),
    ("plain", "nat, masquerade=false", "-o com.docker.network.bridge.enable_ip_masquerade=false"),
    (
        "open",
        "nat-unprotected",
        "-o com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected -o com.docker.network.bridge.gateway_mode_ipv6=nat-unprotected",
    ),
    (
        "routed",
        "routed",
        "-o com.docker.network.bridge.gateway_mode_ipv4=routed -o com.docker.network.bridge.gateway_mode_ipv6=routed",
    ),
    ("internal", "internal", "--internal"),
    (
        "isolated",
        "internal, isolated",
        "--internal -o com.docker.network.bridge.gateway_mode_ipv4=isolated -o com.docker.network.bridge.gateway_mode_ipv6=isolated",
    ),
];
const PUBLISHED: [&str; 3] = ["not", "everywhere", "loopback"];

/// Where a probe begins and which address it goes to.
const COLUMNS: [&str; 7] = [
    "neighbour → host",
    "neighbour → container",
    "host → loopback",
    "host → container",
    "same network → container",
    "other network → container",
    "other network → host",
];

struct Row {
    network: usize,
    ipv6: bool,
    published: usize,
    name: String,
    container: String,
    port: u16,
}

fn address(network: usize, published: usize, ipv6: bool) -> String {
    let (net, host) = (network + 1, published + 16);
    if ipv6 { format!("fd00:77:{net}::{host}") } else { format!("10.77.{net}.{host}") }
}

fn build(engine: &Engine) -> Vec<Row> {
    let mut rows = Vec::new();
    for (number, (network, _, options)) in NETWORKS.iter().enumerate() {
        let net = number + 1;
        docker(
            engine,
            &format!(
                "network create --ipv6 --subnet 10.77.{net}.0/24 --subnet fd00:77:{net}::/64 {options} {network}"
            ),
        );
        docker(
            engine,
            &format!("run -d --name {network}-client --network {network} busybox sleep 1000"),
        );
        for (published, kind) in PUBLISHED.iter().enumerate() {
            let port = 20_000 + (number * 10 + published) as u16;
            let publish = match *kind {
                "not" => String::new(),
                "everywhere" => format!("-p {port}:80"),
                _ => format!("-p 127.0.0.1:{port}:80 -p [::1]:{port}:80"),
            };
            let name = format!("{network}-{kind}");
            let (ip, ip6) = (address(number, published, false), address(number, published, true));
            server(engine, &name, &format!("--network {network} --ip {ip} --ip6 {ip6} {publish}"));
            for ipv6 in [false, true] {
                let (name, container) = (name.clone(), address(number, published, ipv6));
                rows.push(Row { network: number, ipv6, published, name, container, port });
            }
        }
    }
    rows
}

type Answers = BTreeMap<(String, u16), String>;

fn answers(text: &str) -> Answers {
    let one = |line: &str| {
        let mut words = line.split(' ');
        let target = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        Some((target, words.next().unwrap_or_default().to_owned()))
    };
    text.lines().filter_map(one).collect()
}

fn target(row: &Row, column: usize) -> (String, u16) {
    let by_family = |v4: &str, v6: &str| if row.ipv6 { v6 } else { v4 }.to_owned();
    match COLUMNS[column].rsplit(' ').next() {
        Some("host") => (by_family("203.0.113.1", "fd00:113::1"), row.port),
        Some("loopback") => (by_family("127.0.0.1", "::1"), row.port),
        _ => (row.container.clone(), 80),
    }
}

#[test]
fn who_reaches_whom_is_what_the_documentation_says() {
    let engine = Engine::with_busybox();
    let outside = neighbour(&engine);
    let rows = build(&engine);
    docker(&engine, "network create --ipv6 stranger");
    docker(&engine, "run -d --name stranger --network stranger busybox sleep 1000");
    let all = |columns: &[usize]| {
        let targets = columns.iter().flat_map(|column| rows.iter().map(|row| target(row, *column)));
        let mut targets: Vec<_> = targets.collect();
        targets.sort();
        targets.dedup();
        probe(&targets)
    };
    let mut found: Vec<Answers> = vec![
        answers(&sh(&outside, &all(&[0]))),
        answers(&sh(&outside, &all(&[1]))),
        answers(&sh(engine.space(), &all(&[2]))),
        answers(&sh(engine.space(), &all(&[3]))),
    ];
    let mut same = Answers::new();
    for (number, (network, _, _)) in NETWORKS.iter().enumerate() {
        let own = rows.iter().filter(|row| row.network == number).map(|row| target(row, 4));
        let script = probe(&own.collect::<Vec<_>>());
        let client = format!("{network}-client");
        same.extend(answers(&engine.docker(&["exec", &client, "sh", "-c", &script]).text()));
    }
    found.push(same);
    for column in [5, 6] {
        let said = engine.docker(&["exec", "stranger", "sh", "-c", &all(&[column])]);
        found.push(answers(&said.text()));
    }
    let table = table(&rows, &found);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/networks.md");
    let documented = std::fs::read_to_string(path).unwrap();
    assert!(documented.contains(&table), "docs/networks.md must contain:\n{table}");
}

/// The answers as a table; a wrong server's answer is a failure of the test.
fn table(rows: &[Row], found: &[Answers]) -> String {
    let mut text = format!("| network | family | published | {} |\n", COLUMNS.join(" | "));
    text.push_str(&format!("|---|---|---|{}\n", "---|".repeat(COLUMNS.len())));
    for row in rows {
        let mut cells = Vec::new();
        for (column, answers) in found.iter().enumerate() {
            let answer = answers.get(&target(row, column)).map_or("", String::as_str);
            assert!(answer.is_empty() || answer == row.name, "{} {column}: {answer}", row.name);
            cells.push(if answer.is_empty() { "–" } else { "yes" });
        }
        let family = if row.ipv6 { "IPv6" } else { "IPv4" };
        let (network, published) = (NETWORKS[row.network].1, PUBLISHED[row.published]);
        text.push_str(&format!("| {network} | {family} | {published} | {} |\n", cells.join(" | ")));
    }
    text
}

#[test]
fn what_leaves_the_host_has_the_address_that_the_network_says() {
    let engine = Engine::with_busybox();
    let outside = neighbour(&engine);
    let host4 = "-o com.docker.network.host_ipv4=203.0.113.77";
    sh(engine.space(), "ip addr add 203.0.113.77/24 dev ext0");
    // The neighbour tells who asks: it answers with the kernel's list of connections.
    let server = ["nc", "-ll", "-p", "7070", "-e", "cat", "/proc/net/tcp6", "/proc/net/tcp"];
    let mut listener = outside.command("busybox").args(server).spawn().unwrap();
    e2e::eventually("the neighbour listens", || {
        // Port 7070 is 0x1b9e, and 0A is LISTEN.
        let open = sh(&outside, "cat /proc/net/tcp /proc/net/tcp6");
        open.lines().any(|line| line.contains(":1B9E ") && line.contains(" 0A "))
    });
    for (name, options, seen) in [
        ("nat", "", Some("203.0.113.1")),
        ("own", host4, Some("203.0.113.77")),
        ("plain", "-o com.docker.network.bridge.enable_ip_masquerade=false", Some("10.78.2.2")),
        ("routed", "-o com.docker.network.bridge.gateway_mode_ipv4=routed", Some("10.78.3.2")),
        ("internal", "--internal", None),
    ] {
        let number = ["nat", "own", "plain", "routed", "internal"].iter().position(|n| *n == name);
        let subnet = format!("10.78.{}.0/24", number.unwrap());
        docker(&engine, &format!("network create --subnet {subnet} {options} {name}"));
        let run = format!("run --rm --network {name} busybox nc -w 3 203.0.113.2 7070");
        let said = engine.docker(&run.split(' ').collect::<Vec<_>>()).out;
        // The kernel writes an address as it lies in memory.
        let in_hex = |text: &str| {
            let ip: std::net::Ipv4Addr = text.parse().unwrap();
            format!("{:08X}:", u32::from_ne_bytes(ip.octets()))
        };
        match seen {
            Some(seen) => assert!(said.contains(&in_hex(seen)), "{name}: {said}"),
            None => assert_eq!(said, "", "{name}"),
        }
    }
    listener.kill().unwrap();
    listener.wait().unwrap();
}

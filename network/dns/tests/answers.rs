//! A server on real sockets, asked as a container would.

#![expect(clippy::unwrap_used, reason = "tests")]

use dns::packet::{self, A, AAAA, PTR};
use dns::{Client, HostServers, Named, Serving, Settings, Upstream, Zones, serve};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

struct World {
    client: Client,
    zones: Arc<Zones>,
    udp: SocketAddr,
    tcp: SocketAddr,
    _serving: Serving,
}

fn settings(upstream: Upstream) -> Settings {
    Settings {
        networks: vec!["app".into()],
        links: HashMap::from([("database".to_owned(), "db".to_owned())]),
        upstream,
    }
}

fn world() -> World {
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    udp.set_nonblocking(true).unwrap();
    tcp.set_nonblocking(true).unwrap();
    let zones = Arc::new(Zones::default());
    for (endpoint, name, address) in
        [("1", "web", "10.0.0.2"), ("2", "web", "10.0.0.3"), ("3", "db", "10.0.0.4")]
    {
        let (names, addresses) = ([name.to_owned()], [address.parse::<IpAddr>().unwrap()]);
        let (names, addresses) = (&names[..], &addresses[..]);
        zones.set(&Named { network: "app", network_name: "app", endpoint, names, addresses });
    }
    let host = Arc::new(HostServers::new("/nonexistent"));
    let client = Client::new(settings(Upstream::Nobody), Arc::clone(&zones), host);
    let (at_udp, at_tcp) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    let serving = serve(client.clone(), udp.into(), tcp.into()).unwrap();
    World { client, zones, udp: at_udp, tcp: at_tcp, _serving: serving }
}

async fn ask(world: &World, packet: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(packet, world.udp).await.unwrap();
    let mut buffer = vec![0; 4096];
    let length = tokio::time::timeout(Duration::from_secs(30), socket.recv(&mut buffer));
    let length = length.await.unwrap().unwrap();
    buffer.truncate(length);
    buffer
}

#[tokio::test]
async fn names_links_and_addresses_are_answered_in_turn() {
    let world = world();
    let mut firsts = Vec::new();
    for id in 0..2 {
        let answer = ask(&world, &packet::question(id, "web", A)).await;
        assert_eq!(answer[6..8], [0, 2]);
        firsts.push(answer[answer.len() - 20 + 3]);
    }
    assert_ne!(firsts[0], firsts[1], "another one is first each time");
    let answer = ask(&world, &packet::question(7, "database", A)).await;
    assert!(answer.ends_with(&[10, 0, 0, 4]));
    let answer = ask(&world, &packet::question(7, "web", AAAA)).await;
    assert_eq!((packet::code(&answer), &answer[6..8]), (0, &[0, 0][..]), "there, without IPv6");
    let answer = ask(&world, &packet::question(7, "4.0.0.10.in-addr.arpa", PTR)).await;
    assert!(answer.ends_with(b"\x02db\x03app\x00"));
    world.zones.remove("app", "3");
    let answer = ask(&world, &packet::question(7, "db", A)).await;
    assert_eq!(packet::code(&answer), 2, "nobody knows, and nobody can be asked");
}

#[tokio::test]
async fn several_questions_of_one_connection_are_answered() {
    let world = world();
    let mut stream = TcpStream::connect(world.tcp).await.unwrap();
    for id in 0..3 {
        let asked = packet::question(id, "db", A);
        let length = u16::try_from(asked.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &asked].concat()).await.unwrap();
        let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut answer).await.unwrap();
        assert!(answer.ends_with(&[10, 0, 0, 4]));
    }
}

#[tokio::test]
async fn rubbish_is_survived_and_connections_are_bounded() {
    let world = world();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for length in 0..200usize {
        let rubbish: Vec<u8> = (0..length).map(|at| (at * 37 + length) as u8).collect();
        socket.send_to(&rubbish, world.udp).await.unwrap();
    }
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(world.tcp).await.unwrap());
    }
    let answer = ask(&world, &packet::question(7, "db", A)).await;
    assert!(answer.ends_with(&[10, 0, 0, 4]));
}

#[tokio::test]
async fn other_names_are_asked_of_a_server_and_only_its_own_answer_counts() {
    let world = world();
    // Port 53 of an address of this host that nobody else has.
    let address: IpAddr = "127.53.53.53".parse().unwrap();
    let server = UdpSocket::bind((address, 53)).await.unwrap();
    world.client.set(settings(Upstream::Servers(vec![address])));
    let answering = tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (length, from) = server.recv_from(&mut buffer).await.unwrap();
        let mut answer = buffer[..length].to_vec();
        answer[2] |= 0x80;
        let mut guessed = answer.clone();
        guessed[0] ^= 0xff;
        server.send_to(&guessed, from).await.unwrap();
        answer[3] = 3;
        server.send_to(&answer, from).await.unwrap();
    });
    let answer = ask(&world, &packet::question(0x1234, "example.org", A)).await;
    assert_eq!(answer[..2], [0x12, 0x34], "the asker's own number");
    assert_eq!(packet::code(&answer), 3);
    answering.await.unwrap();
}

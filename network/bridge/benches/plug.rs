//! How long it takes to make a sandbox that is plugged into a bridge: `cargo bench -p bridge` (root).
//!
//! In a network namespace of its own; prints minimum, median and maximum, and what part of the time it takes without
//! anything made ahead.

#![expect(clippy::unwrap_used, reason = "a measurement whose preparation fails has failed")]

use bridge::pool::NamespacePool;
use bridge::{Attachment, Driver, Endpoint, Network, Permitted, Prefix, SandboxSpec, Wanted};
use netlink::{InterfaceName, Mac, Namespace};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const COUNT: u32 = 20;
const LINK: &str = "br0";
/// About as long as a container takes to start.
const BETWEEN: Duration = Duration::from_millis(10);

fn main() {
    Namespace::create(|| {
        let at_once = plug(0, Duration::ZERO);
        println!("nothing made ahead       {}", line(&at_once));
        for (what, between) in
            [("20 behind each other", Duration::ZERO), ("one every 10 ms", BETWEEN)]
        {
            let ahead = plug(32, between);
            let ratio =
                ahead[ahead.len() / 2].as_secs_f64() / at_once[at_once.len() / 2].as_secs_f64();
            println!("{what:24} {} ratio {ratio:.2}", line(&ahead));
        }
        println!("publish a port           {}", line(&publish()));
        Ok(())
    })
    .unwrap();
}

fn line(times: &[Duration]) -> String {
    format!("{:?} {:?} {:?}", times[0], times[times.len() / 2], times[times.len() - 1])
}

fn driver(prepared: usize) -> Driver {
    let driver =
        Driver::open(NamespacePool::start(prepared).unwrap(), Permitted::default()).unwrap();
    let gateway = Prefix::new(Ipv4Addr::new(172, 30, 0, 1).into(), 16).unwrap();
    let network = Network::plain(InterfaceName::parse(LINK).unwrap(), vec![gateway]);
    driver.ensure_bridge(&network).unwrap();
    driver.pool().wait_full(Duration::from_secs(10));
    driver
}

fn endpoint(number: u32) -> Endpoint {
    let address = Ipv4Addr::from_bits(0xac1e_0002 + number);
    Endpoint {
        attachment: Attachment::Bridge(InterfaceName::parse(LINK).unwrap()),
        on_link: [false; 2],
        interface: InterfaceName::parse("eth0").unwrap(),
        mac: Mac::from_ipv4(address),
        addresses: vec![Prefix::new(address.into(), 16).unwrap()],
        gateways: vec![Ipv4Addr::new(172, 30, 0, 1).into()],
        mtu: None,
    }
}

/// The times of [`COUNT`] sandboxes, sorted.
fn plug(prepared: usize, between: Duration) -> Vec<Duration> {
    let driver = driver(prepared);
    let sysctls = [
        ("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned()),
        ("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned()),
    ];
    let mut sandboxes = Vec::new();
    let mut times: Vec<Duration> = (0..COUNT)
        .map(|number| {
            let endpoint = endpoint(number);
            let begin = Instant::now();
            let spec =
                SandboxSpec { endpoints: &[endpoint], sysctls: &sysctls, ..SandboxSpec::default() };
            sandboxes.push(driver.create_sandbox(&spec).unwrap());
            let time = begin.elapsed();
            std::thread::sleep(between);
            time
        })
        .collect();
    times.sort();
    times
}

fn publish() -> Vec<Duration> {
    let driver = driver(0);
    let mut times: Vec<Duration> = (1..=200)
        .map(|host_port| {
            let routes =
                vec![(Some(Ipv4Addr::UNSPECIFIED.into()), Ipv4Addr::new(172, 30, 0, 2).into())];
            let range = Some((20_000 + host_port, 20_000 + host_port));
            let port = Wanted { protocol: 6, routes, range, container_port: 80 };
            let begin = Instant::now();
            driver.publish(&[port]).unwrap();
            begin.elapsed()
        })
        .collect();
    times.sort();
    times
}

//! Times the steps of a start by hand: `cargo run -p bridge --example attach` (root).
use bridge::pool::NamespacePool;
use bridge::{Driver, Endpoint, Network, Prefix};
use netlink::*;
use std::time::{Duration, Instant};
fn main() {
    Namespace::create(|| {
        let driver = Driver::open(NamespacePool::start(32).unwrap()).unwrap();
        let link = InterfaceName::parse("br0").unwrap();
        let t = Instant::now();
        let net = Network {
            link: link.clone(),
            gateways: vec![Prefix::new("172.30.0.1".parse().unwrap(), 16).unwrap()],
            mtu: None,
            icc: true,
            masquerade: true,
            internal: false,
        };
        driver.ensure_bridge(&net).unwrap();
        println!("first ensure {:?}", t.elapsed());
        let t = Instant::now();
        driver.ensure_bridge(&net).unwrap();
        println!("second ensure {:?}", t.elapsed());
        let mut all = Vec::new();
        let mut n = 2u32;
        let sys = vec![
            ("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned()),
            ("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned()),
        ];
        for round in 0..4 {
            driver.pool().wait_full(Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(100));
            let mut times = Vec::new();
            for _ in 0..20 {
                let address: std::net::Ipv4Addr = (0xac1e_0000 + n).into();
                n += 1;
                let e = Endpoint {
                    bridge: link.clone(),
                    interface: InterfaceName::parse("eth0").unwrap(),
                    mac: Mac::from_ipv4(address),
                    addresses: vec![Prefix::new(address.into(), 16).unwrap()],
                    gateways: vec!["172.30.0.1".parse().unwrap()],
                    mtu: None,
                };
                let t = Instant::now();
                all.push(driver.create_sandbox(&[e], &sys).unwrap());
                times.push(t.elapsed());
                if round % 2 == 0 {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            times.sort();
            println!(
                "round {round}: min {:?} median {:?} max {:?} sum {:?}",
                times[0],
                times[10],
                times[19],
                times.iter().sum::<Duration>()
            );
            if round == 1 {
                all.clear();
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        let mut f = Vec::new();
        for i in 0..20u16 {
            let p = bridge::firewall::Published {
                protocol: 6,
                host: "0.0.0.0".parse().unwrap(),
                host_port: 1000 + i,
                container: "172.30.0.2".parse().unwrap(),
                container_port: i + 1,
            };
            let t = Instant::now();
            driver.publish(&[p]).unwrap();
            f.push(t.elapsed());
        }
        f.sort();
        println!("publish min {:?} median {:?} max {:?}", f[0], f[10], f[19]);
        Ok(())
    })
    .unwrap();
}

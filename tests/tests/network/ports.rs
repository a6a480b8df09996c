//! Published ports: chosen, held, shown, given back.

use crate::world::{docker, inspect, refused, server, sh};
use e2e::Engine;
use std::collections::BTreeSet;

fn listens(engine: &Engine, port: u16) -> bool {
    let script = format!("busybox nc -l -p {port} -w 1 </dev/null 2>&1");
    let output = engine.space().command("sh").args(["-c", &script]).output().unwrap();
    !String::from_utf8_lossy(&output.stdout).contains("in use")
}

#[test]
fn a_published_port_is_held_shown_and_given_back() {
    let engine = Engine::with_busybox();
    server(&engine, "web", "-p 8080:80 -p 127.0.0.1:8081:80/tcp -p 5300-5302:53-55/udp");
    assert_eq!(
        docker(&engine, "port web"),
        "53/udp -> 0.0.0.0:5300\n54/udp -> 0.0.0.0:5301\n55/udp -> 0.0.0.0:5302\n\
         80/tcp -> 0.0.0.0:8080\n80/tcp -> 127.0.0.1:8081\n"
    );
    assert_eq!(
        inspect(&engine, "web", "{{json (index .NetworkSettings.Ports \"80/tcp\")}}"),
        r#"[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":"8081"}]"#
    );
    let ps = docker(&engine, "ps --format {{.Ports}}");
    assert!(ps.contains("0.0.0.0:8080->80/tcp") && ps.contains("0.0.0.0:5302->55/udp"), "{ps}");
    assert_eq!(docker(&engine, "ps -q --filter publish=8080").lines().count(), 1);
    assert_eq!(docker(&engine, "ps -q --filter publish=8079").lines().count(), 0);
    assert_eq!(sh(engine.space(), "busybox nc -w 3 127.0.0.1 8080 </dev/null"), "web\n");
    assert!(!listens(&engine, 8080), "held against other processes");
    let said = refused(&engine, "run --name other -p 8080:80 busybox true");
    assert!(
        said.contains("driver failed programming external connectivity on endpoint other"),
        "{said}"
    );
    assert!(said.contains("Bind for 0.0.0.0:8080 failed: port is already allocated"), "{said}");
    docker(&engine, "stop -t 0 web");
    assert!(listens(&engine, 8080), "given back at the stop");
    assert_eq!(docker(&engine, "port web"), "");
    docker(&engine, "start other");
}

#[test]
fn a_port_of_another_process_is_refused_and_nothing_of_the_start_stays() {
    let engine = Engine::with_busybox();
    let other = engine.space().command("busybox").args(["nc", "-l", "-p", "8090"]).spawn();
    let mut other = other.unwrap();
    e2e::eventually("it listens", || {
        sh(engine.space(), "cat /proc/net/tcp /proc/net/tcp6").contains(":1F9A ")
    });
    let said = refused(&engine, "run -p 8089:80 -p 8090:80 busybox true");
    assert!(said.contains("failed to bind host port 0.0.0.0:8090/tcp"), "{said}");
    assert!(said.contains("ddress already in use") || said.contains("ddress in use"), "{said}");
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(listens(&engine, 8089), "all or nothing");
}

#[test]
fn starts_at_the_same_time_never_get_the_same_port() {
    let engine = Engine::with_busybox();
    let run = || docker(&engine, "run -d -p 80 -p 9000-9063:81 -p 53/udp busybox sleep 1000");
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().trim().to_owned()).collect()
    });
    let mut seen = BTreeSet::new();
    for id in &ids {
        let ports = docker(&engine, &format!("port {id}"));
        assert_eq!(ports.lines().count(), 3, "{ports}");
        for port in ports.lines() {
            let (inner, outer) = port.split_once(" -> ").unwrap();
            let protocol = inner.rsplit('/').next().unwrap();
            assert!(seen.insert(format!("{protocol} {outer}")), "{outer} twice");
        }
    }
}

#[test]
fn the_default_publish_address_is_the_administrators() {
    let mut engine = Engine::start_with(&["--ip=127.0.0.1"]);
    engine.import_busybox();
    docker(&engine, "run -d --name web -p 8080:80 -p 0.0.0.0:8081:80 busybox sleep 1000");
    assert_eq!(docker(&engine, "port web"), "80/tcp -> 0.0.0.0:8081\n80/tcp -> 127.0.0.1:8080\n");
    engine.restart("KILL");
    assert_eq!(docker(&engine, "port web"), "80/tcp -> 0.0.0.0:8081\n80/tcp -> 127.0.0.1:8080\n");
    let said = refused(&engine, "run -p 127.0.0.1:8080:80 busybox true");
    assert!(said.contains("port is already allocated"), "{said}");
}

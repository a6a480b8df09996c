//! Networks that change while containers run, and other drivers than the bridge.

use crate::world::{docker, inspect, neighbour, refused, server, sh};
use e2e::Engine;

#[test]
fn a_running_container_is_connected_and_disconnected_and_its_ports_follow() {
    let mut engine = Engine::with_busybox();
    docker(&engine, "network create --subnet 10.83.0.0/24 one");
    docker(&engine, "network create --subnet 10.84.0.0/24 two");
    server(&engine, "web", "--network two -p 8080:80");
    docker(&engine, "network connect --ip 10.83.0.9 --alias www one web");
    let routes = docker(&engine, "exec web ip route");
    assert!(routes.contains("default via 10.83.0.1 dev eth1"), "the first name wins: {routes}");
    assert_eq!(docker(&engine, "port web"), "80/tcp -> 0.0.0.0:8080\n");
    assert_eq!(sh(engine.space(), "busybox nc -w 3 127.0.0.1 8080 </dev/null"), "web\n");
    let said = refused(&engine, "network connect one web");
    assert!(said.contains("endpoint with name web already exists in network one"), "{said}");
    engine.restart("KILL");
    assert_eq!(inspect(&engine, "web", "{{.NetworkSettings.Networks.one.IPAddress}}"), "10.83.0.9");
    docker(&engine, "network disconnect one web");
    let routes = docker(&engine, "exec web ip route");
    assert!(
        routes.contains("default via 10.84.0.1 dev eth0") && !routes.contains("10.83"),
        "{routes}"
    );
    assert_eq!(docker(&engine, "port web"), "80/tcp -> 0.0.0.0:8080\n");
    assert_eq!(sh(engine.space(), "busybox nc -w 3 127.0.0.1 8080 </dev/null"), "web\n");
    let said = refused(&engine, "network disconnect one web");
    assert!(said.contains("is not connected to the network one"), "{said}");
    docker(&engine, "network rm one");
    docker(&engine, "network disconnect two web");
    assert!(!docker(&engine, "exec web ip addr").contains("eth0"));
    docker(&engine, "network connect two web");
    docker(&engine, "restart -t 0 web");
    assert!(docker(&engine, "exec web ip addr").contains("10.84.0."));
}

#[test]
fn several_networks_at_once_with_priorities_names_and_addresses() {
    let engine = Engine::with_busybox();
    docker(&engine, "network create --subnet 10.85.0.0/24 a");
    docker(&engine, "network create --subnet 10.86.0.0/24 b");
    let out = engine
        .docker(&[
            "run", "--rm",
            "--network", "name=a,ip=10.85.0.7,mac-address=02:00:00:00:00:07,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1",
            "--network", "name=b,gw-priority=1,driver-opt=com.docker.network.endpoint.ifname=lan0",
            "busybox", "sh", "-c",
            "ip addr; ip route; cat /proc/sys/net/ipv4/conf/eth0/log_martians",
        ])
        .text();
    assert!(out.contains("10.85.0.7/24") && out.contains("02:00:00:00:00:07"), "{out}");
    assert!(out.contains("default via 10.86.0.1 dev lan0"), "{out}");
    assert!(out.ends_with("\n1"), "{out}");
}

#[test]
fn inspection_shows_who_is_there_and_events_tell_of_changes() {
    let engine = Engine::with_busybox();
    docker(&engine, "network create --label kind=test --subnet 10.87.0.0/24 app");
    docker(&engine, "run -d --name web --network app busybox sleep 1000");
    let shown = inspect(&engine, "app", "{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}");
    assert_eq!(shown, "web 10.87.0.2/24");
    assert_eq!(docker(&engine, "network ls -q --filter label=kind=test").lines().count(), 1);
    assert_eq!(docker(&engine, "network ls --format {{.Name}} --filter type=custom"), "app\n");
    assert_eq!(docker(&engine, "network ls -q --filter dangling=true"), "");
    docker(&engine, "rm -f web");
    assert_eq!(docker(&engine, "network prune -f"), "Deleted Networks:\napp\n\n");
    // The client cuts times to whole seconds.
    let until = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + 1;
    let command = format!(
        "events --since 10m --until {until} --filter type=network --format {{{{.Action}}}}"
    );
    let events = docker(&engine, &command);
    let actions: Vec<&str> = events.lines().collect();
    assert_eq!(actions, ["create", "connect", "disconnect", "destroy", "prune"]);
}

#[test]
fn macvlan_containers_are_neighbours_of_the_hosts_neighbours() {
    let engine = Engine::with_busybox();
    let outside = neighbour(&engine);
    docker(
        &engine,
        "network create -d macvlan -o parent=ext0 --subnet 203.0.113.0/24 --ip-range 203.0.113.64/26 --gateway 203.0.113.2 lan",
    );
    server(&engine, "web", "--network lan");
    let address = inspect(&engine, "web", "{{.NetworkSettings.Networks.lan.IPAddress}}");
    assert_eq!(address, "203.0.113.64");
    assert_eq!(sh(&outside, "busybox nc -w 3 203.0.113.64 80 </dev/null"), "web\n");
    docker(&engine, "run -d --name other --network lan busybox sleep 1000");
    assert_eq!(docker(&engine, "exec other nc -w 3 web 80"), "web\n");
    docker(&engine, "network create -d macvlan -o parent=nosuch0 --subnet 10.88.0.0/24 lost");
    let said = refused(&engine, "run --network lost busybox true");
    assert!(said.contains("make an interface over nosuch0: no such link"), "{said}");
}

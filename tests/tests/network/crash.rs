//! What is left when processes are killed: nothing.

use crate::world::{docker, server, sh};
use e2e::{Engine, Traces, eventually, send};

/// Connections that the host remembers of containers.
fn flows(engine: &Engine) -> Vec<String> {
    let text = sh(engine.space(), "cat /proc/net/nf_conntrack 2>/dev/null || true");
    text.lines().filter(|line| line.contains("10.89.0.")).map(str::to_owned).collect()
}

fn populate(engine: &Engine) {
    docker(engine, "network create --subnet 10.89.0.0/24 app");
    server(engine, "web", "--network app -p 8080:80 -p 5353:53/udp");
    docker(engine, "run -d --name db --network app busybox sleep 1000");
    assert_eq!(sh(engine.space(), "busybox nc -w 3 127.0.0.1 8080 </dev/null"), "web\n");
}

fn tear_down(engine: &Engine) {
    docker(engine, "rm -f web db");
    docker(engine, "network rm app");
}

fn left(engine: &Engine, before: &Traces) -> Vec<String> {
    let difference = Traces::of(engine).difference(before);
    // How often a rule has matched is no trace.
    difference.into_iter().filter(|line| !line.contains("counter")).collect()
}

#[test]
fn killing_any_process_leaves_no_link_rule_port_or_connection() {
    let mut engine = Engine::with_busybox();
    // Users' own table is made once and stays.
    populate(&engine);
    tear_down(&engine);
    let before = Traces::of(&engine);
    for victim in ["network", "api", "task", "supervisor", "all"] {
        populate(&engine);
        match victim {
            "supervisor" => engine.restart("KILL"),
            "all" => {
                for (pid, _) in engine.workers() {
                    send("KILL", pid);
                }
                engine.restart("KILL");
            }
            worker => send("KILL", engine.worker(worker)),
        }
        eventually("it answers again", || engine.docker(&["ps"]).code == 0);
        eventually("the port leads to the container", || {
            sh(engine.space(), "busybox nc -w 3 127.0.0.1 8080 </dev/null 2>/dev/null || true")
                == "web\n"
        });
        eventually("names are known", || {
            engine.docker(&["exec", "db", "nslookup", "-type=a", "web"]).code == 0
        });
        tear_down(&engine);
        eventually(victim, || left(&engine, &before).is_empty() && flows(&engine).is_empty());
    }
}

#[test]
fn containers_that_end_while_no_engine_runs_leave_no_port_and_no_address() {
    let mut engine = Engine::with_busybox();
    populate(&engine);
    tear_down(&engine);
    let before = Traces::of(&engine);
    docker(&engine, "network create --subnet 10.89.0.0/24 app");
    docker(&engine, "run -d --rm --name web --network app -p 8080:80 busybox sleep 1000");
    let pid = crate::world::inspect(&engine, "web", "{{.State.Pid}}");
    engine.end("KILL");
    send("KILL", pid.parse().unwrap());
    engine.launch();
    eventually("it is removed", || docker(&engine, "ps -aq").is_empty());
    docker(&engine, "run --rm --network app -p 8080:80 busybox true");
    docker(&engine, "network rm app");
    eventually("nothing is left", || left(&engine, &before).is_empty());
}

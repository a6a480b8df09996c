//! What the tests share: a neighbour on a link of the host, servers in containers, and shells in namespaces.

use e2e::{Engine, Space};

/// A host on the same link as the engine's, which knows the way to containers over it: 203.0.113.2 and fd00:113::2,
/// the engine's host being .1 and ::1.
pub(crate) fn neighbour(engine: &Engine) -> Space {
    let space = Space::new();
    let host = format!(
        "ip link add ext0 type veth peer name out0 netns {} && ip link set ext0 up && \
         ip addr add 203.0.113.1/24 dev ext0 && ip addr add fd00:113::1/64 dev ext0 nodad && \
         for f in /proc/sys/net/bridge/bridge-nf-call-ip6tables; do if [ -e $f ]; then echo 0 > $f; fi; done",
        space.pid()
    );
    sh(engine.space(), &host);
    sh(
        &space,
        "ip link set out0 up && ip addr add 203.0.113.2/24 dev out0 && \
         ip addr add fd00:113::2/64 dev out0 nodad && ip route add default via 203.0.113.1 && \
         ip -6 route add default via fd00:113::1",
    );
    space
}

/// What a shell in a namespace prints; it must succeed.
#[track_caller]
pub(crate) fn sh(space: &Space, script: &str) -> String {
    let output = space.command("sh").args(["-c", script]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a Docker command prints; it must succeed.
#[track_caller]
pub(crate) fn docker(engine: &Engine, command: &str) -> String {
    let said = engine.docker(&command.split_whitespace().collect::<Vec<_>>());
    assert_eq!(said.code, 0, "{command}: {}", said.err);
    said.out
}

/// What a failing Docker command says.
#[track_caller]
pub(crate) fn refused(engine: &Engine, command: &str) -> String {
    let said = engine.docker(&command.split_whitespace().collect::<Vec<_>>());
    assert_ne!(said.code, 0, "{command}: {}", said.out);
    said.err
}

/// A container that answers each connection to port 80 with its name.
#[track_caller]
pub(crate) fn server(engine: &Engine, name: &str, options: &str) {
    let command = format!("run -d --name {name} {options} busybox nc -ll -p 80 -e echo {name}");
    docker(engine, &command);
    // It listens before anybody asks: port 80 is 0x50.
    e2e::eventually(name, || {
        let open = engine.docker(&["exec", name, "cat", "/proc/net/tcp6", "/proc/net/tcp"]);
        open.out.contains(":0050 ")
    });
}

/// A shell script that asks all targets (`address port`) at once and prints for each `address port answer`.
pub(crate) fn probe(targets: &[(String, u16)]) -> String {
    let one = |(address, port): &(String, u16)| {
        format!(
            "(echo {address} {port} $(busybox nc -w 3 {address} {port} </dev/null 2>/dev/null)) &"
        )
    };
    let all: Vec<String> = targets.iter().map(one).collect();
    format!("{}\nwait", all.join("\n"))
}

/// The value of a template of `docker inspect`.
#[track_caller]
pub(crate) fn inspect(engine: &Engine, name: &str, template: &str) -> String {
    engine.docker(&["inspect", "--format", template, name]).text().trim().to_owned()
}

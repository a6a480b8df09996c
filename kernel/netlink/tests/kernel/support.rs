//! What the tests share: a fresh network namespace, and the tools `ip` and `nft` as judges.

use netlink::{InterfaceName, Namespace};
use std::process::Command;

/// Runs `test` in a network namespace of its own, with the loopback up.
pub(crate) fn in_a_new_namespace(test: impl FnOnce() + Send) {
    Namespace::create(|| {
        let mut socket = netlink::RouteSocket::open()?;
        let mut batch = netlink::Batch::new();
        batch.set_up(1, "lo", true);
        socket.run(batch)?;
        test();
        Ok(())
    })
    .unwrap();
}

/// The output of a command, which must succeed.
pub(crate) fn output(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The output of a command as JSON.
pub(crate) fn json(command: &[&str]) -> serde_json::Value {
    serde_json::from_str(&output(command)).unwrap()
}

/// An interface name that is known to be good.
pub(crate) fn name(text: &str) -> InterfaceName {
    InterfaceName::parse(text).unwrap()
}

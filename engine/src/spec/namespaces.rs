//! Which namespaces a container has of its own, which it joins, which it leaves with the host.

use crate::container::config::{ContainerConfig, Mode};
use messages::task::Namespace as Kind;
use spec::oci::Namespace;

/// The namespaces of the specification, and those that come from another container (by its id as text).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// One entry for each that is not the host's.
    pub own_or_joined: Vec<Namespace>,
    /// Which of them are another container's.
    pub joins: Vec<(Kind, String)>,
}

/// Resolves the modes. `container:` has an id behind it by now.
pub fn namespaces(config: &ContainerConfig) -> Namespaces {
    let host = &config.host;
    let mut all = Namespaces::default();
    all.add("mount", Mode::Own, None);
    all.add("network", no_none(config.network_mode()), Some(Kind::Network));
    all.add("uts", Mode::of(&host.uts_mode), Some(Kind::Uts));
    all.add("pid", Mode::of(&host.pid_mode), Some(Kind::Pid));
    all.add("ipc", no_none(Mode::of(&host.ipc_mode)), Some(Kind::Ipc));
    if host.cgroupns_mode == "private" {
        all.add("cgroup", Mode::Own, None);
    }
    all
}

/// `none` is a namespace of its own, with nothing in it.
fn no_none(mode: Mode<'_>) -> Mode<'_> {
    if mode == Mode::None { Mode::Own } else { mode }
}

impl Namespaces {
    fn add(&mut self, name: &str, mode: Mode<'_>, kind: Option<Kind>) {
        if mode == Mode::Host {
            return;
        }
        self.own_or_joined.push(Namespace { kind: name.to_owned(), path: None });
        if let (Mode::Container(other), Some(kind)) = (mode, kind) {
            self.joins.push((kind, other.to_owned()));
        }
    }
}

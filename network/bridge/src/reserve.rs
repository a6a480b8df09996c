//! Ports of the host that are held: a bound socket for each, so that no other process takes what containers have, and
//! no container what another process has.
//!
//! A socket of TCP does not listen: whoever connects while the rules are away is refused at once. Only where a finished
//! connection still holds the port (TIME_WAIT) it must, for the kernel shares such a port with listeners alone.

use crate::BridgeError;
use crate::published::{Opened, Published, Wanted};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

/// How often another port that is free in the first family is tried in the second.
const TRIES: usize = 64;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What was chosen for a list of wanted ports.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    pub(crate) published: Vec<Published>,
    pub(crate) opened: Vec<Opened>,
    sockets: Vec<(Published, OwnedFd)>,
}

/// The sockets of published ports.
#[derive(Debug, Default)]
pub(crate) struct Reserved(BTreeMap<Published, OwnedFd>);

impl Reserved {
    /// Holds ports that are published already; one that somebody else has by now leads to its container all the same.
    pub(crate) fn adopt<'a>(ports: impl Iterator<Item = &'a Published>) -> Self {
        let mut this = Self::default();
        for port in ports {
            this.take_back(port);
        }
        this
    }

    /// Holds a port that is published already.
    pub(crate) fn take_back(&mut self, port: &Published) {
        if let Ok(Some(socket)) = bind(port.protocol, port.host, port.host_port) {
            self.0.insert(*port, socket);
        }
    }

    /// Chooses ports and binds them; dropping the answer lets them go again.
    pub(crate) fn choose(&self, wanted: &[Wanted]) -> Result<Chosen, BridgeError> {
        let mut chosen = Chosen::default();
        for one in wanted {
            self.choose_one(one, &mut chosen)?;
        }
        Ok(chosen)
    }

    fn choose_one(&self, wanted: &Wanted, chosen: &mut Chosen) -> Result<(), BridgeError> {
        let Wanted { protocol, container_port, .. } = *wanted;
        let hosts: Vec<(IpAddr, IpAddr)> =
            wanted.routes.iter().filter_map(|(host, to)| Some(((*host)?, *to))).collect();
        let open = wanted.routes.iter().filter(|(host, _)| host.is_none());
        chosen.opened.extend(open.map(|(_, container)| Opened {
            protocol,
            container: *container,
            port: container_port,
        }));
        if hosts.is_empty() {
            return Ok(());
        }
        let (port, sockets) = match wanted.range {
            Some((first, last)) => self.in_range(protocol, &hosts, first, last)?,
            None => any(protocol, &hosts)?,
        };
        for ((host, container), socket) in hosts.iter().zip(sockets) {
            let (host, container) = (*host, *container);
            let published =
                Published { protocol, host, host_port: port, container, container_port };
            match socket {
                Socket::Bound(socket) => chosen.sockets.push((published, socket)),
                Socket::NotTracked => {}
                Socket::NoFamily => continue,
            }
            chosen.published.push(published);
        }
        Ok(())
    }

    fn in_range(
        &self,
        protocol: u8,
        hosts: &[(IpAddr, IpAddr)],
        first: u16,
        last: u16,
    ) -> Result<(u16, Vec<Socket>), BridgeError> {
        let mut cause = None;
        for port in first..=last {
            match bind_all(protocol, hosts, port) {
                Ok(sockets) => return Ok((port, sockets)),
                Err((host, errno)) => cause = Some((host, port, errno)),
            }
        }
        let (host, port, errno) = cause.unwrap_or((hosts[0].0, first, Errno::ADDRINUSE));
        let address = SocketAddr::new(host, port).to_string();
        let ours = |held: &Published| {
            let same = held.host == host || held.host.is_unspecified() || host.is_unspecified();
            held.protocol == protocol && held.host_port == port && same
        };
        if errno == Errno::ADDRINUSE && self.0.keys().any(ours) {
            return Err(BridgeError::Published { port: address });
        }
        Err(BridgeError::Bind { address, protocol: word(protocol), source: errno.into() })
    }

    /// Keeps what was chosen.
    pub(crate) fn keep(&mut self, chosen: Chosen) -> Vec<Published> {
        self.0.extend(chosen.sockets);
        chosen.published
    }

    /// Lets ports go.
    pub(crate) fn release(&mut self, ports: &[Published]) {
        for port in ports {
            self.0.remove(port);
        }
    }
}

enum Socket {
    Bound(OwnedFd),
    /// The kernel has no sockets of the protocol (SCTP), but translates it all the same.
    NotTracked,
    /// The kernel has no such family, and nobody asked for it by an address.
    NoFamily,
}

fn word(protocol: u8) -> &'static str {
    match protocol {
        TCP => "tcp",
        UDP => "udp",
        _ => "sctp",
    }
}

fn any(protocol: u8, hosts: &[(IpAddr, IpAddr)]) -> Result<(u16, Vec<Socket>), BridgeError> {
    let failed = |host: IpAddr, port, errno: Errno| BridgeError::Bind {
        address: SocketAddr::new(host, port).to_string(),
        protocol: word(protocol),
        source: errno.into(),
    };
    let mut last = None;
    for _ in 0..TRIES {
        let first = hosts[0].0;
        // The kernel chooses a port that nobody has at this address; the socket that found it is let go for a moment.
        let probe = bind(if protocol == UDP { UDP } else { TCP }, first, 0);
        let probe = probe.map_err(|errno| failed(first, 0, errno))?;
        let port = match &probe {
            Some(socket) => local_port(socket).map_err(|errno| failed(first, 0, errno))?,
            None => return Err(failed(first, 0, Errno::PROTONOSUPPORT)),
        };
        drop(probe);
        match bind_all(protocol, hosts, port) {
            Ok(sockets) => return Ok((port, sockets)),
            Err((host, errno)) => last = Some(failed(host, port, errno)),
        }
    }
    Err(last.unwrap_or_else(|| failed(hosts[0].0, 0, Errno::ADDRINUSE)))
}

fn bind_all(
    protocol: u8,
    hosts: &[(IpAddr, IpAddr)],
    port: u16,
) -> Result<Vec<Socket>, (IpAddr, Errno)> {
    let one = |(host, _): &(IpAddr, IpAddr)| match bind(protocol, *host, port) {
        Ok(Some(socket)) => Ok(Socket::Bound(socket)),
        Ok(None) => Ok(Socket::NotTracked),
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) if *host == IpAddr::from([0u16; 8]) => {
            Ok(Socket::NoFamily)
        }
        Err(errno) => Err((*host, errno)),
    };
    hosts.iter().map(one).collect()
}

fn local_port(socket: &OwnedFd) -> Result<u16, Errno> {
    let address = SocketAddr::try_from(net::getsockname(socket)?)?;
    Ok(address.port())
}

/// `None` for a protocol of which the kernel has no sockets.
fn bind(protocol: u8, host: IpAddr, port: u16) -> Result<Option<OwnedFd>, Errno> {
    let made = socket(protocol, host);
    let socket = match made {
        Err(Errno::PROTONOSUPPORT) if protocol != TCP && protocol != UDP => return Ok(None),
        other => other?,
    };
    let address = SocketAddr::new(host, port);
    match net::bind(&socket, &address) {
        Err(Errno::ADDRINUSE) if protocol == TCP => {}
        other => return other.map(|()| Some(socket)),
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, 1)?;
    Ok(Some(socket))
}

fn socket(protocol: u8, host: IpAddr) -> Result<OwnedFd, Errno> {
    let family = if host.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, number) = match protocol {
        TCP => (SocketType::STREAM, ipproto::TCP),
        UDP => (SocketType::DGRAM, ipproto::UDP),
        _ => (SocketType::STREAM, ipproto::SCTP),
    };
    let socket = net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(number))?;
    if host.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(host: &str, range: Option<(u16, u16)>) -> Wanted {
        let to = "10.0.0.2".parse().unwrap();
        let routes = vec![(Some(host.parse().unwrap()), to)];
        Wanted { protocol: TCP, routes, range, container_port: 80 }
    }

    #[test]
    fn a_port_is_held_against_others_until_it_is_released() {
        let mut reserved = Reserved::default();
        let chosen = reserved.choose(&[wanted("127.0.0.1", None)]).unwrap();
        let ports = reserved.keep(chosen);
        let port = ports[0].host_port;
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_err());
        let error = reserved.choose(&[wanted("127.0.0.1", Some((port, port)))]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("Bind for 127.0.0.1:{port} failed: port is already allocated")
        );
        reserved.release(&ports);
        std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn a_port_that_another_process_has_is_refused_and_a_range_goes_on_behind_it() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let reserved = Reserved::default();
        let error = reserved.choose(&[wanted("127.0.0.1", Some((port, port)))]).unwrap_err();
        assert_eq!(error.to_string(), format!("failed to bind host port 127.0.0.1:{port}/tcp"));
        let chosen = reserved.choose(&[wanted("127.0.0.1", Some((port, u16::MAX)))]).unwrap();
        assert!(chosen.published[0].host_port > port);
    }
}

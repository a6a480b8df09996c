//! Where an engine listens.

use crate::ClientError;
use std::path::PathBuf;

/// How the engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
    /// `docker system dial-stdio` on another machine.
    Ssh {
        /// The user, if the text names one.
        user: Option<String>,
        /// The machine.
        host: String,
        /// The port, if the text names one.
        port: Option<u16>,
        /// The socket on that machine, if the text names one.
        path: Option<String>,
    },
}

/// The files of mutual TLS, and whether the server is verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates that may sign the server's; `None` trusts nothing unless `verify` is off.
    pub ca: Option<PathBuf>,
    /// Our certificate chain.
    pub cert: Option<PathBuf>,
    /// Our private key.
    pub key: Option<PathBuf>,
    /// Verify the server's certificate and name.
    pub verify: bool,
}

/// Where an engine listens: the address, the text it came from, and TLS for TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The text as the user wrote it, for messages.
    pub text: String,
    /// The address.
    pub address: Address,
    /// TLS, only with TCP.
    pub tls: Option<TlsFiles>,
}

impl Endpoint {
    /// Reads `unix://PATH`, `tcp://HOST[:PORT]`, `http(s)://HOST[:PORT]` or `ssh://[USER@]HOST[:PORT][/PATH]`. A text
    /// without a protocol is TCP, as docker reads it.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] for a protocol that is not known, [`ClientError::Address`] for an address without host.
    pub fn parse(text: &str, tls: Option<TlsFiles>) -> Result<Self, ClientError> {
        let (protocol, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let address = match protocol {
            "unix" => Address::Unix(PathBuf::from(if rest.is_empty() {
                "/var/run/docker.sock"
            } else {
                rest
            })),
            "tcp" | "http" | "https" => Address::Tcp(tcp_address(rest, tls.is_some())?),
            "ssh" => ssh_address(text, rest)?,
            _ => return Err(ClientError::Protocol(text.to_owned())),
        };
        let text = if text.contains("://") { text.to_owned() } else { format!("tcp://{text}") };
        let tls = tls.filter(|_| matches!(address, Address::Tcp(_)));
        Ok(Self { text, address, tls })
    }

    /// The value of the Host header.
    pub(crate) fn host_header(&self) -> &str {
        match &self.address {
            Address::Tcp(address) => address,
            Address::Unix(_) | Address::Ssh { .. } => "api.moby.localhost",
        }
    }
}

fn tcp_address(rest: &str, tls: bool) -> Result<String, ClientError> {
    let rest = rest.split('/').next().unwrap_or_default();
    let port = if tls { 2376 } else { 2375 };
    if rest.is_empty() {
        return Ok(format!("localhost:{port}"));
    }
    let bare_v6 = rest.starts_with('[') && rest.ends_with(']');
    match rest.rsplit_once(':') {
        Some((host, number)) if !bare_v6 => {
            number.parse::<u16>().map_err(|_| ClientError::Address(rest.to_owned()))?;
            let host = if host.is_empty() { "localhost" } else { host };
            Ok(format!("{host}:{number}"))
        }
        _ => Ok(format!("{rest}:{port}")),
    }
}

fn ssh_address(text: &str, rest: &str) -> Result<Address, ClientError> {
    let refuse = || ClientError::Address(text.to_owned());
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => {
            (authority, Some(format!("/{path}")).filter(|path| path.len() > 1))
        }
        None => (rest, None),
    };
    let (user, machine) = match authority.split_once('@') {
        Some((user, machine)) => (Some(user.to_owned()), machine),
        None => (None, authority),
    };
    if user.as_deref().is_some_and(|user| user.contains(':')) {
        return Err(refuse());
    }
    let (host, port) = match machine.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| refuse())?)),
        None => (machine, None),
    };
    // A name that starts with a dash would be an option of ssh.
    if host.is_empty()
        || host.starts_with('-')
        || user.as_deref().is_some_and(|user| user.starts_with('-'))
    {
        return Err(refuse());
    }
    Ok(Address::Ssh { user, host: host.to_owned(), port, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Endpoint::parse(text, None).unwrap().address
    }

    #[test]
    fn hosts_are_read_with_docker_s_defaults() {
        assert_eq!(address("unix:///a/b"), Address::Unix("/a/b".into()));
        assert_eq!(address("tcp://h:1"), Address::Tcp("h:1".into()));
        assert_eq!(address("tcp://h"), Address::Tcp("h:2375".into()));
        assert_eq!(address("tcp://[::1]"), Address::Tcp("[::1]:2375".into()));
        assert_eq!(address("tcp://[::1]:9"), Address::Tcp("[::1]:9".into()));
        assert_eq!(address("127.0.0.1:5"), Address::Tcp("127.0.0.1:5".into()));
    }

    #[test]
    fn an_ssh_host_may_name_user_port_and_socket() {
        let expected = Address::Ssh {
            user: Some("u".into()),
            host: "h".into(),
            port: Some(22),
            path: Some("/run/d.sock".into()),
        };
        assert_eq!(address("ssh://u@h:22/run/d.sock"), expected);
    }

    #[test]
    fn an_ssh_host_cannot_smuggle_an_option() {
        for text in ["ssh://-oProxyCommand=x", "ssh://-lu@h", "ssh://"] {
            assert!(matches!(Endpoint::parse(text, None), Err(ClientError::Address(_))), "{text}");
        }
    }

    #[test]
    fn an_unknown_protocol_is_refused_by_name() {
        let error = Endpoint::parse("foo://a", None).unwrap_err();
        assert_eq!(error.to_string(), "invalid bind address format: foo://a");
    }
}

//! One connection to a bus, or to the service manager itself.
//!
//! ```text
//! we                                     it
//! \0AUTH EXTERNAL, DATA, BEGIN     ──▶          (who we are says the kernel)
//!                                  ◀──   DATA
//!                                  ◀──   OK <guid>
//! messages                         ◀─▶   messages
//! ```
//!
//! All three lines go out at once. systemd forgets a message that it reads together with BEGIN until the next one
//! comes; those that are written after its OK, which it writes while it looks at these lines, are read alone.

use crate::error::SystemdError;
use crate::message::{self, FIXED, Kind, Message};
use crate::wire::Value;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long the service manager may take for an answer or a job. A busy one at boot takes seconds.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Signals that are kept until somebody asks for them; the oldest go first.
const MAX_SIGNALS: usize = 256;
/// The longest line of the authentication.
const MAX_LINE: usize = 512;

/// A method: the object, the interface, the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method<'a> {
    /// The name of the program on the bus.
    pub destination: &'a str,
    /// The object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
    /// The method.
    pub member: &'static str,
}

/// A signal: the object's interface, the name, what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// The interface.
    pub interface: String,
    /// The name.
    pub member: String,
    /// What it says.
    pub body: Vec<Value>,
}

/// A connection.
#[derive(Debug)]
pub struct Bus {
    stream: UnixStream,
    serial: u32,
    signals: VecDeque<Signal>,
    patience: Duration,
}

/// The sockets of an address as `unix:path=/run/dbus/system_bus_socket,guid=...;unix:abstract=x`. Others than sockets
/// of this host are passed over.
fn sockets(address: &str) -> Vec<Socket> {
    address.split(';').filter_map(Socket::parse).collect()
}

/// Where a bus listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Socket {
    Path(String),
    Abstract(String),
}

impl Socket {
    fn parse(address: &str) -> Option<Self> {
        let keys = address.strip_prefix("unix:")?;
        keys.split(',').filter_map(|key| key.split_once('=')).find_map(|(key, value)| match key {
            "path" => unescape(value).map(Self::Path),
            "abstract" => unescape(value).map(Self::Abstract),
            _ => None,
        })
    }

    fn connect(&self) -> std::io::Result<UnixStream> {
        match self {
            Self::Path(path) => UnixStream::connect(path),
            Self::Abstract(name) => {
                let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
                let flags = SocketFlags::CLOEXEC;
                let socket =
                    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                rustix::net::connect(&socket, &address)?;
                Ok(socket.into())
            }
        }
    }
}

/// Bytes of an address may be written as `%2d`.
fn unescape(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

impl Bus {
    /// Connects to the first socket of `address` that answers. A message bus is greeted; the manager's own socket is no
    /// bus (`direct`).
    pub fn connect(address: &str, direct: bool) -> Result<Self, SystemdError> {
        let failed = |source| SystemdError::Connect { address: address.to_owned(), source };
        let mut last = Error::from(ErrorKind::Unsupported);
        for socket in sockets(address) {
            match socket.connect() {
                Ok(stream) => {
                    let mut bus =
                        Self { stream, serial: 0, signals: VecDeque::new(), patience: PATIENCE };
                    bus.authenticate(address)?;
                    if !direct {
                        bus.greet()?;
                    }
                    return Ok(bus);
                }
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    /// The connection alone, for a test that serves on it.
    #[cfg(test)]
    pub(crate) fn into_stream(self) -> UnixStream {
        self.stream
    }

    /// Changes how long an answer may take.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    fn authenticate(&mut self, address: &str) -> Result<(), SystemdError> {
        let failed = |source| SystemdError::Connect { address: address.to_owned(), source };
        let end = Instant::now() + self.patience;
        // An empty identity: the bus takes the one that the kernel tells, also from another user namespace.
        let lines = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
        self.stream.write_all(lines).map_err(failed)?;
        for answer in ["DATA", "OK "] {
            let line = self.line(end).map_err(failed)?;
            if !line.starts_with(answer) {
                let answer = line.chars().take(80).collect();
                return Err(SystemdError::Refused { address: address.to_owned(), answer });
            }
        }
        Ok(())
    }

    fn line(&mut self, end: Instant) -> std::io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.read(&mut byte, end)?;
            line.push(byte[0]);
            if line.len() > MAX_LINE {
                return Err(ErrorKind::InvalidData.into());
            }
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Fills `buffer`, or fails with [`ErrorKind::TimedOut`] at `end`.
    fn read(&mut self, buffer: &mut [u8], end: Instant) -> std::io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A message bus knows a connection only after this.
    fn greet(&mut self) -> Result<(), SystemdError> {
        let hello = Method {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
        };
        self.call(hello, Vec::new(), "").map(drop)
    }

    /// Asks a message bus for the signals that fit `rule`.
    pub fn listen(&mut self, rule: &str) -> Result<(), SystemdError> {
        let add = Method {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "AddMatch",
        };
        self.call(add, vec![Value::text(rule)], "").map(drop)
    }

    /// Calls a method and waits for what it answers. `about` is the unit, for messages.
    pub fn call(
        &mut self,
        method: Method<'_>,
        body: Vec<Value>,
        about: &str,
    ) -> Result<Vec<Value>, SystemdError> {
        let call = method.member;
        self.serial += 1;
        let serial = self.serial;
        let bytes = Message {
            path: method.path.to_owned(),
            interface: method.interface.to_owned(),
            member: call.to_owned(),
            destination: method.destination.to_owned(),
            body,
            ..Message::new(Kind::Call, serial)
        }
        .encode();
        if bytes.len() > crate::wire::MAX_MESSAGE {
            return Err(SystemdError::Protocol { call, cause: "the message is too long" });
        }
        self.stream.write_all(&bytes).map_err(|source| SystemdError::Broken { call, source })?;
        let end = Instant::now() + self.patience;
        loop {
            let message = self.receive(call, about, end)?;
            match message.kind {
                Kind::Answer if message.reply_to == serial => return Ok(message.body),
                Kind::Error if message.reply_to == serial => {
                    let words = match message.body.first() {
                        Some(Value::Text(text)) => text.chars().take(300).collect(),
                        _ => String::new(),
                    };
                    return Err(SystemdError::Answer {
                        call,
                        unit: about.to_owned(),
                        name: message.error,
                        message: words,
                    });
                }
                _ => self.keep(message),
            }
        }
    }

    /// Waits for a signal for which `pick` answers something, also one that has come already.
    pub fn wait<T>(
        &mut self,
        call: &'static str,
        about: &str,
        pick: &dyn Fn(&Signal) -> Option<T>,
    ) -> Result<T, SystemdError> {
        let end = Instant::now() + self.patience;
        loop {
            while let Some(signal) = self.signals.pop_front() {
                if let Some(found) = pick(&signal) {
                    return Ok(found);
                }
            }
            let message = self.receive(call, about, end)?;
            self.keep(message);
        }
    }

    fn keep(&mut self, message: Message) {
        if message.kind == Kind::Signal {
            if self.signals.len() == MAX_SIGNALS {
                self.signals.pop_front();
            }
            let Message { interface, member, body, .. } = message;
            self.signals.push_back(Signal { interface, member, body });
        }
    }

    fn receive(
        &mut self,
        call: &'static str,
        about: &str,
        end: Instant,
    ) -> Result<Message, SystemdError> {
        let patience = self.patience;
        let broken = |source: Error| match source.kind() {
            ErrorKind::TimedOut => {
                SystemdError::Deadline { call, unit: about.to_owned(), after: patience }
            }
            _ => SystemdError::Broken { call, source },
        };
        let mut bytes = vec![0; FIXED];
        self.read(&mut bytes, end).map_err(broken)?;
        let length = message::length(&bytes)
            .ok_or(SystemdError::Protocol { call, cause: "a message has no valid length" })?;
        bytes.resize(length, 0);
        self.read(&mut bytes[FIXED..], end).map_err(broken)?;
        message::decode(&bytes)
            .ok_or(SystemdError::Protocol { call, cause: "a message cannot be read" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_sockets_of_this_host() {
        assert_eq!(
            sockets("unix:path=/run/a%2db,guid=77;tcp:host=x,port=1;unix:abstract=/tmp/x"),
            [Socket::Path("/run/a-b".into()), Socket::Abstract("/tmp/x".into())]
        );
        assert!(sockets("unix:path=%zz;unixexec:path=/bin/sh;").is_empty());
    }

    #[test]
    fn an_address_where_nobody_listens_is_named() {
        let error = Bus::connect("unix:path=/nonexistent/bus", false).unwrap_err();
        assert_eq!(error.to_string(), "connect to systemd at unix:path=/nonexistent/bus");
        assert_eq!(error.class(), spec::Class::Unavailable);
    }
}

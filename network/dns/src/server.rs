//! Answering the questions of one container.

use crate::forward;
use crate::host::HostServers;
use crate::packet::{Code, Question, Unreadable};
use crate::zone::Zones;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};

/// Datagrams that are answered in one go, and in one interval: 40,000 a second.
const AT_ONCE: u32 = 64;
const PER_INTERVAL: u32 = 400;
const INTERVAL: Duration = Duration::from_millis(10);
/// Questions that are passed on at the same time; more are refused.
const PASSED_ON: usize = 128;
/// Connections at the same time; more wait in the kernel.
const CONNECTIONS: usize = 16;
/// Questions of one connection, and how long it may be idle.
const QUESTIONS: usize = 1024;
const IDLE: Duration = Duration::from_secs(10);
/// A question is never longer; more is no question.
const DATAGRAM: usize = 4096;

/// Whom to ask about names that are no container's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// The host's own servers, whichever they are at that moment.
    Host,
    /// These.
    Servers(Vec<IpAddr>),
    /// Nobody: the container has no way out.
    Nobody,
}

/// What the server has to know of its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The ids of its networks; the first that knows a name answers.
    pub networks: Vec<String>,
    /// Names that only this container uses for others (`--link`), in small letters.
    pub links: HashMap<String, String>,
    /// Whom to ask about the rest.
    pub upstream: Upstream,
}

/// One container that asks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    settings: Arc<RwLock<Arc<Settings>>>,
    zones: Arc<Zones>,
    host: Arc<HostServers>,
    turn: Arc<AtomicUsize>,
    passing: Arc<Semaphore>,
}

impl Client {
    /// A container with these settings.
    pub fn new(settings: Settings, zones: Arc<Zones>, host: Arc<HostServers>) -> Self {
        Self {
            settings: Arc::new(RwLock::new(Arc::new(settings))),
            zones,
            host,
            turn: Arc::default(),
            passing: Arc::new(Semaphore::new(PASSED_ON)),
        }
    }

    /// Gives it other settings, from the next question on.
    pub fn set(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The answer that is known here, or the question to be passed on.
    fn answer(&self, packet: &[u8], udp: bool) -> Reply {
        let asked = match Question::parse(packet) {
            Ok(asked) => asked,
            Err(Unreadable::Ignore) => return Reply::Nothing,
            Err(Unreadable::Answer(answer)) => return Reply::Known(answer),
        };
        let settings = self.settings();
        if asked.is_internet() {
            if let Some(address) = asked.reverse() {
                if let Some(name) = self.zones.reverse(&settings.networks, address) {
                    return Reply::Known(asked.answer_name(packet, &name, udp));
                }
            } else {
                let name = settings.links.get(&asked.name).unwrap_or(&asked.name);
                if let Some(mut found) = self.zones.resolve(&settings.networks, name) {
                    self.rotate(&mut found);
                    return Reply::Known(asked.answer(packet, &found, udp));
                }
            }
        }
        let servers = match &settings.upstream {
            Upstream::Host => self.host.get(),
            Upstream::Servers(servers) => servers.clone(),
            Upstream::Nobody => Vec::new(),
        };
        if servers.is_empty() {
            return Reply::Known(asked.refuse(packet, Code::Failed));
        }
        Reply::Elsewhere(asked, servers)
    }

    /// Each question begins with another address.
    fn rotate(&self, addresses: &mut [IpAddr]) {
        if addresses.len() > 1 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            addresses.rotate_left(turn % addresses.len());
        }
    }
}

enum Reply {
    Nothing,
    Known(Vec<u8>),
    Elsewhere(Question, Vec<IpAddr>),
}

/// A server at work; dropping it closes its sockets, and so gives up the container's namespace.
#[derive(Debug)]
pub struct Serving([AbortHandle; 2]);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Begins to answer on these sockets, which are non-blocking; `tcp` listens. Needs a tokio runtime.
pub fn serve(client: Client, udp: OwnedFd, tcp: OwnedFd) -> io::Result<Serving> {
    let udp = UdpSocket::from_std(udp.into())?;
    let tcp = TcpListener::from_std(tcp.into())?;
    let datagrams = tokio::spawn(datagrams(client.clone(), Arc::new(udp)));
    let connections = tokio::spawn(connections(client, tcp));
    Ok(Serving([datagrams.abort_handle(), connections.abort_handle()]))
}

async fn datagrams(client: Client, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; DATAGRAM];
    let mut passing = JoinSet::new();
    let (mut begun, mut count) = (Instant::now(), 0);
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An earlier answer went to a port that is closed by now.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => {
                tracing::debug!("name server of a container: {error}");
                return;
            }
        };
        match client.answer(&buffer[..length], true) {
            Reply::Nothing => {}
            Reply::Known(answer) => {
                // A full queue loses it, as the network would.
                socket.try_send_to(&answer, from).ok();
            }
            Reply::Elsewhere(asked, servers) => {
                let packet = buffer[..length].to_vec();
                match Arc::clone(&client.passing).try_acquire_owned() {
                    Ok(permit) => {
                        let socket = Arc::clone(&socket);
                        passing.spawn(async move {
                            let found = forward::ask(&servers, &asked, &packet, true).await;
                            let failed = || asked.refuse(&packet, Code::Failed);
                            socket.send_to(&found.unwrap_or_else(failed), from).await.ok();
                            drop(permit);
                        });
                    }
                    Err(_) => {
                        socket.try_send_to(&asked.refuse(&packet, Code::Refused), from).ok();
                    }
                }
            }
        }
        while passing.try_join_next().is_some() {}
        count += 1;
        if count % AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
        if count >= PER_INTERVAL {
            // A flood waits, and is lost in the kernel when it goes on.
            let left = INTERVAL.saturating_sub(begun.elapsed());
            if !left.is_zero() {
                tokio::time::sleep(left).await;
            }
            (begun, count) = (Instant::now(), 0);
        }
    }
}

async fn connections(client: Client, listener: TcpListener) {
    let mut open = JoinSet::new();
    loop {
        while open.len() >= CONNECTIONS {
            open.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                open.spawn(connection(client.clone(), stream));
            }
            Err(error) => {
                tracing::debug!("name server of a container: {error}");
                // No descriptor is left, perhaps; that passes.
                tokio::time::sleep(INTERVAL).await;
            }
        }
        while open.try_join_next().is_some() {}
    }
}

async fn connection(client: Client, mut stream: TcpStream) {
    for _ in 0..QUESTIONS {
        let Ok(Some(packet)) = timeout(IDLE, read(&mut stream)).await else { return };
        let answer = match client.answer(&packet, false) {
            Reply::Nothing => return,
            Reply::Known(answer) => answer,
            Reply::Elsewhere(asked, servers) => {
                let Ok(_permit) = client.passing.acquire().await else { return };
                let found = forward::ask(&servers, &asked, &packet, false).await;
                found.unwrap_or_else(|| asked.refuse(&packet, Code::Failed))
            }
        };
        let Ok(length) = u16::try_from(answer.len()) else { return };
        let framed = [&length.to_be_bytes()[..], &answer].concat();
        if !matches!(timeout(IDLE, stream.write_all(&framed)).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = usize::from(stream.read_u16().await.ok()?);
    if length > DATAGRAM {
        return None;
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await.ok()?;
    Some(packet)
}

//! Passing a question on, and its answer back.

use crate::packet::{self, Question};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Servers that are asked about one question, and how long each: together less than the five seconds for which clients
/// wait.
const SERVERS: usize = 3;
const PATIENCE: Duration = Duration::from_millis(1500);
/// The largest answer over UDP that is passed on.
const DATAGRAM: usize = 4096;
const PORT: u16 = 53;
const SERVER_FAILED: u8 = 2;
const REFUSED: u8 = 5;

/// The answer of the first server that knows; `None` when none answers.
pub(crate) async fn ask(
    servers: &[IpAddr],
    asked: &Question,
    packet: &[u8],
    udp: bool,
) -> Option<Vec<u8>> {
    let mut last = None;
    for server in servers.iter().take(SERVERS) {
        let server = SocketAddr::new(*server, PORT);
        let answer = async {
            if udp {
                by_datagram(server, asked, packet).await
            } else {
                by_connection(server, asked, packet).await
            }
        };
        match timeout(PATIENCE, answer).await {
            Ok(Some(answer)) if !matches!(packet::code(&answer), SERVER_FAILED | REFUSED) => {
                return Some(answer);
            }
            Ok(Some(answer)) => last = Some(answer),
            _ => {}
        }
    }
    last
}

/// The question with a number of our own, and that number: who answers for a server must know it, and the port.
fn renumbered(packet: &[u8]) -> Option<(Vec<u8>, u16)> {
    let mut number = [0; 2];
    let got = rustix::rand::getrandom(&mut number[..], rustix::rand::GetRandomFlags::empty());
    got.ok()?;
    let mut sent = packet.to_vec();
    sent.get_mut(..2)?.copy_from_slice(&number);
    Some((sent, u16::from_be_bytes(number)))
}

fn with_number_of(packet: &[u8], mut answer: Vec<u8>) -> Vec<u8> {
    answer[..2].copy_from_slice(&packet[..2]);
    answer
}

async fn by_datagram(server: SocketAddr, asked: &Question, packet: &[u8]) -> Option<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
    // A socket for each question: the kernel draws its port.
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    let (sent, number) = renumbered(packet)?;
    socket.send(&sent).await.ok()?;
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        // What is no answer to this is somebody's guess.
        if asked.is_answered_by(packet, number, &buffer[..length]) {
            buffer.truncate(length);
            return Some(with_number_of(packet, buffer));
        }
    }
}

async fn by_connection(server: SocketAddr, asked: &Question, packet: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    let (sent, number) = renumbered(packet)?;
    let mut framed = u16::try_from(sent.len()).ok()?.to_be_bytes().to_vec();
    framed.extend_from_slice(&sent);
    stream.write_all(&framed).await.ok()?;
    let length = stream.read_u16().await.ok()?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.ok()?;
    let fits = asked.is_answered_by(packet, number, &answer);
    fits.then(|| with_number_of(packet, answer))
}

//! A registry that says whatever a test wants.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// An answer: bytes as they go out, and what happens then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    /// These bytes again and again, until the client has enough.
    pub(crate) forever: Vec<u8>,
    /// The connection stays open without a word.
    pub(crate) hang: bool,
}

/// A running registry; it ends with the test's runtime.
#[derive(Debug)]
pub(crate) struct Liar {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Liar {
    /// Answers each request by `answer`.
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, seen) = (Arc::new(answer), Arc::new(Mutex::new(Vec::new())));
        let requests = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
                tokio::spawn(async move {
                    serve(stream, &*answer, &requests).await;
                });
            }
        });
        Self { address, seen }
    }

    /// All requests until now.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: &(impl Fn(&Seen) -> Answer + Send + Sync),
    requests: &Mutex<Vec<Seen>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.ok()?;
        if head.is_empty() && byte == 0x16 {
            // A TLS handshake: the beginning of an answer, and no more.
            stream.write_all(&[0x16, 3, 3, 0, 99, 2]).await.ok()?;
            return None;
        }
        head.push(byte);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    let length = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let (authorization, range) = (header("authorization"), header("range"));
    let seen = Seen { method, path, authorization, range, body };
    requests.lock().unwrap().push(seen.clone());
    let answer = answer(&seen);
    stream.write_all(&answer.bytes).await.ok()?;
    while !answer.forever.is_empty() {
        stream.write_all(&answer.forever).await.ok()?;
    }
    if answer.hang {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    Some(())
}

/// An answer with a status line, headers and a body of the length that is told.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut bytes = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    Answer { bytes: [bytes.as_bytes(), body].concat(), ..Answer::default() }
}

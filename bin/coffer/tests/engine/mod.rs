//! An engine for tests: a thread that answers on a unix socket in a directory of its own.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// The container id that `ID` in a call stands for.
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// One prepared answer.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status and a body of JSON.
    Json(u16, String),
    /// 101, these bytes, and the end.
    Upgrade(Vec<u8>),
    /// 101, then what comes in goes out again as frames, until it ends.
    Echo,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Json(status, body.to_owned())
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::Json(status, String::new())
    }

    pub(crate) fn upgrade(bytes: &[u8]) -> Self {
        Self::Upgrade(bytes.to_vec())
    }
}

#[derive(Debug, Default)]
struct Shared {
    replies: Vec<(String, Reply)>,
    calls: Vec<(String, Vec<u8>)>,
}

/// The engine; its directory goes with it.
#[derive(Debug)]
pub(crate) struct Engine {
    directory: tempfile::TempDir,
    shared: Arc<Mutex<Shared>>,
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Engine {
    pub(crate) fn start(replies: Vec<(&str, Reply)>) -> Self {
        Self::start_speaking("1.50", replies)
    }

    pub(crate) fn start_speaking(version: &'static str, replies: Vec<(&str, Reply)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        let replies =
            replies.into_iter().map(|(call, reply)| (call.replace("ID", ID), reply)).collect();
        let shared = Arc::new(Mutex::new(Shared { replies, calls: Vec::new() }));
        let state = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                std::thread::spawn(move || serve(stream, version, &state));
            }
        });
        Self { directory, shared }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    pub(crate) fn run(&self, words: &[&str]) -> Done {
        self.run_with(words, b"")
    }

    pub(crate) fn run_with(&self, words: &[&str], input: &[u8]) -> Done {
        let host = format!("unix://{}", self.socket().display());
        program(words, &[("DOCKER_HOST", &host), ("DOCKER_CONFIG", "/nonexistent")], input)
    }

    /// What was asked, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.shared.lock().unwrap().calls.iter().map(|(call, _)| call.clone()).collect()
    }

    /// The body of the first call whose path has this in it.
    pub(crate) fn body(&self, part: &str) -> Value {
        let shared = self.shared.lock().unwrap();
        let (_, body) = shared.calls.iter().find(|(call, _)| call.contains(part)).unwrap();
        serde_json::from_slice(body).unwrap()
    }
}

/// Runs the program under the name `docker`.
pub(crate) fn program(words: &[&str], variables: &[(&str, &str)], input: &[u8]) -> Done {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
    for name in ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_API_VERSION", "DOCKER_TLS_VERIFY"] {
        command.env_remove(name);
    }
    command.arg0("docker").args(words).envs(variables.iter().copied());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read has closed its end already.
    drop(child.stdin.take().unwrap().write_all(input));
    let output = child.wait_with_output().unwrap();
    Done {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn serve(stream: UnixStream, version: &str, shared: &Mutex<Shared>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((call, body)) = request(&mut reader) {
        let mut writer = &stream;
        let reply = {
            let mut shared = shared.lock().unwrap();
            shared.calls.push((call.clone(), body));
            let path = call.split('?').next().unwrap().replace(&format!("/v{version}"), "");
            let found = shared.replies.iter().position(|(wanted, _)| *wanted == path);
            found.map(|at| shared.replies.remove(at).1)
        };
        let sent = match reply {
            None if call.ends_with("/_ping") => {
                write!(
                    writer,
                    "HTTP/1.1 200 OK\r\nApi-Version: {version}\r\nOstype: linux\r\nContent-Length: 0\r\n\r\n"
                )
            }
            None => answer(&stream, 404, "{\"message\":\"page not found\"}"),
            Some(Reply::Json(status, body)) => answer(&stream, status, &body),
            Some(Reply::Upgrade(bytes)) => return upgrade(&stream, &bytes),
            Some(Reply::Echo) => return echo(&stream, reader),
        };
        if sent.is_err() {
            return;
        }
    }
}

fn request(reader: &mut BufReader<UnixStream>) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let call = format!("{} {}", words.next()?, words.next()?);
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((call, body))
}

fn answer(mut stream: &UnixStream, status: u16, body: &str) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const UPGRADED: &[u8] =
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\
    Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

fn upgrade(mut stream: &UnixStream, bytes: &[u8]) {
    stream.write_all(UPGRADED).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
}

fn echo(mut stream: &UnixStream, mut reader: BufReader<UnixStream>) {
    stream.write_all(UPGRADED).unwrap();
    let mut typed = Vec::new();
    reader.read_to_end(&mut typed).unwrap();
    stream.write_all(&[1, 0, 0, 0]).unwrap();
    stream.write_all(&u32::try_from(typed.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&typed).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
}

//! A server on a temporary unix socket, and clients that send exactly the bytes they are told to.

use api_server::{Options, Server};
use engine::{Config, Engine, Workers};
use messages::control::{Control, Listener, Role};
use messages::{network, storage, task};
use sha2::Digest as _;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use transport::{Client, Connection, Handler, Incoming, Server as Worker, encode, pair};

/// A worker that answers at once what a function says.
struct Says<F>(F);

impl<R: messages::Request, F: FnMut(R) -> R::Reply> Handler<R> for Says<F> {
    fn request(&mut self, incoming: Incoming<R>) {
        let reply = (self.0)(incoming.request);
        incoming.responder.answer(Ok((reply, Vec::new())));
    }
}

/// A layer's size is 1000 bytes, a volume's 4096.
fn storage(request: storage::Request) -> storage::Reply {
    match request {
        storage::Request::Unpack { .. } => storage::Reply::Unpacked { size: 1000 },
        storage::Request::VolumeUsage { .. } | storage::Request::Usage { .. } => {
            storage::Reply::Usage { bytes: 4096 }
        }
        storage::Request::List => storage::Reply::Snapshots(Vec::new()),
        storage::Request::VolumeList => storage::Reply::Volumes(Vec::new()),
        _ => storage::Reply::Done,
    }
}

fn network(request: network::Request) -> network::Reply {
    match request {
        network::Request::HostRoutes => network::Reply::Routes(Vec::new()),
        _ => network::Reply::Done,
    }
}

fn task(request: task::Request) -> task::Reply {
    match request {
        task::Request::List => task::Reply::Tasks(Vec::new()),
        _ => task::Reply::Done,
    }
}

/// A worker's thread, which ends with this.
struct Working {
    control: Connection,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Working {
    fn start<R: messages::Request>(
        client: &Client<R>,
        says: impl FnMut(R) -> R::Reply + Send + 'static,
    ) -> Self {
        let (control, theirs) = pair().unwrap();
        let mut says = Says(says);
        let thread = std::thread::spawn(move || Worker::<R>::new(theirs).run(&mut says).unwrap());
        let control = Connection::from(control);
        let (ours, theirs) = pair().unwrap();
        let peer = encode(&Control::Peer(Role::Api)).unwrap();
        control.send(transport::Kind::Oneway, 0, &peer, &[theirs.as_fd()]).unwrap();
        client.connect(ours).unwrap();
        Self { control, thread: Some(thread) }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let stop = encode(&Control::Stop).unwrap();
        self.control.send(transport::Kind::Oneway, 0, &stop, &[]).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// A running server; it ends with this.
pub(crate) struct Api {
    directory: TempDir,
    server: Server,
    serving: Vec<JoinHandle<()>>,
    _workers: [Working; 3],
}

impl Api {
    /// Starts a server on a unix socket.
    pub(crate) async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts a server that behaves as `options` say.
    pub(crate) async fn start_with(options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let workers = Workers::new();
        let working = [
            Working::start(&workers.storage, storage),
            Working::start(&workers.network, network),
            Working::start(&workers.task, task),
        ];
        let data_root = directory.path().join("data");
        for part in ["meta", "content", "containers"] {
            std::fs::create_dir_all(data_root.join(part)).unwrap();
        }
        let exec_root = directory.path().join("exec");
        std::fs::create_dir_all(&exec_root).unwrap();
        let config = Config { data_root, exec_root, ..Config::default() };
        let engine = Engine::open(config, workers).await.unwrap();
        let server = Server::new(engine, options);
        let mut api = Self { directory, server, serving: Vec::new(), _workers: working };
        let listener = std::os::unix::net::UnixListener::bind(api.socket()).unwrap();
        api.serve(listener.into(), Listener::Unix(api.socket().display().to_string()));
        api
    }

    /// Serves another listening socket.
    pub(crate) fn serve(&mut self, socket: OwnedFd, listener: Listener) {
        let server = self.server.clone();
        self.serving
            .push(tokio::spawn(async move { server.serve(socket, &listener).await.unwrap() }));
    }

    /// The path of the unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("api.sock")
    }

    /// A directory for the test's own files.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends the server; returns when all connections are over.
    pub(crate) async fn stop(mut self) {
        self.server.stop();
        for serving in self.serving.drain(..) {
            serving.await.unwrap();
        }
    }

    /// Sends `request` as it is and reads to the end of the connection.
    pub(crate) async fn raw(&self, request: impl Into<Vec<u8>>) -> Answer {
        let (socket, request) = (self.socket(), request.into());
        let bytes = tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.write_all(&request).unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            bytes
        });
        Answer::parse(&bytes.await.unwrap())
    }

    /// A request without a body.
    pub(crate) async fn call(&self, method: &str, target: &str) -> Answer {
        self.raw(format!("{method} {target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"))
            .await
    }

    /// A request with a body of a type.
    pub(crate) async fn send(&self, method: &str, target: &str, kind: &str, body: &[u8]) -> Answer {
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.raw(request).await
    }

    /// A request with a JSON body.
    pub(crate) async fn json(&self, method: &str, target: &str, body: &str) -> Answer {
        self.send(method, target, "application/json", body.as_bytes()).await
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.stop();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// Names and values, as they came.
    pub(crate) headers: Vec<(String, String)>,
    /// The body without its chunks.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap();
        let (status, reason) = line.strip_prefix("HTTP/1.1 ").unwrap().split_once(' ').unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let chunked = headers.iter().any(|(name, _)| name == "Transfer-Encoding");
        let body = &bytes[end + 4..];
        let body = if chunked { unchunk(body) } else { body.to_vec() };
        Self { status: status.parse().unwrap(), reason: reason.to_owned(), headers, body }
    }

    /// The value of a header in its exact spelling.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The sentence of an error.
    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|w| w == b"\r\n").expect("a chunk has a length");
        let length =
            usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 4 + length..];
    }
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// A tar of the given files.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// An archive as `docker save` writes it, with one image of this name that has the host's busybox; and the image's id.
pub(crate) fn saved_busybox(name: &str) -> (Vec<u8>, String) {
    let busybox = std::fs::read("/bin/busybox").unwrap();
    let layer = tar(&[("bin/busybox", &busybox), ("bin/sh", &busybox)]);
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z", "author": "nobody",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], "Labels": {"team": "a"}},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))]},
        "history": [{"created": "2024-01-02T03:04:05Z", "created_by": "ADD busybox"}],
    })
    .to_string();
    let id = sha256(config.as_bytes());
    let manifest = serde_json::json!([{
        "Config": format!("{id}.json"), "RepoTags": [name], "Layers": ["layer.tar"],
    }])
    .to_string();
    let archive = tar(&[
        ("layer.tar", &layer),
        (&format!("{id}.json"), config.as_bytes()),
        ("manifest.json", manifest.as_bytes()),
    ]);
    (archive, format!("sha256:{id}"))
}

//! A registry on a free port, and a client that sends what it is told to, byte for byte.

use registry::{Options, Registry};
use repositories::{Algorithm, Digest, Store};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// A registry that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) registry: Registry,
    pub(crate) store: Store,
    pub(crate) directory: tempfile::TempDir,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Running {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let registry = Registry::new(store.clone(), options).unwrap();
        let listener =
            runtime.block_on(async { tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap() });
        let address = listener.local_addr().unwrap();
        let serving = registry.clone();
        runtime.spawn(async move { serving.serve(listener).await });
        Self { address, registry, store, directory, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends one request with a body of a known length and reads the answer.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        ask(self.address, method, path, headers, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    /// Pushes a blob in one request.
    pub(crate) fn push_blob(&self, name: &str, bytes: &[u8]) -> String {
        let digest = sha256(bytes);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        let answer = self.ask("POST", &path, &[], bytes);
        assert_eq!(answer.status, 201, "{}", answer.text());
        digest
    }

    /// Pushes an image of one layer; answers the manifest and its digest.
    pub(crate) fn push_image(&self, name: &str, tag: &str, layer: &[u8]) -> (String, String) {
        let (config, blob) = (self.push_blob(name, b"{}"), self.push_blob(name, layer));
        let text = image(&config, 2, &blob, layer.len());
        let answer = self.put_manifest(name, tag, &text);
        assert_eq!(answer.status, 201, "{}", answer.text());
        (text.clone(), sha256(text.as_bytes()))
    }

    pub(crate) fn put_manifest(&self, name: &str, reference: &str, text: &str) -> Answer {
        let path = format!("/v2/{name}/manifests/{reference}");
        self.ask("PUT", &path, &[("Content-Type", IMAGE)], text.as_bytes())
    }

    /// Files below a directory of the store.
    pub(crate) fn files(&self, below: &str) -> usize {
        files(&self.directory.path().join(below))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.registry.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Digest::of(Algorithm::Sha256, bytes).to_string()
}

/// A manifest with spaces that no serializer would write.
pub(crate) fn image(config: &str, config_size: usize, layer: &str, layer_size: usize) -> String {
    format!(
        r#"{{ "schemaVersion":2,  "mediaType":"{IMAGE}","config":{{"mediaType":"c/t","digest":"{config}","size":{config_size}}},"layers":[{{"mediaType":"l/t","digest":"{layer}","size":{layer_size}}}] }}"#
    )
}

fn files(path: &Path) -> usize {
    let entries = std::fs::read_dir(path).into_iter().flatten().map(Result::unwrap);
    entries.map(|e| if e.file_type().unwrap().is_dir() { files(&e.path()) } else { 1 }).sum()
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection ended before the body did.
    pub(crate) cut: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of the error.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = connect(address);
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || !matches!(method, "GET" | "HEAD") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // A server that refuses early may close before it has everything.
    stream.write_all(body).unwrap_or_default();
    read_answer(&mut stream, method == "HEAD")
}

/// Reads an answer until its end or that of the connection.
pub(crate) fn read_answer(stream: &mut impl Read, bodiless: bool) -> Answer {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<_> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new(), cut: false };
    if bodiless || matches!(status, 204 | 304) {
        return answer;
    }
    match answer.header("Content-Length").parse::<usize>() {
        Ok(length) => {
            let read = stream.take(length as u64).read_to_end(&mut answer.body);
            answer.cut = read.is_err() || answer.body.len() < length;
        }
        Err(_) => {
            let read = stream.read_to_end(&mut answer.body);
            answer.cut = read.is_err() || !answer.body.ends_with(b"0\r\n\r\n");
        }
    }
    answer
}

/// `length` bytes that do not compress and do not repeat soon.
pub(crate) fn bytes(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

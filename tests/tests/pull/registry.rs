//! A registry that a test controls: it serves a directory, writes down what it sent, and is slow or breaks connections
//! when it is told to.
//!
//! ```text
//! tags/<tag>      the digest of a manifest      blobs/<hex>   manifests, configurations, layers
//! cut             bytes after which each answer with a blob breaks off, while the file exists
//! slow            each 32 KiB of a blob take 20 ms, while the file exists
//! log             a line for each blob: `<hex> <from> <sent>`, at its end
//! begun           a line for each request of a blob, at its beginning
//! ```

use e2e::{Engine, eventually};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The variable that makes this test's program a registry, and names the directory.
pub(crate) const SERVE: &str = "COFFER_TEST_REGISTRY";
/// The port in the engine's network namespace.
const PORT: u16 = 5000;

/// A registry in an engine's network namespace.
pub(crate) struct Registry {
    directory: TempDir,
    child: Child,
}

impl Registry {
    /// A registry that answers.
    pub(crate) fn start(engine: &Engine) -> Self {
        let directory = TempDir::new().unwrap();
        for name in ["tags", "blobs"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let own = std::env::current_exe().unwrap().display().to_string();
        let child = engine
            .space()
            .command(&own)
            .args(["--exact", "serve_a_registry", "--nocapture"])
            .env(SERVE, directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self { directory, child };
        eventually("the registry listens", || registry.path("ready").exists());
        registry
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The name of one of its images, for the engine.
    pub(crate) fn name(&self, tag: &str) -> String {
        format!("127.0.0.1:{PORT}/test/image:{tag}")
    }

    /// Sets or takes away one of the files that say how it behaves.
    pub(crate) fn behave(&self, name: &str, value: Option<&str>) {
        match value {
            Some(text) => std::fs::write(self.path(name), text).unwrap(),
            None => std::fs::remove_file(self.path(name)).unwrap_or_default(),
        }
    }

    /// Puts a blob in; its digest.
    pub(crate) fn put(&self, bytes: &[u8]) -> String {
        let new = self.path("new");
        std::fs::write(&new, bytes).unwrap();
        let hex = sha256(&new);
        std::fs::rename(new, self.path("blobs").join(&hex)).unwrap();
        format!("sha256:{hex}")
    }

    /// Puts an image of these layers' tars in, compressed with gzip, under a tag; the layers' digests and sizes.
    pub(crate) fn put_image(&self, tag: &str, tars: &[Vec<u8>]) -> BTreeMap<String, u64> {
        let (mut layers, mut diff_ids, mut sizes) = (Vec::new(), Vec::new(), BTreeMap::new());
        for tar in tars {
            let plain = self.path("plain");
            std::fs::write(&plain, tar).unwrap();
            diff_ids.push(format!("sha256:{}", sha256(&plain)));
            let output = Command::new("gzip").args(["-nc", "-1"]).arg(&plain).output().unwrap();
            let digest = self.put(&output.stdout);
            let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
            layers.push(json!({"mediaType": kind, "digest": digest, "size": output.stdout.len()}));
            sizes.insert(digest["sha256:".len()..].to_owned(), output.stdout.len() as u64);
        }
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        self.put_manifest(tag, &config, json!(layers));
        sizes
    }

    /// Puts a configuration and a manifest in, under a tag.
    pub(crate) fn put_manifest(&self, tag: &str, config: &Value, layers: Value) {
        let config = config.to_string();
        let digest = self.put(config.as_bytes());
        let kind = "application/vnd.oci.image.config.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": kind, "digest": digest, "size": config.len()},
            "layers": layers,
        });
        self.put_document(tag, &manifest);
    }

    /// Puts any document in, under a tag; its digest.
    pub(crate) fn put_document(&self, tag: &str, document: &Value) -> String {
        let digest = self.put(document.to_string().as_bytes());
        std::fs::write(self.path("tags").join(tag), &digest).unwrap();
        digest
    }

    /// Bytes that were sent of each blob until now.
    pub(crate) fn sent(&self) -> BTreeMap<String, u64> {
        let mut sent = BTreeMap::new();
        for line in std::fs::read_to_string(self.path("log")).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            *sent.entry(words[0].to_owned()).or_default() += words[2].parse::<u64>().unwrap();
        }
        sent
    }

    /// The blobs that were asked for, in their order.
    pub(crate) fn begun(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("begun")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

/// Serves until it is killed.
pub(crate) fn serve(directory: &Path) {
    let listener = TcpListener::bind(("127.0.0.1", PORT)).unwrap();
    std::fs::write(directory.join("ready"), "").unwrap();
    for stream in listener.incoming().flatten() {
        let directory = directory.to_owned();
        std::thread::spawn(move || answer(&directory, stream));
    }
}

fn answer(directory: &Path, mut stream: TcpStream) -> Option<()> {
    let mut head = Vec::new();
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    if *reader.fill_buf().ok()?.first()? == 0x16 {
        // TLS, which is not spoken here.
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").ok();
    }
    loop {
        let before = head.len();
        reader.read_until(b'\n', &mut head).ok()?;
        match &head[before..] {
            [] => return None,
            b"\r\n" => break,
            _ => {}
        }
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    let range = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": bytes=")?;
        name.eq_ignore_ascii_case("range").then(|| value.trim_end_matches('-').to_owned())
    });
    let name = path.rsplit('/').next()?;
    if path.contains("/manifests/") {
        let digest = match name.strip_prefix("sha256:") {
            Some(_) => name.to_owned(),
            None => std::fs::read_to_string(directory.join("tags").join(name)).unwrap_or_default(),
        };
        let hex = digest.strip_prefix("sha256:").unwrap_or("none");
        let Ok(bytes) = std::fs::read(directory.join("blobs").join(hex)) else {
            let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
            let length = body.len();
            let text = format!(
                "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            return stream.write_all(text.as_bytes()).ok();
        };
        let length = bytes.len();
        let text =
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(text.as_bytes()).ok()?;
        return stream.write_all(&bytes).ok();
    }
    let hex = name.strip_prefix("sha256:")?.to_owned();
    note(directory, "begun", &hex);
    let mut file = File::open(directory.join("blobs").join(&hex)).ok()?;
    let size = file.metadata().ok()?.len();
    let from: u64 = range.and_then(|text| text.parse().ok()).unwrap_or(0);
    file.seek(std::io::SeekFrom::Start(from)).ok()?;
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let text = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{size}\r\n\r\n",
        size - from,
        size.saturating_sub(1)
    );
    stream.write_all(text.as_bytes()).ok()?;
    let sent = send(directory, &mut file, &mut stream);
    note(directory, "log", &format!("{hex} {from} {sent}"));
    Some(())
}

/// Sends a file's rest as the files in the directory say; how many bytes went out.
fn send(directory: &Path, file: &mut File, stream: &mut TcpStream) -> u64 {
    let number = |name: &str| std::fs::read_to_string(directory.join(name)).ok()?.parse().ok();
    let limit: u64 = number("cut").unwrap_or(u64::MAX);
    let mut sent = 0;
    let mut buffer = vec![0; 32 << 10];
    while sent < limit {
        let room = usize::try_from(limit - sent).unwrap_or(buffer.len()).min(buffer.len());
        let Ok(length @ 1..) = file.read(&mut buffer[..room]) else { break };
        if stream.write_all(&buffer[..length]).is_err() {
            break;
        }
        sent += length as u64;
        if directory.join("slow").exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    sent
}

fn note(directory: &Path, name: &str, line: &str) {
    let path = directory.join(name);
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    // One write: lines of several threads do not mix.
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

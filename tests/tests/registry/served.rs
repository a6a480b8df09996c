//! A coffer-registry process, and images to push to it.

use e2e::{Said, image, program};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// `htpasswd -nbB -C 4 ann secret`.
const PASSWORD: &str = "ann:$2y$04$8G3kx1tPpKEiWWz43CCvvO7uV2H0.jenrR3f6YOJzNEjtro3aCSP.\n";

/// A registry that is killed when dropped.
pub(crate) struct Served {
    pub(crate) directory: TempDir,
    pub(crate) address: String,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Served {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_as(arguments, |program| Command::new(program))
    }

    /// Starts it as the command that `command` makes of its program: in a namespace, for example.
    pub(crate) fn start_as(arguments: &[&str], command: impl FnOnce(&Path) -> Command) -> Self {
        let directory = TempDir::with_prefix("coffer-registry-").unwrap();
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        let mut served = Self { directory, address: String::new(), arguments, child: None };
        served.launch(command(&program("coffer-registry")));
        served
    }

    /// Starts it again on the same store and the same address.
    pub(crate) fn restart(&mut self) {
        self.launch(Command::new(program("coffer-registry")));
    }

    fn launch(&mut self, mut command: Command) {
        let listen = match self.address.as_str() {
            "" => "127.0.0.1:0".to_owned(),
            address => address.to_owned(),
        };
        let log = fs::File::create(self.log()).unwrap();
        command
            .args(["--root", self.root().to_str().unwrap(), "--listen", &listen])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
        let start = Instant::now();
        self.address = loop {
            let text = fs::read_to_string(self.log()).unwrap();
            let line = text.lines().find_map(|line| line.split("serving on ").nth(1));
            if let Some(address) = line.filter(|_| text.ends_with('\n')) {
                break address.to_owned();
            }
            assert!(start.elapsed() < Duration::from_secs(60), "no registry: {text}");
            std::thread::sleep(Duration::from_millis(10));
        };
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends a signal and waits for the end; answers the exit code, or none after a kill.
    pub(crate) fn end(&mut self, signal: &str) -> Option<i32> {
        e2e::send(signal, self.pid());
        self.child.take().unwrap().wait().unwrap().code()
    }

    /// What `coffer-registry check` says of the store.
    pub(crate) fn check(&self) -> Said {
        let root = self.root();
        let mut command = Command::new(program("coffer-registry"));
        command.arg("check").arg("--root").arg(root).output().unwrap().into()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// A certificate for 127.0.0.1 and a password file, and the flags that use them.
pub(crate) fn secured(directory: &Path) -> Vec<String> {
    let path = |name: &str| directory.join(name).display().to_string();
    let status = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", &path("key.pem"), "-out", &path("ca.crt")])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    fs::write(path("users"), PASSWORD).unwrap();
    let flags = [("certificate", "ca.crt"), ("key", "key.pem")];
    let mut arguments: Vec<String> =
        flags.iter().flat_map(|(flag, name)| [format!("--tls-{flag}"), path(name)]).collect();
    arguments.extend(["--htpasswd".to_owned(), path("users")]);
    arguments
}

/// Runs a client that must succeed; answers what it printed.
#[track_caller]
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    Said::from(command.output().unwrap()).text()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    run("sha256sum", &[file.path().to_str().unwrap()])[..64].to_owned()
}

/// An image of as many layers as there are texts, as skopeo's `dir:` keeps it; answers its manifest.
pub(crate) fn image_directory(directory: &Path, layers: &[&[u8]]) -> String {
    fs::create_dir_all(directory).unwrap();
    let add = |bytes: &[u8]| {
        let digest = sha256(bytes);
        fs::write(directory.join(&digest), bytes).unwrap();
        (digest, bytes.len())
    };
    let kind = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let (mut ids, mut parts) = (Vec::new(), Vec::new());
    for (number, content) in layers.iter().enumerate() {
        let tar = image::tar_of(&format!("file{number}"), &String::from_utf8_lossy(content));
        ids.push(format!("\"sha256:{}\"", sha256(&tar)));
        let (digest, size) = add(&gzip(&tar));
        parts.push(format!(r#"{{"mediaType":"{kind}","digest":"sha256:{digest}","size":{size}}}"#));
    }
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["sh"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        ids.join(",")
    );
    let (digest, size) = add(config.as_bytes());
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:{digest}","size":{size}}},"layers":[{}]}}"#,
        parts.join(",")
    );
    fs::write(directory.join("manifest.json"), &manifest).unwrap();
    fs::write(directory.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    manifest
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    Command::new("gzip").args(["-nc"]).arg(file.path()).output().unwrap().stdout
}

/// Text that compresses badly.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b' ' + (state % 95) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Files below a directory.
pub(crate) fn files(path: &Path) -> usize {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|e| if e.file_type().is_ok_and(|t| t.is_dir()) { files(&e.path()) } else { 1 })
        .sum()
}

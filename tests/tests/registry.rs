//! coffer-registry as a process, used by the clients that people have.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "registry/served.rs"]
mod served;

use e2e::{Engine, eventually, program};
use served::{Served, files, image_directory, noise, run, secured, sha256};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PLAIN: [&str; 2] = ["--src-tls-verify=false", "--dest-tls-verify=false"];

fn copy(from: &str, to: &str) {
    run("skopeo", &["copy", "-q", PLAIN[0], PLAIN[1], from, to]);
}

fn raw(reference: &str) -> String {
    run("skopeo", &["inspect", "--raw", "--tls-verify=false", reference])
}

#[test]
fn skopeo_pushes_and_pulls_every_kind_of_image_bit_for_bit() {
    let served = Served::start(&[]);
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let manifest = image_directory(Path::new(&path("first")), &[b"one", &noise(300_000, 1)]);
    let remote = |name: &str| format!("docker://{}/{name}", served.address);

    copy(&format!("dir:{}", path("first")), &remote("a/b:v1"));
    assert_eq!(raw(&remote("a/b:v1")), manifest);
    copy(&remote("a/b:v1"), &format!("dir:{}", path("second")));
    let entries = |name: &str| {
        let mut names: Vec<_> = std::fs::read_dir(path(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(entries("first"), entries("second"));
    for name in entries("first") {
        let read = |of: &str| std::fs::read(Path::new(&path(of)).join(&name)).unwrap();
        assert_eq!(read("first"), read("second"), "{}", name.display());
    }
    let by_digest = remote(&format!("a/b@sha256:{}", sha256(manifest.as_bytes())));
    assert_eq!(raw(&by_digest), manifest);

    for kind in ["oci", "docker-archive", "oci-archive"] {
        let local = format!("{kind}:{}", path(kind));
        copy(&remote("a/b:v1"), &local);
        let name = remote(&format!("c/{kind}:x"));
        copy(&local, &name);
        let text = raw(&name);
        copy(&name, &format!("dir:{}", path(&format!("back-{kind}"))));
        let back = Path::new(&path(&format!("back-{kind}"))).join("manifest.json");
        assert_eq!(std::fs::read_to_string(back).unwrap(), text);
    }
    // Between repositories, the blobs are mounted.
    copy(&remote("a/b:v1"), &remote("d:v1"));
    assert_eq!(raw(&remote("d:v1")), manifest);
    let tags = run("skopeo", &["list-tags", "--tls-verify=false", &remote("a/b")]);
    assert!(tags.contains("\"v1\""), "{tags}");
    run("skopeo", &["delete", "--tls-verify=false", &remote("a/b:v1")]);
    assert_eq!(served.check().text(), "0 faults");
}

#[test]
fn with_tls_and_a_password_only_who_knows_it_gets_in() {
    let directory = TempDir::new().unwrap();
    let flags = secured(directory.path());
    let served = Served::start(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let local = directory.path().join("image");
    let manifest = image_directory(&local, &[b"one", &noise(2_000_000, 2)]);
    let remote = format!("docker://{}/a:v1", served.address);
    let certificates = directory.path().join("certificates");
    std::fs::create_dir(&certificates).unwrap();
    std::fs::copy(directory.path().join("ca.crt"), certificates.join("ca.crt")).unwrap();
    let certificates = certificates.display().to_string();
    let local = format!("dir:{}", local.display());
    let push = ["copy", "-q", "--dest-cert-dir", &certificates, "--dest-creds", "ann:secret"];
    run("skopeo", &[&push[..], &[&local, &remote]].concat());
    let inspect = ["inspect", "--raw", "--cert-dir", &certificates, "--creds"];
    let text = run("skopeo", &[&inspect[..], &["ann:secret", &remote]].concat());
    assert_eq!(text, manifest);
    for credentials in ["ann:wrong", "eve:secret"] {
        let mut command = Command::new("skopeo");
        command.args(inspect).args([credentials, &remote]);
        assert!(!command.output().unwrap().status.success(), "{credentials}");
    }
    let back = directory.path().join("back");
    let pull = ["copy", "-q", "--src-cert-dir", &certificates, "--src-creds", "ann:secret"];
    run("skopeo", &[&pull[..], &[&remote, &format!("dir:{}", back.display())]].concat());
    assert_eq!(std::fs::read_to_string(back.join("manifest.json")).unwrap(), manifest);
}

#[test]
fn the_docker_client_pushes_and_pulls_through_cofferd_with_tls_and_a_password() {
    let engine = Engine::with_busybox();
    let directory = TempDir::new().unwrap();
    let flags = secured(directory.path());
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    // In the engine's network; an address of loopback need not have a certificate that is known.
    let served =
        Served::start_as(&flags, |program| engine.space().command(program.to_str().unwrap()));
    let name = format!("{}/team/busybox:v1", served.address);
    let docker = |arguments: &[&str]| {
        let mut command = engine.client("docker", arguments);
        command.env("DOCKER_CONFIG", directory.path().join("docker")).stdin(Stdio::null());
        e2e::Said::from(command.output().unwrap())
    };
    docker(&["tag", "busybox:latest", &name]).text();
    assert_ne!(docker(&["push", &name]).code, 0, "without a login");
    docker(&["login", "-u", "ann", "-p", "secret", &served.address]).text();
    let pushed = docker(&["push", &name]).text();
    let digest = pushed.split("digest: ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let id = docker(&["image", "inspect", "-f", "{{.Id}}", &name]).text();
    docker(&["rmi", &name]).text();
    let pulled = docker(&["pull", &name]).text();
    assert!(pulled.contains(&format!("Digest: {digest}")), "{pulled}");
    assert_eq!(docker(&["image", "inspect", "-f", "{{.Id}}", &name]).text(), id);
    assert_eq!(docker(&["run", "--rm", &name, "echo", "works"]).text(), "works");
    assert_eq!(served.check().text(), "0 faults");
}

/// Clients that share images with skopeo's library but have their own ways of building and storing.
#[test]
fn buildah_and_podman_push_and_pull_where_they_are_installed() {
    let served = Served::start(&[]);
    let directory = TempDir::new().unwrap();
    let local = directory.path().join("image");
    image_directory(&local, &[b"one", &noise(100_000, 3)]);
    let remote = |name: &str| format!("docker://{}/{name}", served.address);
    copy(&format!("dir:{}", local.display()), &remote("base:v1"));
    let path = |name: &str| directory.path().join(name).display().to_string();
    for client in ["buildah", "podman"] {
        if Command::new(client).arg("--version").output().is_err() {
            println!("{client} is not installed");
            continue;
        }
        let (root, state) = (path(&format!("{client}-root")), path(&format!("{client}-run")));
        let base = ["--root", &root, "--runroot", &state, "--storage-driver", "vfs"];
        let call = |arguments: &[&str]| run(client, &[&base[..], arguments].concat());
        let (from, to) = (remote("base:v1"), remote(&format!("by/{client}:v1")));
        call(&["pull", "-q", "--tls-verify=false", &from]);
        let image = format!("{}/base:v1", served.address);
        call(&["push", "-q", "--tls-verify=false", &image, &to]);
        call(&["rmi", &image]);
        call(&["pull", "-q", "--tls-verify=false", &to]);
        let config = |reference: &str| {
            run("skopeo", &["inspect", "--config", "--raw", "--tls-verify=false", reference])
        };
        assert_eq!(config(&from), config(&to), "{client}");
    }
    assert_eq!(served.check().text(), "0 faults");
}

#[test]
fn a_registry_that_is_killed_in_the_middle_of_a_push_has_nothing_half_visible() {
    let mut served = Served::start(&[]);
    let directory = TempDir::new().unwrap();
    let local = directory.path().join("image");
    let layers: Vec<_> = (0..4).map(|n| noise(3_000_000, 10 + n)).collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let manifest = image_directory(&local, &layers);
    let local = format!("dir:{}", local.display());
    // Each time at another point: after so many files have appeared, whatever they are.
    for point in [4, 5, 6, 8, 9, 11, 12, 14, 16] {
        let remote = format!("docker://{}/a{point}:v1", served.address);
        let before = files(&served.root());
        let mut push = Command::new("skopeo")
            .args(["copy", "-q", "--dest-tls-verify=false", &local, &remote])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while files(&served.root()) < before + point && push.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        served.end("KILL");
        push.kill().ok();
        push.wait().unwrap();
        assert_eq!(served.check().text(), "0 faults", "killed after {point} files");
        served.restart();
        copy(&local, &remote);
        assert_eq!(raw(&remote), manifest);
    }
    // What is left of the pushes that were killed are uploads, which the collector takes when they are old enough.
    let config = directory.path().join("config.toml");
    std::fs::write(&config, "[collect]\nuploads = 0\ngrace = 0\n").unwrap();
    let root = served.root().display().to_string();
    let registry = program("coffer-registry").display().to_string();
    let config = config.display().to_string();
    run(&registry, &["collect", "--root", &root, "--config", &config]);
    assert_eq!(files(&served.root().join("blobs")), 5);
    assert_eq!(raw(&format!("docker://{}/a4:v1", served.address)), manifest);
}

#[test]
fn a_stop_lets_running_requests_end_and_takes_no_new_ones() {
    let mut served = Served::start(&[]);
    let digest = format!("sha256:{}", sha256(b"0123456789"));
    let mut stream = TcpStream::connect(&served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234").unwrap();
    let uploads = served.root().join("repositories/a/_uploads");
    eventually("the upload has begun", || files(&uploads) == 1);
    e2e::send("TERM", served.pid());
    let log = served.log();
    eventually("it stops", || std::fs::read_to_string(&log).unwrap().contains("stopping"));
    let address = served.address.clone();
    eventually("nobody listens any more", || TcpStream::connect(&address).is_err());
    stream.write_all(b"56789").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(served.end("TERM"), Some(0));
    assert_eq!(served.check().text(), "0 faults");
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing_behind() {
    let served = Served::start_as(&[], |program| {
        let mut command = Command::new("unshare");
        // The first two arguments are --root and its directory.
        let script = "mkdir -p $2 && mount -t tmpfs -o size=4m tmpfs $2 && exec \"$0\" \"$@\"";
        command.args(["--mount", "sh", "-c", script]).arg(program);
        command
    });
    let send = |method: &str, path: &str, body: &[u8]| {
        let mut stream = TcpStream::connect(&served.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n").unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let push = |bytes: &[u8]| {
        let digest = sha256(bytes);
        send("POST", &format!("/v2/a/blobs/uploads/?digest=sha256:{digest}"), bytes)
    };
    let small = noise(1_000_000, 20);
    assert!(push(&small).starts_with("HTTP/1.1 201 "));
    for seed in 21..24 {
        let answer = push(&noise(8_000_000, seed));
        assert!(answer.starts_with("HTTP/1.1 507 "), "{answer}");
        assert!(answer.contains("store content: the registry has no space left"), "{answer}");
    }
    // What did not fit is gone, so what fits does.
    assert!(push(&noise(1_500_000, 24)).starts_with("HTTP/1.1 201 "));
    let path = format!("/v2/a/blobs/sha256:{}", sha256(&small));
    assert!(send("GET", &path, b"").starts_with("HTTP/1.1 200 "));
}

#[test]
fn the_registry_runs_as_a_container() {
    let engine = Engine::with_busybox();
    let directory = TempDir::new().unwrap();
    let archive = directory.path().join("image.tar").display().to_string();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bin/coffer-registry/image");
    let registry = program("coffer-registry").display().to_string();
    run(script.to_str().unwrap(), &[&archive, &registry]);
    let loaded = engine.docker(&["load", "-i", &archive]).text();
    assert!(loaded.contains("Loaded image: coffer-registry:latest"), "{loaded}");
    engine.docker(&["run", "-d", "--name", "registry", "coffer-registry"]).text();
    let inside = ["run", "--rm", "--network", "container:registry", "busybox"];
    let ask = || {
        let url = "http://127.0.0.1:5000/v2/";
        engine.docker(&[&inside[..], &["wget", "-qO-", url]].concat())
    };
    eventually("the registry answers", || ask().out == "{}");
    engine.docker(&["stop", "registry"]).text();
    let code = engine.docker(&["inspect", "-f", "{{.State.ExitCode}}", "registry"]).text();
    assert_eq!(code, "0");
}

#[test]
fn two_registries_on_one_directory_are_one_registry() {
    let first = Served::start(&[]);
    let second = Command::new(program("coffer-registry"))
        .args(["--root", first.root().to_str().unwrap(), "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut second = Killed(second);
    let mut lines = std::io::BufReader::new(second.0.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
    let address = line.trim().split("serving on ").nth(1).unwrap().to_owned();
    // Else its log would fill the pipe and hold it.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    let directory = TempDir::new().unwrap();
    let manifest = image_directory(directory.path(), &[b"one", &noise(1_000_000, 30)]);
    let local = format!("dir:{}", directory.path().display());
    std::thread::scope(|scope| {
        for number in 0..4 {
            let address = if number % 2 == 0 { &first.address } else { &address };
            let local = &local;
            scope.spawn(move || copy(local, &format!("docker://{address}/a:v{number}")));
        }
    });
    for number in 0..4 {
        assert_eq!(raw(&format!("docker://{address}/a:v{number}")), manifest);
        assert_eq!(raw(&format!("docker://{}/a:v{number}", first.address)), manifest);
    }
    assert_eq!(first.check().text(), "0 faults");
}

/// A process that ends with the test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

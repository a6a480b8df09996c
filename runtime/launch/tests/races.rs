//! Somebody exchanges names as fast as he can while a container starts. What he gains is an error at most.

#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(clippy::let_underscore_must_use, reason = "an attacker does not care")]

mod common;

use common::Bundle;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use spec::oci::{Device, Mount};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Exchanges two names until it is dropped.
struct Exchange {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exchange {
    fn of(a: PathBuf, b: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// How often a start is raced.
const ROUNDS: usize = 30;

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

/// Whether a failure is one of those that an exchanged name may cause, and no other.
fn is_about_a_name(error: &str) -> bool {
    [
        "a symbolic link is in its place",
        "symbolic links",
        "not a directory",
        "file exists",
        "try again",
        "resource temporarily",
        "no such file",
        "something else is there",
        "inside /proc",
        "stale",
    ]
    .iter()
    .any(|part| error.to_lowercase().contains(part))
}

/// CVE-2026-41579, CVE-2026-47766: the image's `/dev` is exchanged with a link to another directory.
#[test]
fn device_nodes_never_land_behind_a_link_that_takes_the_place_of_dev() {
    let outside = tempfile::tempdir().unwrap();
    for _ in 0..ROUNDS {
        let mut bundle = Bundle::new("").args(&["/bin/true"]);
        bundle.spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
        bundle.sources.truncate(bundle.spec.mounts.len());
        let root = bundle.root.path().to_owned();
        fs::create_dir(root.join("dev")).unwrap();
        symlink("tmp", root.join("link")).unwrap();
        let exchange = Exchange::of(root.join("dev"), root.join("link"));
        let tmp = root.join("tmp");
        if let Err(error) = bundle.create().map(|(_created, _output, kept)| {
            assert!(is_empty(&tmp), "nodes behind the link");
            drop(kept);
        }) {
            assert!(is_about_a_name(&error.to_string()), "{error}");
        }
        drop(exchange);
    }
    assert!(is_empty(outside.path()));
}

/// CVE-2019-19921, CVE-2023-27561: the image's `/proc` is exchanged with a link, and kernel parameters are written.
#[test]
fn kernel_parameters_are_written_to_the_kernel_whatever_lies_at_proc() {
    for _ in 0..ROUNDS {
        let mut bundle = Bundle::new("cat /proc/sys/net/ipv4/ip_forward");
        let sysctl = &mut bundle.spec.linux.as_mut().unwrap().sysctl;
        sysctl.insert("net.ipv4.ip_forward".to_owned(), "1".to_owned());
        let root = bundle.root.path().to_owned();
        fs::create_dir(root.join("proc")).unwrap();
        fs::create_dir_all(root.join("tmp/fake/sys/net/ipv4")).unwrap();
        fs::write(root.join("tmp/fake/sys/net/ipv4/ip_forward"), "fake\n").unwrap();
        symlink("tmp/fake", root.join("link")).unwrap();
        let exchange = Exchange::of(root.join("proc"), root.join("link"));
        let created = bundle.create();
        drop(exchange);
        match created {
            Ok((created, output, kept)) => {
                let pid = created.pid();
                // What the namespace has, by the host's own procfs.
                let seen = fs::read_to_string(format!("/proc/{pid}/net/snmp")).unwrap();
                let forwarding = seen.lines().nth(1).unwrap().split(' ').nth(1).unwrap().to_owned();
                assert_eq!(forwarding, "1");
                let fake = kept.path().join("tmp/fake/sys/net/ipv4/ip_forward");
                assert_eq!(fs::read_to_string(fake).unwrap(), "fake\n");
                drop((created, output));
            }
            Err(error) => assert!(is_about_a_name(&error.to_string()), "{error}"),
        }
    }
}

/// CVE-2021-30465 for nodes, made in a volume that another container works in.
#[test]
fn a_node_in_a_shared_volume_lands_in_the_container() {
    let (shared, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(shared.path().join("target")).unwrap();
    symlink(outside.path(), shared.path().join("link")).unwrap();
    let _exchange = Exchange::of(shared.path().join("target"), shared.path().join("link"));
    for _ in 0..ROUNDS {
        let mut bundle = Bundle::new("").args(&["/bin/true"]);
        bundle.bind(shared.path(), "/data", &[]);
        bundle.spec.linux.as_mut().unwrap().devices.push(Device {
            path: "/data/target/node".to_owned(),
            kind: "c".to_owned(),
            major: 1,
            minor: 3,
            ..Device::default()
        });
        if let Err(error) = bundle.run() {
            assert!(is_about_a_name(&error.to_string()), "{error}");
        }
        assert!(is_empty(outside.path()));
        let _ = fs::remove_file(shared.path().join("target/node"));
        let _ = fs::remove_file(shared.path().join("link/node"));
    }
}

/// CVE-2024-21626: the working directory is exchanged with a link to a descriptor of the starter.
#[test]
fn a_working_directory_is_inside_whatever_is_exchanged_with_it() {
    let _host = fs::File::open("/etc").unwrap();
    for number in 3..24 {
        let shared = tempfile::tempdir().unwrap();
        let (target, link) = (shared.path().join("target"), shared.path().join("link"));
        fs::create_dir(&target).unwrap();
        symlink(format!("/proc/self/fd/{number}"), &link).unwrap();
        let _exchange = Exchange::of(target, link);
        for _ in 0..2 {
            let mut bundle = Bundle::new("pwd");
            bundle.bind(shared.path(), "/data", &[]);
            bundle.process().cwd = "/data/target".to_owned();
            match bundle.run() {
                Ok(outcome) => {
                    let inside = ["/data/target\n", "/data/link\n"];
                    assert!(inside.contains(&outcome.output.as_str()), "{}", outcome.output);
                }
                Err(error) => {
                    let error = error.to_string();
                    let is_known = error.starts_with("chdir to cwd (") || is_about_a_name(&error);
                    assert!(is_known, "{error}");
                }
            }
        }
    }
}

/// A tmpfs that starts with what is at its target, in which files are exchanged with links to files of the host.
#[test]
fn what_is_copied_up_is_the_image_s_own() {
    let secret = tempfile::tempdir().unwrap();
    fs::write(secret.path().join("file"), "secret").unwrap();
    for _ in 0..ROUNDS {
        let mut bundle = Bundle::new("grep -r secret /data; echo end");
        let data = bundle.root.path().join("data");
        fs::write(data.join("file"), "own").unwrap();
        symlink(secret.path().join("file"), data.join("link")).unwrap();
        fs::create_dir(data.join("dir")).unwrap();
        symlink(secret.path(), data.join("dirlink")).unwrap();
        bundle.spec.mounts.push(Mount {
            destination: "/data".to_owned(),
            kind: Some("tmpfs".to_owned()),
            options: vec!["tmpcopyup".to_owned()],
            ..Mount::default()
        });
        bundle.sources.push(None);
        let _files = Exchange::of(data.join("file"), data.join("link"));
        let _directories = Exchange::of(data.join("dir"), data.join("dirlink"));
        match bundle.run() {
            // A link that was copied leads nowhere inside.
            Ok(outcome) => assert!(!outcome.output.contains("secret:"), "{}", outcome.output),
            Err(error) => assert!(is_about_a_name(&error.to_string()), "{error}"),
        }
    }
}

/// CVE-2025-31133: what is masked is exchanged with a link to something else; the mask lies on one of both, inside.
#[test]
fn a_mask_lies_in_the_container_whatever_is_exchanged_with_its_path() {
    let (shared, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("file"), "untouched").unwrap();
    fs::write(shared.path().join("target"), "x").unwrap();
    symlink(outside.path().join("file"), shared.path().join("link")).unwrap();
    let _exchange = Exchange::of(shared.path().join("target"), shared.path().join("link"));
    for _ in 0..ROUNDS {
        let mut bundle = Bundle::new("").args(&["/bin/true"]);
        bundle.bind(shared.path(), "/data", &[]);
        let linux = bundle.spec.linux.as_mut().unwrap();
        linux.masked_paths.push("/data/target".to_owned());
        linux.readonly_paths.push("/data/target".to_owned());
        if let Err(error) = bundle.run() {
            assert!(is_about_a_name(&error.to_string()), "{error}");
        }
        assert!(!common::is_mounted(shared.path()) && !common::is_mounted(outside.path()));
        fs::write(outside.path().join("file"), "untouched").unwrap();
    }
}

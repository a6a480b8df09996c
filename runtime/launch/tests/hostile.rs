//! Images and volumes as an attacker writes them: one test for each known hole that a start could open.

#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(clippy::let_underscore_must_use, reason = "an attacker does not care")]

mod common;

use common::{Bundle, exec, joining, kill};
use launch::{CgroupJoin, Stdio};
use plan::Given;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2026-41579, CVE-2026-47766.
#[test]
fn a_link_in_the_place_of_proc_sys_or_dev_is_refused() {
    for name in ["proc", "sys", "dev"] {
        for target in ["/tmp", "/tmp/missing", "tmp/../tmp", "/proc/self"] {
            let bundle = Bundle::new("true");
            symlink(target, bundle.root.path().join(name)).unwrap();
            let error = bundle.create().unwrap_err().to_string();
            let wanted = format!("mount \"/{name}\": a symbolic link is in its place");
            assert_eq!(error, wanted, "{target}");
        }
    }
}

/// CVE-2026-41579: without a mount at `/dev` the image's own directory gets the nodes, and must be one.
#[test]
fn a_link_to_another_directory_does_not_get_device_nodes() {
    let mut bundle = Bundle::new("true");
    bundle.spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
    bundle.sources.truncate(bundle.spec.mounts.len());
    symlink("/tmp/x", bundle.root.path().join("dev")).unwrap();
    let tmp = bundle.root.path().join("tmp");
    fs::create_dir(tmp.join("x")).unwrap();
    assert_eq!(bundle.failure(), "make device \"/dev/null\": too many levels of symbolic links");
}

/// CVE-2026-41579: what lies in the place of a node is not taken for it.
#[test]
fn a_file_of_the_image_is_not_taken_for_a_device() {
    let mut bundle = Bundle::new("true");
    bundle.spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
    bundle.sources.truncate(bundle.spec.mounts.len());
    fs::create_dir(bundle.root.path().join("dev")).unwrap();
    fs::write(bundle.root.path().join("dev/null"), "").unwrap();
    assert_eq!(bundle.failure(), "make device \"/dev/null\": something else is there");
}

/// CVE-2019-16884, CVE-2025-52881: a volume that a link of the image leads into procfs.
#[test]
fn a_volume_does_not_reach_procfs_through_a_link_of_the_image() {
    let host = tempfile::tempdir().unwrap();
    for target in ["/proc/sys", "/proc/self/attr", "../../proc"] {
        let mut bundle = Bundle::new("true");
        symlink(target, bundle.root.path().join("data/link")).unwrap();
        bundle.bind(host.path(), "/data/link", &[]);
        assert_eq!(
            bundle.failure(),
            "mount \"/data/link\": cannot be mounted because it is inside /proc",
            "{target}"
        );
    }
}

/// CVE-2024-21626: a working directory that is a descriptor of the starter.
#[test]
fn a_descriptor_is_no_working_directory() {
    let _host = fs::File::open("/etc").unwrap();
    for number in 3..20 {
        let mut bundle = Bundle::new("cat ../../../../etc/shadow");
        bundle.process().cwd = format!("/proc/self/fd/{number}");
        let error = bundle.failure();
        assert!(error.starts_with("chdir to cwd (\"/proc/self/fd/"), "{error}");
    }
}

/// CVE-2024-21626 by exec, also through a link that the image has.
#[test]
fn a_descriptor_is_no_working_directory_of_a_joining_process() {
    let bundle = Bundle::new("exec sleep 600");
    for number in 3..20 {
        let link = bundle.root.path().join(format!("data/{number}"));
        symlink(format!("/proc/self/fd/{number}"), link).unwrap();
    }
    let (container, _output, _root) = bundle.start().unwrap();
    let _host = fs::File::open("/etc").unwrap();
    for number in 3..20 {
        for base in ["/proc/self/fd", "/data"] {
            let process = joining("pwd", &Given::default(), |process| {
                process.cwd = format!("{base}/{number}");
            });
            let error = exec(&container, process, CgroupJoin::None).unwrap_err().to_string();
            assert!(error.starts_with("chdir to cwd (\""), "{error}");
        }
    }
    kill(&container);
}

/// CVE-2019-5736: the program is the starter itself. That it cannot be written to afterwards is the work of who runs
/// the starter from a sealed file; here it is only shown that the start opens nothing of it for writing.
#[test]
fn a_script_whose_interpreter_is_the_runtime_cannot_write_to_it() {
    let bundle = Bundle::new("").args(&["/data/script"]);
    let script = bundle.root.path().join("data/script");
    common::write_executable(&script, "#!/proc/self/exe\n");
    let before = fs::metadata("/proc/self/exe").unwrap().modified().unwrap();
    // The interpreter is found while the child is still this test program, which runs once more, inside, and ends.
    let outcome = bundle.run().unwrap();
    assert!(outcome.output.contains("running 0 tests"), "{}", outcome.output);
    assert_eq!(fs::metadata("/proc/self/exe").unwrap().modified().unwrap(), before);
}

/// CVE-2019-16884, CVE-2025-52881: kernel parameters reach the kernel and not what lies at `/proc`. Guard:
/// `ProcHandle::detached` in `set_up` of `src/child/layout.rs`.
#[test]
fn kernel_parameters_are_not_written_to_what_lies_at_proc() {
    let mut bundle = Bundle::new("exec sleep 600");
    // The image's own files lie there, as they would below a mount that somebody brought there.
    bundle.spec.mounts.retain(|mount| !mount.destination.starts_with("/proc"));
    bundle.sources.truncate(bundle.spec.mounts.len());
    let decoy = bundle.root.path().join("proc/sys/kernel/shm_rmid_forced");
    fs::create_dir_all(decoy.parent().unwrap()).unwrap();
    fs::write(&decoy, "decoy").unwrap();
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.sysctl.insert("kernel.shm_rmid_forced".to_owned(), "1".to_owned());
    let (container, _output, _root) = bundle.start().unwrap();
    let seen = std::process::Command::new("nsenter")
        .args(["--ipc", "--target", &container.pid.to_string()])
        .args(["cat", "/proc/sys/kernel/shm_rmid_forced"])
        .output()
        .unwrap();
    kill(&container);
    assert_eq!(String::from_utf8(seen.stdout).unwrap(), "1\n");
    assert_eq!(fs::read_to_string(decoy).unwrap(), "decoy");
}

/// Exchanges two names of a directory as fast as it can until it is told to stop.
fn exchange(directory: &Path, a: &str, b: &str) -> (Arc<AtomicBool>, JoinHandle<()>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (a, b) = (directory.join(a), directory.join(b));
    let thread = std::thread::spawn({
        let stop = stop.clone();
        move || {
            while !stop.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE);
            }
        }
    });
    (stop, thread)
}

/// CVE-2021-30465, CVE-2024-45310, CVE-2018-15664: a second container exchanges the target of a mount with a link while
/// the first one starts.
#[test]
fn a_volume_lands_in_the_container_whatever_is_exchanged_meanwhile() {
    let shared = tempfile::tempdir().unwrap();
    let secret = tempfile::tempdir().unwrap();
    fs::write(secret.path().join("payload"), "").unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(shared.path().join("target")).unwrap();
    symlink(outside.path(), shared.path().join("link")).unwrap();
    let (stop, thread) = exchange(shared.path(), "target", "link");
    for _ in 0..100 {
        let mut bundle = Bundle::new("").args(&["/bin/true"]);
        bundle.bind(shared.path(), "/data", &[]);
        bundle.bind(secret.path(), "/data/target/inner", &[]);
        let root = bundle.root.path().to_owned();
        let _ = bundle.run();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(!common::is_mounted(&root));
    }
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    assert!(!common::is_mounted(shared.path()) && !common::is_mounted(outside.path()));
}

/// CVE-2025-31133, CVE-2025-52565: what masks a path is the null device that the starter holds, even if the image's own
/// `/dev/null` and `/dev/console` are exchanged with links to something writable.
#[test]
fn masks_are_the_host_s_null_device_whatever_lies_at_dev_null() {
    let shared = tempfile::tempdir().unwrap();
    for name in ["null", "console"] {
        fs::write(shared.path().join(name), "").unwrap();
        symlink("/proc/sysrq-trigger", shared.path().join(format!("{name}.link"))).unwrap();
    }
    let first = exchange(shared.path(), "null", "null.link");
    let second = exchange(shared.path(), "console", "console.link");
    for _ in 0..50 {
        let mut bundle = Bundle::new("stat -c %t:%T /proc/keys; echo end");
        // The attacker's directory lies at /dev, as a bind.
        bundle.spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
        bundle.sources.truncate(bundle.spec.mounts.len());
        bundle.bind(shared.path(), "/dev", &[]);
        match bundle.run() {
            Ok(outcome) => assert_eq!(outcome.output, "1:3\nend\n"),
            Err(error) => panic!("{error}"),
        }
    }
    for (stop, thread) in [first, second] {
        stop.store(true, Ordering::Relaxed);
        thread.join().unwrap();
    }
}

/// A bundle whose program gets a terminal, with the attacker's directory in the place of these, over what was there.
fn with_terminal(script: &str, attacker: &Path, places: &[&str]) -> Bundle {
    let mut bundle = Bundle::new(script);
    bundle.process().terminal = true;
    for place in places {
        bundle.bind(attacker, place, &[]);
    }
    bundle
}

/// CVE-2025-52565: the console is the terminal that the kernel gives, and not what lies at the name that it has. Guard:
/// `open_inner` and `bind_console` of `src/child/console.rs`.
#[test]
fn a_console_is_the_terminal_whatever_lies_at_its_name() {
    let attacker = tempfile::tempdir().unwrap();
    symlink("/proc/sys/kernel/domainname", attacker.path().join("0")).unwrap();
    let script = "echo written >/dev/console; read name </proc/sys/kernel/domainname; echo $name";
    let bundle = with_terminal(script, attacker.path(), &["/dev/pts"]);
    let (created, _root) = bundle.create_with(Stdio::Terminal).unwrap();
    let mut running = created.start().unwrap();
    let text = common::read_terminal(running.console.take().unwrap());
    sys::pidfd::wait(&running.pidfd).unwrap();
    assert_eq!(text, "written\r\n(none)\r\n");
}

/// CVE-2025-52881: nothing is mounted over a file of procfs, the console neither.
#[test]
fn a_console_that_a_link_leads_into_procfs_is_refused() {
    let attacker = tempfile::tempdir().unwrap();
    fs::create_dir(attacker.path().join("pts")).unwrap();
    symlink("/proc/sys/kernel/domainname", attacker.path().join("console")).unwrap();
    let mut bundle = with_terminal("true", attacker.path(), &["/dev"]);
    // The terminals come after it, so that there are some.
    let devpts = bundle.spec.mounts.iter().find(|mount| mount.destination == "/dev/pts");
    bundle.spec.mounts.push(devpts.unwrap().clone());
    bundle.sources.push(None);
    let error = bundle.create_with(Stdio::Terminal).unwrap_err();
    assert_eq!(error.to_string(), "set up terminal: operation not permitted");
}

/// CVE-2022-29162: nothing is inheritable, even if the specification asks for it.
#[test]
fn inheritable_capabilities_are_empty_whatever_is_asked() {
    let mut bundle = Bundle::new("grep CapInh /proc/self/status");
    let caps = bundle.process().capabilities.as_mut().unwrap();
    caps.inheritable = caps.permitted.clone();
    assert_eq!(bundle.run().unwrap().output, "CapInh:\t0000000000000000\n");
}

/// A file of a mount namespace below a bind source cannot be attached in a newer one: the start fails and says so, and
/// does not try another way.
#[test]
fn a_mount_namespace_file_below_a_source_fails_the_start() {
    let alone = || {
        // The kernel numbers namespaces in batches for each CPU, so only on one CPU is a later one surely the newer one.
        let cpu = rustix::thread::sched_getcpu();
        let mut mask = vec![0; cpu / 64 + 1];
        mask[cpu / 64] = 1 << (cpu % 64);
        sys::schedule::set_cpu_affinity(&mask).unwrap();
        unshare_mounts();
        let source = tempfile::tempdir().unwrap();
        let pin = source.path().join("pin");
        fs::write(&pin, "").unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let newer = std::thread::spawn(move || {
            unshare_mounts();
            let thread = rustix::thread::gettid().as_raw_nonzero();
            send.send(format!("/proc/self/task/{thread}/ns/mnt")).unwrap();
            let _ = wait.recv();
        });
        rustix::mount::mount_bind(receive.recv().unwrap(), &pin).unwrap();
        let mut bundle = Bundle::new("true");
        bundle.bind(source.path(), "/data", &[]);
        let error = bundle.failure();
        rustix::mount::unmount(&pin, rustix::mount::UnmountFlags::DETACH).unwrap();
        drop(done);
        newer.join().unwrap();
        assert_eq!(error, "mount \"/data\": a namespace file is mounted below the source");
    };
    std::thread::spawn(alone).join().unwrap();
}

/// Gives this thread a mount namespace whose mounts are private.
fn unshare_mounts() {
    sys::clone::unshare(sys::clone::Namespaces::MOUNT).unwrap();
    let propagation = Some(mounts::Propagation::Private);
    let change = mounts::Change { propagation, ..Default::default() };
    sys::mount::set_attr_path(c"/", mounts::Extent::Tree, &change).unwrap();
}

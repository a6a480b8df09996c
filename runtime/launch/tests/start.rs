//! Containers that start, and what they see.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Bundle, DEFAULT_CAPS};
use spec::Class;
use sys::caps::{Cap, CapSet};
use sys::pidfd::Exit;

fn output(bundle: Bundle) -> String {
    let outcome = bundle.run().unwrap();
    assert_eq!(outcome.exit, Exit::Code(0), "{}", outcome.output);
    outcome.output
}

#[test]
fn the_exit_code_and_the_output_of_the_program_arrive() {
    let outcome = Bundle::new("echo out; echo err >&2; exit 42").run().unwrap();
    assert_eq!(outcome.exit, Exit::Code(42));
    assert_eq!(outcome.output, "out\nerr\n");
}

#[test]
fn the_program_is_pid_one_with_the_container_s_name_and_its_own_mounts() {
    let text = output(Bundle::new(
        "echo $$; hostname; cat /proc/self/mountinfo | while read a b c d e f; do echo $e; done",
    ));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..2], ["1", "container"]);
    for wanted in ["/", "/proc", "/dev", "/dev/pts", "/sys", "/dev/mqueue", "/dev/shm"] {
        assert_eq!(lines[2..].iter().filter(|line| **line == wanted).count(), 1, "{wanted}");
    }
    let masked = |line: &&str| line.starts_with("/proc/") || line.starts_with("/sys/");
    assert_eq!(lines[2..].iter().filter(|line| !masked(line)).count(), 7, "{lines:?}");
}

#[test]
fn mounts_have_their_options() {
    let text = output(Bundle::new("cat /proc/self/mounts"));
    let has = |start: &str| text.lines().any(|line| line.starts_with(start));
    assert!(has("proc /proc proc rw,nosuid,nodev,noexec,"), "{text}");
    assert!(has("tmpfs /dev tmpfs rw,nosuid,size=65536k,mode=755"), "{text}");
    assert!(has("sysfs /sys sysfs ro,nosuid,nodev,noexec,"), "{text}");
    assert!(has("devpts /dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666"));
    assert!(has("shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k"), "{text}");
}

#[test]
fn only_the_asked_capabilities_are_left_and_none_is_inheritable() {
    for no_new_privs in [false, true] {
        let mut bundle = Bundle::new("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
        bundle.process().no_new_privileges = no_new_privs;
        bundle.allow_all();
        let caps: CapSet = DEFAULT_CAPS.iter().filter_map(|name| Cap::parse(name)).collect();
        let (all, none) = (format!("{:016x}", caps.bits()), "0".repeat(16));
        assert_eq!(
            output(bundle),
            format!(
                "CapInh:\t{none}\nCapPrm:\t{all}\nCapEff:\t{all}\nCapBnd:\t{all}\nCapAmb:\t{none}\n\
                 NoNewPrivs:\t{}\nSeccomp:\t2\n",
                u8::from(no_new_privs)
            )
        );
    }
}

#[test]
fn a_user_has_its_ids_and_groups_and_only_ambient_capabilities() {
    let mut bundle = Bundle::new(
        "grep -E '^(Uid|Gid|Groups|CapEff|CapAmb|CapInh)' /proc/self/status; umask; pwd",
    );
    let process = bundle.process();
    process.user.uid = 1000;
    process.user.gid = 1001;
    process.user.additional_gids = vec![5, 1002];
    process.user.umask = Some(0o077);
    process.cwd = "/new/directory".to_owned();
    process.capabilities.as_mut().unwrap().ambient = vec!["CAP_NET_RAW".to_owned()];
    let raw = "0000000000002000";
    assert_eq!(
        output(bundle),
        format!(
            "Uid:\t1000\t1000\t1000\t1000\nGid:\t1001\t1001\t1001\t1001\nGroups:\t5 1002 \n\
             CapInh:\t{raw}\nCapEff:\t{raw}\nCapAmb:\t{raw}\n0077\n/new/directory\n"
        )
    );
}

#[test]
fn capabilities_that_the_starter_lacks_are_left_out() {
    let host = launch::Host::open().unwrap();
    let mut bundle = Bundle::new("grep CapBnd /proc/self/status");
    let all: Vec<_> = CapSet::KNOWN.iter().map(|cap| cap.name().to_owned()).collect();
    let caps = bundle.process().capabilities.as_mut().unwrap();
    (caps.bounding, caps.permitted, caps.effective) = (all.clone(), all.clone(), all);
    let left = CapSet::KNOWN.minus(host.missing(CapSet::KNOWN, false));
    assert_eq!(output(bundle), format!("CapBnd:\t{:016x}\n", left.bits()));
}

#[test]
fn masked_files_are_empty_and_read_only_paths_refuse_writes() {
    let text = output(Bundle::new(
        "cat /proc/keys /proc/interrupts; ls /sys/firmware; echo x > /proc/keys && echo null; \
         echo 1 > /proc/sys/vm/swappiness; mkdir /sys/firmware/x; echo end",
    ));
    assert_eq!(
        text,
        "null\n/bin/sh: can't create /proc/sys/vm/swappiness: Read-only file system\n\
         mkdir: can't create directory '/sys/firmware/x': Read-only file system\n\
         end\n"
    );
}

#[test]
fn no_descriptor_but_the_streams_reaches_the_program() {
    // Left open on purpose, as a careless caller would.
    let leaked = std::fs::File::open("/etc").unwrap();
    let high = rustix::io::fcntl_dupfd_cloexec(&leaked, 77).unwrap();
    rustix::io::fcntl_setfd(&high, rustix::io::FdFlags::empty()).unwrap();
    let bundle = Bundle::new("").args(&["/bin/ls", "/proc/self/fd"]);
    // 3 is the listing's own.
    assert_eq!(output(bundle), "0\n1\n2\n3\n");
}

#[test]
fn devices_and_links_are_the_default_ones_and_the_asked_ones() {
    let mut bundle = Bundle::new(
        "cd /dev; for d in null zero full random urandom tty net/x; do \
         stat -c '%n %F %t:%T %a %u:%g' $d; done; for l in fd stdin stdout stderr ptmx; do \
         readlink $l; done; echo x > null; echo x > /dev/full",
    );
    bundle.spec.linux.as_mut().unwrap().devices.push(spec::oci::Device {
        path: "/dev/net/x".to_owned(),
        kind: "b".to_owned(),
        major: 7,
        minor: 250,
        file_mode: Some(0o640),
        uid: Some(3),
        gid: Some(4),
    });
    let outcome = bundle.run().unwrap();
    let lines: Vec<_> = outcome.output.lines().collect();
    assert_eq!(lines[0], "null character special file 1:3 666 0:0");
    assert_eq!(lines[5], "tty character special file 5:0 666 0:0");
    assert_eq!(lines[6], "net/x block special file 7:fa 640 3:4");
    assert_eq!(lines[7], "/proc/self/fd");
    assert_eq!(lines[11], "pts/ptmx");
    assert!(lines[12].contains("No space left on device"), "{lines:?}");
}

#[test]
fn kernel_parameters_of_own_namespaces_are_set() {
    let mut bundle = Bundle::new("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni");
    let sysctl = &mut bundle.spec.linux.as_mut().unwrap().sysctl;
    sysctl.insert("net.ipv4.ip_forward".to_owned(), "1".to_owned());
    sysctl.insert("kernel.shmmni".to_owned(), "77".to_owned());
    assert_eq!(output(bundle), "1\n77\n");
}

#[test]
fn limits_and_the_oom_score_are_set_from_outside() {
    let mut bundle = Bundle::new("ulimit -n; ulimit -c; cat /proc/self/oom_score_adj");
    let process = bundle.process();
    process.oom_score_adj = Some(500);
    process.rlimits = vec![
        spec::oci::Rlimit { kind: "RLIMIT_NOFILE".to_owned(), soft: 123, hard: 200 },
        spec::oci::Rlimit { kind: "RLIMIT_CORE".to_owned(), soft: 0, hard: 0 },
    ];
    assert_eq!(output(bundle), "123\n0\n500\n");
}

#[test]
fn a_limit_that_may_not_be_raised_is_named() {
    let core = sys::limits::Resource::parse("core").unwrap();
    let most = sys::limits::get(0, core).unwrap().hard;
    let mut bundle = Bundle::new("true");
    let above = most.saturating_add(1);
    bundle.process().rlimits =
        vec![spec::oci::Rlimit { kind: "RLIMIT_CORE".to_owned(), soft: above, hard: above }];
    let can_raise = sys::caps::get().unwrap().effective.contains(Cap::SYS_RESOURCE);
    match bundle.run() {
        Ok(_) => assert!(can_raise || most == u64::MAX),
        Err(error) => {
            assert_eq!(error.to_string(), "set resource limit RLIMIT_CORE: operation not permitted")
        }
    }
}

#[test]
fn a_read_only_root_refuses_writes_while_its_mounts_accept_them() {
    let mut bundle = Bundle::new("touch /x; touch /dev/shm/x && echo shm");
    bundle.spec.root.as_mut().unwrap().readonly = true;
    assert_eq!(output(bundle), "touch: /x: Read-only file system\nshm\n");
}

#[test]
fn binds_of_files_and_directories_are_writable_or_not_and_leave_the_host_s_table_alone() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("file"), "from the host\n").unwrap();
    let mut bundle = Bundle::new(
        "cat /etc/deep/er/file /ro/file; touch /ro/x; touch /rw/made; \
         grep -c 'master:\\|shared:' /proc/self/mountinfo",
    );
    bundle.bind(&host.path().join("file"), "/etc/deep/er/file", &[]);
    bundle.bind(host.path(), "/ro", &["ro"]);
    bundle.bind(host.path(), "/rw", &["nosuid"]);
    let (running, output, root) = bundle.start().unwrap();
    let outcome = common::finish(&running, output);
    assert_eq!(
        outcome.output,
        "from the host\nfrom the host\ntouch: /ro/x: Read-only file system\n0\n"
    );
    assert!(host.path().join("made").exists());
    assert!(!common::is_mounted(root.path()) && !common::is_mounted(host.path()));
}

#[test]
fn a_file_over_a_directory_is_refused_with_dockers_hint() {
    let host = tempfile::tempdir().unwrap();
    let mut bundle = Bundle::new("true");
    bundle.bind(host.path(), "/etc/passwd", &[]);
    std::fs::write(bundle.root.path().join("etc/passwd"), "").unwrap();
    assert_eq!(
        bundle.failure(),
        "mount \"/etc/passwd\": not a directory: are you trying to mount a directory onto a file \
         (or vice-versa)? check if the specified host path exists and is the expected type"
    );
}

#[test]
fn a_program_that_cannot_run_fails_the_start_in_dockers_words() {
    let fail = |args: &[&str], change: fn(&mut Bundle)| {
        let mut bundle = Bundle::new("").args(args);
        std::fs::write(bundle.root.path().join("data/plain"), "x").unwrap();
        for (name, text) in [("script", "#!/nope\n"), ("garbage", "\x7fELF")] {
            common::write_executable(&bundle.root.path().join("data").join(name), text);
        }
        change(&mut bundle);
        let error = bundle.run().unwrap_err();
        (error.to_string(), error.class())
    };
    let nothing = |_: &mut Bundle| {};
    for (found, message, class) in [
        (
            fail(&["foo"], nothing),
            "exec: \"foo\": executable file not found in $PATH",
            Class::CommandNotFound,
        ),
        (
            fail(&["/nope"], nothing),
            "exec: \"/nope\": stat /nope: no such file or directory",
            Class::CommandNotFound,
        ),
        (
            fail(&["/data/plain"], nothing),
            "exec: \"/data/plain\": permission denied",
            Class::CommandNotExecutable,
        ),
        (fail(&["/etc"], nothing), "exec: \"/etc\": is a directory", Class::CommandNotExecutable),
        (
            fail(&["/data/script"], nothing),
            "exec /data/script: no such file or directory",
            Class::CommandNotFound,
        ),
        (
            fail(&["/data/garbage"], nothing),
            "exec /data/garbage: exec format error",
            Class::CommandNotExecutable,
        ),
        (
            fail(&["true"], |bundle| bundle.process().env.clear()),
            "exec: \"true\": executable file not found in $PATH",
            Class::CommandNotFound,
        ),
    ] {
        assert_eq!(found, (message.to_owned(), class));
    }
}

#[test]
fn dropping_a_created_container_kills_it() {
    let (created, _output, _root) = Bundle::new("true").create().unwrap();
    let pidfd = created.pidfd().try_clone_to_owned().unwrap();
    assert!(!sys::pidfd::has_ended(&pidfd).unwrap());
    drop(created);
    assert_eq!(sys::pidfd::send_signal(&pidfd, 0).unwrap_err().errno(), rustix::io::Errno::SRCH);
}

#[test]
fn an_overlay_that_is_attached_nowhere_is_a_root() {
    use launch::{CgroupJoin, Descriptors, Host, Launch, Rootfs};
    use mounts::{Features, Layers, Overlay};
    use std::os::fd::AsFd;
    let bundle = Bundle::new("echo changed > /etc/file; cat /etc/file");
    let work = tempfile::tempdir_in("/dev/shm").unwrap();
    for name in ["upper", "work"] {
        std::fs::create_dir(work.path().join(name)).unwrap();
    }
    let below_slash = |path: &std::path::Path| {
        let path = path.strip_prefix("/").unwrap().to_str().unwrap();
        std::ffi::CString::new(format!("../{path}")).unwrap()
    };
    let (lower, upper) = (below_slash(bundle.root.path()), below_slash(&work.path().join("upper")));
    let inner = below_slash(&work.path().join("work"));
    let base = common::open_path(std::path::Path::new("/dev"));
    let overlay = Overlay {
        base: base.as_fd(),
        lower: Layers::Paths(&[&lower]),
        upper: Some((&upper, &inner)),
        options: &[],
    };
    let mount = overlay.mount(&Features::probe()).unwrap();
    let given =
        plan::Given { sources: vec![None; bundle.spec.mounts.len()], ..plan::Given::default() };
    let plan = plan::Plan::new(&bundle.spec, &given).unwrap();
    let (stdio, output) = common::piped();
    let descriptors = Descriptors {
        rootfs: Rootfs::Detached(mount.into_fd()),
        sources: Vec::new(),
        joins: Vec::new(),
        stdio,
        cgroup: CgroupJoin::None,
    };
    let host = Host::open().unwrap();
    let running = Launch::prepare(&host, plan, descriptors).unwrap().create().unwrap();
    let outcome = common::finish(&running.start().unwrap(), output);
    assert_eq!(outcome.output, "changed\n");
    assert!(work.path().join("upper/etc/file").exists());
    assert!(!bundle.root.path().join("etc/file").exists());
}

#[test]
fn an_idmapped_bind_shows_shifted_owners() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("file"), "").unwrap();
    // The kernel maps ids of a tmpfs from 6.3 on.
    let is_tmpfs = rustix::fs::statfs(host.path()).unwrap().f_type == 0x0102_1994;
    if is_tmpfs && !mounts::Features::probe().idmapped_tmpfs {
        return;
    }
    let mut bundle = Bundle::new("stat -c %u:%g /data/file; touch /data/new && echo wrong");
    bundle.bind(host.path(), "/data", &[]);
    let mount = bundle.spec.mounts.last_mut().unwrap();
    let map = spec::oci::IdMapping { container_id: 0, host_id: 500, size: 10 };
    mount.uid_mappings = vec![map];
    mount.gid_mappings = vec![map];
    // The process's own id has no place in the maps, so it cannot own a file there.
    let outcome = bundle.run().unwrap();
    assert!(outcome.output.starts_with("500:500\ntouch: "), "{}", outcome.output);
}

/// The table of mounts of the host shall not change by what a container mounts, while a slave sees what the host mounts.
#[test]
fn a_slave_sees_mounts_of_the_host_and_shows_it_none() {
    let alone = || {
        sys::clone::unshare(sys::clone::Namespaces::MOUNT).unwrap();
        let propagation = |propagation| mounts::Change { propagation, ..Default::default() };
        let private = propagation(Some(mounts::Propagation::Private));
        sys::mount::set_attr_path(c"/", mounts::Extent::Tree, &private).unwrap();
        let host = tempfile::tempdir().unwrap();
        mount_tmpfs(host.path());
        let shared = propagation(Some(mounts::Propagation::Shared));
        let fd = common::open_path(host.path());
        sys::mount::set_attr(&fd, mounts::Extent::Mount, &shared).unwrap();
        std::fs::create_dir(host.path().join("later")).unwrap();
        std::fs::create_dir(host.path().join("inner")).unwrap();
        let mut bundle = Bundle::new(
            "mount -t tmpfs none /data/inner && touch /data/inner/secret && echo mounted; \
             while ! [ -e /data/later/file ]; do sleep 0.01; done; echo seen",
        );
        bundle.bind(host.path(), "/data", &["rslave"]);
        let caps = bundle.process().capabilities.as_mut().unwrap();
        for set in [&mut caps.bounding, &mut caps.effective, &mut caps.permitted] {
            set.push("CAP_SYS_ADMIN".to_owned());
        }
        let (running, output, _root) = bundle.start().unwrap();
        mount_tmpfs(&host.path().join("later"));
        std::fs::write(host.path().join("later/file"), "").unwrap();
        assert_eq!(common::finish(&running, output).output, "mounted\nseen\n");
        assert!(!host.path().join("inner/secret").exists());
        for path in ["later", "."] {
            let path = host.path().join(path);
            rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH).unwrap();
        }
    };
    std::thread::spawn(alone).join().unwrap();
}

fn mount_tmpfs(at: &std::path::Path) {
    let context = mounts::FsContext::open(c"tmpfs").unwrap();
    let mount = context.mount(mounts::Attr::empty()).unwrap();
    mount.attach(common::open_path(at)).unwrap();
}

#[test]
fn a_program_that_ends_at_once_is_never_missed() {
    let mut root = common::busybox();
    for _ in 0..300 {
        let bundle = Bundle::in_root(root, "").args(&["/bin/true"]);
        let (running, _output, kept) = bundle.start().unwrap();
        assert_eq!(sys::pidfd::wait(&running.pidfd).unwrap(), Exit::Code(0));
        root = kept;
    }
}

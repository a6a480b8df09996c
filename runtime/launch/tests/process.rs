//! Attributes of the process: scheduling, placement, rights, supervisors, times.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Bundle, exec, joining, kill, piped};
use launch::{CgroupJoin, Extras, StateText, Supervisor, handover};
use plan::{Filter, Given};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use spec::oci::{CpuAffinity, IoPriority, MemoryPolicy, Personality, Rlimit, Scheduler};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use sys::pidfd::Exit;
use sys::seccomp::FilterFlags;

fn output(bundle: Bundle) -> String {
    let outcome = bundle.run().unwrap();
    assert_eq!(outcome.exit.status(), 0, "{}", outcome.output);
    outcome.output
}

/// A container that waits.
fn waiting(change: impl FnOnce(&mut Bundle)) -> (launch::Running, tempfile::TempDir) {
    let mut bundle = Bundle::new("exec sleep 600");
    change(&mut bundle);
    let (running, _output, root) = bundle.start().unwrap();
    (running, root)
}

/// Fields of `/proc/PID/stat` after the name, from the third on.
fn stat(pid: i32) -> Vec<i64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = text.rsplit_once(") ").unwrap();
    rest.split(' ').skip(1).map(|word| word.trim().parse().unwrap_or(-1)).collect()
}

#[test]
fn each_scheduling_policy_is_the_program_s() {
    for (policy, priority, nice, number) in [
        ("SCHED_FIFO", Some(20), None, 1),
        ("SCHED_RR", Some(3), None, 2),
        ("SCHED_BATCH", None, Some(7), 3),
        ("SCHED_IDLE", None, None, 5),
        ("SCHED_OTHER", None, Some(-5), 0),
    ] {
        let (container, _root) = waiting(|bundle| {
            let policy = policy.to_owned();
            bundle.process().scheduler =
                Some(Scheduler { policy, priority, nice, ..Scheduler::default() });
        });
        // Nice is field 19, the real-time priority 40, the policy 41; the list begins with field 4.
        let fields = stat(container.pid);
        assert_eq!(fields[41 - 4], number, "{policy}");
        assert_eq!(fields[40 - 4], i64::from(priority.unwrap_or(0)), "{policy}");
        if let Some(nice) = nice {
            assert_eq!(fields[19 - 4], i64::from(nice), "{policy}");
        }
        kill(&container);
    }
}

#[test]
fn a_deadline_is_set_or_its_refusal_named() {
    let mut bundle = Bundle::new("exec sleep 600");
    bundle.process().scheduler = Some(Scheduler {
        policy: "SCHED_DEADLINE".to_owned(),
        runtime: Some(1_000_000),
        deadline: Some(10_000_000),
        period: Some(10_000_000),
        flags: vec!["SCHED_FLAG_RESET_ON_FORK".to_owned()],
        ..Scheduler::default()
    });
    match bundle.start() {
        Ok((container, _output, _root)) => {
            assert_eq!(stat(container.pid)[41 - 4], 6);
            kill(&container);
        }
        Err(error) => assert!(error.to_string().starts_with("set scheduler: "), "{error}"),
    }
}

#[test]
fn the_i_o_priority_is_the_program_s() {
    for (class, level, wanted) in [
        ("IOPRIO_CLASS_RT", 3, 1 << 13 | 3),
        ("IOPRIO_CLASS_BE", 6, 2 << 13 | 6),
        ("IOPRIO_CLASS_IDLE", 0, 3 << 13),
    ] {
        let (container, _root) = waiting(|bundle| {
            let class = class.to_owned();
            bundle.process().io_priority = Some(IoPriority { class, priority: level });
        });
        let pid = container.pid.to_string();
        let shown = std::process::Command::new("ionice").args(["-p", &pid]).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let name = match wanted >> 13 {
            1 => format!("realtime: prio {level}\n"),
            2 => format!("best-effort: prio {level}\n"),
            _ => "idle\n".to_owned(),
        };
        assert_eq!(shown, name);
        kill(&container);
    }
}

#[test]
fn the_execution_domain_is_the_program_s() {
    let mut bundle = Bundle::new("cat /proc/self/personality; uname -m");
    let personality = Personality { domain: "LINUX32".to_owned(), flags: Vec::new() };
    bundle.spec.linux.as_mut().unwrap().personality = Some(personality);
    let text = output(bundle);
    assert!(text.starts_with("00000008\n"), "{text}");
    assert!(!text.ends_with("x86_64\n"), "{text}");
}

#[test]
fn the_memory_policy_is_the_program_s_or_the_kernel_s_refusal_is_named() {
    let mut bundle = Bundle::new("head -1 /proc/self/numa_maps");
    bundle.spec.linux.as_mut().unwrap().memory_policy = Some(MemoryPolicy {
        mode: "MPOL_BIND".to_owned(),
        nodes: "0".to_owned(),
        flags: vec!["MPOL_F_STATIC_NODES".to_owned()],
    });
    match bundle.run() {
        Ok(outcome) => assert!(
            outcome.output.contains("bind=static:0") || outcome.output.contains("numa_maps"),
            "{}",
            outcome.output
        ),
        Err(error) => assert!(error.to_string().starts_with("set memory policy: "), "{error}"),
    }
}

/// The CPUs of a process as the kernel lists them.
const CPUS: &str = "grep Cpus_allowed_list /proc/self/status | cut -f2";

#[test]
fn a_program_has_all_cpus_whatever_its_starter_is_bound_to() {
    let before = sys::schedule::cpu_affinity().unwrap();
    let all = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    let bound = || {
        sys::schedule::set_cpu_affinity(&[1]).unwrap();
        let text = output(Bundle::new(CPUS));
        assert_eq!(text, all);
        let (container, _root) = waiting(|_| {});
        let joined = joining(CPUS, &Given::default(), |_| {});
        assert_eq!(exec(&container, joined, CgroupJoin::None).unwrap().output, all);
        kill(&container);
    };
    std::thread::scope(|scope| scope.spawn(bound).join().unwrap());
    assert_eq!(sys::schedule::cpu_affinity().unwrap(), before);
}

#[test]
fn a_joining_process_ends_up_on_its_final_cpus_and_its_starter_on_those_it_had() {
    let (container, _root) = waiting(|_| {});
    let before = sys::schedule::cpu_affinity().unwrap();
    let process = joining(CPUS, &Given::default(), |process| {
        process.exec_cpu_affinity =
            Some(CpuAffinity { initial: Some("0".to_owned()), last: Some("0".to_owned()) });
    });
    assert_eq!(exec(&container, process, CgroupJoin::None).unwrap().output, "0\n");
    assert_eq!(sys::schedule::cpu_affinity().unwrap(), before);
    let process = joining("true", &Given::default(), |process| {
        let none = Some("8000".to_owned());
        process.exec_cpu_affinity = Some(CpuAffinity { initial: none, last: None });
    });
    let error = exec(&container, process, CgroupJoin::None).unwrap_err().to_string();
    assert_eq!(error, "set initial CPU affinity: invalid argument");
    kill(&container);
}

#[test]
fn every_resource_limit_is_set_by_its_name() {
    let names = [
        ("RLIMIT_CPU", "Max cpu time"),
        ("RLIMIT_FSIZE", "Max file size"),
        ("RLIMIT_DATA", "Max data size"),
        ("RLIMIT_STACK", "Max stack size"),
        ("RLIMIT_NPROC", "Max processes"),
        ("RLIMIT_LOCKS", "Max file locks"),
        ("RLIMIT_SIGPENDING", "Max pending signals"),
        ("RLIMIT_MSGQUEUE", "Max msgqueue size"),
        ("RLIMIT_NICE", "Max nice priority"),
        ("RLIMIT_RTPRIO", "Max realtime priority"),
        ("RLIMIT_RTTIME", "Max realtime timeout"),
        ("RLIMIT_AS", "Max address space"),
        ("RLIMIT_RSS", "Max resident set"),
    ];
    let (container, _root) = waiting(|bundle| {
        let limit = |(kind, _): &(&str, &str)| {
            let resource = sys::limits::Resource::parse(kind).unwrap();
            let hard = sys::limits::get(0, resource).unwrap().hard;
            Rlimit { kind: (*kind).to_owned(), soft: hard.min(1 << 40), hard }
        };
        bundle.process().rlimits = names.iter().map(limit).collect();
    });
    let shown = std::fs::read_to_string(format!("/proc/{}/limits", container.pid)).unwrap();
    for (kind, name) in names {
        let resource = sys::limits::Resource::parse(kind).unwrap();
        let hard = sys::limits::get(0, resource).unwrap().hard;
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap();
        let soft = line[name.len()..].split_whitespace().next().unwrap();
        assert_eq!(soft, hard.min(1 << 40).to_string(), "{line}");
    }
    kill(&container);
}

#[test]
fn inheritable_capabilities_are_the_administrator_s_to_give() {
    let mut bundle = Bundle::new("grep CapInh /proc/self/status");
    bundle.given.administrator = true;
    let caps = bundle.process().capabilities.as_mut().unwrap();
    caps.inheritable = vec!["CAP_NET_RAW".to_owned(), "CAP_NOBODY_KNOWS".to_owned()];
    assert_eq!(output(bundle), "CapInh:\t0000000000002000\n");
}

#[test]
fn a_label_that_the_kernel_does_not_know_is_refused_before_anything_is_made() {
    let has = |path: &str| std::path::Path::new(path).exists();
    if !has("/sys/module/apparmor") {
        let mut bundle = Bundle::new("true");
        bundle.process().apparmor_profile = Some("docker-default".to_owned());
        assert_eq!(bundle.failure(), "prepare AppArmor profile: AppArmor is not enabled");
    }
    if !has("/sys/fs/selinux/enforce") {
        let mut bundle = Bundle::new("true");
        bundle.process().selinux_label = Some("system_u:system_r:container_t:s0".to_owned());
        assert_eq!(bundle.failure(), "prepare SELinux label: SELinux is not enabled");
    }
    let mut bundle = Bundle::new("echo ran");
    bundle.process().apparmor_profile = Some("unconfined".to_owned());
    assert_eq!(output(bundle), "ran\n");
}

/// `A = nr; if A == call return action; return ALLOW`.
fn filter(call: libc::c_long, action: u32, flags: FilterFlags) -> Filter {
    let instruction = |code: u16, jt: u8, jf: u8, k: u32| {
        let mut bytes = code.to_ne_bytes().to_vec();
        bytes.extend([jt, jf]);
        bytes.extend(k.to_ne_bytes());
        bytes
    };
    let mut program = instruction(0x20, 0, 0, 0);
    program.extend(instruction(0x15, 0, 1, u32::try_from(call).unwrap()));
    program.extend(instruction(0x06, 0, 0, action));
    program.extend(instruction(0x06, 0, 0, 0x7fff_0000));
    Filter { program, flags }
}

const NOTIFY: u32 = 0x7fc0_0000;

/// The message and the descriptor that a supervisor gets.
fn receive(socket: &UnixStream) -> (String, OwnedFd) {
    let mut bytes = [0u8; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let mut found = None;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = part {
            found = fds.last();
        }
    }
    (String::from_utf8(bytes[..message.bytes].to_vec()).unwrap(), found.unwrap())
}

#[test]
fn the_supervisor_of_a_filter_gets_the_listener_with_the_state_of_the_process() {
    for no_new_privs in [true, false] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        // The child of the shell makes the directory and waits for the supervisor.
        let mut bundle = Bundle::new("mkdir /data/x; echo end");
        bundle.given.administrator = true;
        bundle.process().no_new_privileges = no_new_privs;
        if !no_new_privs {
            let caps = bundle.process().capabilities.as_mut().unwrap();
            caps.bounding.push("CAP_SYS_ADMIN".to_owned());
        }
        bundle.given.filter = Some(filter(libc::SYS_mkdir, NOTIFY, FilterFlags::NEW_LISTENER));
        let state = StateText::new(|pid, status| {
            format!("{{\"fds\":[\"seccompFd\"],\"pid\":{pid},\"status\":\"{status}\"}}")
        });
        let supervisor = Some(Supervisor { socket: theirs.into(), state });
        let (stdio, text) = piped();
        let extras = Extras { supervisor, ..Extras::default() };
        let (created, _root) = bundle.create_extra(stdio, extras).unwrap();
        let pid = created.pid();
        let running = created.start().unwrap();
        let (message, listener) = receive(&ours);
        let wanted = format!("{{\"fds\":[\"seccompFd\"],\"pid\":{pid},\"status\":\"creating\"}}");
        assert_eq!(message, wanted);
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        assert_eq!(link.to_str().unwrap(), "anon_inode:seccomp notify");
        // A supervisor that goes away lets nothing through: the call fails with ENOSYS.
        drop(listener);
        let outcome = common::finish(&running, text);
        assert_eq!(
            outcome.output,
            "mkdir: can't create directory '/data/x': Function not implemented\nend\n"
        );
    }
}

#[test]
fn a_joining_process_has_its_supervisor_too() {
    let (container, _root) = waiting(|_| {});
    let (ours, theirs) = UnixStream::pair().unwrap();
    let given = Given {
        administrator: true,
        filter: Some(filter(libc::SYS_mkdir, NOTIFY, FilterFlags::NEW_LISTENER)),
        ..Given::default()
    };
    let process = joining("mkdir /data/x; echo end", &given, |process| {
        process.no_new_privileges = true;
    });
    let (stdio, text) = piped();
    let descriptors = launch::JoinDescriptors {
        init: container.pidfd.try_clone().unwrap(),
        namespaces: launch::namespaces_of(container.pid).unwrap(),
        stdio,
        cgroup: CgroupJoin::None,
    };
    let state = StateText::new(|pid, _| format!("process {pid}"));
    let supervisor = Some(Supervisor { socket: theirs.into(), state });
    let extras = Extras { supervisor, ..Extras::default() };
    let host = launch::Host::open().unwrap();
    let join = launch::Join::prepare_with(&host, process, descriptors, extras).unwrap();
    let created = join.create().unwrap();
    let pid = created.pid();
    let running = created.start().unwrap();
    let (message, listener) = receive(&ours);
    assert_eq!(message, format!("process {pid}"));
    drop(listener);
    assert!(common::finish(&running, text).output.ends_with("end\n"));
    kill(&container);
}

#[test]
fn a_filter_that_notifies_needs_a_supervisor_who_listens() {
    let notifying = || {
        let mut bundle = Bundle::new("true");
        bundle.given.administrator = true;
        bundle.process().no_new_privileges = true;
        bundle.given.filter = Some(filter(libc::SYS_mkdir, NOTIFY, FilterFlags::NEW_LISTENER));
        bundle
    };
    assert_eq!(
        notifying().failure(),
        "prepare system call filter: it notifies a supervisor, which was not given"
    );
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    let supervisor =
        Some(Supervisor { socket: theirs.into(), state: StateText::new(|_, _| "x".to_owned()) });
    let error = notifying().run_extra(Extras { supervisor, ..Extras::default() }).unwrap_err();
    assert_eq!(error.to_string(), "hand the filter's listener over: broken pipe");
}

#[test]
fn without_no_new_privs_the_filter_is_loaded_before_the_rights_are_given_up() {
    let mut bundle = Bundle::new("mkdir /data/x; grep -E '^(NoNewPrivs|CapEff)' /proc/self/status");
    let errno = 0x0005_0000 | libc::EXDEV as u32;
    bundle.given.filter = Some(filter(libc::SYS_mkdir, errno, FilterFlags::empty()));
    bundle.process().capabilities = None;
    bundle.process().user.uid = 9;
    assert_eq!(
        output(bundle),
        "mkdir: can't create directory '/data/x': Invalid cross-device link\n\
         CapEff:\t0000000000000000\nNoNewPrivs:\t0\n"
    );
}

#[test]
fn each_flag_of_a_filter_is_taken_by_the_kernel() {
    for flags in [
        FilterFlags::TSYNC,
        FilterFlags::LOG,
        FilterFlags::SPEC_ALLOW,
        FilterFlags::TSYNC | FilterFlags::LOG | FilterFlags::SPEC_ALLOW,
    ] {
        let mut bundle = Bundle::new("grep Speculation_Store /proc/self/status; echo end");
        bundle.process().no_new_privileges = true;
        bundle.given.filter = Some(filter(libc::SYS_mkdir, 0x7fff_0000, flags));
        assert!(output(bundle).ends_with("end\n"));
    }
}

#[test]
fn descriptors_are_handed_over_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let (container, _root) = waiting(|_| {});
    let socket = handover::connect_to(&path).unwrap();
    handover::send(&socket, "pidfd", &container.pidfd).unwrap();
    let (name, pidfd) = receive(&listener.accept().unwrap().0);
    assert_eq!(name, "pidfd");
    sys::pidfd::send_signal(&pidfd, 9).unwrap();
    assert_eq!(
        sys::pidfd::wait(&container.pidfd).unwrap(),
        Exit::Signal { signal: 9, core: false }
    );
    assert!(handover::connect_to(&directory.path().join("missing")).is_err());
}

#[test]
fn the_times_of_all_steps_are_known_if_that_is_asked() {
    let (stdio, text) = piped();
    let extras = Extras { times: true, ..Extras::default() };
    let (created, _root) = Bundle::new("true").create_extra(stdio, extras).unwrap();
    let so_far: Vec<_> = created.times().iter().map(|time| time.step).collect();
    assert!(so_far.contains(&"prepared") && so_far.contains(&"PivotRoot"), "{so_far:?}");
    assert!(!so_far.contains(&"Capabilities"));
    let running = created.start().unwrap();
    let steps: Vec<_> = running.times.iter().map(|time| (time.inside, time.step)).collect();
    let at = |step| steps.iter().position(|(_, found)| *found == step).unwrap();
    let order = [
        "prepared",
        "AttachRoot",
        "MountAttach",
        "Masked",
        "PivotRoot",
        "Capabilities",
        "FindProgram",
        "started",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{steps:?}");
    assert!(running.times.is_sorted_by_key(|time| time.at));
    assert!(!steps[at("prepared")].0 && steps[at("PivotRoot")].0);
    common::finish(&running, text);
    let (running, text, _root) = Bundle::new("true").start().unwrap();
    assert!(running.times.is_empty());
    common::finish(&running, text);
}

/// Needs a kernel with AppArmor and the program that loads profiles.
#[test]
fn an_apparmor_profile_confines_the_program_and_who_joins() {
    let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    let parser = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists());
    let (true, Some(parser)) = (enabled.is_ok_and(|text| text.starts_with('Y')), parser) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("profile");
    let text = "profile coffer-test flags=(attach_disconnected,mediate_deleted) {\n\
                file, capability, signal, ptrace, unix, deny /data/secret r,\n}\n";
    std::fs::write(&profile, text).unwrap();
    let load = |option: &str| {
        std::process::Command::new(parser).arg(option).arg(&profile).status().unwrap().success()
    };
    assert!(load("-rK"));
    let script = "cat /proc/self/attr/current; cat /data/secret /data/open";
    let confined = |process: &mut spec::oci::Process| {
        process.apparmor_profile = Some("coffer-test".to_owned());
    };
    let wanted = "coffer-test (enforce)\ncat: can't open '/data/secret': Permission denied\nopen\n";
    let with_files = |script: &str| {
        let mut bundle = Bundle::new(script);
        for name in ["secret", "open"] {
            std::fs::write(bundle.root.path().join("data").join(name), format!("{name}\n"))
                .unwrap();
        }
        confined(bundle.process());
        bundle
    };
    assert_eq!(with_files(script).run().unwrap().output, wanted);
    let (container, _output, _root) = with_files("exec sleep 600").start().unwrap();
    let process = joining(script, &Given::default(), confined);
    assert_eq!(exec(&container, process, CgroupJoin::None).unwrap().output, wanted);
    kill(&container);
    let mut unknown = Bundle::new("true");
    unknown.process().apparmor_profile = Some("coffer-missing".to_owned());
    let error = unknown.failure();
    assert!(error.starts_with("set security label \"exec coffer-missing\": "), "{error}");
    assert!(load("-RK"));
}

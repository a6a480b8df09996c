//! Processes that join a container, terminals, and namespaces that are shared.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Bundle, exec, exec_with, finish, joining, kill, read_terminal};
use launch::{CgroupJoin, Stdio};
use plan::Given;
use spec::oci::{ConsoleSize, IdMapping, Namespace};
use std::fs::File;
use std::io::Write;
use sys::clone::Namespaces;
use sys::pidfd::{Exit, wait};

/// A container that waits to be joined.
fn waiting(change: impl FnOnce(&mut Bundle)) -> (launch::Running, tempfile::TempDir) {
    let mut bundle = Bundle::new("exec sleep 600");
    change(&mut bundle);
    let (running, _output, root) = bundle.start().unwrap();
    (running, root)
}

#[test]
fn a_joining_process_sees_the_container_and_has_its_own_rights() {
    let (container, _root) = waiting(|_| {});
    let script = "hostname; pwd; id -u; grep -E '^(Cap|NoNew)' /proc/self/status | sort | head -1; \
                  ls -d /proc/[0-9]* | head -1; readlink /proc/self/ns/mnt";
    let process = joining(script, &Given::default(), |process| {
        process.cwd = "/tmp".to_owned();
        process.user.uid = 7;
    });
    let outcome = exec(&container, process, CgroupJoin::None).unwrap();
    assert_eq!(outcome.exit, Exit::Code(0));
    let lines: Vec<_> = outcome.output.lines().collect();
    assert_eq!(lines[..5], ["container", "/tmp", "7", "CapAmb:\t0000000000000000", "/proc/1"]);
    kill(&container);
}

#[test]
fn a_joining_process_is_a_child_of_the_caller_with_its_own_exit_code() {
    let (container, _root) = waiting(|_| {});
    for code in 0..4u8 {
        let process = joining(&format!("exit {code}"), &Given::default(), |_| {});
        let outcome = exec(&container, process, CgroupJoin::None).unwrap();
        assert_eq!(outcome.exit, Exit::Code(code));
    }
    kill(&container);
}

#[test]
fn joining_fails_in_dockers_words_and_leaves_nothing_behind() {
    let (container, _root) = waiting(|_| {});
    let fail = |change: fn(&mut spec::oci::Process)| {
        let process = joining("", &Given::default(), change);
        exec(&container, process, CgroupJoin::None).unwrap_err().to_string()
    };
    assert_eq!(
        fail(|p| p.args = vec!["nope".to_owned()]),
        "exec: \"nope\": executable file not found in $PATH"
    );
    assert_eq!(
        fail(|p| p.cwd = "/missing".to_owned()),
        "chdir to cwd (\"/missing\") set in config.json failed: no such file or directory"
    );
    let process = joining("ps | grep -c .", &Given::default(), |_| {});
    let outcome = exec(&container, process, CgroupJoin::None).unwrap();
    // The title, the first process, the shell, ps and grep.
    assert_eq!(outcome.output, "5\n");
    kill(&container);
}

fn with_terminal(bundle: &mut Bundle) {
    bundle.process().terminal = true;
    bundle.process().console_size = Some(ConsoleSize { height: 33, width: 101 });
}

#[test]
fn a_terminal_is_the_session_s_with_its_size_and_is_bound_to_the_console() {
    let script = "tty; stty size; stat -c %t:%T /dev/console; stat -c %t:%T $(tty); \
                  test -w /dev/tty && echo controlling; read line; echo got $line";
    let mut bundle = Bundle::new(script);
    with_terminal(&mut bundle);
    let (created, _root) = bundle.create_with(Stdio::Terminal).unwrap();
    let mut running = created.start().unwrap();
    let console = running.console.take().unwrap();
    File::from(console.try_clone().unwrap()).write_all(b"typed\n").unwrap();
    let text = read_terminal(console);
    assert_eq!(wait(&running.pidfd).unwrap(), Exit::Code(0));
    let lines: Vec<_> = text.lines().filter(|line| *line != "typed").collect();
    assert_eq!(
        lines,
        ["/dev/pts/0", "33 101", "88:0", "88:0", "controlling", "got typed"],
        "{text}"
    );
}

#[test]
fn a_terminal_belongs_to_the_user_of_the_process() {
    let mut bundle = Bundle::new("stat -c %u:%g $(tty); echo x > $(tty)");
    with_terminal(&mut bundle);
    bundle.process().user.uid = 1000;
    let (created, _root) = bundle.create_with(Stdio::Terminal).unwrap();
    let mut running = created.start().unwrap();
    let text = read_terminal(running.console.take().unwrap());
    assert_eq!(text, "1000:5\r\nx\r\n");
    wait(&running.pidfd).unwrap();
}

#[test]
fn a_joining_process_gets_a_terminal_of_the_container() {
    let (container, _root) = waiting(|_| {});
    let process = joining("tty; stty size", &Given::default(), |process| {
        process.terminal = true;
        process.console_size = Some(ConsoleSize { height: 10, width: 20 });
    });
    let mut running = exec_with(&container, process, CgroupJoin::None, Stdio::Terminal).unwrap();
    let text = read_terminal(running.console.take().unwrap());
    assert_eq!(text, "/dev/pts/0\r\n10 20\r\n");
    assert_eq!(wait(&running.pidfd).unwrap(), Exit::Code(0));
    kill(&container);
}

#[test]
fn a_terminal_without_devpts_is_refused() {
    let mut bundle = Bundle::new("true");
    with_terminal(&mut bundle);
    bundle.spec.mounts.remove(2);
    bundle.sources.remove(2);
    let error = bundle.create_with(Stdio::Terminal).unwrap_err();
    assert_eq!(error.to_string(), "set up terminal: no such file or directory");
}

/// Gives the bundle a user namespace in which root is 100000 outside.
fn with_user_namespace(bundle: &mut Bundle) {
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: "user".to_owned(), path: None });
    let map = IdMapping { container_id: 0, host_id: 100_000, size: 65_536 };
    linux.uid_mappings = vec![map];
    linux.gid_mappings = vec![map];
    own_by(bundle.root.path(), 100_000);
}

fn own_by(path: &std::path::Path, id: u32) {
    std::os::unix::fs::lchown(path, Some(id), Some(id)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in path.read_dir().unwrap() {
            own_by(&entry.unwrap().path(), id);
        }
    }
}

#[test]
fn in_a_user_namespace_root_is_someone_else_outside_and_devices_are_bound() {
    let mut bundle = Bundle::new(
        "id -u; cat /proc/self/uid_map; echo x > /dev/null; stat -c %t:%T /dev/zero; \
         echo > /etc/made; grep CapEff /proc/self/status; hostname",
    );
    with_user_namespace(&mut bundle);
    bundle.process().oom_score_adj = Some(7);
    let path = bundle.root.path().join("etc/made");
    let (running, output, _root) = bundle.start().unwrap();
    let outcome = finish(&running, output);
    let lines: Vec<_> = outcome.output.lines().collect();
    assert_eq!(lines[0], "0");
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
    assert_eq!(lines[2..], ["1:5", "CapEff:\t00000000a80425fb", "container"]);
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&path.metadata().unwrap()), 100_000);
}

#[test]
fn a_process_joins_a_container_with_a_user_namespace() {
    let (container, _root) = waiting(with_user_namespace);
    let process = joining("id -u; id -g; hostname", &Given::default(), |process| {
        process.user.uid = 5;
        process.user.gid = 6;
    });
    let outcome = exec(&container, process, CgroupJoin::None).unwrap();
    assert_eq!(outcome.output, "5\n6\ncontainer\n");
    kill(&container);
}

/// Lets `bundle` join the namespaces `which` of `container`.
fn join(bundle: &mut Bundle, container: &launch::Running, which: Namespaces) {
    bundle.joins.push((which, container.pidfd.try_clone().unwrap()));
    bundle.given.joined |= which;
}

#[test]
fn a_container_shares_network_and_ipc_with_another() {
    let (first, _root) = waiting(|bundle| {
        let sysctl = &mut bundle.spec.linux.as_mut().unwrap().sysctl;
        sysctl.insert("net.ipv4.ip_forward".to_owned(), "1".to_owned());
    });
    let mut bundle = Bundle::new("cat /proc/sys/net/ipv4/ip_forward; echo $$; hostname");
    join(&mut bundle, &first, Namespaces::NET | Namespaces::IPC);
    let outcome = bundle.run().unwrap();
    assert_eq!(outcome.output, "1\n1\ncontainer\n");
    kill(&first);
}

#[test]
fn a_container_shares_processes_with_another() {
    let (first, _root) = waiting(|_| {});
    let mut bundle = Bundle::new("ps | grep -c 'sleep 60[0]'; test $$ -gt 1 && echo second");
    join(&mut bundle, &first, Namespaces::PID);
    let outcome = bundle.run().unwrap();
    assert_eq!(outcome.output, "1\nsecond\n");
    kill(&first);
}

#[test]
fn a_container_shares_a_user_namespace_with_another() {
    let (first, _root) = waiting(with_user_namespace);
    let mut bundle = Bundle::new("id -u; cat /proc/self/uid_map");
    own_by(bundle.root.path(), 100_000);
    join(&mut bundle, &first, Namespaces::USER | Namespaces::NET);
    let outcome = bundle.run().unwrap();
    assert!(outcome.output.starts_with("0\n"), "{}", outcome.output);
    assert!(outcome.output.contains("100000"));
    kill(&first);
}

#[test]
fn descriptors_that_the_plan_does_not_know_are_refused() {
    let (first, _root) = waiting(|_| {});
    let mut bundle = Bundle::new("true");
    bundle.joins.push((Namespaces::NET, first.pidfd.try_clone().unwrap()));
    assert_eq!(
        bundle.failure(),
        "prepare namespaces: the plan joins other namespaces than the descriptors are for"
    );
    kill(&first);
}

#[test]
fn a_terminal_works_in_a_user_namespace() {
    let mut bundle = Bundle::new("tty; stat -c %u:%g $(tty); echo x > /dev/console");
    with_user_namespace(&mut bundle);
    with_terminal(&mut bundle);
    bundle.process().user.uid = 1;
    let (created, _root) = bundle.create_with(Stdio::Terminal).unwrap();
    let mut running = created.start().unwrap();
    let text = read_terminal(running.console.take().unwrap());
    assert_eq!(text, "/dev/pts/0\r\n1:5\r\nx\r\n");
    assert_eq!(wait(&running.pidfd).unwrap(), Exit::Code(0));
}

#[test]
fn a_process_with_a_filter_and_a_user_joins_with_no_new_privs() {
    let (container, _root) = waiting(|_| {});
    let program = [6u8, 0, 0, 0, 0, 0, 0xff, 0x7f].to_vec();
    let given = Given {
        filter: Some(plan::Filter { program, flags: Default::default() }),
        keyring: Some("coffer-test-join".to_owned()),
        ..Given::default()
    };
    let script = "grep -E '^(CapEff|NoNewPrivs|Seccomp:)' /proc/self/status";
    let process = joining(script, &given, |process| {
        process.user.uid = 9;
        process.no_new_privileges = true;
    });
    let outcome = exec(&container, process, CgroupJoin::None).unwrap();
    assert_eq!(outcome.output, "CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
    kill(&container);
}

//! The task worker as a real process: launches, execs, restarts, and that nothing is left behind.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure here is a failure of the test")]

mod rig;

use messages::Fd;
use messages::shim::{Event, Request as ShimRequest};
use messages::task::{Join, Namespace, Reply, Request, Seccomp, Stdio, TaskInfo};
use rig::{Worker, event, memory_limit};
use spec::{Class, ContainerId};
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use transport::Connection;

fn tasks(worker: &Worker) -> Vec<TaskInfo> {
    let Reply::Tasks(tasks) = worker.ask(&Request::List).unwrap() else { panic!("another reply") };
    tasks
}

fn signal(id: &ContainerId, signal: i32) -> Request {
    Request::Signal { id: id.clone(), exec: None, signal }
}

#[test]
fn a_container_runs_its_output_is_kept_and_nothing_is_left() {
    let worker = Worker::new();
    let mut container =
        worker.launch("echo out; echo err >&2; cat /proc/sys/kernel/hostname; exit 7");
    let (stdout, stderr) = container.output();
    assert_eq!((stdout.as_str(), stderr.as_str()), ("out\nbox\n", "err\n"));
    let exit = container.wait();
    assert_eq!((exit.code, exit.oom_killed), (7, false));
    assert_eq!(worker.log(&container.id).len(), "out\nerr\nbox\n".len());
    worker.delete(&container.id);
    worker.delete(&container.id);
    worker.assert_clean();
}

#[test]
fn signals_reach_the_first_process_until_it_has_ended() {
    let worker = Worker::new();
    let mut container =
        worker.launch("trap 'echo got; exit 5' TERM; echo up; while :; do usleep 1000; done");
    container.read_until("up\n");
    worker.done(&signal(&container.id, 15));
    assert_eq!(container.wait().code, 5);
    let failure = worker.ask(&signal(&container.id, 15)).unwrap_err();
    assert_eq!(failure.class, Class::Conflict, "{failure}");
    assert_eq!(worker.ask(&signal(&container.id, 65)).unwrap_err().class, Class::InvalidArgument);
    let unknown = worker.ask(&signal(&rig::new_id(), 9)).unwrap_err();
    assert_eq!(unknown.class, Class::NotFound);

    let container = worker.launch("sleep 1000");
    worker.done(&signal(&container.id, 9));
    assert_eq!(container.wait().code, 137);
}

#[test]
fn a_program_that_does_not_exist_or_run_leaves_nothing() {
    let worker = Worker::new();
    let start = |program: &str| {
        let failure = worker.launch_with("", |launch, _| {
            launch.spec.process.as_mut().unwrap().args = vec![program.to_owned()];
        });
        failure.map(|_| ()).unwrap_err()
    };
    assert_eq!(start("/bin/nothing").class, Class::CommandNotFound);
    assert_eq!(start("nothing").class, Class::CommandNotFound);
    assert_eq!(start("/etc").class, Class::CommandNotExecutable);
    worker.assert_clean();
}

#[test]
fn a_refused_launch_leaves_nothing() {
    let worker = Worker::new();
    let refused = |change: &dyn Fn(&mut messages::task::Launch)| {
        worker.launch_with("true", |launch, _| change(launch)).map(|_| ()).unwrap_err().class
    };
    assert_eq!(refused(&|launch| launch.rootfs = Fd(99)), Class::InvalidArgument);
    assert_eq!(refused(&|launch| launch.mount_sources.truncate(1)), Class::InvalidArgument);
    assert_eq!(
        refused(&|launch| launch.seccomp = Seccomp::Profile("{".to_owned())),
        Class::InvalidArgument
    );
    assert_eq!(refused(&|launch| launch.spec.linux = None), Class::InvalidArgument);
    assert_eq!(
        refused(&|launch| launch.cgroup_parent = Some("a/../b".to_owned())),
        Class::InvalidArgument
    );
    let absurd = refused(&|launch| {
        let linux = launch.spec.linux.as_mut().unwrap();
        linux.resources.as_mut().unwrap().pids = Some(spec::oci::Pids { limit: Some(-7) });
        launch.spec.mounts[0].kind = Some("ext4".to_owned());
    });
    assert!(matches!(absurd, Class::InvalidArgument | Class::Forbidden), "{absurd:?}");
    worker.assert_clean();
}

#[test]
fn what_the_policy_forbids_is_refused_before_anything_is_done() {
    let policy = "host-namespaces = []\nseccomp-unconfined = false\ncapabilities = []\n";
    let worker = Worker::with_policy(policy);
    let refused = |change: &dyn Fn(&mut messages::task::Launch)| {
        worker.launch_with("true", |launch, _| change(launch)).map(|_| ()).unwrap_err().class
    };
    assert_eq!(refused(&|launch| launch.seccomp = Seccomp::Unconfined), Class::Forbidden);
    let hosts_pids = refused(&|launch| {
        launch.spec.linux.as_mut().unwrap().namespaces.retain(|ns| ns.kind != "pid");
    });
    assert_eq!(hosts_pids, Class::Forbidden);
    let container = worker.launch("sleep 1000");
    let exec = worker.exec_with(&container.id, "true", |exec| {
        let capabilities = exec.process.capabilities.as_mut().unwrap();
        capabilities.bounding.push("CAP_SYS_ADMIN".to_owned());
    });
    assert_eq!(exec.map(|_| ()).unwrap_err().class, Class::Forbidden);
    worker.delete(&container.id);
    worker.assert_clean();
}

#[test]
fn devices_of_the_host_are_closed_even_without_rules() {
    let worker = Worker::new();
    let script = "busybox mknod /tmp/disk b 8 0 && cat /tmp/disk; echo x > /dev/null && echo fine";
    let mut container = worker
        .launch_with(script, |launch, _| {
            launch.spec.linux.as_mut().unwrap().resources = None;
        })
        .unwrap();
    let (stdout, stderr) = container.output();
    assert_eq!(stdout, "fine\n");
    assert!(stderr.contains("Operation not permitted"), "{stderr}");
    container.wait();
}

#[test]
fn a_user_other_than_root_can_open_its_streams_again() {
    let worker = Worker::new();
    let script = "cat /proc/self/status > /dev/null; echo out > /proc/self/fd/1; \
        echo err > /proc/self/fd/2; id -u";
    let user = |process: &mut spec::oci::Process| {
        process.user.uid = 1000;
        process.user.gid = 1000;
    };
    let mut container = worker
        .launch_with(script, |launch, _| user(launch.spec.process.as_mut().unwrap()))
        .unwrap();
    assert_eq!(container.output(), ("out\n1000\n".to_owned(), "err\n".to_owned()));
    container.wait();

    let container = worker.launch("sleep 1000");
    let (_, mut process) =
        worker.exec_with(&container.id, script, |exec| user(&mut exec.process)).unwrap();
    assert_eq!(process.output(), ("out\n1000\n".to_owned(), "err\n".to_owned()));
}

#[test]
fn a_container_in_a_user_namespace_runs_and_is_joined() {
    let worker = Worker::new();
    let map = spec::oci::IdMapping { container_id: 0, host_id: 100_000, size: 65_536 };
    let script =
        "id -u; echo again > /proc/self/fd/1; until [ -e /dev/shm/stop ]; do usleep 1000; done";
    let mut container = worker
        .launch_with(script, |launch, _| {
            let linux = launch.spec.linux.as_mut().unwrap();
            let kind = "user".to_owned();
            linux.namespaces.push(spec::oci::Namespace { kind, path: None });
            linux.uid_mappings = vec![map];
            linux.gid_mappings = vec![map];
        })
        .unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", container.pid)).unwrap();
    assert!(status.contains("\nUid:\t100000\t"), "{status}");
    let script = "id -u; echo again > /proc/self/fd/1; echo > /dev/shm/stop";
    let (_, mut process) = worker.exec(&container.id, script);
    assert_eq!(process.output(), ("0\nagain\n".to_owned(), String::new()));
    assert_eq!(container.output(), ("0\nagain\n".to_owned(), String::new()));
    container.wait();
    worker.delete(&container.id);
    worker.assert_clean();
}

#[test]
fn a_worker_that_crashes_in_the_middle_of_launches_leaves_each_whole_or_nothing() {
    let mut worker = Worker::new();
    for _ in 0..5 {
        let mut waiting = Vec::new();
        for _ in 0..8 {
            let (launch, fds, channel, client) = worker.launch_request("sleep 1000");
            let id = launch.id.clone();
            worker.send(&Request::Launch(Box::new(launch)), &fds);
            waiting.push((id, channel, client));
        }
        worker.crash();
        for (id, channel, _client) in waiting {
            // A launch that was never begun, or failed, has closed its channel.
            if channel.receive().unwrap().is_some() {
                worker.done(&signal(&id, 9));
            }
            worker.delete(&id);
        }
        worker.assert_clean();
    }
}

#[test]
fn an_id_can_be_launched_once() {
    let worker = Worker::new();
    let first = worker.launch("sleep 1000");
    let same = |launch: &mut messages::task::Launch, fds: &mut Vec<OwnedFd>| {
        launch.id = first.id.clone();
        fds[3] = std::fs::File::open(worker.directory(&first.id)).unwrap().into();
    };
    let again = worker.launch_with("true", same);
    assert_eq!(again.map(|_| ()).unwrap_err().class, Class::Conflict);
    assert_eq!(tasks(&worker).len(), 1);
    worker.delete(&first.id);
    let second = worker.launch_with("exit 3", same).unwrap();
    assert_eq!(second.wait().code, 3);
    worker.delete(&first.id);
    worker.assert_clean();
}

#[test]
fn a_container_that_uses_too_much_memory_is_reported() {
    let worker = Worker::new();
    let limit = |launch: &mut messages::task::Launch, _: &mut Vec<_>| {
        let linux = launch.spec.linux.as_mut().unwrap();
        linux.resources.as_mut().unwrap().memory = memory_limit(16 << 20).memory;
    };
    let script = "dd if=/dev/zero of=/dev/null bs=64M count=1; echo survived; exit 3";
    let container = worker.launch_with(script, limit).unwrap();
    assert_eq!(container.event(), Event::OutOfMemory);
    let exit = container.wait();
    assert_eq!((exit.code, exit.oom_killed), (3, true));

    let script = "exec dd if=/dev/zero of=/dev/null bs=64M count=1";
    let container = worker.launch_with(script, limit).unwrap();
    let exit = container.wait();
    assert_eq!((exit.code, exit.oom_killed), (137, true));
}

#[test]
fn an_exec_joins_the_container_and_has_streams_of_its_own() {
    let worker = Worker::new();
    let container = worker.launch("echo 1 > /tmp/flag; sleep 1000");
    let script = "until [ -e /tmp/flag ]; do usleep 1000; done; read line; echo $line; \
        cat /proc/sys/kernel/hostname; echo /proc/[0-9]*; exit 9";
    let (exec, mut process) = worker.exec(&container.id, script);
    process.client.write_all(b"hello\n").unwrap();
    process.client.shutdown(Shutdown::Write).unwrap();
    let (stdout, stderr) = process.output();
    assert!(stdout.starts_with("hello\nbox\n/proc/1 "), "{stdout:?} {stderr:?}");
    assert_eq!(process.wait().code, 9);
    let delete = Request::Delete { id: container.id.clone(), exec: Some(exec.clone()) };
    worker.done(&delete);
    worker.done(&delete);

    let (exec, process) = worker.exec(&container.id, "sleep 1000");
    let kill = Request::Signal { id: container.id.clone(), exec: Some(exec), signal: 9 };
    worker.done(&kill);
    assert_eq!(process.wait().code, 137);
    assert_eq!(worker.ask(&kill).unwrap_err().class, Class::Conflict);

    let (_, process) = worker.exec(&container.id, "sleep 1000");
    worker.delete(&container.id);
    assert_eq!(process.wait().code, 137);
    let failure = worker.exec_with(&container.id, "true", |_| ()).map(|_| ()).unwrap_err();
    assert_eq!(failure.class, Class::NotFound);
    worker.assert_clean();
}

#[test]
fn an_exec_of_a_missing_program_leaves_no_record() {
    let worker = Worker::new();
    let container = worker.launch("sleep 1000");
    let failure = worker.exec_with(&container.id, "", |exec| {
        exec.process.args = vec!["/bin/nothing".to_owned()];
    });
    assert_eq!(failure.map(|_| ()).unwrap_err().class, Class::CommandNotFound);
    assert_eq!(tasks(&worker).len(), 1);
}

#[test]
fn a_paused_container_takes_no_exec_and_is_deleted_all_the_same() {
    let worker = Worker::new();
    let container = worker.launch("sleep 1000");
    worker.done(&Request::Freeze { id: container.id.clone() });
    assert!(tasks(&worker)[0].frozen);
    let failure = worker.exec_with(&container.id, "true", |_| ()).map(|_| ()).unwrap_err();
    assert_eq!(failure.class, Class::Conflict);
    worker.done(&Request::Thaw { id: container.id.clone() });
    assert!(!tasks(&worker)[0].frozen);
    let (_, process) = worker.exec(&container.id, "exit 2");
    assert_eq!(process.wait().code, 2);
    worker.done(&Request::Freeze { id: container.id.clone() });
    worker.delete(&container.id);
    assert_eq!(container.wait().code, 137);
    worker.assert_clean();
}

#[test]
fn a_terminal_has_its_size_and_can_be_resized() {
    let worker = Worker::new();
    let script = "stty size; until [ \"$(stty size)\" = '50 132' ]; do usleep 1000; done; \
        read word; echo said $word; exit 4";
    let mut container = worker
        .launch_with(script, |launch, _| {
            launch.stdio = Stdio { terminal: Some((80, 24)), open_stdin: true, stdin_once: true };
        })
        .unwrap();
    assert!(container.read_until("24 80\r\n").ends_with("24 80\r\n"));
    container.tell(&ShimRequest::Resize { width: 132, height: 50 });
    container.client.write_all(b"yes\r").unwrap();
    container.read_until("said yes\r\n");
    assert_eq!(container.wait().code, 4);
    assert!(worker.log(&container.id).ends_with("said yes\r\n"));

    let container = worker.launch("sleep 1000");
    let (_, mut process) = worker
        .exec_with(&container.id, "stty size; exit 6", |exec| {
            exec.stdio = Stdio { terminal: Some((70, 20)), open_stdin: true, stdin_once: true };
        })
        .unwrap();
    process.read_until("20 70\r\n");
    assert_eq!(process.wait().code, 6);
}

#[test]
fn containers_outlive_the_worker_and_a_new_one_knows_them() {
    let mut worker = Worker::new();
    let running = worker.launch_with("read line; echo $line; exit 11", |launch, _| {
        launch.stdio.open_stdin = true;
    });
    let running = running.unwrap();
    let ended = worker.launch("exit 12");
    let Event::Exited(exit) = ended.event() else { panic!("another event") };
    let (exec, process) = worker.exec(&running.id, "read line; exit 13");
    worker.crash();

    let mut listed = tasks(&worker);
    listed.sort_by_key(|task| (task.exec.is_some(), task.id != running.id));
    assert_eq!(listed.len(), 3);
    assert_eq!((listed[0].pid, listed[0].exit, listed[0].shim_alive), (running.pid, None, true));
    assert_eq!((listed[1].pid, listed[1].exit, listed[1].shim_alive), (0, Some(exit), true));
    assert_eq!((listed[2].pid, listed[2].exec.as_ref()), (process.pid, Some(&exec)));

    // The engine has died with its end of the channels; new ones are told the state.
    let (id, pid) = (running.id.clone(), running.pid);
    drop((running, process, ended.channel));
    let connect = |id: &ContainerId, exec| {
        let request = Request::Connect { id: id.clone(), exec };
        let (reply, mut fds) = worker.ask_with(&request, &[]).unwrap();
        assert_eq!(reply, Reply::Channel { channel: Fd(0) });
        Connection::from(fds.remove(0))
    };
    let tell =
        |channel: &Connection, request: &ShimRequest, fds: &[std::os::fd::BorrowedFd<'_>]| {
            let payload = transport::encode(request).unwrap();
            channel.send(transport::Kind::Oneway, 0, &payload, fds).unwrap();
        };
    let channel = connect(&ended.id, None);
    let Event::Status { exit: told, .. } = event(&channel) else { panic!("another event") };
    assert_eq!(told, Some(exit));
    tell(&channel, &ShimRequest::Acknowledge, &[]);

    let channel = connect(&id, None);
    let Event::Status { pid: told, exit: None, .. } = event(&channel) else { panic!("an exit") };
    assert_eq!(told, pid);
    let (mut client, stream) = std::os::unix::net::UnixStream::pair().unwrap();
    let attach = ShimRequest::Attach { attach: rig::attach(), stream: Fd(0) };
    tell(&channel, &attach, &[stream.as_fd()]);
    client.write_all(b"again\n").unwrap();
    loop {
        if let Event::Exited(exit) = event(&channel) {
            assert_eq!(exit.code, 11);
            break;
        }
    }
    tell(&channel, &ShimRequest::Acknowledge, &[]);
    assert_eq!(worker.log(&id), "again\n");

    let channel = connect(&id, Some(exec));
    assert!(matches!(event(&channel), Event::Status { .. }));
    worker.delete(&id);
    worker.delete(&ended.id);
    worker.assert_clean();
}

#[test]
fn a_container_dies_with_its_shim_and_is_deleted() {
    let worker = Worker::new();
    // Changing the user must not undo it.
    let container = worker
        .launch_with("sleep 1000", |launch, _| {
            let user = &mut launch.spec.process.as_mut().unwrap().user;
            (user.uid, user.gid) = (1000, 1000);
        })
        .unwrap();
    let (reply, fds) =
        worker.ask_with(&Request::OpenInit { id: container.id.clone() }, &[]).unwrap();
    assert_eq!(reply, Reply::Init { pidfd: Fd(0) });
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", container.pid)).unwrap();
    let shim = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().to_owned();
    assert_ne!(shim.parse::<u32>().unwrap(), worker.pid());
    let shim = rustix::process::Pid::from_raw(shim.parse().unwrap()).unwrap();
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).unwrap();
    let mut poll = [rustix::event::PollFd::new(&fds[0], rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut poll, None).unwrap();
    assert!(container.channel.receive().unwrap().is_none());

    let listed = tasks(&worker);
    assert_eq!((listed[0].pid, listed[0].exit, listed[0].shim_alive), (0, None, false));
    let connect = Request::Connect { id: container.id.clone(), exec: None };
    assert_eq!(worker.ask(&connect).unwrap_err().class, Class::NotFound);
    worker.delete(&container.id);
    worker.assert_clean();
}

#[test]
fn limits_processes_statistics_and_top_come_from_the_cgroup() {
    let worker = Worker::new();
    let container = worker.launch("sleep 1000 & sleep 1001; true");
    let id = || container.id.clone();
    let Reply::Processes(pids) = worker.ask(&Request::Processes { id: id() }).unwrap() else {
        panic!("another reply")
    };
    assert!(pids.contains(&container.pid), "{pids:?}");

    let resources = Box::new(memory_limit(64 << 20));
    worker.done(&Request::Update { id: id(), resources });
    let Reply::Statistics(figures) = worker.ask(&Request::Statistics { id: id() }).unwrap() else {
        panic!("another reply")
    };
    assert_eq!(figures.memory_limit, 64 << 20);
    assert!(figures.memory_usage > 0 && figures.pids > 0 && figures.cpu_usage > 0);
    let mut devices = rig::specification("").linux.unwrap().resources.unwrap();
    devices.devices[0].allow = true;
    let opened = worker.ask(&Request::Update { id: id(), resources: Box::new(devices) });
    assert_eq!(opened.unwrap_err().class, Class::InvalidArgument);

    let top = |arguments: &[&str]| {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        worker.ask(&Request::Top { id: id(), arguments })
    };
    let Reply::Top { output } = top(&["-eo", "pid,args"]).unwrap() else { panic!("another reply") };
    let first = format!("{} sh -c sleep 1000", container.pid);
    assert!(output.lines().skip(1).any(|line| line.trim().starts_with(&first)), "{output}");
    assert!(!output.contains("coffer-shim"), "{output}");
    let Reply::Top { output } = top(&[]).unwrap() else { panic!("another reply") };
    assert!(output.contains("sleep 1001"), "{output}");
    assert!(top(&["-o", "ppid=PID"]).is_err());
    assert!(top(&["--no-such-option"]).is_err());
}

#[test]
fn a_namespace_of_another_container_is_joined() {
    let worker = Worker::new();
    let first = worker.launch("sleep 1000; true");
    let mut second = worker
        .launch_with("cat /proc/1/comm; cat /proc/sys/kernel/hostname; exit 3", |launch, _| {
            launch.spec.hostname = None;
            launch.joins = vec![
                Join { kind: Namespace::Pid, container: first.id.clone() },
                Join { kind: Namespace::Network, container: first.id.clone() },
                Join { kind: Namespace::Uts, container: first.id.clone() },
            ];
        })
        .unwrap();
    assert_eq!(second.output().0, "sh\nbox\n");
    assert_eq!(second.wait().code, 3);
    let unknown = worker.launch_with("true", |launch, _| {
        launch.joins = vec![Join { kind: Namespace::Pid, container: rig::new_id() }];
    });
    assert_eq!(unknown.map(|_| ()).unwrap_err().class, Class::NotFound);
}

#[test]
fn without_a_pid_namespace_what_is_left_behind_ends_with_the_container() {
    let worker = Worker::new();
    let mut container = worker
        .launch_with("sleep 1000 & echo $!; exit 0", |launch, _| {
            launch.spec.linux.as_mut().unwrap().namespaces.retain(|ns| ns.kind != "pid");
        })
        .unwrap();
    let (stdout, _) = container.output();
    assert_eq!(container.wait().code, 0);
    // Whoever inherits it may not have reaped it yet.
    let state = std::fs::read_to_string(format!("/proc/{}/stat", stdout.trim()));
    let state = state.unwrap_or_else(|_| ") Z reaped".to_owned());
    assert!(state.contains(") Z "), "{state}");
    worker.delete(&container.id);
    worker.assert_clean();
}

#[test]
fn init_is_the_first_process_when_it_is_asked_for() {
    let worker = Worker::new();
    let mut container = worker
        .launch_with("", |launch, _| {
            launch.init = true;
            launch.spec.process.as_mut().unwrap().args = vec!["word".to_owned()];
        })
        .unwrap();
    // Instead of the init program there is busybox, which takes its own name for an applet that it does not have.
    let (stdout, stderr) = container.output();
    assert!((stdout + &stderr).contains("docker-init: applet not found"));
    container.wait();
}

#[test]
fn a_group_without_record_is_listed_and_deleted() {
    let worker = Worker::new();
    let stray = rig::new_id();
    // Once it answers, it has made the group above.
    assert!(tasks(&worker).is_empty());
    for parent in worker.parents() {
        std::fs::create_dir(parent.join(stray.as_str())).unwrap();
    }
    let listed = tasks(&worker);
    assert_eq!((listed.len(), &listed[0].id, listed[0].shim_alive), (1, &stray, false));
    worker.delete(&stray);
    worker.assert_clean();
}

#[test]
fn two_hundred_containers_in_a_row_leave_nothing() {
    let worker = Worker::new();
    let open = |pid: u32| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    worker.ask(&Request::List).unwrap();
    let before = open(worker.pid());
    for _ in 0..200 {
        let container = worker.launch("true");
        assert_eq!(container.wait().code, 0);
        worker.delete(&container.id);
    }
    worker.assert_clean();
    assert_eq!(open(worker.pid()), before);
}

#[test]
fn many_launches_at_once_all_run_and_leave_nothing() {
    let worker = Worker::new();
    let mut waiting = Vec::new();
    for number in 0..40 {
        let (launch, fds, channel, client) = worker.launch_request(&format!("exit {number}"));
        let id = launch.id.clone();
        worker.send(&Request::Launch(Box::new(launch)), &fds);
        waiting.push((id, channel, client, number));
    }
    for _ in 0..waiting.len() {
        let (_, answer) = worker.receive();
        assert!(matches!(answer.unwrap().0, Reply::Started { .. }));
    }
    for (id, channel, _client, number) in waiting {
        let exit = loop {
            if let Event::Exited(exit) = event(&channel) {
                break exit;
            }
        };
        assert_eq!(exit.code, number);
        worker.delete(&id);
    }
    worker.assert_clean();
}

#[test]
fn a_shim_holds_nothing_of_the_worker() {
    let worker = Worker::new();
    let container = worker.launch("sleep 1000");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", container.pid)).unwrap();
    let shim = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().to_owned();
    let links = |pid: &str| -> Vec<String> {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        entries
            .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap().display().to_string())
            .filter(|target| target.starts_with("socket:"))
            .collect()
    };
    let workers = links(&worker.pid().to_string());
    assert!(!workers.is_empty());
    assert!(links(&shim).iter().all(|target| !workers.contains(target)));
    assert_eq!(std::fs::read_to_string(format!("/proc/{shim}/comm")).unwrap(), "coffer-shim\n");
    drop(worker);
    assert!(container.channel.receive().is_ok());
}

//! The children of the worker, and their ends.

use crate::cases::{base, until};
use crate::engine::{Engine, key, unpack_request};
use messages::storage::{Reply, Request, Root};
use spec::{Class, Failure};
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

/// The children of a process.
fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    text.unwrap_or_default().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Starts to unpack a layer that comes to its end only when the answered pipe is closed. Answers the request's number,
/// the job and its inner child too.
fn begin_unpack(engine: &mut Engine) -> (u64, std::io::PipeWriter, i32, i32) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let sent = engine.send(&unpack_request(&key("a"), &base(), 1 << 30), &[reader.as_fd()]);
    drop(reader);
    writer.write_all(&base()[..2048]).unwrap();
    let pid = engine.pid;
    let (job, child) = until("the child", || {
        let found = children(pid).into_iter().find_map(|job| Some((job, *children(job).first()?)));
        // Its last wall.
        let status = std::fs::read_to_string(format!("/proc/{}/status", found?.1)).ok()?;
        status.contains("Seccomp_filters:\t2").then_some(found).flatten()
    });
    (sent, writer, job, child)
}

fn status_of(pid: i32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).unwrap();
    line.trim().to_owned()
}

pub(crate) fn enclosed_child() {
    let mut engine = Engine::start();
    let (_, writer, _, child) = begin_unpack(&mut engine);
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP.
    let caps = [0u32, 1, 3, 4, 27, 31].iter().fold(0u64, |set, bit| set | 1 << bit);
    for field in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(status_of(child, field), format!("{caps:016x}"), "{field}");
    }
    for field in ["CapInh", "CapAmb"] {
        assert_eq!(status_of(child, field), format!("{:016x}", 0), "{field}");
    }
    assert_eq!(
        (status_of(child, "NoNewPrivs"), status_of(child, "Threads")),
        ("1".into(), "1".into())
    );
    // The test and the worker are in network namespaces of their own.
    let network = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_ne!(network(&child.to_string()), network("self"));
    let root = std::fs::read_link(format!("/proc/{child}/root")).unwrap();
    assert!(root.starts_with(engine.root().join("snapshots/tmp")), "{root:?}");
    assert!(root.ends_with("fs"), "{root:?}");
    for fd in std::fs::read_dir(format!("/proc/{child}/fd")).unwrap() {
        let fd = fd.unwrap();
        // It still works: a file that it had open a moment ago may be closed.
        let Ok(target) = std::fs::read_link(fd.path()) else { continue };
        let number: u32 = fd.file_name().to_str().unwrap().parse().unwrap();
        let inside = target.starts_with(&root) || target.to_str().unwrap().starts_with("pipe:");
        assert!(number == 2 || inside, "{number} {target:?}");
    }
    drop(writer);
    let failure = engine.receive().1.unwrap_err();
    assert_eq!(failure.class, Class::InvalidArgument);
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub(crate) fn killed_child() {
    let mut engine = Engine::start();
    let (_, writer, _, child) = begin_unpack(&mut engine);
    kill(child);
    let failure = engine.receive().1.unwrap_err();
    assert_eq!(failure, Failure::internal("unpack layer: its process was ended by signal 9"));
    drop(writer);
    assert_eq!(engine.listed(), []);
    let tmp = engine.root().join("snapshots/tmp");
    assert_eq!(std::fs::read_dir(tmp).unwrap().count(), 0);
    engine.unpack(&key("a"), &base()).unwrap();
    assert_eq!(engine.listed(), [key("a")]);
}

pub(crate) fn killed_job() {
    let mut engine = Engine::start();
    let (_, writer, job, child) = begin_unpack(&mut engine);
    kill(job);
    let failure = engine.receive().1.unwrap_err();
    assert_eq!(failure, Failure::internal("unpack layer: its process was ended by signal 9"));
    until("the end of the inner child", || {
        let state = std::fs::read_to_string(format!("/proc/{child}/status"));
        state.map_or(true, |text| text.contains("State:\tZ")).then_some(())
    });
    drop(writer);
    assert_eq!(engine.listed(), []);
    for own in ["tmp", "trash"] {
        let path = engine.root().join("snapshots").join(own);
        until(own, || (std::fs::read_dir(&path).unwrap().count() == 0).then_some(()));
    }
}

pub(crate) fn deadline() {
    let directory = std::rc::Rc::new(tempfile::tempdir().unwrap());
    let mut engine = Engine::start_in(directory, Duration::from_millis(1500));
    let (_, writer, _, child) = begin_unpack(&mut engine);
    let failure = engine.receive().1.unwrap_err();
    let message = "unpack layer: it took too long and was stopped";
    assert_eq!(failure, Failure::new(Class::DeadlineExceeded, message));
    until("the end of the inner child", || {
        let state = std::fs::read_to_string(format!("/proc/{child}/status"));
        state.map_or(true, |text| text.contains("State:\tZ")).then_some(())
    });
    drop(writer);
    assert_eq!(engine.listed(), []);
}

pub(crate) fn in_flight() {
    let mut engine = Engine::start();
    let (first, mut writer, ..) = begin_unpack(&mut engine);
    assert_eq!(engine.listed(), []);
    let second = engine.unpack(&key("b"), &base()).unwrap().0;
    assert_eq!(second, Reply::Unpacked { size: 32 });
    let request =
        Request::Stat { root: Root::Image { layers: vec![key("b")] }, path: b"/sh".to_vec() };
    assert!(matches!(engine.ask(&request).unwrap().0, Reply::Stat(_)));
    writer.write_all(&base()[2048..]).unwrap();
    drop(writer);
    let (sequence, answer) = engine.receive();
    assert_eq!(sequence, first);
    assert_eq!(answer.unwrap().0, Reply::Unpacked { size: 32 });
}

pub(crate) fn restart() {
    let mut engine = Engine::start();
    let (_, writer, ..) = begin_unpack(&mut engine);
    kill(engine.pid);
    drop(writer);
    let root = engine.root();
    let pid = rustix::process::Pid::from_raw(engine.pid).unwrap();
    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
    assert_eq!(std::fs::read_dir(root.join("snapshots/tmp")).unwrap().count(), 1);
    let mut engine = Engine::start_in(engine.directory(), Duration::MAX);
    assert_eq!(engine.listed(), []);
    for own in ["tmp", "trash"] {
        let path = root.join("snapshots").join(own);
        until(own, || (std::fs::read_dir(&path).unwrap().count() == 0).then_some(()));
    }
}

//! The child that waits in a scope ends with its value, and with its parent.

#![expect(clippy::unwrap_used, reason = "a test")]

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use systemd::waiting::Waiting;

fn main() {
    let waiting = Waiting::start("a.scope").unwrap();
    let pid = waiting.pid();
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert!(!state.contains(" Z "), "{state}");
    let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    assert!(!sys::pidfd::has_ended(&pidfd).unwrap());
    drop(waiting);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());

    // One whose parent ends without a word.
    let (reader, writer) = std::io::pipe().unwrap();
    let parent = sys::fork::fork_child(move || {
        use std::io::Write;
        let waiting = Waiting::start("b.scope").unwrap();
        (&writer).write_all(&waiting.pid().to_le_bytes()).unwrap();
        std::mem::forget(waiting);
        0
    });
    let parent = pidfd_open(Pid::from_raw(parent.unwrap()).unwrap(), PidfdFlags::empty()).unwrap();
    let mut number = [0; 4];
    std::io::Read::read_exact(&mut &reader, &mut number).unwrap();
    let orphan =
        pidfd_open(Pid::from_raw(i32::from_le_bytes(number)).unwrap(), PidfdFlags::empty());
    sys::pidfd::wait(&parent).unwrap();
    // It is gone already, or goes now.
    if let Ok(orphan) = orphan {
        let mut fds = [rustix::event::PollFd::new(&orphan, rustix::event::PollFlags::IN)];
        let patience = rustix::event::Timespec { tv_sec: 30, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut fds, Some(&patience)).unwrap(), 1);
    }
    println!("both have ended");
}

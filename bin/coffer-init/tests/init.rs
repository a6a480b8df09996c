//! The init process as a program.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

fn init(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer-init"));
    command.args(arguments).stdin(Stdio::null());
    command
}

#[test]
fn the_status_of_the_program_is_its_own() {
    assert_eq!(init(&["--", "sh", "-c", "exit 7"]).status().unwrap().code(), Some(7));
    assert_eq!(init(&["sh", "-c", "kill -9 $$"]).status().unwrap().code(), Some(137));
    assert_eq!(init(&["-e", "3", "--", "sh", "-c", "exit 3"]).status().unwrap().code(), Some(0));
}

#[test]
fn a_missing_program_is_127_and_one_that_cannot_run_is_126() {
    let missing = init(&["--", "no-such-program"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(127));
    assert_eq!(
        String::from_utf8(missing.stderr).unwrap(),
        "coffer-init: exec no-such-program: no such file or directory\n"
    );
    assert_eq!(init(&["--", "/etc/passwd"]).output().unwrap().status.code(), Some(126));
    assert_eq!(init(&["--", "/etc"]).output().unwrap().status.code(), Some(126));
}

#[test]
fn signals_reach_the_program() {
    let script = "trap 'echo got term; exit 9' TERM; echo ready; while :; do sleep 0.01; done";
    let mut child = init(&["--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    line.clear();
    output.read_to_string(&mut line).unwrap();
    assert_eq!(line, "got term\n");
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn orphans_are_reaped_while_the_program_runs() {
    // The inner shell ends at once, so its child becomes an orphan; it ends, and must not stay as a zombie.
    let script = "sh -c 'true & echo $! ' | { read orphan; i=0; \
                  while [ -e /proc/$orphan ] && [ $i -lt 500 ]; do sleep 0.01; i=$((i+1)); done; \
                  [ -e /proc/$orphan ] && echo zombie || echo reaped; }";
    let output = init(&["--", "sh", "-c", script]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "reaped\n");
}

#[test]
fn the_program_leads_its_own_group_with_no_signal_blocked_or_ignored() {
    let script =
        "grep -E '^Sig(Blk|Ign)' /proc/self/status; cut -d' ' -f1,5 /proc/$$/stat; echo $$";
    let output = init(&["--", "sh", "-c", script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..2], ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"]);
    assert_eq!(lines[2], format!("{0} {0}", lines[3]));
}

#[test]
fn the_program_is_the_terminal_s_foreground() {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let outer = openpt(flags).unwrap();
    unlockpt(&outer).unwrap();
    let inner = ioctl_tiocgptpeer(&outer, flags).unwrap();
    // setsid gives the terminal to a new session, in which the init process leads the first group.
    let status = Command::new("setsid")
        .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_coffer-init"), "--", "sh", "-c"])
        .arg("set -- $(cat /proc/$$/stat); test $5 = $$ && test $8 = $$ && exit 33")
        .stdin(inner)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(33));
}

//! The host's `ps`, shown only what belongs to one container.

use crate::host::Host;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use spec::{Class, ContainerId, Failure};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Bytes of output at most.
const LIMIT: usize = 4 * 1024 * 1024;
/// How long `ps` may take. Reading `/proc/PID/cmdline` waits for a process whose memory is being changed.
const DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of arguments at most, the list of process ids not counted.
const ARGUMENTS: usize = 4096;
/// `nobody` on every distribution.
const NOBODY: u32 = 65534;

/// Runs `ps` as nobody and keeps the title and the lines of the container's processes. Must be called in a process that
/// ends afterwards: it gives up rights.
pub(crate) fn top(host: &Host, id: &ContainerId, arguments: &[String]) -> Result<String, Failure> {
    check(arguments)?;
    let pids = crate::group::processes(host, id)?;
    sys::process::set_no_new_privs()
        .map_err(|error| Failure::from_error(Class::Internal, &error))?;
    let default = ["-ef".to_owned()];
    let arguments = if arguments.is_empty() { &default } else { arguments };
    let list: Vec<_> = pids.iter().map(i32::to_string).collect();
    let mut all = arguments.to_vec();
    all.push(format!("-q{}", list.join(",")));
    // Some options, as `f`, cannot be used together with `-q`: then all processes are listed, and lines chosen.
    let output = run(&all).or_else(|_| run(arguments))?;
    select(&output, &pids)
}

/// As dockerd: a column must not be given the title PID, by which lines are chosen.
fn check(arguments: &[String]) -> Result<(), Failure> {
    if arguments.iter().map(String::len).sum::<usize>() > ARGUMENTS {
        return Err(Failure::invalid(format!("arguments of ps are longer than {ARGUMENTS} bytes")));
    }
    let fields = arguments.iter().flat_map(|text| text.split([' ', '\t', ',']));
    for (column, title) in fields.filter_map(|field| field.split_once('=')) {
        let column = column.trim_start_matches("-o");
        if title.trim_start().starts_with("PID") && column != "pid" {
            return Err(Failure::invalid(format!(
                "specifying \"{column}={title}\" is not allowed"
            )));
        }
    }
    Ok(())
}

fn run(arguments: &[String]) -> Result<String, Failure> {
    let failed = |source: std::io::Error| Failure::internal(format!("run ps: {source}"));
    let mut child = Command::new("ps")
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::new(Class::NotImplemented, "run ps: it is not installed on the host")
            }
            _ => failed(error),
        })?;
    let read = read_output(&mut child);
    if read.is_err() {
        child.kill().ok();
    }
    let status = child.wait().map_err(failed)?;
    let output = read?;
    if status.success() {
        return Ok(output);
    }
    // The first line says why.
    let mut text = String::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(4096).read_to_string(&mut text).ok();
    }
    let reason = text.lines().next().unwrap_or("it failed");
    // In the words of dockerd, which passes on what ps says.
    Err(Failure::invalid(format!("ps: {reason}")))
}

fn read_output(child: &mut Child) -> Result<String, Failure> {
    let failed = |source: std::io::Error| Failure::internal(format!("read output of ps: {source}"));
    let mut stdout = child.stdout.take().ok_or_else(|| Failure::internal("ps has no output"))?;
    let end = Instant::now() + DEADLINE;
    let mut output = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let mut fds = [PollFd::new(&stdout, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => {
                let text = "run ps: no end within 10 s: a process of the container is stuck";
                return Err(Failure::new(Class::DeadlineExceeded, text));
            }
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(failed(errno.into())),
        }
        let count = stdout.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            return Ok(String::from_utf8_lossy(&output).into_owned());
        }
        output.extend_from_slice(&buffer[..count]);
        if output.len() > LIMIT {
            return Err(Failure::internal(format!("output of ps is larger than {LIMIT} bytes")));
        }
    }
}

/// The title and the lines whose column PID is one of `pids`; a line with `-` there is a thread of the line before.
fn select(output: &str, pids: &[i32]) -> Result<String, Failure> {
    let mut lines = output.lines();
    let title = lines.next().unwrap_or_default();
    let column = title
        .split_ascii_whitespace()
        .position(|name| name == "PID")
        .ok_or_else(|| Failure::invalid("Couldn't find PID field in ps output"))?;
    let mut selected = format!("{title}\n");
    let mut chosen = false;
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let field = line.split_ascii_whitespace().nth(column).unwrap_or_default();
        if field != "-" {
            let pid: i32 = field
                .parse()
                .map_err(|_| Failure::invalid(format!("unexpected pid {field:?} in ps output")))?;
            chosen = pids.contains(&pid);
        }
        if chosen {
            selected.push_str(line);
            selected.push('\n');
        }
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_the_container_and_their_threads_are_kept() {
        let output =
            "USER  PID CMD\nroot  1 init\nroot  5 sh -c 1\nroot  - thread\nroot 6 x\nroot - y\n";
        assert_eq!(
            select(output, &[5]).unwrap(),
            "USER  PID CMD\nroot  5 sh -c 1\nroot  - thread\n"
        );
        assert!(select("USER CMD\n", &[5]).is_err());
        assert!(select("PID CMD\nabc x\n", &[5]).is_err());
    }

    #[test]
    fn another_column_cannot_be_called_pid() {
        let check = |text: &str| check(&[text.to_owned()]).is_ok();
        assert!(check("-o pid=PID,comm"));
        assert!(check("-eo pid,ppid"));
        assert!(!check("-o ppid=PID"));
        assert!(!check("user=PID1"));
        assert!(!check(&"x".repeat(5000)));
    }
}

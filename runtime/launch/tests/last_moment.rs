//! CVE-2016-9962: what those inside see of a process that joins, at the moment that is worst for it: its rights are the
//! container's already, and its program does not run yet. The test holds it there as a tracer.

#![expect(unsafe_code, reason = "ptrace(2)")]
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Bundle, exec, joining, kill, piped};
use launch::{CgroupJoin, Host, Join, JoinDescriptors, namespaces_of};
use plan::Given;
use std::ptr::null_mut;
use sys::pidfd::{Exit, wait};

/// A process that this thread traces.
struct Traced(libc::pid_t);

impl Traced {
    fn request(&self, request: libc::c_uint, data: usize) -> libc::c_long {
        // SAFETY: none of the requests made here writes to memory of this process.
        let done = unsafe { libc::ptrace(request, self.0, null_mut::<libc::c_void>(), data) };
        assert_ne!(done, -1, "ptrace {request:#x}: {}", std::io::Error::last_os_error());
        done
    }

    fn seize(pid: libc::pid_t) -> Self {
        let traced = Self(pid);
        traced.request(libc::PTRACE_SEIZE, libc::PTRACE_O_TRACESYSGOOD as usize);
        traced.request(libc::PTRACE_INTERRUPT, 0);
        traced.stopped();
        traced
    }

    /// Waits until it stops; the signal.
    fn stopped(&self) -> libc::c_int {
        let mut status = 0;
        // SAFETY: the status is written to a local variable.
        let pid = unsafe { libc::waitpid(self.0, &raw mut status, libc::__WALL) };
        assert_eq!(pid, self.0);
        assert!(libc::WIFSTOPPED(status), "it has ended: {status:#x}");
        libc::WSTOPSIG(status)
    }

    /// The number of the call that it is about to make; none at the end of a call.
    fn call(&self) -> Option<i64> {
        // SAFETY: all zero is a value of this structure, which the kernel fills up to its size.
        let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
        let size = size_of_val(&info);
        // SAFETY: as above.
        let done =
            unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, self.0, size, &raw mut info) };
        assert!(done > 0, "PTRACE_GET_SYSCALL_INFO: {}", std::io::Error::last_os_error());
        if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            return None;
        }
        // SAFETY: `op` says that this part of the union was filled.
        Some(unsafe { info.u.entry.nr } as i64)
    }

    /// Lets it go on until it is about to make this call.
    fn run_until(&self, number: i64) {
        loop {
            self.request(libc::PTRACE_SYSCALL, 0);
            let signal = self.stopped();
            assert!(signal == libc::SIGTRAP | 0x80 || signal == libc::SIGTRAP, "signal {signal}");
            if signal != libc::SIGTRAP && self.call() == Some(number) {
                return;
            }
        }
    }

    /// Its number as those in the innermost namespace count.
    fn inner_number(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
        numbers.split_whitespace().last().unwrap().to_owned()
    }
}

/// Guard: `set_dumpable(false)` in `run` and `make_sibling` of `src/child/entry.rs`.
#[test]
fn a_process_that_joins_shows_nothing_until_its_program_runs() {
    let (container, _output, _root) = Bundle::new("exec sleep 600").start().unwrap();
    let descriptors = JoinDescriptors {
        init: container.pidfd.try_clone().unwrap(),
        namespaces: namespaces_of(container.pid).unwrap(),
        stdio: piped().0,
        cgroup: CgroupJoin::None,
    };
    let process = joining("true", &Given::default(), |_| {});
    let host = Host::open().unwrap();
    let created = Join::prepare(&host, process, descriptors).unwrap().create().unwrap();
    let traced = Traced::seize(created.pid());
    let starting = std::thread::spawn(move || created.start().unwrap());
    traced.run_until(libc::SYS_execve);
    let script = format!(
        "cd /proc/{}; for name in cwd root exe fd/*; do readlink $name; done; cat environ maps",
        traced.inner_number()
    );
    let look = |script: &str| {
        let spy = joining(&format!("{script}; echo looked"), &Given::default(), |_| {});
        exec(&container, spy, CgroupJoin::None).unwrap().output
    };
    let seen = look(&format!("({script}) 2>/dev/null"));
    let there = look(&format!("test -d /proc/{} || echo gone", traced.inner_number()));
    traced.request(libc::PTRACE_DETACH, 0);
    let running = starting.join().unwrap();
    assert_eq!(wait(&running.pidfd).unwrap(), Exit::Code(0));
    kill(&container);
    assert_eq!(there, "looked\n");
    assert_eq!(seen, "looked\n", "what those inside may look at");
}

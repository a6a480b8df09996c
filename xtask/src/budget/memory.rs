//! Memory of an engine: all processes below the one that opened the socket, and what one container adds.

use crate::budget::http::Engine;
use std::collections::BTreeSet;

/// KiB of one process.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Proportional set size: shared pages divided by those who share them.
    pub(crate) pss: u64,
    /// Pages that only this process has.
    pub(crate) private: u64,
}

/// The process that listens on the engine's socket.
pub(crate) fn daemon(engine: &Engine) -> Result<i32, String> {
    let stream = engine.connect()?;
    rustix::net::sockopt::socket_peercred(&stream)
        .map(|credentials| credentials.pid.as_raw_nonzero().get())
        .map_err(|e| format!("peer of {}: {e}", engine.socket.display()))
}

/// The sum over a process and all below it.
pub(crate) fn tree(root: i32) -> Memory {
    let mut seen = BTreeSet::new();
    let mut todo = vec![root];
    let mut sum = Memory::default();
    while let Some(pid) = todo.pop() {
        if !seen.insert(pid) {
            continue;
        }
        let memory = of(pid);
        sum.pss += memory.pss;
        sum.private += memory.private;
        todo.extend(children(pid));
    }
    sum
}

/// Milliseconds of processor time of a process and all below it, with what they have reaped.
pub(crate) fn cpu(root: i32) -> f64 {
    let mut seen = BTreeSet::new();
    let mut todo = vec![root];
    let mut ticks = 0;
    while let Some(pid) = todo.pop() {
        if seen.insert(pid) {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            ticks += ticks_of(&stat);
            todo.extend(children(pid));
        }
    }
    // USER_HZ is 100 on every architecture that containers run on.
    ticks as f64 * 10.0
}

/// utime, stime, cutime and cstime: fields 14 to 17; the name in field 2 may have spaces in it.
fn ticks_of(stat: &str) -> u64 {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn children(pid: i32) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// The process that started this one.
pub(crate) fn parent(pid: i64) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// One process; zero when it is gone.
pub(crate) fn of(pid: i32) -> Memory {
    std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .map_or_else(|_| Memory::default(), |text| sum(&text))
}

fn sum(rollup: &str) -> Memory {
    let mut memory = Memory::default();
    for line in rollup.lines() {
        let mut words = line.split_whitespace();
        let (Some(key), Some(value)) = (words.next(), words.next()) else { continue };
        let value = value.parse().unwrap_or(0);
        match key {
            "Pss:" => memory.pss = value,
            "Private_Clean:" | "Private_Dirty:" => memory.private += value,
            _ => {}
        }
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_behind_a_name_with_spaces() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4 0 0 0 0 1 2 3 4 20 0 1 0 5";
        assert_eq!(ticks_of(stat), 10);
    }

    #[test]
    fn private_is_clean_and_dirty_together() {
        let text =
            "Rss: 10 kB\nPss: 7 kB\nPss_Dirty: 1 kB\nPrivate_Clean: 2 kB\nPrivate_Dirty: 3 kB\n";
        assert_eq!(sum(text), Memory { pss: 7, private: 5 });
    }
}

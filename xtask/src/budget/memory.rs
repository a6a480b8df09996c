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

/// A process and all below it.
pub(crate) fn family(root: i32) -> BTreeSet<i32> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![root];
    while let Some(pid) = todo.pop() {
        if seen.insert(pid) {
            todo.extend(children(pid));
        }
    }
    seen
}

/// The sum over a process and all below it.
pub(crate) fn tree(root: i32) -> Memory {
    family(root).into_iter().map(of).fold(Memory::default(), |sum, memory| Memory {
        pss: sum.pss + memory.pss,
        private: sum.private + memory.private,
    })
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
    fn private_is_clean_and_dirty_together() {
        let text =
            "Rss: 10 kB\nPss: 7 kB\nPss_Dirty: 1 kB\nPrivate_Clean: 2 kB\nPrivate_Dirty: 3 kB\n";
        assert_eq!(sum(text), Memory { pss: 7, private: 5 });
    }
}

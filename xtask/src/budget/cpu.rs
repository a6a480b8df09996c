//! Processor time of an engine, exactly and with everything that it starts.
//!
//! What an engine uses is spread over processes that come and go: runtimes, shims, helpers. Ticks in `/proc/PID/stat` are
//! 10 ms each, and shims whose starter has ended are nobody's descendants any more. So the engine's processes are moved
//! into a cgroup made for this purpose; whatever they start is in it too, except for the containers, which have groups
//! of their own, and so the payload is not counted. Afterwards they are moved back and the group is removed.

use crate::budget::memory;
use std::path::PathBuf;

/// The accounting of one engine.
#[derive(Debug)]
pub(crate) struct Account {
    group: PathBuf,
    /// The group in which the engine's processes were.
    former: PathBuf,
}

impl Account {
    /// Moves the engine of which `daemon` is the first process into a group of its own.
    pub(crate) fn open(daemon: i32) -> Result<Self, String> {
        let (mount, kind) = hierarchy().ok_or("no cgroup hierarchy counts processor time")?;
        let own = std::fs::read_to_string(format!("/proc/{daemon}/cgroup"))
            .map_err(|e| format!("cgroup of {daemon}: {e}"))?;
        let path = own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            (controllers.split(',').any(|name| name == kind)).then_some(path)
        });
        let former = mount.join(path.unwrap_or("/").trim_start_matches('/'));
        let group = mount.join(format!("coffer-budget-{}-{daemon}", std::process::id()));
        std::fs::create_dir(&group).map_err(|e| format!("create {}: {e}", group.display()))?;
        let account = Self { group, former };
        for pid in memory::family(daemon) {
            // One that has just ended needs no move.
            std::fs::write(account.group.join("cgroup.procs"), pid.to_string()).ok();
        }
        Ok(account)
    }

    /// Milliseconds used since the account was opened.
    pub(crate) fn used(&self) -> Result<f64, String> {
        let read = |name: &str| std::fs::read_to_string(self.group.join(name));
        let nanos = read("cpuacct.usage").ok().and_then(|text| text.trim().parse::<f64>().ok());
        let micros = || {
            let text = read("cpu.stat").ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
            line.parse::<f64>().ok()
        };
        nanos
            .map(|nanos| nanos / 1e6)
            .or_else(|| micros().map(|micros| micros / 1e3))
            .ok_or_else(|| format!("{}: no processor time", self.group.display()))
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        for _ in 0..100 {
            let left = std::fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
            for pid in left.lines() {
                std::fs::write(self.former.join("cgroup.procs"), pid).ok();
            }
            // Busy for a moment after the last one has left.
            if std::fs::remove_dir(&self.group).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        eprintln!("{} is left: it could not be removed", self.group.display());
    }
}

/// Where processor time is counted, and the name of the hierarchy in `/proc/PID/cgroup`: version 1's `cpuacct`, which
/// every engine gives its containers groups in, or version 2, whose name is empty.
fn hierarchy() -> Option<(PathBuf, &'static str)> {
    let mounts = std::fs::read_to_string("/proc/mounts").ok()?;
    let find = |kind: &str, option: &str| {
        mounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let fits = *fields.get(2)? == kind
                && (option.is_empty() || fields.get(3)?.split(',').any(|other| other == option));
            fits.then(|| PathBuf::from(fields[1]))
        })
    };
    let first = find("cgroup", "cpuacct").map(|mount| (mount, "cpuacct"));
    first.or_else(|| find("cgroup2", "").map(|mount| (mount, "")))
}

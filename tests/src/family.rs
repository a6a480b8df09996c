//! The processes of one daemon, told apart by what the kernel shows of them.

use std::collections::BTreeMap;
use std::path::Path;

/// What a process of the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The daemon itself.
    Supervisor,
    /// A worker, by its role.
    Worker(String),
    /// A child that a worker has forked for one request, or such a child's child.
    Job,
    /// What watches a container's or an exec's process.
    Shim,
    /// A process that a shim has started, which is a container's.
    Payload,
}

/// A process of the engine.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// What it is.
    pub kind: Kind,
    /// Whether it has ended and nobody has asked how.
    pub zombie: bool,
}

#[derive(Debug)]
struct Seen {
    parent: u32,
    zombie: bool,
    arguments: Vec<String>,
}

/// All processes of the engine whose exec root this is.
pub(crate) fn family(exec_root: &Path) -> Vec<Member> {
    let root = exec_root.display().to_string();
    let all = processes();
    let own = |pid: u32| {
        let seen = all.get(&pid)?;
        let name = seen.arguments.first()?.as_str();
        let ours = seen.arguments.iter().any(|argument| argument.ends_with(&root));
        (ours && (matches!(name, "cofferd" | "coffer-shim") || name.ends_with("/cofferd")))
            .then_some(seen)
    };
    let kind = |pid: u32, seen: &Seen| {
        let parent = own(seen.parent).and_then(|parent| role(&parent.arguments));
        match role(&seen.arguments) {
            None => Kind::Supervisor,
            Some(role) if role == "task" && is_shim(pid) => Kind::Shim,
            Some(role) if parent.is_none() => Kind::Worker(role),
            Some(_) => Kind::Job,
        }
    };
    let mut members: Vec<Member> = all
        .keys()
        .filter_map(|&pid| {
            let seen = own(pid)?;
            Some(Member { pid, parent: seen.parent, kind: kind(pid, seen), zombie: false })
        })
        .collect();
    let known: BTreeMap<u32, Kind> =
        members.iter().map(|member| (member.pid, member.kind.clone())).collect();
    // The arguments of what has ended cannot be read any more, only whose child it is.
    members.extend(all.iter().filter(|(pid, _)| !known.contains_key(pid)).filter_map(
        |(&pid, seen)| {
            let parent = known.get(&seen.parent)?;
            let kind = if *parent == Kind::Shim { Kind::Payload } else { Kind::Job };
            Some(Member { pid, parent: seen.parent, kind, zombie: seen.zombie })
        },
    ));
    members
}

/// A shim has its streams at /dev/null, what serves or is about to serve requests has a socket there.
fn is_shim(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/fd/0"))
        .is_ok_and(|target| target == Path::new("/dev/null"))
}

fn role(arguments: &[String]) -> Option<String> {
    if arguments.first().is_some_and(|name| name == "coffer-shim") {
        return Some("task".into());
    }
    let at = arguments.iter().position(|argument| argument == "worker")?;
    arguments.get(at + 1).cloned()
}

fn processes() -> BTreeMap<u32, Seen> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may contain anything.
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            let zombie = fields.next()? == "Z";
            let parent = fields.next()?.parse().ok()?;
            let text = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            let arguments = text.split('\0').map(str::to_owned).collect();
            Some((pid, Seen { parent, zombie, arguments }))
        })
        .collect()
}

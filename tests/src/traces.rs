//! What an engine has left on the machine, to be compared with what was there before.

use crate::Engine;
use std::collections::BTreeSet;
use std::path::Path;

/// Everything that containers and images leave behind when something is wrong: files, cgroups, links, firewall rules,
/// mounts, shims. Two of an idle engine with the same objects are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces(pub BTreeSet<String>);

impl Traces {
    /// What is there now.
    pub fn of(engine: &Engine) -> Self {
        let mut found = BTreeSet::new();
        for (name, depth) in [("snapshots", 2), ("content", 3), ("containers", 1), ("volumes", 2)] {
            let directory = engine.path("data").join(name);
            walk(&directory, depth, &mut |path| {
                found.insert(format!("file {}", path.display()));
            });
        }
        walk(&engine.path("exec"), 2, &mut |path| {
            found.insert(format!("file {}", path.display()));
        });
        for directory in engine.cgroup_directories() {
            found.insert(format!("cgroup {}", directory.display()));
        }
        // Prepared network namespaces have links of random names; that there are as many as before is what counts.
        let links = said(engine, "ip", &["-o", "link"]);
        let names = links.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next());
        let (random, fixed): (Vec<_>, Vec<_>) = names.partition(|name| name.starts_with("veth"));
        found.extend(fixed.iter().map(|name| format!("link {name}")));
        found.insert(format!("links veth: {}", random.len()));
        for line in said(engine, "nft", &["list", "ruleset"]).lines() {
            found.insert(format!("rule {}", line.trim()));
        }
        let root = engine.path("").display().to_string();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let own = mounts.lines().filter(|line| line.contains(root.trim_end_matches('/')));
        found.extend(own.map(|line| format!("mount {line}")));
        let shims = engine.family().into_iter().filter(|member| member.kind == crate::Kind::Shim);
        found.extend(shims.map(|shim| format!("shim {}", shim.pid)));
        Self(found)
    }

    /// What is here and not in `before`, and the other way round.
    pub fn difference(&self, before: &Self) -> Vec<String> {
        let more = self.0.difference(&before.0).map(|line| format!("+ {line}"));
        more.chain(before.0.difference(&self.0).map(|line| format!("- {line}"))).collect()
    }
}

fn said(engine: &Engine, program: &str, arguments: &[&str]) -> String {
    let output = engine.space().command(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn walk(directory: &Path, depth: u32, found: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        found(&path);
        if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, depth - 1, found);
        }
    }
}

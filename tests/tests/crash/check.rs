//! What must hold after a storm.

use crate::load::Told;
use e2e::{Engine, Kind, Member, eventually};
use std::collections::BTreeSet;
use std::path::Path;

/// How the processes that nobody may touch were started.
const UNTOUCHED: &str = "sleep\u{0}3000\u{0}";

/// The processes of the containers that nobody may touch, and their shims.
pub(crate) fn spared(family: &[Member]) -> Vec<u32> {
    let untouched = |member: &&Member| {
        let text = std::fs::read_to_string(format!("/proc/{}/cmdline", member.pid));
        text.is_ok_and(|text| text == UNTOUCHED)
    };
    family.iter().filter(untouched).flat_map(|member| [member.pid, member.parent]).collect()
}

/// The processes of the two containers, as the engine shows them.
pub(crate) fn pids(engine: &Engine) -> String {
    engine.docker(&["inspect", "steady", "resting", "--format", "{{.State.Pid}}"]).text()
}

/// What was acknowledged holds.
pub(crate) fn told(engine: &Engine, told: &Told) {
    let mut there = BTreeSet::new();
    for (kind, arguments) in [
        ("container", ["ps", "-a", "--format", "{{.Names}}"]),
        ("image", ["images", "-a", "--format", "{{.Repository}}"]),
        ("volume", ["volume", "ls", "--format", "{{.Name}}"]),
    ] {
        let out = engine.docker(&arguments).ok();
        there.extend(out.lines().map(|name| format!("{kind} {name}")));
    }
    let lost: Vec<_> = told.kept.difference(&there).collect();
    assert_eq!(lost, [""; 0], "made, and lost");
    let back: Vec<_> = told.gone.intersection(&there).collect();
    assert_eq!(back, [""; 0], "removed, and back");
}

/// No state disagrees with the kernel: what is shown as running has a living process and a shim above it, what is not
/// has none, and nothing hangs between two states.
pub(crate) fn running(engine: &Engine) {
    let format = "{{.Id}} {{.State.Status}} {{.State.Pid}} {{.HostConfig.AutoRemove}}";
    let mut wrong = Vec::new();
    let agree = || {
        wrong.clear();
        let ids = engine.docker(&["ps", "-aq", "--no-trunc"]).ok();
        let mut arguments = vec!["inspect", "--format", format];
        arguments.extend(ids.lines());
        // One that is removed by itself may go between the two.
        let text = engine.docker(&arguments).out;
        let family = engine.family();
        let mut shown = BTreeSet::new();
        for line in text.lines() {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap();
            let (_, state, pid, auto_remove) = (word(), word(), word(), word());
            let pid: u32 = pid.parse().unwrap();
            let lives = pid != 0 && Path::new(&format!("/proc/{pid}")).exists();
            let right = match state {
                "running" | "paused" => lives,
                "created" => pid == 0,
                "exited" => pid == 0 && auto_remove == "false",
                _ => false,
            };
            if !right {
                wrong.push(line.to_owned());
            }
            shown.insert(pid);
        }
        // A payload that no container shows is an exec's, whose container is one of the shown.
        let stray = family.iter().filter(|member| {
            member.kind == Kind::Payload && !shown.contains(&member.pid) && !is_exec(member, &shown)
        });
        wrong.extend(stray.map(|member| format!("{member:?}")));
        wrong.extend(family.iter().filter(|member| member.zombie).map(|z| format!("{z:?}")));
        wrong.is_empty()
    };
    if !e2e::happens(agree) {
        assert_eq!(wrong, [""; 0], "shown as what it is not");
    }
}

/// Whether a process lives in the PID namespace of one of `shown`.
fn is_exec(member: &Member, shown: &BTreeSet<u32>) -> bool {
    let namespace = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace(member.pid);
    own.is_some() && shown.iter().any(|pid| *pid != 0 && namespace(*pid) == own)
}

/// Everything that is left can be used: the untouched containers, images, containers whose creation nobody confirmed.
pub(crate) fn usable(engine: &Engine) {
    let paused = engine.docker(&["inspect", "resting", "--format", "{{.State.Paused}}"]).text();
    if paused == "true" {
        engine.docker(&["unpause", "resting"]).text();
    }
    for name in ["steady", "resting"] {
        assert_eq!(engine.docker(&["exec", name, "echo", "in"]).ok(), "in\n");
    }
    let images = engine.docker(&["images", "-q"]).ok();
    for image in images.lines().collect::<BTreeSet<_>>() {
        let run = ["run", "--rm", image, "cat", "/etc/group"];
        assert!(engine.docker(&run).ok().starts_with("root:"), "{image}");
    }
    let names = engine.docker(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    for name in names.lines().filter(|name| name.starts_with("load")).take(6) {
        engine.docker(&["start", name]).text();
        assert_eq!(engine.docker(&["wait", name]).ok(), "5\n", "{name}");
    }
    let begin = engine.docker(&["run", "--name", "told", "busybox", "date", "+%s"]).text();
    let until = (begin.parse::<u64>().unwrap() + 1).to_string();
    // Asking for the past ends by itself only once the present is past too.
    eventually("a second later", || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_secs() > begin.parse::<u64>().unwrap()
    });
    let filter = ["--filter", "container=told", "--format", "{{.Action}}"];
    let mut events = vec!["events", "--since", "0", "--until", &until];
    events.extend(filter);
    let events = engine.docker(&events).ok();
    let events: Vec<_> = events.lines().collect();
    assert_eq!(events, ["create", "attach", "start", "die"], "events go on");
}

/// Removes all that users can remove, but not `busybox`.
pub(crate) fn remove_all(engine: &Engine) {
    let ids = engine.docker(&["ps", "-aq"]).ok();
    let mut arguments = vec!["rm", "-f", "-v"];
    arguments.extend(ids.split_whitespace());
    engine.docker(&arguments).text();
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "");
    let images = engine.docker(&["images", "--format", "{{.Repository}} {{.ID}}"]).ok();
    for line in images.lines() {
        let (name, id) = line.split_once(' ').unwrap();
        if name != "busybox" {
            engine.docker(&["rmi", "-f", if name == "<none>" { id } else { name }]);
        }
    }
    engine.docker(&["volume", "prune", "-a", "-f"]).text();
    let images = engine.docker(&["images", "-a", "--format", "{{.Repository}}"]).ok();
    assert_eq!(images, "busybox\n");
    assert_eq!(engine.docker(&["volume", "ls", "-q"]).ok(), "");
}

/// SIGTERM ends every process of the engine.
pub(crate) fn ends_without_a_trace(engine: &mut Engine) {
    engine.end_at_once("TERM");
    let left = engine.family();
    assert!(left.is_empty(), "{left:?}");
    engine.launch();
    assert_eq!(engine.docker(&["run", "--rm", "busybox", "echo", "x"]).ok(), "x\n");
}

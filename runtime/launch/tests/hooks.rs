//! Hooks: when, where and with what they are called.

mod common;

use common::{Bundle, piped, state};
use launch::{Extras, gate};
use plan::{Given, ProcessPlan};
use spec::oci::{Hook, Hooks};
use std::path::Path;
use sys::pidfd::{Exit, wait};

/// A hook that runs a script of the host with busybox.
fn script(text: &str) -> Hook {
    Hook {
        path: "/bin/busybox".to_owned(),
        args: ["sh", "-c", text].map(str::to_owned).to_vec(),
        env: vec!["PATH=/bin:/usr/bin".to_owned(), "NAME=value".to_owned()],
        timeout: None,
    }
}

fn with(hooks: Hooks, script: &str) -> Bundle {
    let mut bundle = Bundle::new(script);
    bundle.spec.hooks = Some(hooks);
    bundle.given.administrator = true;
    bundle.by_path = true;
    bundle
}

fn extras() -> Extras {
    Extras { state: Some(state()), ..Extras::default() }
}

#[test]
fn hooks_are_called_in_order_in_their_namespaces_with_the_state_on_their_input() {
    let log = tempfile::tempdir().unwrap();
    let file = log.path().join("log");
    let line = |point: &str| {
        let file = file.display();
        script(&format!("echo {point} $(cat) $NAME $(readlink /proc/self/ns/uts) >> {file}"))
    };
    let inside = Hook {
        path: "/bin/sh".to_owned(),
        args: ["sh", "-c", "echo start $(cat) $(hostname) $$ > /data/log"]
            .map(str::to_owned)
            .to_vec(),
        env: vec!["PATH=/bin".to_owned()],
        timeout: Some(30),
    };
    let hooks = Hooks {
        prestart: vec![line("pre1"), line("pre2")],
        create_runtime: vec![line("runtime")],
        create_container: vec![line("container")],
        start_container: vec![inside],
        poststart: vec![line("never")],
        poststop: vec![line("never")],
    };
    let bundle = with(hooks, "cat /data/log; readlink /proc/self/ns/uts; exec sleep 600");
    let (stdio, mut output) = piped();
    let (created, root) = bundle.create_extra(stdio, extras()).unwrap();
    let (pid, host) = (created.pid(), std::fs::read_link("/proc/self/ns/uts").unwrap());
    let theirs = std::fs::read_link(format!("/proc/{pid}/ns/uts")).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let outside = format!("{{\"pid\":{pid},\"status\":\"creating\"}} value {}", host.display());
    let within = format!("{{\"pid\":1,\"status\":\"creating\"}} value {}", theirs.display());
    assert_eq!(
        text,
        format!("pre1 {outside}\npre2 {outside}\nruntime {outside}\ncontainer {within}\n")
    );
    // Nothing has run inside yet.
    assert!(!root.path().join("data/log").exists());
    let running = created.start().unwrap();
    let mut first = [0u8; 4096];
    let mut text = String::new();
    while text.lines().count() < 2 {
        let length = std::io::Read::read(&mut output, &mut first).unwrap();
        text.push_str(std::str::from_utf8(&first[..length]).unwrap());
    }
    let wanted = "start {\"pid\":1,\"status\":\"created\"} container ";
    assert!(text.starts_with(wanted), "{text}");
    common::kill(&running);
}

#[test]
fn hooks_before_the_root_changes_find_the_container_s_mounts_at_the_root_s_place() {
    let mut bundle = with(Hooks::default(), "cat /data/made");
    let root = bundle.root.path().display().to_string();
    // Only in the container's mount namespace is there a /proc below the root; and what is mounted there stays.
    bundle.spec.hooks = Some(Hooks {
        create_runtime: vec![script(&format!("test ! -e {root}/proc/self"))],
        create_container: vec![script(&format!(
            "test -e {root}/proc/self && test -e {root}/dev/null && \
             busybox mount -t tmpfs none {root}/data && echo mounted > {root}/data/made"
        ))],
        ..Hooks::default()
    });
    let root = bundle.root.path().to_owned();
    let (stdio, output) = piped();
    let (created, _root) = bundle.create_extra(stdio, extras()).unwrap();
    assert!(!common::is_mounted(&root) && !root.join("data/made").exists());
    let outcome = common::finish(&created.start().unwrap(), output);
    assert_eq!(outcome.output, "mounted\n");
}

#[test]
fn a_program_that_joins_the_container_from_a_hook_finds_the_root_at_its_place() {
    let mut bundle = with(Hooks::default(), "cat /data/made");
    let root = bundle.root.path().display().to_string();
    let join = format!(
        "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); \
         nsenter -t $pid -m /bin/busybox sh -c 'mount -t tmpfs none {root}/data && echo joined > {root}/data/made'"
    );
    bundle.spec.hooks = Some(Hooks { prestart: vec![script(&join)], ..Hooks::default() });
    let (stdio, output) = piped();
    let (created, _root) = bundle.create_extra(stdio, extras()).unwrap();
    let outcome = common::finish(&created.start().unwrap(), output);
    assert_eq!(outcome.output, "joined\n");
}

#[test]
fn a_hook_that_fails_ends_the_container_and_is_named_with_its_words() {
    let ran = tempfile::tempdir().unwrap();
    let file = ran.path().join("ran");
    let bad = || script("echo said why >&2; exit 7");
    let program = format!("touch {}", file.display());
    let fail = |hooks: Hooks| {
        let mut bundle = with(hooks, &program);
        bundle.bind(ran.path(), &ran.path().display().to_string(), &[]);
        bundle.run_extra(extras()).unwrap_err().to_string()
    };
    let in_container = || Hook {
        path: "/bin/sh".to_owned(),
        args: ["sh", "-c", "echo inside; exit 9"].map(str::to_owned).to_vec(),
        ..Hook::default()
    };
    let missing = || Hook { path: "/missing".to_owned(), ..Hook::default() };
    for (hooks, wanted) in [
        (
            Hooks { prestart: vec![bad()], ..Hooks::default() },
            "run prestart hook #0 \"/bin/busybox\": exit status 7: said why",
        ),
        (
            Hooks { create_runtime: vec![script("true"), bad()], ..Hooks::default() },
            "run createRuntime hook #1 \"/bin/busybox\": exit status 7: said why",
        ),
        (
            Hooks { create_container: vec![bad()], ..Hooks::default() },
            "run createContainer hook #0 \"/bin/busybox\": exit status 7: said why",
        ),
        (
            Hooks { start_container: vec![in_container()], ..Hooks::default() },
            "run startContainer hook #0 \"/bin/sh\": exit status 9: inside",
        ),
        (
            Hooks { create_runtime: vec![missing()], ..Hooks::default() },
            "run createRuntime hook #0 \"/missing\": no such file or directory",
        ),
        (
            Hooks { create_container: vec![missing()], ..Hooks::default() },
            "run createContainer hook #0 \"/missing\": no such file or directory",
        ),
        (
            Hooks { start_container: vec![missing()], ..Hooks::default() },
            "run startContainer hook #0 \"/missing\": no such file or directory",
        ),
    ] {
        assert_eq!(fail(hooks), wanted);
        assert!(!file.exists());
    }
}

#[test]
fn a_hook_that_takes_too_long_is_killed() {
    let slow = || Hook { timeout: Some(1), ..script("exec sleep 600") };
    for hooks in [
        Hooks { create_runtime: vec![slow()], ..Hooks::default() },
        Hooks { create_container: vec![slow()], ..Hooks::default() },
    ] {
        let error = with(hooks, "true").run_extra(extras()).unwrap_err().to_string();
        assert!(error.ends_with(": it took longer than its timeout"), "{error}");
    }
}

#[test]
fn hooks_get_nothing_of_the_starter_but_their_three_streams() {
    let _leaked = std::fs::File::open("/etc").unwrap();
    // 3 is the listing's own, and 255 may be the shell's.
    let only = "test \"$(ls /proc/self/fd | grep -v '^[0-3]$')\" = \"\" && test \"$(env | grep -c .)\" -le 5";
    let hooks = Hooks {
        create_runtime: vec![script(only)],
        create_container: vec![script(only)],
        ..Hooks::default()
    };
    assert_eq!(with(hooks, "echo ran").run_extra(extras()).unwrap().output, "ran\n");
}

#[test]
fn hooks_in_the_container_have_the_rights_of_its_process() {
    let hook = Hook {
        path: "/bin/sh".to_owned(),
        args: ["sh", "-c", "id -u > /data/id; grep CapEff /proc/self/status >> /data/id"]
            .map(str::to_owned)
            .to_vec(),
        ..Hook::default()
    };
    let mut bundle =
        with(Hooks { start_container: vec![hook], ..Hooks::default() }, "cat /data/id");
    bundle.process().user.uid = 12;
    std::os::unix::fs::chown(bundle.root.path().join("data"), Some(12), None).unwrap();
    let outcome = bundle.run_extra(extras()).unwrap();
    assert_eq!(outcome.output, "12\nCapEff:\t0000000000000000\n");
}

#[test]
fn hooks_in_the_container_are_called_at_the_start_and_their_failure_is_told_to_who_starts() {
    let state_directory = tempfile::tempdir().unwrap();
    let directory = common::open_path(state_directory.path());
    let hook = Hook { path: "/bin/false".to_owned(), ..Hook::default() };
    let mut bundle = with(Hooks { start_container: vec![hook], ..Hooks::default() }, "true");
    let process = ProcessPlan::joining(bundle.process(), &Given::default()).unwrap();
    let gate = Some(gate::bind(&directory, "start").unwrap());
    let (stdio, _output) = piped();
    let (created, _root) = bundle.create_extra(stdio, Extras { gate, ..extras() }).unwrap();
    let running = created.leave().unwrap();
    let error = gate::open(&directory, "start", &process).unwrap_err().to_string();
    assert_eq!(error, "run startContainer hook #0: exit status 1");
    assert_eq!(wait(&running.pidfd).unwrap(), Exit::Code(127));
}

#[test]
fn hooks_after_the_start_and_the_end_are_called_by_whom_it_concerns() {
    let log = tempfile::tempdir().unwrap();
    let file = log.path().join("log");
    let hooks = Hooks {
        poststart: vec![script(&format!("cat > {}", file.display()))],
        poststop: vec![script("echo broken; exit 3")],
        ..Hooks::default()
    };
    let mut bundle = with(hooks, "true");
    bundle.given.sources = vec![None; bundle.spec.mounts.len()];
    let plan = plan::Plan::new(&bundle.spec, &bundle.given).unwrap();
    launch::hooks::call("poststart", &plan.hooks.poststart, "the state").unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the state");
    let error = launch::hooks::call("poststop", &plan.hooks.poststop, "").unwrap_err();
    assert_eq!(error.to_string(), "run poststop hook #0 \"/bin/busybox\": exit status 3: broken");
}

#[test]
fn hooks_without_a_state_are_refused_before_anything_is_made() {
    let hooks = Hooks { prestart: vec![script("true")], ..Hooks::default() };
    let error = with(hooks, "true").run().unwrap_err().to_string();
    assert_eq!(error, "prepare hooks: the container's state was not given");
}

#[test]
fn a_root_that_was_exchanged_meanwhile_is_refused() {
    let hooks = Hooks { create_container: vec![script("true")], ..Hooks::default() };
    let bundle = with(hooks, "true");
    let (other, moved) = (common::busybox(), bundle.root.path().with_extension("moved"));
    // The descriptor is of the first directory; at its path lies another one when the child looks.
    let mut plan_of = bundle.spec.clone();
    plan_of.hooks.clone_from(&bundle.spec.hooks);
    let given = plan::Given {
        sources: vec![None; bundle.spec.mounts.len()],
        administrator: true,
        ..plan::Given::default()
    };
    let plan = plan::Plan::new(&plan_of, &given).unwrap();
    let path: &Path = bundle.root.path();
    let (stdio, _output) = piped();
    let descriptors = launch::Descriptors {
        rootfs: launch::Rootfs::Path {
            path: common::c_path(path),
            directory: common::open_path(other.path()),
        },
        sources: Vec::new(),
        joins: Vec::new(),
        stdio,
        cgroup: launch::CgroupJoin::None,
    };
    let host = launch::Host::open().unwrap();
    let launch = launch::Launch::prepare_with(&host, plan, descriptors, extras()).unwrap();
    let error = launch.create().unwrap_err().to_string();
    assert!(error.starts_with("attach root file system: "), "{error}");
    assert!(!moved.exists());
}

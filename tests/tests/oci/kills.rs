//! What is left when the runtime itself is killed, and when it is called again and again.

use crate::rig::Rig;
use std::process::Stdio;
use std::time::Duration;

/// Times at which a call is killed, in microseconds: from before it has read anything to after it is done.
fn moments() -> impl Iterator<Item = u64> {
    (0..60).map(|step| step * step * 12)
}

/// Mounts of the machine that have something to do with this rig.
fn mounts(rig: &Rig) -> usize {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().filter(|line| line.contains(&rig.text(""))).count()
}

#[test]
fn a_creation_killed_at_any_moment_is_removed_whole() {
    let rig = Rig::new(&["sleep", "1000"]);
    let bundle = rig.text("bundle");
    for (number, moment) in moments().enumerate() {
        let id = rig.id(&format!("c{number}"));
        let verb: &[&str] = if number % 2 == 0 { &["create"] } else { &["run", "-d"] };
        let mut command = rig.command(verb);
        command.args(["--bundle", &bundle, &id]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(moment));
        child.kill().unwrap();
        child.wait().unwrap();
        let said = rig.call(&["delete", "--force", &id]);
        assert_eq!(said.code, 0, "after {moment} us: {}", said.err);
        assert!(rig.left().is_empty(), "after {moment} us: {:?}", rig.left());
        assert!(rig.groups().is_empty(), "after {moment} us: {:?}", rig.groups());
    }
    assert_eq!(mounts(&rig), 0);
}

#[test]
fn a_deletion_killed_at_any_moment_is_finished_by_the_next() {
    let rig = Rig::new(&["sleep", "1000"]);
    for (number, moment) in moments().step_by(3).enumerate() {
        let id = rig.id(&format!("d{number}"));
        rig.start(&id);
        let mut command = rig.command(&["delete", "--force", &id]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(moment));
        child.kill().unwrap();
        child.wait().unwrap();
        let said = rig.call(&["delete", "--force", &id]);
        assert_eq!(said.code, 0, "after {moment} us: {}", said.err);
        assert!(rig.left().is_empty() && rig.groups().is_empty(), "after {moment} us");
    }
}

#[test]
fn many_lives_in_a_row_leave_nothing() {
    let rig = Rig::new(&["true"]);
    for number in 0..100 {
        let id = rig.id(&format!("m{number}"));
        rig.create(&id);
        rig.call(&["start", &id]).text();
        rig.call(&["delete", "--force", &id]).text();
    }
    assert_eq!(mounts(&rig), 0);
    assert!(rig.left().is_empty() && rig.groups().is_empty());
}

#[test]
fn a_container_whose_group_vanished_is_deleted() {
    let rig = Rig::new(&["true"]);
    let id = rig.id("a");
    let parent = rig.id("parent");
    rig.change(|spec| spec["linux"]["cgroupsPath"] = format!("/{parent}/{id}").into());
    rig.call(&["run", "--keep", "--bundle", &rig.text("bundle"), &id]).text();
    let mut groups = rig.groups();
    // The deepest first.
    groups.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    assert!(!groups.is_empty());
    groups.iter().for_each(|group| std::fs::remove_dir(group).unwrap());
    assert_eq!(rig.status(&id), "stopped");
    rig.call(&["delete", &id]).text();
    assert!(rig.left().is_empty() && rig.groups().is_empty());
}

//! Finding, taking and joining groups of the real host by their paths.

#![expect(clippy::unwrap_used, reason = "a test may fail in a function of its own")]

#[path = "host/mod.rs"]
mod host;

use cgroups::{CgroupError, Resources};
use host::{Host, SOON, read_line, shell};
use spec::oci::Pids;
use std::os::unix::process::ExitStatusExt;

#[test]
fn a_group_is_opened_by_its_path_and_by_a_process_in_it_without_making_anything() {
    let host = Host::new();
    assert!(host.layout.open(&format!("/{}/path", host.path)).unwrap().is_none());
    assert!(host.layout.open("/no-such-group/at/all").unwrap().is_none());
    let group = host.create("path");
    let mut child = shell(&group, "read end");
    let pid = child.id().cast_signed();
    let opened = host.layout.open(&format!("/{}/path", host.path)).unwrap().unwrap();
    assert_eq!(opened.pids().unwrap(), [pid]);
    assert_eq!(opened.path(), format!("{}/path", host.path));
    let same = host.layout.group_of(pid).unwrap().unwrap();
    assert_eq!((same.path(), same.pids().unwrap()), (opened.path(), vec![pid]));
    opened
        .update(&Resources { pids: Some(Pids { limit: Some(3) }), ..Resources::default() })
        .unwrap();
    assert_eq!(host.file("path", "pids.max"), "3");
    same.kill(SOON).unwrap();
    child.wait().unwrap();
    opened.delete(SOON).unwrap();
    assert!(!host.parent().exists("path").unwrap());
    assert!(host.layout.group_of(pid).unwrap().is_none());
}

#[test]
fn a_group_at_the_top_needs_no_parent() {
    let host = Host::new();
    let name = format!("{}-top", host.path);
    let path = format!("/{name}");
    let (parent, last) = host.layout.place(&path).unwrap();
    let group = parent.create(last, &Resources::default()).unwrap();
    assert_eq!(group.path(), name);
    assert!(host.layout.open(&name).unwrap().is_some());
    group.delete(SOON).unwrap();
    assert!(matches!(host.layout.place("/"), Err(CgroupError::Name(_))));
}

#[test]
fn a_parent_that_somebody_removed_is_made_anew() {
    let host = Host::new();
    let removed = host.layout.parent(&format!("{}/team", host.path)).unwrap();
    let first = removed.create("first", &Resources::default()).unwrap();
    first.delete(SOON).unwrap();
    host.parent().open("team").unwrap().unwrap().delete(SOON).unwrap();
    assert!(first.pids().is_ok() && first.delete(SOON).is_ok() && first.remove_empty());
    let pids = Some(Pids { limit: Some(4) });
    let second = removed.create("second", &Resources { pids, ..Resources::default() }).unwrap();
    assert_eq!(host.file("team/second", "pids.max"), "4");
    second.delete(SOON).unwrap();
}

#[test]
fn an_existing_group_is_taken_when_it_is_empty_and_runs() {
    let host = Host::new();
    let group = host.create("taken");
    let pids =
        |limit| Resources { pids: Some(Pids { limit: Some(limit) }), ..Resources::default() };
    host.parent().create_or_take("taken", &pids(6)).unwrap();
    assert_eq!(host.file("taken", "pids.max"), "6");
    group.freeze(SOON).unwrap();
    let error = host.parent().create_or_take("taken", &pids(7)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("create cgroup {}/taken: it exists and is frozen", host.path)
    );
    group.thaw(SOON).unwrap();
    let mut child = shell(&group, "read end");
    let error = host.parent().create_or_take("taken", &pids(7)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "create cgroup {}/taken: it exists and has processes, of which one is {}",
            host.path,
            child.id()
        )
    );
    assert_eq!(host.file("taken", "pids.max"), "6");
    group.kill(SOON).unwrap();
    child.wait().unwrap();
    host.parent().create_or_take("new", &pids(8)).unwrap();
    assert_eq!(host.file("new", "pids.max"), "8");
}

#[test]
fn a_process_joins_a_group_below_the_containers() {
    let host = Host::new();
    let group = host.create("outer");
    let inner = group.path() + "/sub";
    let missing = group.below("sub", &[]).unwrap_err();
    assert_eq!(missing.class(), spec::Class::NotFound);
    assert!(missing.to_string().starts_with("open cgroup "), "{missing}");
    let (parent, name) = host.layout.place(&inner).unwrap();
    parent.create(name, &Resources::default()).unwrap();
    // No group of v2 has processes and controllers for others, so that the outer one stays empty.
    let below = group.below("/sub/", &[]).unwrap();
    let mut child = shell(&below, "read end");
    assert_eq!(below.pids().unwrap(), [child.id().cast_signed()]);
    assert_eq!(group.pids().unwrap(), [child.id().cast_signed()]);
    group.kill(SOON).unwrap();
    child.wait().unwrap();
    assert!(matches!(group.below("../x", &[]), Err(CgroupError::Name(_))));
    assert!(matches!(group.below("sub", &["nonesuch"]), Err(CgroupError::NoController { .. })));
    if !host.is_v2() {
        let one = group.below("sub", &["pids"]).unwrap();
        let mut child =
            shell(&one, "grep -E ':(pids|memory):' /proc/self/cgroup | sort -t: -k2; read end");
        assert!(read_line(&mut child).ends_with(&format!(":memory:/{}", group.path())));
        assert!(read_line(&mut child).ends_with(&format!(":pids:/{inner}")));
        group.kill(SOON).unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_process_that_somebody_else_has_started_is_moved() {
    let host = Host::new();
    let group = host.create("moved");
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    group.add(child.id().cast_signed()).unwrap();
    assert_eq!(group.pids().unwrap(), [child.id().cast_signed()]);
    group.kill(SOON).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(group.add(child.id().cast_signed()).is_err());
}

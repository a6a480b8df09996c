//! A container's process moves itself into groups of cgroup version 1.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Bundle, exec, finish, joining, kill};
use launch::CgroupJoin;
use plan::{CgroupView, Given, Hierarchy};
use rustix::fs::{CWD, Mode, OFlags, openat};
use spec::oci::Mount;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Groups of one name in some hierarchies, removed in the end.
struct Groups(Vec<PathBuf>);

const CONTROLLERS: [&str; 3] = ["pids", "memory", "cpu"];

impl Groups {
    /// New groups; nothing where the host has no version 1.
    fn make(name: &str) -> Option<Self> {
        let path = |controller: &str| PathBuf::from(format!("/sys/fs/cgroup/{controller}"));
        if !CONTROLLERS.iter().all(|controller| path(controller).join("tasks").exists()) {
            return None;
        }
        let make = |controller: &&str| {
            let group = path(controller).join(format!("coffer-test-{name}-{}", std::process::id()));
            std::fs::create_dir(&group).unwrap();
            group
        };
        Some(Self(CONTROLLERS.iter().map(make).collect()))
    }

    fn join(&self) -> CgroupJoin {
        let open = |group: &PathBuf| -> OwnedFd {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            openat(CWD, group.join("tasks"), flags, Mode::empty()).unwrap()
        };
        CgroupJoin::V1 { tasks: self.0.iter().map(open).collect(), unified: None }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            // The kernel empties a group a moment after its last process was reaped.
            for _ in 0..200 {
                if std::fs::remove_dir(group).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
}

#[test]
fn the_first_process_and_its_joiners_are_in_the_groups_which_are_its_root() {
    let Some(groups) = Groups::make("join") else { return };
    let mut bundle =
        Bundle::new("grep -E ':(pids|memory|cpu):' /proc/self/cgroup | sort; exec sleep 600");
    bundle.cgroup = groups.join();
    let (container, _output, _root) = bundle.start().unwrap();
    let pid = container.pid.to_string();
    for group in &groups.0 {
        let tasks = std::fs::read_to_string(group.join("tasks")).unwrap();
        assert!(tasks.lines().any(|line| line == pid), "{tasks:?} lacks {pid}");
    }
    let script = "cut -d: -f3 /proc/self/cgroup | sort -u; grep -c /coffer-test /proc/self/cgroup";
    let script = script.replace("cut -d: -f3 /proc/self/cgroup | sort -u; ", "");
    let process = joining(&script, &Given::default(), |_| {});
    let joined = exec(&container, process, groups.join()).unwrap();
    assert_eq!(joined.output, "0\n");
    let process = joining(
        "grep -E ':(pids|memory|cpu):/$' /proc/self/cgroup | grep -c .",
        &Given::default(),
        |_| {},
    );
    let joined = exec(&container, process, groups.join()).unwrap();
    assert_eq!(joined.output, "3\n");
    kill(&container);
}

#[test]
fn the_hierarchies_are_mounted_below_sys_with_the_container_s_group_as_root() {
    let Some(groups) = Groups::make("mount") else { return };
    let mut bundle = Bundle::new(
        "cat /sys/fs/cgroup/pids/tasks | head -1; ls /sys/fs/cgroup; echo 1 > /sys/fs/cgroup/pids/pids.max; \
         mkdir /sys/fs/cgroup/x",
    );
    bundle.spec.mounts.push(Mount {
        destination: "/sys/fs/cgroup".to_owned(),
        kind: Some("cgroup".to_owned()),
        source: Some("cgroup".to_owned()),
        options: ["ro", "nosuid", "noexec", "nodev"].map(str::to_owned).to_vec(),
        ..Mount::default()
    });
    bundle.sources.push(None);
    let hierarchy = |name: &&str| Hierarchy {
        directory: (*name).to_owned(),
        options: vec![(*name).to_owned()],
    };
    bundle.given.cgroups = CgroupView::Legacy(CONTROLLERS.iter().map(hierarchy).collect());
    bundle.cgroup = groups.join();
    let (running, output, _root) = bundle.start().unwrap();
    let outcome = finish(&running, output);
    assert_eq!(
        outcome.output,
        "1\ncpu\nmemory\npids\n\
         /bin/sh: can't create /sys/fs/cgroup/pids/pids.max: Read-only file system\n\
         mkdir: can't create directory '/sys/fs/cgroup/x': Read-only file system\n"
    );
}

#[test]
fn a_container_in_the_starter_s_cgroup_namespace_sees_its_own_group_only() {
    let Some(groups) = Groups::make("host") else { return };
    let mut bundle = Bundle::new(
        "cat /sys/fs/cgroup/pids/tasks | head -1; ls -d /sys/fs/cgroup/pids/*/; \
         grep -c /coffer-test-host /proc/self/cgroup",
    );
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.retain(|namespace| namespace.kind != "cgroup");
    bundle.spec.mounts.push(Mount {
        destination: "/sys/fs/cgroup".to_owned(),
        kind: Some("cgroup".to_owned()),
        source: Some("cgroup".to_owned()),
        options: ["ro", "nosuid", "noexec", "nodev"].map(str::to_owned).to_vec(),
        ..Mount::default()
    });
    bundle.sources.push(None);
    let hierarchy = |name: &&str| Hierarchy {
        directory: (*name).to_owned(),
        options: vec![(*name).to_owned()],
    };
    bundle.given.cgroups = CgroupView::Legacy(CONTROLLERS.iter().map(hierarchy).collect());
    bundle.cgroup = groups.join();
    let (running, output, _root) = bundle.start().unwrap();
    let outcome = finish(&running, output);
    assert_eq!(outcome.output, "1\nls: /sys/fs/cgroup/pids/*/: No such file or directory\n3\n");
}

#[test]
fn a_group_that_cannot_be_joined_fails_the_start() {
    let mut bundle = Bundle::new("true");
    let full = openat(CWD, "/dev/full", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    bundle.cgroup = CgroupJoin::V1 { tasks: vec![full], unified: None };
    assert_eq!(bundle.failure(), "join cgroup: no space left on device");
}

#[test]
fn a_process_is_born_in_its_group_of_version_2_which_is_its_root() {
    let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    let Some(unified) = mounts.iter().find(|path| path.join("cgroup.procs").exists()) else {
        return;
    };
    let group = unified.join(format!("coffer-test-born-{}", std::process::id()));
    std::fs::create_dir(&group).unwrap();
    let groups = Groups(vec![group.clone()]);
    let join = || CgroupJoin::V2(common::open_path(&group));
    let mut bundle = Bundle::new("exec sleep 600");
    bundle.cgroup = join();
    let (container, _output, _root) = bundle.start().unwrap();
    let members = std::fs::read_to_string(group.join("cgroup.procs")).unwrap();
    assert_eq!(members, format!("{}\n", container.pid));
    let process = joining("grep '^0:' /proc/self/cgroup", &Given::default(), |_| {});
    assert_eq!(exec(&container, process, join()).unwrap().output, "0::/\n");
    kill(&container);
    drop(groups);
    assert!(!group.exists());
}

#[test]
fn a_group_that_is_none_fails_the_start_and_is_not_joined_in_another_way() {
    let mut bundle = Bundle::new("true");
    bundle.cgroup = CgroupJoin::V2(common::open_path("/tmp"));
    assert_eq!(bundle.failure(), "make process: bad file descriptor");
}

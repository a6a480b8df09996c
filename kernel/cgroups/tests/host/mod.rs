//! Groups of the real host for tests, and children that join them.

use cgroups::{Base, Group, Join, Layout, Mode, Parent, Resources};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A parent group of its own for one test; it and all in it are gone afterwards, also when the test fails.
pub(crate) struct Host {
    pub(crate) layout: Layout,
    pub(crate) parent: Option<Parent>,
    pub(crate) path: String,
}

impl Host {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = format!("coffer-test-{}-{count}", std::process::id());
        let layout = Layout::detect_at(Base::Top).unwrap();
        let parent = layout.parent(&path).unwrap();
        Self { layout, parent: Some(parent), path }
    }

    pub(crate) fn parent(&self) -> &Parent {
        self.parent.as_ref().unwrap()
    }

    pub(crate) fn create(&self, name: &str) -> Group {
        self.parent().create(name, &Resources::default()).unwrap()
    }

    pub(crate) fn is_v2(&self) -> bool {
        self.layout.mode() == Mode::V2
    }

    /// What is in a file of the group `name`, on v1 in the hierarchy of the file's controller.
    pub(crate) fn file(&self, name: &str, file: &str) -> String {
        std::fs::read_to_string(self.dir(name, file).join(file)).unwrap().trim().to_owned()
    }

    pub(crate) fn dir(&self, name: &str, file: &str) -> PathBuf {
        let controller = file.split('.').next().unwrap();
        mount_of(controller, self.is_v2()).join(&self.path).join(name)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let Some(parent) = self.parent.take() else { return };
        for name in parent.groups().unwrap_or_default() {
            if let Ok(Some(group)) = parent.open(&name) {
                group.thaw(SOON).unwrap_or_default();
                group.kill(SOON).unwrap_or_default();
                group.delete(SOON).unwrap_or_default();
            }
        }
        parent.remove().unwrap_or_default();
    }
}

fn mount_of(controller: &str, v2: bool) -> PathBuf {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mountinfo.lines().find(|line| {
        let (_, after) = line.split_once(" - ").unwrap();
        let mut fields = after.split(' ');
        match fields.next() {
            Some("cgroup2") => v2,
            Some("cgroup") => fields.nth(1).unwrap().split(',').any(|option| option == controller),
            _ => false,
        }
    });
    line.unwrap().split(' ').nth(4).unwrap().into()
}

/// A shell that joins the group by itself, says "joined" and then runs `script`.
pub(crate) fn shell(group: &Group, script: &str) -> Child {
    let process = std::process::id();
    let join = group.join().unwrap();
    let join_line = match &join {
        Join::V2(dir) => format!("echo 0 > /proc/{process}/fd/{}/cgroup.procs", dir.as_raw_fd()),
        Join::V1 { tasks, unified } => {
            let line = |fd: &OwnedFd, file: &str| {
                format!("echo 0 > /proc/{process}/fd/{}{file}", fd.as_raw_fd())
            };
            let unified = unified.iter().map(|fd| line(fd, "/cgroup.procs"));
            let lines: Vec<_> = tasks.iter().map(|fd| line(fd, "")).chain(unified).collect();
            lines.join(" && ")
        }
    };
    let mut child = Command::new("/bin/sh")
        .args(["-c", &format!("{join_line} && echo joined || exit 99\n{script}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(read_line(&mut child), "joined");
    child
}

/// One line of the child's output, byte by byte: nothing behind it is taken.
pub(crate) fn read_line(child: &mut Child) -> String {
    use std::io::Read;
    let mut line = Vec::new();
    let mut byte = [0];
    while child.stdout.as_mut().unwrap().read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

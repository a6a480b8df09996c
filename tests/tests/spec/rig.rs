//! Bundles, and the runtime.

use e2e::{image, program};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// One row: what is changed in the specification, what the shell in the container does, and what it must say.
pub(crate) struct Row {
    /// Document and property.
    pub(crate) name: &'static str,
    /// Merged into the specification ([`merge`]).
    pub(crate) change: Value,
    /// For `sh -c`; `process.args` is used as it is when this is empty.
    pub(crate) script: &'static str,
    /// What it says.
    pub(crate) says: &'static str,
}

pub(crate) fn row(
    name: &'static str,
    change: Value,
    script: &'static str,
    says: &'static str,
) -> Row {
    Row { name, change, script, says }
}

/// A bundle with a busybox root, and a state directory of its own.
pub(crate) struct Bundle {
    directory: tempfile::TempDir,
    /// Unlike any other's at this time.
    pub(crate) tag: String,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Ran {
    /// Its output; it must have succeeded.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }
}

impl Bundle {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("cofferspec{}n{count}", std::process::id());
        let directory = tempfile::Builder::new().prefix(&tag).tempdir().unwrap();
        image::busybox_root(&directory.path().join("rootfs"));
        Self { directory, tag }
    }

    /// A path in the bundle's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn rootfs(&self, name: &str) -> PathBuf {
        self.path("rootfs").join(name)
    }

    /// A name for a container that no other bundle uses.
    pub(crate) fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.tag)
    }

    pub(crate) fn write(&self, change: &Value, script: &str) {
        self.write_raw(&serde_json::to_vec(&config(change, script)).unwrap());
    }

    pub(crate) fn write_raw(&self, text: &[u8]) {
        fs::write(self.path("config.json"), text).unwrap();
    }

    /// The runtime, with this bundle's state directory.
    pub(crate) fn runtime(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("coffer-runtime"));
        command.arg("--root").arg(self.path("state")).args(arguments).stdin(Stdio::null());
        command
    }

    pub(crate) fn call(&self, arguments: &[&str]) -> Ran {
        self.runtime(arguments).output().unwrap().into()
    }

    /// Runs the container `name` to its end.
    pub(crate) fn run(&self, name: &str) -> Ran {
        let (bundle, id) = (self.directory.path().to_str().unwrap(), self.id(name));
        self.call(&["run", "--bundle", bundle, &id])
    }

    pub(crate) fn run_with(&self, change: &Value, script: &str) -> Ran {
        self.write(change, script);
        self.run("run")
    }

    /// A container that runs until it is killed; it is deleted with the value.
    pub(crate) fn start(&self, change: &Value, script: &str) -> Container<'_> {
        let container = self.create(change, script);
        container.call("start", &[]).ok();
        container
    }

    pub(crate) fn create(&self, change: &Value, script: &str) -> Container<'_> {
        self.write(change, script);
        let (bundle, id) = (self.directory.path().to_str().unwrap(), self.id("held"));
        // Its streams are the container's: nothing may wait for their end.
        let out = fs::File::create(self.path("out")).unwrap();
        let err = fs::File::create(self.path("err")).unwrap();
        let mut command = self.runtime(&["create", "--bundle", bundle, &id]);
        let status = command.stdout(out).stderr(err).status().unwrap();
        assert!(status.success(), "{}", fs::read_to_string(self.path("err")).unwrap());
        Container { bundle: self, id }
    }

    /// Runs every row and reports all that differ.
    pub(crate) fn check(&self, rows: &[Row]) {
        let failed: Vec<String> = rows.iter().filter_map(|row| self.differs(row)).collect();
        assert!(
            failed.is_empty(),
            "{} of {} rows:\n{}",
            failed.len(),
            rows.len(),
            failed.join("\n")
        );
        let left: Vec<_> = fs::read_dir(self.path("state")).unwrap().flatten().collect();
        let left =
            left.iter().filter(|entry| !entry.file_name().to_string_lossy().starts_with('@'));
        assert_eq!(left.count(), 0, "state of containers remains");
    }

    fn differs(&self, row: &Row) -> Option<String> {
        let ran = self.run_with(&row.change, row.script);
        let good = ran.code == Some(0) && ran.out == row.says;
        (!good).then(|| format!("{}: must say {:?}, but {ran:?}", row.name, row.says))
    }

    /// Every row must be refused: one line that has `words`, an exit code, no output of the program, and no remains.
    pub(crate) fn check_refused(&self, rows: &[(&'static str, Value, &'static str)]) {
        let mut failed = Vec::new();
        for (name, change, words) in rows {
            let ran = self.run_with(change, "echo the program ran");
            let one_line = ran.err.lines().count() == 1;
            let good =
                ran.code == Some(1) && ran.out.is_empty() && one_line && ran.err.contains(words);
            let remains = self.call(&["state", &self.id("run")]).code == Some(0);
            if !good || remains {
                failed.push(format!("{name}: must be refused with {words:?}, but {ran:?}"));
                self.call(&["delete", "--force", &self.id("run")]);
            }
        }
        assert!(
            failed.is_empty(),
            "{} of {} rows:\n{}",
            failed.len(),
            rows.len(),
            failed.join("\n")
        );
    }
}

/// A container that was created.
pub(crate) struct Container<'a> {
    bundle: &'a Bundle,
    id: String,
}

impl Container<'_> {
    /// A command of the runtime about it; `rest` stands behind the name.
    pub(crate) fn call(&self, command: &str, rest: &[&str]) -> Ran {
        let mut arguments = vec![command, self.id.as_str()];
        arguments.extend(rest);
        self.bundle.call(&arguments)
    }

    /// A command with flags before the name.
    pub(crate) fn call_with(&self, command: &[&str], rest: &[&str]) -> Ran {
        let mut arguments = command.to_vec();
        arguments.push(&self.id);
        arguments.extend(rest);
        self.bundle.call(&arguments)
    }

    /// What a shell says that joins it.
    pub(crate) fn exec(&self, script: &str) -> String {
        self.call("exec", &["/bin/sh", "-c", script]).ok()
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.call("state", &[]).ok()).unwrap()
    }

    pub(crate) fn pid(&self) -> i64 {
        self.state()["pid"].as_i64().unwrap()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        self.bundle.call(&["delete", "--force", &self.id]);
    }
}

/// A specification as engines make it, with everything new but the user namespace.
fn config(change: &Value, script: &str) -> Value {
    let all = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
    ];
    let mut config = json!({
        "ociVersion": "1.3.0",
        "hostname": "box",
        "root": {"path": "rootfs"},
        "process": {
            "args": ["/bin/sh", "-c", script],
            "cwd": "/",
            "env": ["PATH=/bin"],
            "user": {"uid": 0, "gid": 0},
            "noNewPrivileges": true,
            "capabilities": {"bounding": all, "effective": all, "permitted": all},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"},
                {"type": "network"}, {"type": "cgroup"},
            ],
        },
    });
    merge(&mut config, change);
    config
}

/// Lays `change` over `target`: objects are merged, null takes a field away, other values replace it. A field `+name` adds
/// its items to the list `name`.
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(fields) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else { return };
    for (name, value) in fields {
        match (name.strip_prefix('+'), value) {
            (Some(name), Value::Array(items)) => {
                let list = target.entry(name).or_insert_with(|| json!([]));
                list.as_array_mut().unwrap().extend(items.iter().cloned());
            }
            (_, Value::Null) => drop(target.remove(name)),
            _ => merge(target.entry(name).or_insert(Value::Null), value),
        }
    }
}

/// Whether the host has nothing but cgroup v2.
pub(crate) fn is_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Whether the runtime has this capability (a number) to give.
pub(crate) fn has_capability(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap() & (1 << number) != 0
}

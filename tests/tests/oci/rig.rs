//! A bundle with busybox and a state directory of its own.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// What a call said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Its output, of a call that must have succeeded.
    #[track_caller]
    pub(crate) fn text(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// The messages of its log lines of level error.
    #[track_caller]
    pub(crate) fn errors(&self) -> String {
        assert_ne!(self.code, 0, "{}", self.out);
        let (_, message) = self.err.split_once("level=error msg=").unwrap_or_default();
        serde_json::from_str(message.trim()).unwrap_or_else(|_| self.err.clone())
    }
}

/// The runtime with a bundle; containers that are left go with it.
pub(crate) struct Rig {
    directory: TempDir,
    prefix: String,
}

impl Rig {
    /// A bundle whose program is `args`.
    pub(crate) fn new(args: &[&str]) -> Self {
        let rig = Self::empty();
        e2e::image::busybox_root(&rig.path("bundle/rootfs"));
        for directory in ["proc", "dev", "sys", "tmp"] {
            std::fs::create_dir_all(rig.path("bundle/rootfs").join(directory)).unwrap();
        }
        rig.call(&["spec", "--bundle", &rig.text("bundle")]).text();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        rig.change(|spec| {
            spec["process"]["args"] = json!(args);
            spec["process"]["terminal"] = json!(false);
            // The hard limit cannot be raised everywhere.
            spec["process"]["rlimits"] = json!([]);
            spec["linux"]["cgroupsPath"] = json!(null);
        });
        rig
    }

    fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let directory = TempDir::with_prefix("coffer-oci-").unwrap();
        std::fs::create_dir_all(directory.path().join("bundle/rootfs")).unwrap();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("coffer-oci-{}-{number}", std::process::id());
        Self { directory, prefix }
    }

    /// A name that no other test has.
    pub(crate) fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Changes `config.json`.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Value)) {
        let path = self.path("bundle/config.json");
        let mut spec = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut spec);
        std::fs::write(&path, spec.to_string()).unwrap();
    }

    /// The program with this state directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(e2e::program("coffer-runtime"));
        command.arg("--root").arg(self.path("root")).args(arguments).stdin(Stdio::null());
        command
    }

    /// Calls it and waits. Output goes to files: containers that stay keep theirs open.
    pub(crate) fn call(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments))
    }

    /// Creates a container from the bundle.
    #[track_caller]
    pub(crate) fn create(&self, id: &str) {
        self.call(&["create", "--bundle", &self.text("bundle"), id]).text();
    }

    /// Creates and starts one.
    #[track_caller]
    pub(crate) fn start(&self, id: &str) {
        self.call(&["run", "-d", "--bundle", &self.text("bundle"), id]).text();
    }

    pub(crate) fn status(&self, id: &str) -> String {
        let state: Value = serde_json::from_str(&self.call(&["state", id]).text()).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }

    pub(crate) fn pid(&self, id: &str) -> i64 {
        let state: Value = serde_json::from_str(&self.call(&["state", id]).text()).unwrap();
        state["pid"].as_i64().unwrap()
    }

    /// Cgroups of this rig's containers.
    pub(crate) fn groups(&self) -> Vec<PathBuf> {
        groups(&self.prefix)
    }

    /// What is left of containers in the state directory.
    pub(crate) fn left(&self) -> Vec<String> {
        let listed = std::fs::read_dir(self.path("root"));
        let names = listed.into_iter().flatten().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with('@')).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for id in self.left() {
            self.call(&["delete", "--force", &id]);
        }
    }
}

/// Runs a command whose output goes to files.
pub(crate) fn said(mut command: Command) -> Said {
    let directory = TempDir::with_prefix("coffer-oci-said-").unwrap();
    let file = |name: &str| std::fs::File::create(directory.path().join(name)).unwrap();
    let status = command.stdout(file("out")).stderr(file("err")).status().unwrap();
    let read = |name: &str| {
        String::from_utf8_lossy(&std::fs::read(directory.path().join(name)).unwrap()).into_owned()
    };
    Said { code: status.code().unwrap_or(-1), out: read("out"), err: read("err") }
}

/// All groups of all hierarchies whose name has this in it.
pub(crate) fn groups(name: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, name: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name().to_string_lossy().contains(name) {
                found.push(entry.path());
            }
            walk(&entry.path(), name, found);
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), name, &mut found);
    found
}

/// Whether a program is installed; a test that needs it says so and passes without.
pub(crate) fn installed(program: &str) -> bool {
    let found = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin"]
        .iter()
        .any(|directory| Path::new(directory).join(program).exists());
    if !found {
        eprintln!("{program} is not installed: nothing is compared with it");
    }
    found
}

/// A program that ends with this value.
pub(crate) struct Ends(pub(crate) Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // Asked politely, it ends what it has started.
        Command::new("kill").arg(self.0.id().to_string()).status().ok();
        self.0.wait().ok();
    }
}

/// Waits for a child and answers what it said.
pub(crate) fn finish(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

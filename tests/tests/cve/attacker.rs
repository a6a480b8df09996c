//! What the tests attack with, and what must stay as it was.

use e2e::Engine;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use tempfile::TempDir;

/// A directory of the host with one file in it, which nothing in a container may read, change or add to.
#[derive(Debug)]
pub(crate) struct Canary {
    directory: TempDir,
    mounts: usize,
}

impl Canary {
    /// What the file says.
    pub(crate) const SECRET: &str = "only the host may read this\n";

    pub(crate) fn new() -> Self {
        let directory = TempDir::with_prefix("coffer-canary-").unwrap();
        std::fs::write(directory.path().join("file"), Self::SECRET).unwrap();
        let mounts = mounts_below(directory.path());
        Self { directory, mounts }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Ways to write its path in a link: from the root, and from any depth.
    pub(crate) fn links(&self) -> [String; 2] {
        let path = self.path().display().to_string();
        [path.clone(), format!("{}{path}", "../".repeat(30).trim_end_matches('/'))]
    }

    /// Asserts that nothing was made, changed, removed or mounted.
    #[track_caller]
    pub(crate) fn is_untouched(&self) {
        let names: Vec<_> = std::fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, ["file"], "the host's directory has other files");
        let file = self.path().join("file");
        assert_eq!(std::fs::read_to_string(file).unwrap(), Self::SECRET);
        assert_eq!(mounts_below(self.path()), self.mounts, "something is mounted on the host");
    }
}

/// How many mounts of this mount namespace lie at or below a directory.
pub(crate) fn mounts_below(directory: &Path) -> usize {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let below = |line: &&str| {
        let target = line.split(' ').nth(4).unwrap_or_default();
        Path::new(target).starts_with(directory)
    };
    table.lines().filter(below).count()
}

/// A thread that exchanges two names of a directory as fast as it can until this value goes.
#[derive(Debug)]
pub(crate) struct Exchange {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Exchange {
    pub(crate) fn of(directory: &Path, a: &str, b: &str) -> Self {
        let (a, b): (PathBuf, PathBuf) = (directory.join(a), directory.join(b));
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let (told, done) = (stop.clone(), count.clone());
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                if renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).is_ok() {
                    done.fetch_add(1, Ordering::Relaxed);
                }
                // Two cores have other work, and each state must last long enough to be met.
                std::thread::yield_now();
            }
        });
        Self { stop, count, thread: Some(thread) }
    }

    /// Ends it; it must have exchanged something, or the test has tested nothing.
    #[track_caller]
    pub(crate) fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let count = self.count.load(Ordering::Relaxed);
        assert!(count > 100, "exchanged {count} times only");
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Makes an image of busybox that `change` has made hostile.
pub(crate) fn image(engine: &Engine, name: &str, change: impl FnOnce(&Path)) {
    let root = TempDir::new().unwrap();
    e2e::image::busybox_root(root.path());
    change(root.path());
    let archive = engine.path(&format!("{name}.tar"));
    // With holes kept as holes, so that a large file costs nothing.
    let mut tar = std::process::Command::new("tar");
    tar.args(["--sparse", "-C"]).arg(root.path()).arg("-cf").arg(&archive).arg(".");
    assert!(tar.status().unwrap().success(), "tar {name}");
    engine.docker(&["import", &archive.display().to_string(), name]).text();
}

/// Puts a link in the place of whatever lies at `name` of an image's root.
pub(crate) fn replace_by_link(root: &Path, name: &str, target: &str) {
    let path = root.join(name);
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(&path).unwrap(),
        Ok(_) => std::fs::remove_file(&path).unwrap(),
        Err(_) => {}
    }
    std::os::unix::fs::symlink(target, path).unwrap();
}

/// The process id of a container's first process, as the host counts.
pub(crate) fn pid(engine: &Engine, container: &str) -> u32 {
    let text = engine.docker(&["inspect", container, "--format", "{{.State.Pid}}"]).text();
    text.parse().unwrap()
}

/// The process id of a process's parent.
pub(crate) fn parent(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    line.trim().parse().unwrap()
}

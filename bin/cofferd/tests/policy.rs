//! When the supervisor does not start: one sentence on standard error and exit code 1, with nothing made.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::write(place.path("policy.toml"), "").unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn start(&self, policy: &Path) -> Output {
        std::fs::write(self.path("daemon.json"), "{}").unwrap();
        let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
        Command::new("timeout")
            .args(["-s", "KILL", "60", "unshare", "-n", env!("CARGO_BIN_EXE_cofferd")])
            .arg(option("config-file", &self.path("daemon.json")))
            .arg(option("data-root", &self.path("data")))
            .arg(option("exec-root", &self.path("exec")))
            .arg(option("pidfile", &self.path("pid")))
            .arg(option("policy", policy))
            .arg(format!("--host=unix://{}", self.path("sock").display()))
            .output()
            .unwrap()
    }

    /// It does not start, says this, and has made no socket and no pid file.
    fn refuses(&self, policy: &Path, sentence: &str) {
        let output = self.start(policy);
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("cofferd: {sentence}\n"));
        assert_eq!(output.status.code(), Some(1));
        assert!(!self.path("sock").exists() && !self.path("pid").exists());
    }
}

#[test]
fn a_policy_that_others_could_have_written_is_not_used() {
    let place = Place::new();
    let policy = place.path("policy.toml");
    let sentence = format!(
        "policy {} must be a regular file of root that nobody else can write",
        policy.display()
    );
    let mode = |mode| {
        std::fs::set_permissions(&policy, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for others in [0o666, 0o646, 0o664, 0o777] {
        mode(others);
        place.refuses(&policy, &sentence);
    }
    mode(0o600);
    chown(&policy, Some(60_600), None).unwrap();
    place.refuses(&policy, &sentence);
    std::fs::remove_file(&policy).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &policy, 0o600.into()).unwrap();
    place.refuses(&policy, &sentence);
    assert!(!place.path("data").exists(), "nothing was made");
}

#[test]
fn a_policy_that_is_missing_or_a_link_is_not_used() {
    let place = Place::new();
    let read = |path: &Path, cause: &str| format!("read policy {}: {cause}", path.display());
    let missing = place.path("missing.toml");
    place.refuses(&missing, &read(&missing, "No such file or directory (os error 2)"));
    let link = place.path("link.toml");
    symlink(place.path("policy.toml"), &link).unwrap();
    place.refuses(&link, &read(&link, "Too many levels of symbolic links (os error 40)"));
    assert!(!place.path("data").exists(), "nothing was made");
}

#[test]
fn a_policy_with_an_unknown_key_is_not_used() {
    let place = Place::new();
    let policy = place.path("policy.toml");
    std::fs::write(&policy, "priviledged = false\n").unwrap();
    let output = place.start(&policy);
    let text = String::from_utf8_lossy(&output.stderr);
    let begin = format!("cofferd: policy {}: ", policy.display());
    assert!(text.starts_with(&begin) && text.contains("unknown field `priviledged`"), "{text}");
    assert_eq!(output.status.code(), Some(1));
    assert!(!place.path("data").exists(), "nothing was made");
}

#[test]
fn a_data_root_of_another_engine_is_left_alone() {
    for found in ["overlay2", "image", "containerd"] {
        let place = Place::new();
        std::fs::create_dir_all(place.path("data").join(found)).unwrap();
        let data = place.path("data").display().to_string();
        let sentence = format!(
            "data root {data} was written by another container engine (it has {found:?} in it): \
             choose another with --data-root, or move it away"
        );
        place.refuses(&place.path("policy.toml"), &sentence);
        let left: Vec<_> = std::fs::read_dir(data).unwrap().collect();
        assert_eq!(left.len(), 1);
    }
}

#[test]
fn a_data_root_in_which_an_engine_runs_is_left_to_it() {
    let place = Place::new();
    let data = place.path("data");
    let held = supervisor::directories::prepare(&data, &place.path("exec"), (1, 1)).unwrap();
    let sentence = format!("data root {} is in use by another cofferd", data.display());
    place.refuses(&place.path("policy.toml"), &sentence);
    drop(held);
}

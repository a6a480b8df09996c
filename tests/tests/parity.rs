//! One long script of commands, and who says the same: the Docker CLI of this engine and of the reference engine, and
//! `coffer` in the place of the Docker CLI. Compared are exit code, standard output and standard error of each line.
#![expect(clippy::unwrap_used, reason = "tests")]

use e2e::{Engine, Reference, Said};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Where this engine answers otherwise than the reference on purpose: the command, and why. Each is checked to differ
/// still.
const ENGINE: &str = include_str!("../parity/different.txt");
/// The same for `coffer` beside the Docker CLI.
const CLIENT: &str = include_str!("../parity/client.txt");

/// Seconds that a line may take.
const PATIENCE: &str = "120";

/// What was said of each line.
struct Transcripts {
    reference: Vec<Said>,
    docker: Vec<Said>,
    coffer: Vec<Said>,
}

fn lines() -> impl Iterator<Item = &'static str> {
    let script = include_str!("../parity/containers.txt");
    script.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Runs each line, with `$DIR` as a directory of its engine's own whose name is masked too, and with the programs of
/// `first` before all others.
fn run(host: &str, first: Option<&Path>) -> Vec<Said> {
    let directory = TempDir::new().unwrap();
    let name = directory.path().display().to_string();
    let mut path = std::env::var("PATH").unwrap();
    if let Some(first) = first {
        path = format!("{}:{path}", first.display());
    }
    let once = |line| {
        // A command that waits for ever counts as one that fails.
        let output = Command::new("timeout")
            .args(["--kill-after=2", PATIENCE, "sh", "-c", line])
            .env("PATH", &path)
            .env("DOCKER_HOST", host)
            .env("DOCKER_CONFIG", directory.path().join("client"))
            .env("DIR", directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let mut said = Said::from(output);
        said.out = said.out.replace(&name, "<DIR>");
        said.err = said.err.replace(&name, "<DIR>");
        said.masked()
    };
    lines().map(once).collect()
}

/// A directory with `coffer` under the name of the Docker CLI.
fn in_dockers_place() -> TempDir {
    let directory = TempDir::new().unwrap();
    let link = directory.path().join("docker");
    std::os::unix::fs::symlink(e2e::program("coffer"), link).unwrap();
    directory
}

/// All three run the script at the same time, each against an engine that nobody else uses.
fn transcripts() -> &'static Transcripts {
    static TRANSCRIPTS: OnceLock<Transcripts> = OnceLock::new();
    TRANSCRIPTS.get_or_init(|| {
        std::thread::scope(|scope| {
            let reference = scope.spawn(|| run(&Reference::start().host(), None));
            let docker = scope.spawn(|| run(&Engine::with_busybox().host(), None));
            let programs = in_dockers_place();
            let coffer = run(&Engine::with_busybox().host(), Some(programs.path()));
            Transcripts {
                reference: reference.join().unwrap(),
                docker: docker.join().unwrap(),
                coffer,
            }
        })
    })
}

/// Commands with reasons: pairs of lines `= command` and `# reason`.
fn reasons(text: &'static str) -> BTreeMap<&'static str, &'static str> {
    let mut map = BTreeMap::new();
    let mut command = None;
    for line in text.lines() {
        if let Some(text) = line.strip_prefix("= ") {
            command = Some(text);
        } else if let Some(reason) = line.strip_prefix("# ")
            && let Some(command) = command.take()
        {
            map.insert(command, reason);
        }
    }
    map
}

/// Fails with all lines that differ without a reason, and with reasons that nothing is left of.
#[track_caller]
fn compare(names: [&str; 2], theirs: &[Said], ours: &[Said], different: &'static str) {
    let mut different = reasons(different);
    let mut wrong = Vec::new();
    for (line, (theirs, ours)) in lines().zip(theirs.iter().zip(ours)) {
        match (theirs == ours, different.remove(line)) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(reason)) => {
                wrong.push(format!("$ {line}\n  is not different any more ({reason})"));
            }
            (false, None) => {
                let [first, second] = names;
                wrong.push(format!(
                    "$ {line}\n  {first}: {} {:?} {:?}\n  {second}: {} {:?} {:?}",
                    theirs.code, theirs.out, theirs.err, ours.code, ours.out, ours.err
                ));
            }
        }
    }
    wrong.extend(different.keys().map(|line| format!("$ {line}\n  is not in the script")));
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), lines().count(), wrong.join("\n"));
}

#[test]
fn the_docker_cli_says_the_same_of_this_engine_and_of_the_reference() {
    let all = transcripts();
    compare(["reference", "ours     "], &all.reference, &all.docker, ENGINE);
}

#[test]
fn coffer_says_the_same_as_the_docker_cli() {
    let all = transcripts();
    compare(["docker", "coffer"], &all.docker, &all.coffer, CLIENT);
}

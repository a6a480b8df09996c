//! The Docker CLI says the same of both engines: exit code, standard output and standard error of a long script.
#![expect(clippy::unwrap_used, reason = "tests")]

use e2e::{Engine, Reference, Said};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where this engine answers otherwise on purpose: the command, and why. Each is checked to differ still.
const DIFFERENT: &str = include_str!("../parity/different.txt");

/// Seconds that a line may take.
const PATIENCE: &str = "20";

/// Runs a line with `$DIR` as a directory of its engine's own, whose name is masked too.
fn run(host: &str, directory: &Path, line: &str) -> Said {
    // A command that waits for ever counts as one that fails.
    let output = Command::new("timeout")
        .args(["--kill-after=2", PATIENCE, "sh", "-c", line])
        .env("DOCKER_HOST", host)
        .env("DOCKER_CONFIG", directory.join("client"))
        .env("DIR", directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut said = Said::from(output);
    let name = directory.display().to_string();
    said.out = said.out.replace(&name, "<DIR>");
    said.err = said.err.replace(&name, "<DIR>");
    said.masked()
}

/// The commands of `different.txt`, each with its reason: pairs of lines `= command` and `# reason`.
fn different() -> BTreeMap<&'static str, &'static str> {
    let mut map = BTreeMap::new();
    let mut command = None;
    for line in DIFFERENT.lines() {
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

#[test]
fn the_docker_cli_says_the_same_of_this_engine_and_of_the_reference() {
    let reference = Reference::start();
    let engine = Engine::with_busybox();
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let different = different();
    let script = include_str!("../parity/containers.txt");
    let lines = script.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in lines {
        count += 1;
        let theirs = run(&reference.host(), directories[0].path(), line);
        let ours = run(&engine.host(), directories[1].path(), line);
        match (theirs == ours, different.get(line)) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(reason)) => {
                wrong.push(format!("$ {line}\n  is not different any more ({reason})"))
            }
            (false, None) => wrong.push(format!(
                "$ {line}\n  reference: {} {:?} {:?}\n  ours:      {} {:?} {:?}",
                theirs.code, theirs.out, theirs.err, ours.code, ours.out, ours.err
            )),
        }
    }
    assert!(wrong.is_empty(), "{} of {count} commands differ:\n{}", wrong.len(), wrong.join("\n"));
}

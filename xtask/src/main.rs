//! Chores of the project: `cargo xtask layers`, `cargo xtask budget`, `cargo xtask registry`.

#![forbid(unsafe_code)]

mod budget;
mod layers;
mod pull;
mod registry;
mod runtime;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask layers
           fails when a crate imports what its layer may not (layers.toml)
       cargo xtask budget [--rounds N] [--many N] [--lines N] [--client PROGRAM]... [--daemon PROGRAM]
                          [SOCKET [REFERENCE-SOCKET]]
           times an engine operation by operation, beside a reference engine when there is one, and prints ratios
           --many N          the list of N containers
           --lines N         N lines of output, written and read back
           --client PROGRAM  `run --rm` with this client; the first with this engine, the second with the reference
           --daemon PROGRAM  how long this daemon needs to its first answer, and what it weighs then
       cargo xtask pull [--rounds N] IMAGE SOCKET [REFERENCE-SOCKET]
           times pull, push, save and load of an image in a registry that the engines reach
       cargo xtask registry [--rounds N] [--megabytes N] PROGRAM [REFERENCE]
           coffer-registry beside Debian's docker-registry: blobs, manifests, memory
       cargo xtask runtime [--rounds N] PROGRAM [OTHER]...
           coffer-runtime beside runc and crun: run, create and start, exec, state; size; times of steps";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((chore, [])) if chore == "layers" => layers::check(),
        Some((chore, rest)) if chore == "budget" => budget::run(rest),
        Some((chore, rest)) if chore == "pull" => pull::run(rest),
        Some((chore, rest)) if chore == "runtime" => runtime::run(rest),
        Some((chore, rest)) if chore == "registry" => registry::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

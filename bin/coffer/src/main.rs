//! `coffer`: the client. Called as `docker` through a link it is that program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    client_cli::main(std::env::args_os().collect())
}

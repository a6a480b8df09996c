//! `coffer-registry`: a registry for container images. Without arguments it serves 127.0.0.1:5000.
//!
//! Reading order: [`options`] (flags), [`config`] (the file, and what both come to), [`run`] (the sockets, the signals).

#![forbid(unsafe_code)]

mod config;
mod options;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = options::command().get_matches();
    let result = match matches.subcommand() {
        Some(("collect", _)) => run::collect(&matches),
        Some(("check", _)) => run::check(&matches),
        _ => run::serve(&matches),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("coffer-registry: {}", run::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

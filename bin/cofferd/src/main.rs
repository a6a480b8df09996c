//! `cofferd`: the daemon. Without arguments it is the supervisor; `cofferd worker ROLE` is one of the workers that the
//! supervisor starts.
//!
//! Reading order: [`options`] (flags and daemon.json), [`settings`] (what they come to), [`start`] (the supervisor's
//! plan), [`worker`] (the workers' entry), [`api`] (the api worker's runtime).

#![forbid(unsafe_code)]

mod api;
mod options;
mod registries;
mod settings;
mod start;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = options::command().get_matches();
    let result = match matches.subcommand_matches("worker") {
        Some(worker) => worker::run(worker),
        None => start::run(&matches),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = spec::Failure::from_error(spec::Class::Internal, &*error);
            eprintln!("cofferd: {failure}");
            ExitCode::FAILURE
        }
    }
}

//! `coffer-runtime`: an OCI runtime with runc's commands and flags, in whose place engines can call it.

#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod log;
mod print;

use clap::ArgMatches;
use oci::{Error, Options, Rootless, Runtime};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let given: Vec<_> = std::env::args_os().collect();
    let matches = match arguments::tree().try_get_matches_from(given) {
        Ok(matches) => matches,
        Err(error) => return refused(&error),
    };
    let log = match log::Log::open(&matches) {
        Ok(log) => log,
        Err(error) => return fail(&log::Log::to_stderr(), &error.sentence(), 1),
    };
    let Some((name, command)) = matches.subcommand() else {
        return print::text(&arguments::tree().render_help().to_string());
    };
    match run(&matches, name, command, &log) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let (prefix, code) = match name {
                "exec" => ("exec failed: ".to_owned(), 255),
                "create" | "run" | "restore" => (format!("coffer-runtime {name} failed: "), 1),
                _ => (String::new(), 1),
            };
            fail(&log, &format!("{prefix}{}", error.sentence()), code)
        }
    }
}

fn run(
    matches: &ArgMatches,
    name: &str,
    command: &ArgMatches,
    log: &log::Log,
) -> Result<u8, Error> {
    if let Some(done) = commands::without_state(name, command)? {
        return Ok(done);
    }
    let note = log.clone();
    let runtime =
        Runtime::open(options(matches)?, Box::new(move |level, text| note.note(level, text)))?;
    let code = commands::with_state(&runtime, name, command);
    if matches.get_flag("timings") {
        eprint!("{}", runtime.timings());
    }
    code
}

fn options(matches: &ArgMatches) -> Result<Options, Error> {
    let path = |name: &str| matches.get_one::<String>(name).map(PathBuf::from);
    let rootless = match matches.get_one::<String>("rootless").map(String::as_str) {
        Some("true") => Rootless::True,
        Some("false") => Rootless::False,
        _ => Rootless::Auto,
    };
    Ok(Options {
        root: path("root").unwrap_or_else(oci::default_root),
        systemd_cgroup: matches.get_flag("systemd-cgroup"),
        rootless,
        timings: matches.get_flag("timings"),
        criu: path("criu").unwrap_or_else(|| "criu".into()),
    })
}

/// Arguments that cannot be read, or a question for help or the version.
fn refused(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => print::text(&error.to_string()),
        kind => {
            let text = error.to_string();
            // The sentence, without the usage that follows after an empty line.
            let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
            let line = lines.collect::<Vec<_>>().join(" ");
            let line = line.trim_start_matches("error: ");
            // runc's code for a command that it does not have.
            let code = if kind == ErrorKind::InvalidSubcommand { 3 } else { 1 };
            fail(&log::Log::to_stderr(), line, code)
        }
    }
}

fn fail(log: &log::Log, message: &str, code: u8) -> ExitCode {
    log.error(message);
    ExitCode::from(code)
}

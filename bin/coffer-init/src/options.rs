//! The command line: tini's options.

use std::ffi::OsString;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `--version`.
    Version,
    /// A program to run.
    Run(Options),
}

/// A program and how it is run.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Options {
    /// `-g`: signals go to the program's whole process group.
    pub(crate) whole_group: bool,
    /// `-p SIGNAL`: what this process gets when its parent ends.
    pub(crate) parent_death_signal: Option<i32>,
    /// `-e CODE`: exit codes that count as 0.
    pub(crate) successes: Vec<u8>,
    /// The program and its arguments; never empty.
    pub(crate) program: Vec<OsString>,
}

impl Options {
    /// The exit code for the program's `status`.
    pub(crate) fn translate(&self, status: u8) -> u8 {
        if self.successes.contains(&status) { 0 } else { status }
    }
}

/// Reads the arguments after the program's own name.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Command, String> {
    let mut options = Options::default();
    let mut arguments = arguments.into_iter();
    let first = loop {
        let Some(argument) = arguments.next() else { break None };
        let text = argument.to_str().unwrap_or_default();
        match text {
            "--" => break arguments.next(),
            "--version" => return Ok(Command::Version),
            // Being a subreaper and warnings are decided without asking; a license text is not shown.
            "-s" | "-v" | "-vv" | "-vvv" | "-w" => {}
            "-g" => options.whole_group = true,
            "-p" => options.parent_death_signal = Some(signal(arguments.next())?),
            "-e" => options.successes.push(code(arguments.next())?),
            _ if text.starts_with('-') => return Err(format!("unknown option {text}")),
            _ => break Some(argument),
        }
    };
    options.program = first.into_iter().chain(arguments).collect();
    match options.program.is_empty() {
        true => Err("no program is given; usage: coffer-init [-g] [-p SIGNAL] [-e CODE] -- PROGRAM [ARGUMENT ...]".to_owned()),
        false => Ok(Command::Run(options)),
    }
}

fn signal(value: Option<OsString>) -> Result<i32, String> {
    let value = value.unwrap_or_default();
    let text = value.to_str().unwrap_or_default();
    sys::signals::parse(text).ok_or_else(|| format!("invalid signal {text:?} for -p"))
}

fn code(value: Option<OsString>) -> Result<u8, String> {
    let value = value.unwrap_or_default();
    let text = value.to_str().unwrap_or_default();
    text.parse().map_err(|_| format!("invalid exit code {text:?} for -e: must be 0 to 255"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Command, String> {
        parse(text.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn options_end_at_the_program_or_at_two_dashes() {
        let Ok(Command::Run(options)) = parsed("-g -p TERM -e 143 -- -x y") else { panic!() };
        assert!(options.whole_group);
        assert_eq!(options.parent_death_signal, Some(15));
        assert_eq!(options.translate(143), 0);
        assert_eq!(options.program, ["-x", "y"]);
        let Ok(Command::Run(options)) = parsed("sh -g") else { panic!() };
        assert_eq!(options.program, ["sh", "-g"]);
        assert_eq!(parsed("--version"), Ok(Command::Version));
    }

    #[test]
    fn wrong_options_are_named() {
        assert_eq!(parsed("-z x").unwrap_err(), "unknown option -z");
        assert_eq!(
            parsed("-e 256 x").unwrap_err(),
            "invalid exit code \"256\" for -e: must be 0 to 255"
        );
        assert!(parsed("--").unwrap_err().starts_with("no program is given"));
    }
}

//! From the arguments to the exit status.

use crate::arg::Flags;
use crate::command::{Arity, GROUPS, Invocation, Spec, TABLE};
use crate::failure::Failure;
use crate::session::{Globals, Session};
use crate::{output, plugin, tree, words};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Where we are when something fails: what to call ourselves, and the usage to show.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// `docker` or `coffer`.
    pub(crate) program: &'static str,
    /// The whole name of the command, `docker container ls`.
    pub(crate) path: String,
    /// What follows it in the usage.
    pub(crate) usage: &'static str,
}

/// Runs the command line and answers with its exit status.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let program = match arguments.first().and_then(|name| Path::new(name).file_name()) {
        Some(name) if name == "docker" => "docker",
        _ => "coffer",
    };
    let mut place =
        Place { program, path: program.to_owned(), usage: "[OPTIONS] COMMAND [ARG...]" };
    match dispatch(arguments, &mut place) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, &place);
            ExitCode::from(failure.code())
        }
    }
}

fn report(failure: &Failure, place: &Place) {
    let Place { program, path, usage } = place;
    match failure {
        Failure::Exit(_) => {}
        Failure::Flag { .. } | Failure::Syntax(_) => output::complain(format!(
            "{failure}\n\nUsage:  {path} {usage}\n\nRun '{path} --help' for more information"
        )),
        Failure::Hinted { command, source, .. } => output::complain(format!(
            "{program}: {source}\n\nRun '{program} {command} --help' for more information"
        )),
        other => {
            let text = other.to_string();
            if !text.is_empty() {
                output::complain(text);
            }
        }
    }
}

fn dispatch(arguments: Vec<OsString>, place: &mut Place) -> Result<(), Failure> {
    let arguments: Vec<String> = arguments
        .into_iter()
        .map(|argument| argument.into_string())
        .collect::<Result<_, _>>()
        .map_err(|argument| Failure::Syntax(format!("the argument {argument:?} is not UTF-8")))?;
    let matches = parse(tree::root(place.program), arguments.clone())?;
    let Some((word, rest)) = matches.subcommand() else {
        let flags = Flags(matches);
        if flags.on("version") {
            return Ok(output::line(format!(
                "{} version {}, build {}",
                tree::title(place.program),
                crate::session::VERSION,
                crate::session::BUILD
            ))?);
        }
        let plugins = plugin::all(&Session::new(Globals::new(&flags), place.program)?.config);
        return Ok(output::bytes(tree::overview(place.program, &plugins).as_bytes())?);
    };
    let words: Vec<String> = std::iter::once(word.to_owned()).chain(external(rest)).collect();
    let globals = Globals::new(&Flags(matches.clone()));
    let is_ours = |word: &str| {
        word == "help"
            || TABLE.iter().any(|spec| spec.top == word)
            || GROUPS.iter().any(|(group, _)| *group == word)
    };
    let (first, config) = (&words[0], Session::new(globals.clone(), place.program)?.config);
    if !is_ours(first)
        && let Some(path) = plugin::find(&config, first)
    {
        return Err(plugin::become_it(&path, &arguments));
    }
    if let [help, name, ..] = words.as_slice()
        && help == "help"
        && !is_ours(name)
        && let Some(path) = plugin::find(&config, name)
    {
        let line = [place.program, name, "--help"].map(str::to_owned);
        return Err(plugin::become_it(&path, &line));
    }
    command(words, globals, place)
}

fn external(matches: &clap::ArgMatches) -> Vec<String> {
    matches
        .try_get_many::<OsString>("")
        .ok()
        .flatten()
        .into_iter()
        .flatten()
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

fn command(words: Vec<String>, globals: Globals, place: &mut Place) -> Result<(), Failure> {
    let first = words[0].as_str();
    if first == "help" {
        return help(&words[1..], place);
    }
    if let Some(spec) = TABLE.iter().find(|spec| spec.top == first) {
        place.path = format!("{} {first}", place.program);
        return one(spec, &words[1..], globals, place);
    }
    let Some((group, about)) = GROUPS.iter().find(|(name, _)| *name == first) else {
        let program = place.program;
        return Err(Failure::Plain(format!(
            "{program}: unknown command: {program} {first}\n\nRun '{program} --help' for more information"
        )));
    };
    place.path = format!("{} {group}", place.program);
    place.usage = "COMMAND";
    match words.get(1).map(String::as_str) {
        None | Some("--help") => {
            Ok(output::bytes(tree::group(place.program, group, about).as_bytes())?)
        }
        Some(word) if word.starts_with('-') => Err(unknown_flag(word)),
        Some(word) => {
            let named = |spec: &&Spec| {
                spec.group == *group && (spec.name == word || spec.aliases.contains(&word))
            };
            let Some(spec) = TABLE.iter().find(named) else {
                let path = &place.path;
                return Err(Failure::Plain(format!(
                    "{}: unknown command: {path} {word}\n\nUsage:  {path}\n\nRun '{path} --help' for more information",
                    place.program
                )));
            };
            place.path = format!("{} {group} {}", place.program, spec.name);
            one(spec, &words[2..], globals, place)
        }
    }
}

fn help(words: &[String], place: &Place) -> Result<(), Failure> {
    let word = words.first().map(String::as_str).unwrap_or_default();
    let spec = match words {
        [group, name, ..] => TABLE.iter().find(|spec| spec.group == group && spec.name == name),
        _ => TABLE.iter().find(|spec| spec.top == word),
    };
    let text = match (spec, GROUPS.iter().find(|(name, _)| *name == word)) {
        (Some(spec), _) => {
            tree::help(place.program, spec, &format!("{} {}", place.program, words.join(" ")))
        }
        (None, Some((group, about))) => tree::group(place.program, group, about),
        (None, None) => tree::overview(place.program, &BTreeMap::new()),
    };
    Ok(output::bytes(text.as_bytes())?)
}

fn one(
    spec: &'static Spec,
    words: &[String],
    globals: Globals,
    place: &mut Place,
) -> Result<(), Failure> {
    place.usage = spec.usage;
    let words = words::sorted(spec, words)?;
    let line = std::iter::once(place.path.clone()).chain(words).collect();
    let matches = parse(tree::leaf(spec), line)?;
    let flags = Flags(matches);
    if flags.on("help") {
        return Ok(output::bytes(tree::help(place.program, spec, &place.path).as_bytes())?);
    }
    let args = flags.all("args");
    check_switches(spec, &flags)?;
    check_arity(spec, args.len(), place)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let session = Session::new(globals, place.program)?;
    let result = runtime.block_on((spec.run)(Invocation { session, flags, args }));
    // A thread may still sit in a read of standard input.
    runtime.shutdown_background();
    result.map_err(|failure| name_flag(failure, spec))
}

/// Docker names a flag by both its names.
fn name_flag(failure: Failure, spec: &Spec) -> Failure {
    match failure {
        Failure::Flag { flag, value, reason } => {
            let short = (spec.flags)()
                .iter()
                .find(|arg| arg.get_long() == Some(&flag))
                .and_then(clap::Arg::get_short);
            let flag =
                short.map_or_else(|| format!("--{flag}"), |short| format!("-{short}, --{flag}"));
            Failure::Flag { flag, value, reason }
        }
        other => other,
    }
}

fn check_switches(spec: &Spec, flags: &Flags) -> Result<(), Failure> {
    for arg in (spec.flags)() {
        let name = arg.get_id().as_str();
        if arg.is_require_equals_set()
            && let Some(text) = flags.text_of(name)
            && crate::arg::truth(text).is_none()
        {
            let reason = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
            return Err(name_flag(Failure::flag(name, text, &reason), spec));
        }
    }
    Ok(())
}

fn check_arity(spec: &Spec, count: usize, place: &Place) -> Result<(), Failure> {
    let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
    let (wrong, hint) = match spec.arity {
        Arity::Exact(0) if count > 0 => ("accepts no arguments".to_owned(), "Run"),
        Arity::Exact(wanted) if count != wanted => {
            (format!("requires {wanted} {}", plural(wanted)), "Run")
        }
        Arity::Min(wanted) if count < wanted => {
            (format!("requires at least {wanted} {}", plural(wanted)), "See")
        }
        Arity::Max(wanted) if count > wanted => {
            (format!("requires at most {wanted} {}", plural(wanted)), "Run")
        }
        Arity::Range(low, high) if count < low || count > high => {
            (format!("requires at least {low} and at most {high} {}", plural(high)), "Run")
        }
        _ => return Ok(()),
    };
    let Place { program, path, usage } = place;
    Err(Failure::Plain(format!(
        "{program}: '{path}' {wrong}\n\nUsage:  {path} {usage}\n\n{hint} '{path} --help' for more information"
    )))
}

fn parse(command: Command, line: Vec<String>) -> Result<clap::ArgMatches, Failure> {
    command.try_get_matches_from(line).map_err(|error| syntax(&error))
}

/// Says what is wrong with the words of Docker's own client.
fn syntax(error: &Error) -> Failure {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let argument = text(ContextKind::InvalidArg);
    let long =
        argument.split_whitespace().next().unwrap_or_default().trim_end_matches(',').to_owned();
    match error.kind() {
        ErrorKind::UnknownArgument => unknown_flag(&long),
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            let long =
                argument.split_whitespace().find(|word| word.starts_with("--")).unwrap_or(&long);
            Failure::Syntax(format!("flag needs an argument: {long}"))
        }
        _ => Failure::Syntax(error.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

pub(crate) fn unknown_flag(word: &str) -> Failure {
    if word.starts_with("--") {
        return Failure::Syntax(format!(
            "unknown flag: {}",
            word.split('=').next().unwrap_or_default()
        ));
    }
    let short = word.chars().nth(1).unwrap_or('-');
    Failure::Syntax(format!("unknown shorthand flag: '{short}' in {word}"))
}

//! Flags: short constructors, and reading what was given.

use crate::failure::Failure;
use clap::{Arg, ArgAction, ArgMatches};

/// A flag that is on or off; `--name=false` turns it off.
pub(crate) fn switch(
    name: &'static str,
    short: impl Into<Option<char>>,
    help: &'static str,
) -> Arg {
    named(name, short)
        .help(help)
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .hide_possible_values(true)
}

/// A flag with one value; the last one given counts.
pub(crate) fn value(
    name: &'static str,
    short: impl Into<Option<char>>,
    kind: &'static str,
    help: &'static str,
) -> Arg {
    named(name, short)
        .help(help)
        .value_name(kind)
        .action(ArgAction::Set)
        .num_args(1)
        .allow_hyphen_values(true)
}

/// A flag that may be given more than once.
pub(crate) fn list(name: &'static str, short: impl Into<Option<char>>, help: &'static str) -> Arg {
    value(name, short, "list", help).action(ArgAction::Append)
}

fn named(name: &'static str, short: impl Into<Option<char>>) -> Arg {
    let arg = Arg::new(name).long(name);
    match short.into() {
        Some(short) => arg.short(short),
        None => arg,
    }
}

/// What was given on the command line.
#[derive(Debug)]
pub(crate) struct Flags(pub(crate) ArgMatches);

impl Flags {
    /// The flag was given.
    pub(crate) fn given(&self, name: &str) -> bool {
        self.0.try_contains_id(name).unwrap_or(false)
    }

    /// The value of a switch; off when it was not given.
    pub(crate) fn on(&self, name: &str) -> bool {
        self.text_of(name).is_some_and(|text| truth(text).unwrap_or(false))
    }

    /// The value of a switch that is on when it was not given.
    pub(crate) fn not_off(&self, name: &str) -> bool {
        self.text_of(name).is_none_or(|text| truth(text).unwrap_or(true))
    }

    /// The value; empty when it was not given.
    pub(crate) fn text(&self, name: &str) -> String {
        self.text_of(name).unwrap_or_default().to_owned()
    }

    /// The value, if it was given.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.0.try_get_one::<String>(name).ok().flatten().map(String::as_str)
    }

    /// All values, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.try_get_many::<String>(name).ok().flatten().into_iter().flatten().cloned().collect()
    }

    /// The value as a whole number.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.text_of(name) else { return Ok(None) };
        let invalid = |reason: &str| {
            Failure::flag(name, text, &format!("strconv.ParseInt: parsing {text:?}: {reason}"))
        };
        match text.parse::<i64>() {
            Ok(number) => Ok(Some(number)),
            Err(error)
                if matches!(
                    error.kind(),
                    std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow
                ) =>
            {
                Err(invalid("value out of range"))
            }
            Err(_) => Err(invalid("invalid syntax")),
        }
    }
}

/// Go's idea of a boolean.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

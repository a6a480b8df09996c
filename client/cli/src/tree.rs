//! Commands as clap knows them, and the help that is made from them.

use crate::arg::{list, switch, value};
use crate::command::{FREQUENT, GROUPS, Spec, TABLE};
use crate::plugin::Plugin;
use clap::{Arg, ArgAction, Command};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The line width of help.
const WIDTH: usize = 80;

/// How the program calls itself in a sentence.
pub(crate) fn title(program: &str) -> &'static str {
    if program == "docker" { "Docker" } else { "Coffer" }
}

/// The flags before the command.
pub(crate) fn global_flags() -> Vec<Arg> {
    vec![
        value(
            "config",
            None,
            "string",
            "Directory of the client's configuration (default \"~/.docker\")",
        ),
        value(
            "context",
            'c',
            "string",
            "Name of the context to use (overrides DOCKER_HOST and the context set with \"context use\")",
        ),
        switch("debug", 'D', "Enable debug mode"),
        list("host", 'H', "Daemon socket to connect to"),
        value(
            "log-level",
            'l',
            "string",
            "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\") (default \"info\")",
        ),
        switch("tls", None, "Use TLS; implied by --tlsverify"),
        value(
            "tlscacert",
            None,
            "string",
            "Trust certs signed only by this CA (default \"~/.docker/ca.pem\")",
        ),
        value(
            "tlscert",
            None,
            "string",
            "Path to TLS certificate file (default \"~/.docker/cert.pem\")",
        ),
        value("tlskey", None, "string", "Path to TLS key file (default \"~/.docker/key.pem\")"),
        switch("tlsverify", None, "Use TLS and verify the remote"),
        switch("version", 'v', "Print version information and quit"),
    ]
}

fn bare(name: &'static str) -> Command {
    Command::new(name)
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .arg(switch("help", None, "Print usage"))
}

/// Takes the global flags; the command and what follows stay as they are.
pub(crate) fn root(program: &'static str) -> Command {
    bare(program).args(global_flags()).allow_external_subcommands(true)
}

/// Takes the flags and arguments of one command.
pub(crate) fn leaf(spec: &Spec) -> Command {
    let args = Arg::new("args").num_args(0..).action(ArgAction::Append).value_name("ARG");
    bare(spec.name).about(spec.about).hide(spec.hidden).args((spec.flags)()).arg(args)
}

/// The whole tree, for completion scripts and man pages.
pub(crate) fn whole(program: &'static str) -> Command {
    let tops =
        TABLE.iter().filter(|spec| !spec.top.is_empty()).map(|spec| leaf(spec).name(spec.top));
    let groups = GROUPS.iter().map(|(group, about)| {
        let members = TABLE.iter().filter(|spec| spec.group == *group);
        bare(group).about(*about).subcommands(
            members.map(|spec| leaf(spec).visible_aliases(spec.aliases.iter().copied())),
        )
    });
    bare(program)
        .about("Runs and manages containers and images")
        .args(global_flags())
        .subcommands(tops)
        .subcommands(groups)
}

/// The help of the program, with the commands that are plugins.
pub(crate) fn overview(program: &str, plugins: &BTreeMap<String, Plugin>) -> String {
    let mut text =
        format!("Usage:  {program} [OPTIONS] COMMAND\n\nRuns and manages containers and images\n");
    let tops: Vec<&Spec> =
        TABLE.iter().filter(|spec| !spec.top.is_empty() && !spec.hidden).collect();
    let rows = |frequent: bool| {
        let mut rows: Vec<(&str, &str)> = tops
            .iter()
            .filter(|spec| FREQUENT.contains(&spec.top) == frequent)
            .map(|spec| (spec.top, spec.about))
            .collect();
        let place = |name: &str| FREQUENT.iter().position(|top| *top == name);
        rows.sort_by_key(|(name, _)| (place(name), *name));
        rows
    };
    section(&mut text, "Common Commands", &rows(true));
    let starred: Vec<(String, &str)> = plugins
        .values()
        .map(|plugin| (format!("{}*", plugin.name), plugin.short_description.as_str()))
        .collect();
    let mut groups = GROUPS.to_vec();
    groups.extend(starred.iter().map(|(name, about)| (name.as_str(), *about)));
    groups.sort_unstable();
    section(&mut text, "Management Commands", &groups);
    section(&mut text, "Commands", &rows(false));
    text.push_str("\nGlobal Options:\n");
    options(&mut text, &global_flags());
    writeln!(text, "\nRun '{program} COMMAND --help' for more information on a command.")
        .expect("a String takes everything");
    text
}

/// The help of a group.
pub(crate) fn group(program: &str, group: &str, about: &str) -> String {
    let mut text = format!("Usage:  {program} {group} COMMAND\n\n{about}\n");
    let mut rows: Vec<(&str, &str)> = TABLE
        .iter()
        .filter(|spec| spec.group == group && !spec.hidden)
        .map(|spec| (spec.name, spec.about))
        .collect();
    rows.sort_unstable();
    section(&mut text, "Commands", &rows);
    writeln!(text, "\nRun '{program} {group} COMMAND --help' for more information on a command.")
        .expect("a String takes everything");
    text
}

fn section(text: &mut String, title: &str, rows: &[(&str, &str)]) {
    writeln!(text, "\n{title}:").expect("a String takes everything");
    for (name, about) in rows {
        writeln!(text, "  {name:<11} {about}").expect("a String takes everything");
    }
}

/// The help of a command.
pub(crate) fn help(program: &str, spec: &Spec, path: &str) -> String {
    let mut text = format!("Usage:  {path} {}\n\n{}\n", spec.usage, spec.about);
    let mut names: Vec<String> = Vec::new();
    if !spec.group.is_empty() {
        names.extend(
            std::iter::once(&spec.name)
                .chain(spec.aliases)
                .map(|name| format!("{program} {} {name}", spec.group)),
        );
        names.extend((!spec.top.is_empty()).then(|| format!("{program} {}", spec.top)));
    }
    if names.len() > 1 {
        writeln!(text, "\nAliases:\n  {}", names.join(", ")).expect("a String takes everything");
    }
    let mut flags: Vec<Arg> = (spec.flags)().into_iter().filter(|arg| !arg.is_hide_set()).collect();
    flags.sort_by_key(|arg| arg.get_id().to_string());
    if !flags.is_empty() {
        text.push_str("\nOptions:\n");
        options(&mut text, &flags);
    }
    text
}

fn options(text: &mut String, flags: &[Arg]) {
    let left = |arg: &Arg| {
        let short =
            arg.get_short().map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let kind = if arg.is_require_equals_set() {
            None
        } else {
            arg.get_value_names().and_then(<[_]>::first)
        };
        let kind = kind.map_or_else(String::new, |kind| format!(" {kind}"));
        format!("  {short}--{}{kind}", arg.get_id())
    };
    let indent = flags.iter().map(|arg| left(arg).len()).max().unwrap_or_default() + 3;
    for arg in flags {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        for (number, line) in wrap(&help, WIDTH.saturating_sub(indent).max(24)).iter().enumerate() {
            let head = if number == 0 { left(arg) } else { String::new() };
            writeln!(text, "{head:<indent$}{line}").expect("a String takes everything");
        }
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

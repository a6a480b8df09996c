//! The command line.

use clap::{Arg, ArgAction, Command, ValueHint};

/// Flags, each of which is also a key of the configuration file.
pub(crate) fn command() -> Command {
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).global(true).value_hint(ValueHint::AnyPath).help(help)
    };
    Command::new("coffer-registry")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A registry for container images (OCI distribution specification 1.1)")
        .arg(path("config", "Configuration file in TOML; flags win over it"))
        .arg(path(
            "root",
            "Directory of the store [/var/lib/coffer-registry for root, else ./coffer-registry]",
        ))
        .arg(
            Arg::new("listen")
                .long("listen")
                .action(ArgAction::Append)
                .help("Address to serve [127.0.0.1:5000]"),
        )
        .arg(Arg::new("metrics-listen").long("metrics-listen").help("Address to serve metrics on"))
        .arg(path("tls-certificate", "Certificate chain in PEM; with it, clients need https"))
        .arg(path("tls-key", "Key of the certificate, in PEM"))
        .arg(path(
            "htpasswd",
            "Password file with bcrypt (htpasswd -B); with it, clients need a password",
        ))
        .arg(
            Arg::new("read-only")
                .long("read-only")
                .action(ArgAction::SetTrue)
                .help("Refuse everything that writes"),
        )
        .arg(
            Arg::new("upstream")
                .long("upstream")
                .help("Be a pull-through cache of this registry (https://HOST)"),
        )
        .arg(
            Arg::new("log-level")
                .long("log-level")
                .value_parser(["error", "warn", "info", "debug"])
                .help("What is logged [info]"),
        )
        .subcommand(
            Command::new("collect")
                .about("Remove what nothing refers to, once; the registry may run"),
        )
        .subcommand(
            Command::new("check").about("Read everything and report what is damaged or missing"),
        )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}

//! Flags and daemon.json: one table of options, which may be set in either but not in both.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// How an option's value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `--flag`, `--flag=false`; `true` in the file.
    Bool,
    /// `--flag VALUE`; a string in the file.
    Text,
    /// `--flag NUMBER`; a number in the file.
    Number,
    /// `--flag VALUE ...`; a list of strings in the file.
    List,
    /// `--flag KEY=VALUE ...`; an object of strings in the file.
    Pairs,
    /// `--flag base=CIDR,size=BITS ...`; a list of objects in the file.
    Pools,
    /// No flag; an object in the file.
    Object,
}

struct Entry {
    flag: &'static str,
    short: Option<char>,
    /// The key in daemon.json.
    key: &'static str,
    kind: Kind,
    help: &'static str,
}

const fn entry(
    flag: &'static str,
    short: Option<char>,
    key: &'static str,
    kind: Kind,
    help: &'static str,
) -> Entry {
    Entry { flag, short, key, kind, help }
}

/// All options; names as dockerd's where it has them.
#[rustfmt::skip]
const OPTIONS: &[Entry] = &[
    entry("host", Some('H'), "hosts", Kind::List, "Socket to listen on: unix://PATH or tcp://ADDRESS:PORT"),
    entry("group", Some('G'), "group", Kind::Text, "Group that may use the unix socket"),
    entry("data-root", None, "data-root", Kind::Text, "Directory of persistent state"),
    entry("exec-root", None, "exec-root", Kind::Text, "Directory of run-time state"),
    entry("pidfile", Some('p'), "pidfile", Kind::Text, "File for the process id"),
    entry("policy", None, "policy", Kind::Text, "File that says what containers may get of the host"),
    entry("api-user", None, "api-user", Kind::Text, "User id, or UID:GID, of the process that answers clients"),
    entry("allow-insecure-tcp", None, "allow-insecure-tcp", Kind::Bool, "Allow tcp:// without TLS on other addresses than loopback"),
    entry("debug", Some('D'), "debug", Kind::Bool, "Log what is done"),
    entry("log-level", Some('l'), "log-level", Kind::Text, "debug, info, warn or error"),
    entry("tls", None, "tls", Kind::Bool, "Use TLS on tcp://"),
    entry("tlsverify", None, "tlsverify", Kind::Bool, "Use TLS and ask clients for a certificate"),
    entry("tlscacert", None, "tlscacert", Kind::Text, "Authority that clients' certificates come from"),
    entry("tlscert", None, "tlscert", Kind::Text, "The server's certificate"),
    entry("tlskey", None, "tlskey", Kind::Text, "The server's key"),
    entry("bridge", Some('b'), "bridge", Kind::Text, "Name of the default bridge"),
    entry("bip", None, "bip", Kind::Text, "Address of the default bridge with the length of its prefix"),
    entry("mtu", None, "mtu", Kind::Number, "MTU of the default bridge"),
    entry("icc", None, "icc", Kind::Bool, "Let containers on the default bridge talk with each other"),
    entry("ip-masq", None, "ip-masq", Kind::Bool, "Give packets of containers that leave the host its address"),
    entry("ip", None, "ip", Kind::Text, "Address at which ports are published whose user names none"),
    entry("ipv6", None, "ipv6", Kind::Bool, "Give the default bridge IPv6, too"),
    entry("fixed-cidr", None, "fixed-cidr", Kind::Text, "Part of the default bridge's subnet from which containers get addresses"),
    entry("fixed-cidr-v6", None, "fixed-cidr-v6", Kind::Text, "IPv6 subnet of the default bridge"),
    entry("default-address-pool", None, "default-address-pools", Kind::Pools, "Where subnets of networks come from: base=CIDR,size=BITS"),
    entry("host-gateway-ip", None, "host-gateway-ips", Kind::List, "Address that host-gateway stands for"),
    entry("dns", None, "dns", Kind::List, "Name server of containers"),
    entry("dns-search", None, "dns-search", Kind::List, "Search domain of containers"),
    entry("dns-opt", None, "dns-opts", Kind::List, "Resolver option of containers"),
    entry("log-driver", None, "log-driver", Kind::Text, "Log driver of containers that ask for none"),
    entry("log-opt", None, "log-opts", Kind::Pairs, "Option of the log driver"),
    entry("default-shm-size", None, "default-shm-size", Kind::Text, "Size of /dev/shm in containers"),
    entry("default-ipc-mode", None, "default-ipc-mode", Kind::Text, "private or shareable"),
    entry("default-cgroupns-mode", None, "default-cgroupns-mode", Kind::Text, "host or private"),
    entry("cgroup-parent", None, "cgroup-parent", Kind::Text, "Parent of containers' cgroups"),
    entry("init", None, "init", Kind::Bool, "Run an init as the first process of containers"),
    entry("no-new-privileges", None, "no-new-privileges", Kind::Bool, "Keep processes of containers from gaining rights"),
    entry("seccomp-profile", None, "seccomp-profile", Kind::Text, "Seccomp profile file, or unconfined"),
    entry("label", None, "labels", Kind::List, "Label of the engine"),
    entry("registry-mirror", None, "registry-mirrors", Kind::List, "Mirror of the default registry"),
    entry("", None, "registry-map", Kind::Object, ""),
    entry("insecure-registry", None, "insecure-registries", Kind::List, "Registry or network that may go without TLS or a known certificate"),
    entry("allow-registry", None, "allow-registries", Kind::List, "Only registry, or *.DOMAIN, that may be reached"),
    entry("", None, "proxies", Kind::Object, ""),
    entry("max-concurrent-downloads", None, "max-concurrent-downloads", Kind::Number, "Layers that are downloaded at the same time"),
    entry("max-concurrent-uploads", None, "max-concurrent-uploads", Kind::Number, "Layers of a push that are uploaded at the same time"),
    entry("max-download-attempts", None, "max-download-attempts", Kind::Number, "Tries of a download that makes no headway"),
    entry("shutdown-timeout", None, "shutdown-timeout", Kind::Number, "Seconds that stop waits before it kills"),
];

/// Why the options are not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionsError {
    /// The file cannot be read.
    #[error("read configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not an object in JSON.
    #[error("configuration file {}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A key is not known.
    #[error(
        "configuration file {}: the following directives don't match any configuration option: {keys}",
        path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The keys.
        keys: String,
    },
    /// An option was given twice.
    #[error(
        "configuration file {}: the following directives are specified both as a flag and in the configuration file: {keys}",
        path.display()
    )]
    Twice {
        /// The file.
        path: PathBuf,
        /// The keys.
        keys: String,
    },
    /// A value is wrong.
    #[error("{0}")]
    Value(String),
}

/// The command line.
pub(crate) fn command() -> Command {
    let mut command = Command::new("cofferd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The daemon of the Coffer container engine")
        .arg(
            Arg::new("config-file")
                .long("config-file")
                .default_value("/etc/docker/daemon.json")
                .help("Configuration file"),
        )
        .arg(
            Arg::new("validate")
                .long("validate")
                .action(ArgAction::SetTrue)
                .help("Check the configuration and end"),
        )
        .subcommand(crate::worker::command());
    for option in OPTIONS.iter().filter(|option| option.kind != Kind::Object) {
        let mut arg = Arg::new(option.key).long(option.flag).help(option.help);
        if let Some(short) = option.short {
            arg = arg.short(short);
        }
        command = command.arg(match option.kind {
            Kind::Bool => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_parser(clap::value_parser!(bool)),
            Kind::Text => arg,
            Kind::Number => arg.value_parser(clap::value_parser!(u32)),
            Kind::List | Kind::Pairs | Kind::Pools | Kind::Object => arg.action(ArgAction::Append),
        });
    }
    command
}

/// Flags and file together, as the keys of daemon.json.
pub(crate) fn resolve(matches: &ArgMatches) -> Result<Map<String, Value>, OptionsError> {
    let named = matches.value_source("config-file") == Some(clap::parser::ValueSource::CommandLine);
    let path = PathBuf::from(matches.get_one::<String>("config-file").map_or("", String::as_str));
    let file = read(&path, named)?;
    let flags = flags(matches)?;
    let known = |key: &&String| OPTIONS.iter().any(|option| option.key == key.as_str());
    let join = |keys: Vec<&String>| keys.into_iter().cloned().collect::<Vec<_>>().join(", ");
    let unknown: Vec<_> = file.keys().filter(|key| !known(key)).collect();
    if !unknown.is_empty() {
        return Err(OptionsError::Unknown { path, keys: join(unknown) });
    }
    let twice: Vec<_> = file.keys().filter(|key| flags.contains_key(*key)).collect();
    if !twice.is_empty() {
        return Err(OptionsError::Twice { path, keys: join(twice) });
    }
    Ok(file.into_iter().chain(flags).collect())
}

fn read(path: &Path, named: bool) -> Result<Map<String, Value>, OptionsError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => {
            return Ok(Map::new());
        }
        Err(source) => return Err(OptionsError::Read { path: path.to_owned(), source }),
    };
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    serde_json::from_slice(&text)
        .map_err(|source| OptionsError::Syntax { path: path.to_owned(), source })
}

fn flags(matches: &ArgMatches) -> Result<Map<String, Value>, OptionsError> {
    let mut map = Map::new();
    for option in OPTIONS.iter().filter(|option| option.kind != Kind::Object) {
        let texts = || matches.get_many::<String>(option.key);
        let value = match option.kind {
            Kind::Bool => matches.get_one::<bool>(option.key).map(|flag| Value::from(*flag)),
            Kind::Text => matches.get_one::<String>(option.key).map(|text| text.as_str().into()),
            Kind::Number => matches.get_one::<u32>(option.key).map(|number| (*number).into()),
            Kind::List => texts().map(|list| list.map(|text| Value::from(text.as_str())).collect()),
            Kind::Pairs => texts().map(|list| pairs(option.flag, list)).transpose()?,
            Kind::Pools => texts().map(|list| pools(option.flag, list)).transpose()?,
            Kind::Object => None,
        };
        map.extend(value.map(|value| (option.key.to_owned(), value)));
    }
    Ok(map)
}

fn pairs<'a>(flag: &str, list: impl Iterator<Item = &'a String>) -> Result<Value, OptionsError> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), Value::from(value))),
        None => Err(OptionsError::Value(format!("invalid --{flag} {text:?}: must be KEY=VALUE"))),
    };
    Ok(Value::Object(list.map(pair).collect::<Result<_, _>>()?))
}

fn pools<'a>(flag: &str, list: impl Iterator<Item = &'a String>) -> Result<Value, OptionsError> {
    let pool = |text: &String| {
        let part = |key: &str| text.split(',').find_map(|part| part.strip_prefix(key));
        let size = part("size=").and_then(|size| size.parse::<u8>().ok());
        match (part("base="), size, text.split(',').count()) {
            (Some(base), Some(size), 2) => Ok(serde_json::json!({ "base": base, "size": size })),
            _ => Err(OptionsError::Value(format!(
                "invalid --{flag} {text:?}: must be base=CIDR,size=BITS"
            ))),
        }
    };
    list.map(pool).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(file: &str, flags: &[&str]) -> Result<Map<String, Value>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.json");
        std::fs::write(&path, file).unwrap();
        let path = path.display().to_string();
        let arguments =
            ["cofferd", "--config-file", &path].into_iter().chain(flags.iter().copied());
        let matches = command().get_matches_from(arguments);
        resolve(&matches).map_err(|error| error.to_string().replace(&path, "FILE"))
    }

    #[test]
    fn flags_and_file_are_brought_together_under_the_files_keys() {
        let map = resolved(
            r#"{"mtu": 1400, "icc": false}"#,
            &["-H", "unix:///a", "--host=tcp://127.0.0.1:1", "--init", "--log-opt", "max-size=1m"],
        )
        .unwrap();
        let expected = serde_json::json!({
            "mtu": 1400, "icc": false, "hosts": ["unix:///a", "tcp://127.0.0.1:1"], "init": true,
            "log-opts": {"max-size": "1m"},
        });
        assert_eq!(Value::Object(map), expected);
    }

    #[test]
    fn an_option_that_is_set_twice_is_named() {
        let message = resolved(r#"{"mtu": 1400}"#, &["--mtu", "1500"]).unwrap_err();
        assert_eq!(
            message,
            "configuration file FILE: the following directives are specified both as a flag and in the configuration file: mtu"
        );
    }

    #[test]
    fn a_key_that_is_not_known_is_named() {
        let message = resolved(r#"{"mtuu": 1400}"#, &[]).unwrap_err();
        assert_eq!(
            message,
            "configuration file FILE: the following directives don't match any configuration option: mtuu"
        );
    }

    #[test]
    fn an_empty_file_is_no_configuration_and_a_broken_one_is_an_error() {
        assert!(resolved(" \n", &[]).unwrap().is_empty());
        assert!(resolved("{", &[]).is_err());
    }
}

//! The configuration file, and what it comes to with the flags.

use clap::ArgMatches;
use registry::{AccessOptions, Options, Rule, TlsFiles, UpstreamOptions};
use repositories::Collection;
use serde::{Deserialize, Deserializer};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LISTEN: &str = "127.0.0.1:5000";
const ROOT: &str = "/var/lib/coffer-registry";
const ROOT_OF_USERS: &str = "coffer-registry";
const SERVICE: &str = "coffer-registry";

/// Why the configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A file cannot be read.
    #[error("read {what} {}", path.display())]
    Read {
        /// What it should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The configuration is not as it should be.
    #[error("configuration file {}: {}", path.display(), cause.trim_end())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        cause: String,
    },
    /// Two settings do not fit together, or one is missing.
    #[error("{0}")]
    Wrong(&'static str),
}

/// Everything that the program needs to know.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) root: PathBuf,
    pub(crate) listen: Vec<String>,
    pub(crate) metrics_listen: Option<String>,
    pub(crate) log_level: String,
    /// How often garbage is collected; never when zero.
    pub(crate) collect_every: Duration,
    pub(crate) options: Options,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct File {
    root: Option<PathBuf>,
    listen: Vec<String>,
    metrics_listen: Option<String>,
    metrics_path: bool,
    log_level: Option<String>,
    access_log: Option<bool>,
    read_only: bool,
    delete: Option<bool>,
    manifest_limit: Option<Size>,
    blob_limit: Option<Size>,
    connections: Option<usize>,
    uploads: Option<usize>,
    stop_deadline: Option<Time>,
    tls: Option<Tls>,
    access: Option<Access>,
    upstream: Option<Upstream>,
    collect: Collect,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    client_authorities: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
enum Access {
    #[serde(rename_all = "kebab-case")]
    Passwords {
        htpasswd: PathBuf,
        realm: Option<String>,
        #[serde(default)]
        rules: Vec<Rule>,
    },
    #[serde(rename_all = "kebab-case")]
    OwnTokens {
        htpasswd: PathBuf,
        service: Option<String>,
        #[serde(default)]
        rules: Vec<Rule>,
    },
    #[serde(rename_all = "kebab-case")]
    Tokens {
        realm: String,
        service: String,
        issuer: String,
        certificates: Option<PathBuf>,
        key_set: Option<PathBuf>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Upstream {
    url: String,
    user: Option<String>,
    password_file: Option<PathBuf>,
    authorities: Option<PathBuf>,
    fresh: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Collect {
    every: Option<Time>,
    grace: Option<Time>,
    uploads: Option<Time>,
    untagged: Option<Time>,
}

/// `30s`, `5m`, `12h`, `7d`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Time(Duration);

/// `4MiB`, `1GiB`, `512KiB`, or a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size(u64);

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(u64),
    Text(String),
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Scalar::deserialize(from)?.text();
        let units = [("", 1), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)];
        let seconds = scaled(&text, &units).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "invalid duration {text:?}: must be like 30s, 5m, 12h or 7d"
            ))
        })?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Scalar::deserialize(from)?.text();
        let units = [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
        let bytes = scaled(&text, &units).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "invalid size {text:?}: must be like 512KiB, 4MiB or 1GiB"
            ))
        })?;
        Ok(Self(bytes))
    }
}

/// Reads the file, if one is named, and lets the flags win.
pub(crate) fn load(matches: &ArgMatches) -> Result<Settings, ConfigError> {
    let path = matches.get_one::<String>("config").map(PathBuf::from);
    let mut file = match &path {
        Some(path) => parse(path, &text(path, "configuration file")?)?,
        None => File::default(),
    };
    apply(&mut file, matches)?;
    settle(file)
}

fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        cause: error.to_string(),
    })
}

fn apply(file: &mut File, matches: &ArgMatches) -> Result<(), ConfigError> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    if let Some(listen) = matches.get_many::<String>("listen") {
        file.listen = listen.cloned().collect();
    }
    file.root = text("root").map(PathBuf::from).or(file.root.take());
    file.metrics_listen = text("metrics-listen").or(file.metrics_listen.take());
    file.log_level = text("log-level").or(file.log_level.take());
    file.read_only |= matches.get_flag("read-only");
    match (text("tls-certificate"), text("tls-key")) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (certificate.into(), key.into());
            file.tls = Some(Tls { certificate, key, client_authorities: None });
        }
        (None, None) => {}
        _ => return Err(ConfigError::Wrong("--tls-certificate and --tls-key need each other")),
    }
    if let Some(htpasswd) = text("htpasswd") {
        let htpasswd = htpasswd.into();
        file.access = Some(Access::Passwords { htpasswd, realm: None, rules: Vec::new() });
    }
    if let Some(url) = text("upstream") {
        let (user, password_file, authorities, fresh) = (None, None, None, None);
        file.upstream = Some(Upstream { url, user, password_file, authorities, fresh });
    }
    Ok(())
}

fn settle(file: File) -> Result<Settings, ConfigError> {
    let defaults = Options::default();
    let root = file.root.unwrap_or_else(|| match rustix::process::geteuid().is_root() {
        true => ROOT.into(),
        false => ROOT_OF_USERS.into(),
    });
    let collection = Collection::default();
    let collection = Collection {
        grace: file.collect.grace.map_or(collection.grace, |time| time.0),
        uploads: file.collect.uploads.map_or(collection.uploads, |time| time.0),
        untagged: file.collect.untagged.map(|time| time.0),
    };
    let options = Options {
        access: file.access.map_or(Ok(AccessOptions::Open), access)?,
        tls: file.tls.map(|tls| TlsFiles {
            certificate: tls.certificate,
            key: tls.key,
            client_authorities: tls.client_authorities,
        }),
        read_only: file.read_only,
        delete: file.delete.unwrap_or(defaults.delete),
        manifest_limit: match file.manifest_limit {
            Some(Size(bytes)) if bytes > repositories::MANIFEST_MAX as u64 => {
                return Err(ConfigError::Wrong("manifest-limit must be at most 64MiB"));
            }
            Some(Size(bytes)) => usize::try_from(bytes).unwrap_or(repositories::MANIFEST_MAX),
            None => defaults.manifest_limit,
        },
        blob_limit: file.blob_limit.map(|size| size.0),
        connections: file.connections.unwrap_or(defaults.connections),
        bodies: file.uploads.unwrap_or(defaults.bodies),
        stop_deadline: file.stop_deadline.map_or(defaults.stop_deadline, |time| time.0),
        metrics_path: file.metrics_path,
        access_log: file.access_log.unwrap_or(defaults.access_log),
        upstream: file.upstream.map(upstream).transpose()?,
        collection,
    };
    let listen = match file.listen.is_empty() {
        true => vec![LISTEN.to_owned()],
        false => file.listen,
    };
    Ok(Settings {
        root,
        listen,
        metrics_listen: file.metrics_listen,
        log_level: file.log_level.unwrap_or_else(|| "info".to_owned()),
        collect_every: file.collect.every.map_or(Duration::from_secs(3600), |time| time.0),
        options,
    })
}

fn access(access: Access) -> Result<AccessOptions, ConfigError> {
    let name = |name: Option<String>| name.unwrap_or_else(|| SERVICE.to_owned());
    Ok(match access {
        Access::Passwords { htpasswd, realm, rules } => {
            AccessOptions::Passwords { file: htpasswd, rules, realm: name(realm) }
        }
        Access::OwnTokens { htpasswd, service, rules } => {
            AccessOptions::OwnTokens { file: htpasswd, rules, service: name(service) }
        }
        Access::Tokens { realm, service, issuer, certificates, key_set } => AccessOptions::Tokens {
            realm,
            service,
            issuer,
            certificates: certificates.map(|path| bytes(&path, "certificates")).transpose()?,
            key_set: key_set.map(|path| bytes(&path, "key set")).transpose()?,
        },
    })
}

fn upstream(upstream: Upstream) -> Result<UpstreamOptions, ConfigError> {
    let login = match (upstream.user, upstream.password_file) {
        (Some(user), Some(path)) => {
            Some((user, text(&path, "password file")?.trim_end_matches(['\r', '\n']).to_owned()))
        }
        (None, None) => None,
        _ => return Err(ConfigError::Wrong("upstream: user and password-file need each other")),
    };
    Ok(UpstreamOptions {
        url: upstream.url,
        login,
        authorities: upstream.authorities.map(|path| bytes(&path, "authorities")).transpose()?,
        fresh: upstream.fresh.map_or(Duration::from_secs(60), |time| time.0),
    })
}

fn bytes(path: &Path, what: &'static str) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::Read { what, path: path.to_owned(), source })
}

fn text(path: &Path, what: &'static str) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        what,
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, ConfigError> {
        settle(parse(Path::new("test.toml"), text)?)
    }

    #[test]
    fn nothing_is_needed() {
        let settings = settings("").unwrap();
        assert_eq!(settings.listen, ["127.0.0.1:5000"]);
        assert_eq!(settings.options.manifest_limit, 4 << 20);
        assert!(settings.options.tls.is_none() && settings.options.delete);
    }

    #[test]
    fn everything_can_be_said() {
        let settings = settings(
            r#"
            root = "/x"
            listen = ["[::1]:1", "0.0.0.0:2"]
            metrics-listen = "127.0.0.1:3"
            read-only = true
            delete = false
            manifest-limit = "8MiB"
            blob-limit = 100
            stop-deadline = "5s"
            [tls]
            certificate = "c"
            key = "k"
            [access]
            kind = "own-tokens"
            htpasswd = "h"
            [[access.rules]]
            users = ["anonymous"]
            repositories = ["public/*"]
            actions = ["pull"]
            [upstream]
            url = "https://registry-1.docker.io"
            fresh = "5m"
            [collect]
            every = "1d"
            untagged = "7d"
            "#,
        )
        .unwrap();
        assert_eq!(settings.listen.len(), 2);
        assert_eq!(settings.options.manifest_limit, 8 << 20);
        assert_eq!(settings.options.blob_limit, Some(100));
        assert_eq!(settings.options.stop_deadline, Duration::from_secs(5));
        assert_eq!(settings.options.collection.untagged, Some(Duration::from_secs(7 * 86400)));
        assert_eq!(settings.collect_every, Duration::from_secs(86400));
        assert_eq!(settings.options.upstream.unwrap().fresh, Duration::from_secs(300));
        let AccessOptions::OwnTokens { rules, service, .. } = settings.options.access else {
            unreachable!("own tokens were asked for");
        };
        assert_eq!((rules.len(), service.as_str()), (1, "coffer-registry"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let table = [
            ("colour = 1", "unknown field `colour`"),
            ("manifest-limit = \"4 pounds\"", "invalid size \"4 pounds\""),
            ("manifest-limit = \"1GiB\"", "must be at most 64MiB"),
            ("stop-deadline = \"soon\"", "invalid duration \"soon\""),
            ("[upstream]\nurl = \"https://x\"\nuser = \"u\"", "need each other"),
            ("[access]\nkind = \"magic\"", "unknown variant `magic`"),
        ];
        for (text, part) in table {
            let error = settings(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}

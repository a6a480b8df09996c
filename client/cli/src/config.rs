//! The client's `config.json`. What it does not know stays in the file.

use crate::failure::{Failure, io_text};
use serde_json::{Map, Value};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The directory of the client's configuration, and what `config.json` in it says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    pub(crate) directory: PathBuf,
    values: Map<String, Value>,
}

impl Config {
    /// Reads `config.json`; a file that is missing says nothing.
    pub(crate) fn read(directory: PathBuf) -> Self {
        let path = directory.join("config.json");
        let values = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                crate::output::complain(format!(
                    "WARNING: Error parsing config file ({}): {error}",
                    path.display()
                ));
                Map::new()
            }),
            Err(_) => Map::new(),
        };
        Self { directory, values }
    }

    /// A text of the file; empty if it is not there.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.values.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The headers that go with every request.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        self.object("HttpHeaders").map(|(name, value)| (name.clone(), value)).collect()
    }

    fn object(&self, key: &str) -> impl Iterator<Item = (&String, String)> {
        let entries = self.values.get(key).and_then(Value::as_object);
        entries
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
    }

    /// The proxy settings that containers get as environment, for this engine.
    pub(crate) fn proxies(&self, host: &str) -> Vec<(String, String)> {
        const NAMES: [(&str, &str); 5] = [
            ("httpProxy", "HTTP_PROXY"),
            ("httpsProxy", "HTTPS_PROXY"),
            ("noProxy", "NO_PROXY"),
            ("ftpProxy", "FTP_PROXY"),
            ("allProxy", "ALL_PROXY"),
        ];
        let Some(all) = self.values.get("proxies").and_then(Value::as_object) else {
            return Vec::new();
        };
        let Some(one) = all.get(host).or_else(|| all.get("default")) else { return Vec::new() };
        let mut pairs = Vec::new();
        for (key, name) in NAMES {
            if let Some(value) =
                one.get(key).and_then(Value::as_str).filter(|value| !value.is_empty())
            {
                pairs.push((name.to_owned(), value.to_owned()));
                pairs.push((name.to_lowercase(), value.to_owned()));
            }
        }
        pairs
    }

    /// The texts of a list of the file.
    pub(crate) fn texts(&self, key: &str) -> impl Iterator<Item = &str> {
        let list = self.values.get(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }

    /// The filters that every prune takes, as `name=value`.
    pub(crate) fn prune_filters(&self) -> Vec<String> {
        self.texts("pruneFilters").map(str::to_owned).collect()
    }

    /// What the file says of a registry's credentials.
    pub(crate) fn auth(&self, registry: &str) -> Option<&Value> {
        self.values.get("auths")?.get(registry)
    }

    /// The program that keeps a registry's credentials; empty if the file itself does.
    pub(crate) fn credential_helper(&self, registry: &str) -> &str {
        let helper = self
            .values
            .get("credHelpers")
            .and_then(|helpers| helpers.get(registry))
            .and_then(Value::as_str);
        helper.unwrap_or_else(|| self.text("credsStore"))
    }

    /// All servers of the file with what it says of their credentials.
    pub(crate) fn auths(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.values.get("auths").and_then(Value::as_object).into_iter().flatten()
    }

    /// Writes a server's credentials; `None` takes them out.
    pub(crate) fn save_auth(&mut self, server: &str, entry: Option<Value>) -> Result<(), Failure> {
        let auths = self.values.entry("auths").or_insert_with(|| Value::Object(Map::new()));
        let Some(auths) = auths.as_object_mut() else {
            return Err(Failure::Plain(format!(
                "write {}: auths is not an object",
                self.directory.join("config.json").display()
            )));
        };
        match entry {
            Some(entry) => drop(auths.insert(server.to_owned(), entry)),
            None if auths.remove(server).is_none() => return Ok(()),
            None => {}
        }
        self.save()
    }

    /// Writes the name of the current context; `default` takes it out.
    pub(crate) fn save_context(&mut self, name: &str) -> Result<(), Failure> {
        if name == "default" {
            self.values.remove("currentContext");
        } else {
            self.values.insert("currentContext".to_owned(), Value::from(name));
        }
        self.save()
    }

    fn save(&self) -> Result<(), Failure> {
        let mut text = crate::format::json::pretty(&serde_json::to_string(&self.values)?, "\t");
        text.push('\n');
        std::fs::create_dir_all(&self.directory)?;
        replace(&self.directory.join("config.json"), text.as_bytes())
    }
}

/// Writes a file whole or not at all; only its owner may read it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    // The link's target is replaced, not the link.
    let path = std::fs::read_link(path)
        .map_or_else(|_| path.to_owned(), |target| path.with_file_name(target));
    let failed = |error: std::io::Error| {
        Failure::Plain(format!("write {}: {}", path.display(), io_text(&error)))
    };
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                std::fs::remove_file(&fresh).map_err(failed)?;
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)
            }
            opened => opened,
        }
        .map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&fresh, &path).map_err(failed)
}

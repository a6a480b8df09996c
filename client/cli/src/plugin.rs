//! Commands that are programs of their own: `docker-compose` is `compose`, from the same directories as Docker's client.
//!
//! A plugin gets the whole command line, flags before the command included, and takes this process's place.

use crate::config::Config;
use crate::failure::{Failure, io_text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where plugins are, besides the directory of the client's configuration; the first that has one counts.
const DIRECTORIES: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];
const PREFIX: &str = "docker-";
/// The argument on which a plugin describes itself.
const DESCRIBE: &str = "docker-cli-plugin-metadata";
/// The only form of a description.
const SCHEMA: &str = "0.1.0";
/// By this variable a plugin knows how to call us back.
const ORIGINAL: &str = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND";

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Plugin {
    schema_version: String,
    vendor: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) short_description: String,
    #[serde(default, rename = "URL", skip_serializing_if = "String::is_empty")]
    url: String,
    /// The command.
    #[serde(default)]
    pub(crate) name: String,
    /// The program.
    #[serde(default)]
    pub(crate) path: PathBuf,
}

fn directories(config: &Config) -> Vec<PathBuf> {
    let own = std::iter::once(config.directory.join("cli-plugins"));
    let extra = config.texts("cliPluginsExtraDirs").map(PathBuf::from);
    extra.chain(own).chain(DIRECTORIES.map(PathBuf::from)).collect()
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The program of a command, if there is one.
pub(crate) fn find(config: &Config, name: &str) -> Option<PathBuf> {
    if !is_name(name) {
        return None;
    }
    let paths =
        directories(config).into_iter().map(|directory| directory.join(format!("{PREFIX}{name}")));
    paths.into_iter().find(|path| is_program(path))
}

/// All plugins that describe themselves, by name. Starts each of them.
pub(crate) fn all(config: &Config) -> BTreeMap<String, Plugin> {
    let mut plugins = BTreeMap::new();
    for directory in directories(config) {
        for file in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let file_name = file.file_name();
            let Some(name) = file_name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
                continue;
            };
            let path = file.path();
            if is_name(name)
                && is_program(&path)
                && !plugins.contains_key(name)
                && let Some(plugin) = describe(name, path)
            {
                plugins.insert(name.to_owned(), plugin);
            }
        }
    }
    plugins
}

fn describe(name: &str, path: PathBuf) -> Option<Plugin> {
    let output =
        Command::new(&path).arg(DESCRIBE).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let plugin: Plugin = serde_json::from_slice(&output.ok()?.stdout).ok()?;
    let fits = plugin.schema_version == SCHEMA && !plugin.vendor.is_empty();
    fits.then(|| Plugin { name: name.to_owned(), path, ..plugin })
}

/// Becomes the plugin. Comes back only if that fails.
pub(crate) fn become_it(path: &Path, line: &[String]) -> Failure {
    let (own, words) = line.split_first().map_or(("docker", line), |(own, words)| (own, words));
    let error = Command::new(path).args(words).env(ORIGINAL, own).exec();
    Failure::Plain(format!("run {}: {}", path.display(), io_text(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(directory: &Path, file: &str, mode: u32, script: &str) {
        let path = directory.join(file);
        std::fs::create_dir_all(directory).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn programs_that_describe_themselves_are_commands() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("cli-plugins");
        let says =
            r#"echo '{"SchemaVersion":"0.1.0","Vendor":"v","Version":"1","ShortDescription":"d"}'"#;
        plugin(&directory, "docker-fine", 0o755, says);
        plugin(&directory, "docker-mute", 0o755, "echo nonsense");
        plugin(&directory, "docker-data", 0o644, says);
        plugin(&directory, "docker-No.name", 0o755, says);
        let config = Config::read(home.path().to_owned());
        let found = all(&config);
        let found: Vec<_> =
            found.values().filter(|plugin| plugin.path.starts_with(&directory)).collect();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].short_description.as_str()), ("fine", "d"));
        assert_eq!(find(&config, "fine"), Some(directory.join("docker-fine")));
        assert_eq!(find(&config, "data"), None);
        assert_eq!(find(&config, "../fine"), None);
    }

    #[test]
    fn extra_directories_come_first() {
        let home = tempfile::tempdir().unwrap();
        let extra = home.path().join("extra");
        plugin(&extra, "docker-x", 0o755, "true");
        plugin(&home.path().join("cli-plugins"), "docker-x", 0o755, "true");
        let text = serde_json::json!({ "cliPluginsExtraDirs": [extra] }).to_string();
        std::fs::write(home.path().join("config.json"), text).unwrap();
        let config = Config::read(home.path().to_owned());
        assert_eq!(find(&config, "x"), Some(extra.join("docker-x")));
    }
}

//! What a container shall be: validated, defaults resolved, the image pinned. Written once at create; only rename and
//! update change it.

use api_types::container::Config;
use api_types::host::HostConfig;
use api_types::network::EndpointSettings;
use serde::{Deserialize, Serialize};
use spec::{ContainerId, Platform, SnapshotKey};
use std::collections::BTreeMap;

/// A container as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// Its id.
    pub id: ContainerId,
    /// Its name, without a leading `/`.
    pub name: String,
    /// When it was created: nanoseconds since 1970.
    pub created: i64,
    /// The image that it was made from.
    pub image: ImagePin,
    /// The program.
    pub path: String,
    /// The program's arguments.
    pub args: Vec<String>,
    /// The portable part, merged with the image's.
    pub config: Config,
    /// The part that depends on the host, defaults resolved.
    pub host: HostConfig,
    /// What was asked for on each network, by the network's name.
    pub endpoints: BTreeMap<String, EndpointSettings>,
    /// What is mounted besides what every container has, in the order of the destinations.
    pub mounts: Vec<Mount>,
}

/// An image, independent of any name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePin {
    /// `sha256:…`, as `docker inspect` shows it.
    pub id: String,
    /// Its committed layers, lowest first.
    pub layers: Vec<SnapshotKey>,
    /// What it runs on.
    pub platform: Platform,
}

/// Where a mount comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A path of the host.
    Bind,
    /// A volume.
    Volume,
    /// Memory.
    Tmpfs,
}

impl MountKind {
    /// The word that the API uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
        }
    }
}

/// Something that is mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What it is.
    pub kind: MountKind,
    /// The volume's name; empty for others.
    pub name: String,
    /// The path on the host of a bind mount; empty for others.
    pub source: String,
    /// Where in the container: absolute and clean.
    pub destination: String,
    /// Whether the container may write.
    pub writable: bool,
    /// The third part of `-v`, as it was given.
    pub mode: String,
    /// `rprivate`, `rslave`, ... of a bind mount; empty for others.
    pub propagation: String,
    /// Make a directory on the host when the source does not exist.
    pub create_source: bool,
    /// Do not take along what is mounted below the source.
    pub non_recursive: bool,
    /// Leave what is mounted below the source writable.
    pub readonly_non_recursive: bool,
    /// Fail rather than leave something below the source writable.
    pub readonly_force_recursive: bool,
    /// Copy what the image has there into an empty volume.
    pub copy_up: bool,
    /// The volume was made for this container and goes with it.
    pub anonymous: bool,
    /// Options of a tmpfs, comma-separated, the user's part only.
    pub tmpfs_options: String,
    /// It was asked for in `HostConfig.Tmpfs`, which `docker inspect` does not list among the mounts.
    pub from_tmpfs_map: bool,
}

impl Mount {
    /// A mount of this kind at this place, writable, nothing else set.
    pub fn new(kind: MountKind, destination: String) -> Self {
        Self {
            kind,
            name: String::new(),
            source: String::new(),
            destination,
            writable: true,
            mode: String::new(),
            propagation: String::new(),
            create_source: false,
            non_recursive: false,
            readonly_non_recursive: false,
            readonly_force_recursive: false,
            copy_up: false,
            anonymous: false,
            tmpfs_options: String::new(),
            from_tmpfs_map: false,
        }
    }
}

/// A mode of `NetworkMode`, `PidMode`, `IpcMode` or `UTSMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode<'a> {
    /// Its own, by whatever word.
    Own,
    /// The host's.
    Host,
    /// None at all.
    None,
    /// That of another container.
    Container(&'a str),
}

impl<'a> Mode<'a> {
    /// Reads a mode; what is neither `host`, `none` nor `container:` is its own.
    pub fn of(text: &'a str) -> Self {
        match text {
            "host" => Self::Host,
            "none" => Self::None,
            _ => match text.strip_prefix("container:") {
                Some(other) => Self::Container(other),
                None => Self::Own,
            },
        }
    }
}

impl ContainerConfig {
    /// The network mode.
    pub fn network_mode(&self) -> Mode<'_> {
        if self.config.network_disabled { Mode::None } else { Mode::of(&self.host.network_mode) }
    }

    /// The name of the network that it is plugged into, as `docker inspect` lists it.
    pub fn network_name(&self) -> Option<&str> {
        match self.network_mode() {
            Mode::Own => match self.host.network_mode.as_str() {
                "" | "default" => Some("bridge"),
                name => Some(name),
            },
            Mode::Host => Some("host"),
            Mode::None => Some("none"),
            Mode::Container(_) => None,
        }
    }

    /// The names of the networks that it is plugged into at its start, the one that its mode names first.
    pub fn networks(&self) -> Vec<&str> {
        if self.network_mode() != Mode::Own {
            return Vec::new();
        }
        let main = self.network_name().unwrap_or_default();
        let mut all: Vec<&str> = self.endpoints.keys().map(String::as_str).collect();
        // Taken out of the one that its mode names, but not out of others, it stays out.
        if all.is_empty() || all.contains(&main) {
            all.retain(|name| *name != main);
            all.insert(0, main);
        }
        all
    }

    /// The containers whose namespaces it joins.
    pub fn joins(&self) -> impl Iterator<Item = &str> {
        [&self.host.network_mode, &self.host.pid_mode, &self.host.ipc_mode]
            .into_iter()
            .filter_map(|mode| mode.strip_prefix("container:"))
    }
}

/// A path made absolute of clean components: no `.`, no `..`, no double or trailing `/`.
pub fn clean_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_paths_stay_below_the_root() {
        for (path, clean) in
            [("/", "/"), ("", "/"), ("/a//b/./c/", "/a/b/c"), ("/../../a/../b", "/b")]
        {
            assert_eq!(clean_path(path), clean);
        }
    }

    #[test]
    fn modes_are_told_apart() {
        assert_eq!(Mode::of("host"), Mode::Host);
        assert_eq!(Mode::of("container:abc"), Mode::Container("abc"));
        assert_eq!(Mode::of("private"), Mode::Own);
    }
}

//! Legacy links (`--link`): lines in `hosts` and variables that tell of another container on the default bridge.

use spec::Failure;
use std::net::IpAddr;

/// The container at the other end of a link.
#[derive(Debug, Clone)]
pub struct Linked {
    /// Its name.
    pub name: String,
    /// What it is called in the container that links to it.
    pub alias: String,
    /// The first digits of its id.
    pub short_id: String,
    /// Its address.
    pub address: IpAddr,
    /// Its exposed ports, as `80/tcp`.
    pub ports: Vec<String>,
    /// Its own variables.
    pub env: Vec<String>,
}

/// Reads `name:alias`; the alias is the name when not given.
pub fn parse(text: &str) -> Option<(&str, &str)> {
    let (name, alias) = text.split_once(':').unwrap_or((text, text));
    let name = name.strip_prefix('/').unwrap_or(name);
    let alias = alias.rsplit('/').next().unwrap_or(alias);
    (!name.is_empty() && !alias.is_empty() && !alias.contains(':')).then_some((name, alias))
}

/// Fails for a link that cannot be read or whose container is not found.
pub fn check(links: &[String], find: impl Fn(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    for text in links {
        let Some((name, _)) = parse(text) else {
            return Err(Failure::invalid(format!("bad format for links: {text}")));
        };
        find(name).map_err(|failure| {
            Failure::invalid(format!("could not get container for {name}: {failure}"))
        })?;
    }
    Ok(())
}

/// What the other container is called in `hosts`.
pub fn names(linked: &Linked) -> Vec<&str> {
    let mut names = vec![linked.alias.as_str(), linked.short_id.as_str()];
    if linked.name != linked.alias {
        names.push(&linked.name);
    }
    names
}

/// The variables in the container `of`, which links to it.
pub fn variables(of: &str, linked: &Linked) -> Vec<String> {
    let prefix = linked.alias.replace('-', "_").to_uppercase();
    let address = linked.address;
    let mut ports: Vec<(u16, &str)> = linked
        .ports
        .iter()
        .filter_map(|port| {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            Some((number.parse().ok()?, protocol))
        })
        .collect();
    ports.sort_unstable();
    let mut all = Vec::new();
    if let Some((port, protocol)) = ports.first() {
        all.push(format!("{prefix}_PORT={protocol}://{address}:{port}"));
    }
    for (port, protocol) in &ports {
        let own = format!("{prefix}_PORT_{port}_{}", protocol.to_uppercase());
        all.push(format!("{own}={protocol}://{address}:{port}"));
        all.push(format!("{own}_ADDR={address}"));
        all.push(format!("{own}_PORT={port}"));
        all.push(format!("{own}_PROTO={protocol}"));
    }
    all.push(format!("{prefix}_NAME=/{of}/{}", linked.alias));
    for (key, value) in linked.env.iter().filter_map(|variable| variable.split_once('=')) {
        if !matches!(key, "HOME" | "PATH") {
            all.push(format!("{prefix}_ENV_{key}={value}"));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_tells_of_address_ports_and_variables() {
        let linked = Linked {
            name: "redis-1".into(),
            alias: "my-db".into(),
            short_id: "0123456789ab".into(),
            address: "172.17.0.5".parse().unwrap(),
            ports: vec!["6379/tcp".into(), "x".into()],
            env: vec!["PATH=/bin".into(), "V=1".into()],
        };
        assert_eq!(names(&linked), ["my-db", "0123456789ab", "redis-1"]);
        assert_eq!(
            variables("web", &linked),
            [
                "MY_DB_PORT=tcp://172.17.0.5:6379",
                "MY_DB_PORT_6379_TCP=tcp://172.17.0.5:6379",
                "MY_DB_PORT_6379_TCP_ADDR=172.17.0.5",
                "MY_DB_PORT_6379_TCP_PORT=6379",
                "MY_DB_PORT_6379_TCP_PROTO=tcp",
                "MY_DB_NAME=/web/my-db",
                "MY_DB_ENV_V=1",
            ]
        );
    }

    #[test]
    fn links_are_read_with_and_without_alias() {
        assert_eq!(parse("/db:/web/alias"), Some(("db", "alias")));
        assert_eq!(parse("db"), Some(("db", "db")));
        assert_eq!(parse(":x"), None);
    }
}

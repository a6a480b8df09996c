//! `--network`, short and long.

use crate::parse::{csv, env};
use api_types::network::{EndpointIpamConfig, EndpointSettings};
use api_types::{List, Map};

/// One network and how the container is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) target: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) links: Vec<String>,
    pub(crate) ipv4: String,
    pub(crate) ipv6: String,
    pub(crate) mac: String,
    pub(crate) link_local: Vec<String>,
    pub(crate) options: Vec<String>,
    pub(crate) gw_priority: i64,
}

impl Attachment {
    /// Reads one `--network`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut attachment = Self::default();
        if !text.contains('=') && !text.contains(',') {
            attachment.target = text.to_owned();
            return Ok(attachment);
        }
        for field in csv::fields(text) {
            let Some((key, value)) = field.split_once('=') else {
                return Err(format!("invalid field {field}"));
            };
            let value = value.trim().to_owned();
            match key.trim().to_lowercase().as_str() {
                "name" => attachment.target = value,
                "alias" => attachment.aliases.push(value),
                "ip" => attachment.ipv4 = address(&value, std::net::IpAddr::is_ipv4)?,
                "ip6" => attachment.ipv6 = address(&value, std::net::IpAddr::is_ipv6)?,
                "mac-address" => attachment.mac = value,
                "link-local-ip" => attachment.link_local.push(value),
                "driver-opt" => attachment.options.push(value),
                "gw-priority" => {
                    attachment.gw_priority =
                        value.parse().map_err(|_| format!("invalid gw-priority: {value}"))?;
                }
                key => return Err(format!("invalid field key {key}")),
            }
        }
        if attachment.target.is_empty() {
            Err("network name/id is not specified".into())
        } else {
            Ok(attachment)
        }
    }

    /// As the API takes it.
    pub(crate) fn settings(&self) -> EndpointSettings {
        let list = |items: &[String]| {
            if items.is_empty() { List::default() } else { List::from(items.to_vec()) }
        };
        let fixed = !self.ipv4.is_empty() || !self.ipv6.is_empty() || !self.link_local.is_empty();
        EndpointSettings {
            ipam_config: fixed.then(|| EndpointIpamConfig {
                ipv4_address: self.ipv4.clone(),
                ipv6_address: self.ipv6.clone(),
                link_local_ips: list(&self.link_local),
            }),
            links: list(&self.links),
            aliases: list(&self.aliases),
            driver_opts: if self.options.is_empty() {
                Map::default()
            } else {
                env::map(&self.options)
            },
            gw_priority: self.gw_priority,
            mac_address: self.mac.clone(),
            ..EndpointSettings::default()
        }
    }
}

fn address(text: &str, fits: fn(&std::net::IpAddr) -> bool) -> Result<String, String> {
    match text.parse::<std::net::IpAddr>() {
        Ok(address) if fits(&address) => Ok(text.to_owned()),
        _ => Err(format!("invalid ip address: {text}")),
    }
}

/// Whether a text is a hardware address as Go reads one: pairs of digits with colons or dashes, or fours with dots.
pub(crate) fn is_mac(text: &str) -> bool {
    [(':', 2), ('-', 2), ('.', 4)].iter().any(|(separator, digits)| {
        let parts: Vec<&str> = text.split(*separator).collect();
        let fits = |part: &&str| {
            part.len() == *digits && part.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        matches!(parts.len() * digits / 2, 6 | 8 | 20) && parts.iter().all(fits)
    })
}

/// `--dns`.
pub(crate) fn server(text: &str) -> Result<(), String> {
    match text.trim().parse::<std::net::IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
}

/// `--link`: a container, and the name that it gets.
pub(crate) fn link(text: &str) -> Result<(), String> {
    match text.split(':').count() {
        _ if text.is_empty() => Err("empty string specified for links".into()),
        1 | 2 => Ok(()),
        _ => Err(format!("bad format for links: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_links_are_checked_before_they_are_sent() {
        assert!(
            is_mac("92:d0:c6:0a:29:33") && is_mac("92-D0-C6-0A-29-33") && is_mac("92d0.c60a.2933")
        );
        assert!(!is_mac("xx") && !is_mac("92:d0:c6:0a:29") && !is_mac("92:d0-c6:0a:29:33"));
        assert_eq!(server("::1"), Ok(()));
        assert_eq!(server("x"), Err("IP address is not correctly formatted: x".into()));
        assert_eq!((link("a"), link("a:b")), (Ok(()), Ok(())));
        assert_eq!(link("a:b:c"), Err("bad format for links: a:b:c".into()));
    }
}

//! What flags and daemon.json come to: for the supervisor, and as [`engine::Config`] for the api worker.

use crate::registries::{self, MirrorSettings, ProxySettings};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

/// Why the settings are not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A value has the wrong form.
    #[error("configuration")]
    Form(#[from] serde_json::Error),
    /// A value is wrong.
    #[error("invalid {key} {value:?}: {why}")]
    Value {
        /// The key in daemon.json.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        why: &'static str,
    },
}

/// All settings, with their defaults.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    pub(crate) hosts: Vec<String>,
    pub(crate) group: String,
    pub(crate) data_root: PathBuf,
    pub(crate) exec_root: PathBuf,
    pub(crate) pidfile: PathBuf,
    pub(crate) policy: PathBuf,
    pub(crate) api_user: Option<String>,
    pub(crate) allow_insecure_tcp: bool,
    pub(crate) debug: bool,
    pub(crate) log_level: String,
    pub(crate) tls: bool,
    pub(crate) tlsverify: bool,
    pub(crate) tlscacert: PathBuf,
    pub(crate) tlscert: PathBuf,
    pub(crate) tlskey: PathBuf,
    pub(crate) bridge: String,
    pub(crate) bip: Option<String>,
    pub(crate) mtu: Option<u32>,
    pub(crate) icc: bool,
    pub(crate) ip_masq: bool,
    pub(crate) ip: IpAddr,
    pub(crate) ipv6: bool,
    pub(crate) fixed_cidr: Option<ipnet::Ipv4Net>,
    pub(crate) fixed_cidr_v6: Option<ipnet::Ipv6Net>,
    pub(crate) default_address_pools: Vec<ipam::AddressPool>,
    pub(crate) host_gateway_ips: Vec<IpAddr>,
    pub(crate) dns: Vec<IpAddr>,
    pub(crate) dns_search: Vec<String>,
    pub(crate) dns_opts: Vec<String>,
    pub(crate) log_driver: String,
    pub(crate) log_opts: BTreeMap<String, String>,
    pub(crate) default_shm_size: Option<String>,
    pub(crate) default_ipc_mode: String,
    pub(crate) default_cgroupns_mode: Option<String>,
    pub(crate) cgroup_parent: Option<String>,
    pub(crate) init: bool,
    pub(crate) no_new_privileges: bool,
    /// A path or `unconfined`; the supervisor puts the file's text in its place.
    pub(crate) seccomp_profile: Option<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) shutdown_timeout: i64,
    pub(crate) registry_mirrors: Vec<String>,
    pub(crate) registry_map: BTreeMap<String, Vec<MirrorSettings>>,
    pub(crate) insecure_registries: Vec<String>,
    pub(crate) allow_registries: Vec<String>,
    pub(crate) proxies: ProxySettings,
    pub(crate) max_concurrent_downloads: u32,
    pub(crate) max_concurrent_uploads: u32,
    pub(crate) max_download_attempts: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hosts: vec!["unix:///var/run/docker.sock".into()],
            group: "docker".into(),
            data_root: "/var/lib/docker".into(),
            exec_root: "/run/docker".into(),
            pidfile: "/var/run/docker.pid".into(),
            policy: policy::DEFAULT_PATH.into(),
            api_user: None,
            allow_insecure_tcp: false,
            debug: false,
            log_level: "info".into(),
            tls: false,
            tlsverify: false,
            tlscacert: "/etc/docker/ca.pem".into(),
            tlscert: "/etc/docker/cert.pem".into(),
            tlskey: "/etc/docker/key.pem".into(),
            bridge: "docker0".into(),
            bip: None,
            mtu: None,
            icc: true,
            ip_masq: true,
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ipv6: false,
            fixed_cidr: None,
            fixed_cidr_v6: None,
            default_address_pools: vec![],
            host_gateway_ips: vec![],
            dns: vec![],
            dns_search: vec![],
            dns_opts: vec![],
            log_driver: "json-file".into(),
            log_opts: BTreeMap::new(),
            default_shm_size: None,
            default_ipc_mode: "private".into(),
            default_cgroupns_mode: None,
            cgroup_parent: None,
            init: false,
            no_new_privileges: false,
            seccomp_profile: None,
            labels: vec![],
            shutdown_timeout: 10,
            registry_mirrors: vec![],
            registry_map: BTreeMap::new(),
            insecure_registries: vec![],
            allow_registries: vec![],
            proxies: ProxySettings::default(),
            max_concurrent_downloads: 3,
            max_concurrent_uploads: 5,
            max_download_attempts: 5,
        }
    }
}

impl Settings {
    /// Reads the resolved options.
    pub(crate) fn from_options(options: Map<String, Value>) -> Result<Self, SettingsError> {
        let settings: Self = serde_json::from_value(Value::Object(options))?;
        settings.engine()?;
        settings.api_ids()?;
        settings.level()?;
        Ok(settings)
    }

    /// How important a line of the log must be.
    pub(crate) fn level(&self) -> Result<tracing::Level, SettingsError> {
        match self.log_level.as_str() {
            _ if self.debug => Ok(tracing::Level::DEBUG),
            "debug" => Ok(tracing::Level::DEBUG),
            "info" => Ok(tracing::Level::INFO),
            "warn" => Ok(tracing::Level::WARN),
            "error" | "fatal" => Ok(tracing::Level::ERROR),
            _ => Err(SettingsError::Value {
                key: "log-level",
                value: self.log_level.clone(),
                why: "must be debug, info, warn, error or fatal",
            }),
        }
    }

    /// User and group of the api worker.
    pub(crate) fn api_ids(&self) -> Result<(u32, u32), SettingsError> {
        let Some(text) = &self.api_user else { return Ok((sandbox::API_ID, sandbox::API_ID)) };
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        let wrong = || SettingsError::Value {
            key: "api-user",
            value: text.clone(),
            why: "must be UID or UID:GID, numbers above 0",
        };
        match (uid.parse(), gid.parse()) {
            (Ok(uid), Ok(gid)) if uid > 0 && gid > 0 => Ok((uid, gid)),
            _ => Err(wrong()),
        }
    }

    /// The engine's part.
    pub(crate) fn engine(&self) -> Result<engine::Config, SettingsError> {
        let defaults = engine::Config::default();
        Ok(engine::Config {
            data_root: self.data_root.clone(),
            exec_root: self.exec_root.clone(),
            bridge: self.bridge.clone(),
            bip: self.bip.as_deref().map_or(Ok(defaults.bip), parse_bip)?,
            mtu: self.mtu,
            icc: self.icc,
            masquerade: self.ip_masq,
            publish_address: self.ip,
            ipv6: self.ipv6,
            fixed_cidr: self.fixed_cidr,
            fixed_cidr_v6: self.fixed_cidr_v6,
            address_pools: self.address_pools()?,
            host_gateway: self.host_gateway_ips.clone(),
            dns: self.dns.clone(),
            dns_search: self.dns_search.clone(),
            dns_options: self.dns_opts.clone(),
            log_driver: self.log_driver.clone(),
            log_options: self.log_opts.clone(),
            shm_size: match self.default_shm_size.as_deref() {
                Some(text) => parse_size("default-shm-size", text)?,
                None => defaults.shm_size,
            },
            ipc_mode: self.default_ipc_mode.clone(),
            cgroupns_mode: self.default_cgroupns_mode.clone(),
            cgroup_parent: self.cgroup_parent.clone(),
            init: self.init,
            no_new_privileges: self.no_new_privileges,
            seccomp_profile: self
                .seccomp_profile
                .clone()
                .filter(|profile| !matches!(profile.as_str(), "" | "builtin")),
            labels: self.labels.clone(),
            stop_timeout: self.shutdown_timeout,
            registry: Arc::new(registries::config(self)?),
            max_downloads: self.max_concurrent_downloads as usize,
            max_uploads: self.max_concurrent_uploads as usize,
            ..defaults
        })
    }
}

impl Settings {
    fn address_pools(&self) -> Result<Vec<ipam::AddressPool>, SettingsError> {
        for pool in &self.default_address_pools {
            if pool.check().is_err() || pool.base != pool.base.trunc() {
                return Err(SettingsError::Value {
                    key: "default-address-pools",
                    value: format!("{} size {}", pool.base, pool.size),
                    why: "must be a network and the prefix length of subnets in it, with room for a gateway and a container",
                });
            }
        }
        Ok(self.default_address_pools.clone())
    }
}

fn parse_bip(text: &str) -> Result<(Ipv4Addr, u8), SettingsError> {
    let parsed = text.split_once('/').and_then(|(address, length)| {
        Some((
            address.parse().ok()?,
            length.parse().ok().filter(|length| (1..=30).contains(length))?,
        ))
    });
    parsed.ok_or_else(|| SettingsError::Value {
        key: "bip",
        value: text.to_owned(),
        why: "must be an IPv4 address with the length of its prefix, as 172.17.0.1/16",
    })
}

/// Bytes with an optional unit in powers of 1024, as Docker's flags have it: `64M`, `1g`, `67108864`.
fn parse_size(key: &'static str, text: &str) -> Result<i64, SettingsError> {
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.trim_end_matches('b').trim_end_matches('i');
    let (number, shift) = match number.as_bytes().last() {
        Some(b'k') => (&number[..number.len() - 1], 10),
        Some(b'm') => (&number[..number.len() - 1], 20),
        Some(b'g') => (&number[..number.len() - 1], 30),
        _ => (number, 0),
    };
    let bytes = number.trim().parse::<i64>().ok().and_then(|count| count.checked_mul(1 << shift));
    bytes.filter(|bytes| *bytes >= 0).ok_or_else(|| SettingsError::Value {
        key,
        value: text.to_owned(),
        why: "must be a number of bytes, with k, m or g behind it for more",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: Value) -> Result<Settings, SettingsError> {
        let Value::Object(map) = value else { panic!("not an object") };
        Settings::from_options(map)
    }

    #[test]
    fn values_reach_the_engine() {
        let settings = of(serde_json::json!({
            "bip": "10.9.0.1/24", "default-shm-size": "1g", "icc": false, "api-user": "1000:1001",
        }))
        .unwrap();
        let config = settings.engine().unwrap();
        assert_eq!(config.bip, (Ipv4Addr::new(10, 9, 0, 1), 24));
        assert_eq!(config.shm_size, 1 << 30);
        assert!(!config.icc);
        assert_eq!(settings.api_ids().unwrap(), (1000, 1001));
    }

    #[test]
    fn wrong_values_are_named() {
        for (key, value) in [
            ("bip", "10.9.0.1"),
            ("bip", "fd00::1/64"),
            ("default-shm-size", "lots"),
            ("api-user", "0"),
            ("api-user", "root"),
            ("log-level", "loud"),
        ] {
            let message = of(serde_json::json!({ key: value })).unwrap_err().to_string();
            assert!(message.starts_with(&format!("invalid {key} {value:?}: must be")), "{message}");
        }
    }
}

//! What daemon.json says about registries.

use crate::settings::{Settings, SettingsError};
use distribution::{Address, Config, Credentials, Mirror, Proxies};
use serde::{Deserialize, Serialize};
use spec::reference::DEFAULT_DOMAIN;
use std::collections::BTreeMap;

/// Where else a registry's repositories can be had (`registry-map`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct MirrorSettings {
    pub(crate) url: String,
    pub(crate) username: String,
    pub(crate) password: String,
}

/// `proxies`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ProxySettings {
    pub(crate) http_proxy: String,
    pub(crate) https_proxy: String,
    pub(crate) no_proxy: String,
}

impl ProxySettings {
    /// What is not set is taken from the variables of the same names; of the two spellings the upper one goes first.
    pub(crate) fn complete(&mut self, variable: impl Fn(&str) -> Option<String>) {
        let of = |name: &str| {
            let value = variable(name).filter(|value| !value.is_empty());
            value.or_else(|| variable(&name.to_ascii_lowercase())).unwrap_or_default()
        };
        for (value, name) in [
            (&mut self.http_proxy, "HTTP_PROXY"),
            (&mut self.https_proxy, "HTTPS_PROXY"),
            (&mut self.no_proxy, "NO_PROXY"),
        ] {
            if value.is_empty() {
                *value = of(name);
            }
        }
    }
}

/// The settings as the registry client takes them.
pub(crate) fn config(settings: &Settings) -> Result<Config, SettingsError> {
    let wrong = |key, value: &str, why| SettingsError::Value { key, value: value.to_owned(), why };
    let mut mirrors: BTreeMap<String, Vec<Mirror>> = BTreeMap::new();
    for url in &settings.registry_mirrors {
        let address = Address::parse(url).filter(|_| !url.contains('?'));
        if address.is_none() {
            return Err(wrong("registry-mirrors", url, "must be an http or https address"));
        }
        let mirror = Mirror { url: url.clone(), credentials: Credentials::default() };
        mirrors.entry(DEFAULT_DOMAIN.into()).or_default().push(mirror);
    }
    for (domain, list) in &settings.registry_map {
        for mirror in list {
            if Address::parse(&mirror.url).is_none() {
                return Err(wrong("registry-map", &mirror.url, "must be an http or https address"));
            }
            let credentials = Credentials {
                username: mirror.username.clone(),
                password: mirror.password.clone(),
                ..Credentials::default()
            };
            let mirror = Mirror { url: mirror.url.clone(), credentials };
            mirrors.entry(domain.clone()).or_default().push(mirror);
        }
    }
    for rule in &settings.insecure_registries {
        if rule.contains("://") {
            let why = "must be a host, host:port or network, without a scheme";
            return Err(wrong("insecure-registries", rule, why));
        }
    }
    let attempts = settings.max_download_attempts;
    if attempts == 0 {
        return Err(wrong("max-download-attempts", "0", "must be greater than 0"));
    }
    Ok(Config {
        mirrors,
        insecure: settings.insecure_registries.clone(),
        allowed: (!settings.allow_registries.is_empty()).then(|| settings.allow_registries.clone()),
        proxies: Proxies {
            http: settings.proxies.http_proxy.clone(),
            https: settings.proxies.https_proxy.clone(),
            exempt: settings.proxies.no_proxy.clone(),
        },
        attempts,
        user_agent: format!("coffer/{} os/linux", env!("CARGO_PKG_VERSION")),
        ..Config::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Config, String> {
        let settings: Settings = serde_json::from_str(text).map_err(|e| e.to_string())?;
        config(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn mirrors_of_any_registry_are_read() {
        let config = settings(
            r#"{"registry-mirrors": ["https://hub.example"], "registry-map": {
                "quay.io": [{"url": "http://m:5000/quay", "username": "u", "password": "p"}]},
                "allow-registries": ["docker.io", "*.corp"]}"#,
        )
        .unwrap();
        assert_eq!(config.mirrors["docker.io"][0].url, "https://hub.example");
        assert_eq!(config.mirrors["quay.io"][0].credentials.username, "u");
        assert!(config.allows("a.corp") && !config.allows("quay.io"));
    }

    #[test]
    fn wrong_values_are_named() {
        for (text, message) in [
            (
                r#"{"registry-mirrors": ["hub.example"]}"#,
                "invalid registry-mirrors \"hub.example\": must be an http or https address",
            ),
            (
                r#"{"insecure-registries": ["http://a"]}"#,
                "invalid insecure-registries \"http://a\": must be a host, host:port or network, without a scheme",
            ),
            (
                r#"{"max-download-attempts": 0}"#,
                "invalid max-download-attempts \"0\": must be greater than 0",
            ),
        ] {
            assert_eq!(settings(text).unwrap_err(), message);
        }
    }

    #[test]
    fn proxies_come_from_the_file_before_the_environment() {
        let mut proxies = ProxySettings { http_proxy: "a".into(), ..ProxySettings::default() };
        proxies.complete(|name| match name {
            "HTTP_PROXY" => Some("b".into()),
            "https_proxy" => Some("c".into()),
            _ => None,
        });
        assert_eq!((&*proxies.http_proxy, &*proxies.https_proxy), ("a", "c"));
    }
}

//! What the engine is told about registries.

use crate::proxy::Proxies;
use crate::{Address, Credentials};
use ipnet::IpNet;
use spec::reference::DEFAULT_DOMAIN;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The host that the default domain's repositories are at.
pub const DEFAULT_HOST: &str = "registry-1.docker.io";
/// What clients call the default registry in credentials.
pub const INDEX_ADDRESS: &str = "https://index.docker.io/v1/";

/// Where else the repositories of a registry can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// `http` or `https`, a host, perhaps a path that goes before the repository's.
    pub url: String,
    /// For the mirror alone; a user's credentials for the registry itself are never sent to a mirror.
    pub credentials: Credentials,
}

/// All settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Mirrors by the domain of names, tried in this order before the registry itself.
    pub mirrors: BTreeMap<String, Vec<Mirror>>,
    /// Hosts (with port, if it is not the usual one) and networks whose certificates are not checked, and which may
    /// speak plain HTTP. Loopback addresses always may.
    pub insecure: Vec<String>,
    /// Domains that may be talked with: whole, or with `*.` in front for all below. All when none.
    pub allowed: Option<Vec<String>>,
    /// `/etc/docker/certs.d`: a directory for each `host[:port]`.
    pub certificates: PathBuf,
    /// Certificate authorities that all hosts are checked by: the first of these files that exists.
    pub authorities: Vec<PathBuf>,
    /// Proxies.
    pub proxies: Proxies,
    /// Tries of a request or download that makes no headway.
    pub attempts: u32,
    /// The wait before the second try; each further one is twice as long, up to thirty times the first.
    pub back_off: Duration,
    /// How long nothing may come before a connection counts as broken.
    pub idle: Duration,
    /// The engine's own part of `User-Agent`.
    pub user_agent: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mirrors: BTreeMap::new(),
            insecure: Vec::new(),
            allowed: None,
            certificates: "/etc/docker/certs.d".into(),
            authorities: [
                "/etc/ssl/certs/ca-certificates.crt",
                "/etc/pki/tls/certs/ca-bundle.crt",
                "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
                "/etc/ssl/ca-bundle.pem",
                "/etc/ssl/cert.pem",
            ]
            .map(PathBuf::from)
            .to_vec(),
            proxies: Proxies::default(),
            attempts: 5,
            back_off: Duration::from_millis(500),
            idle: Duration::from_secs(60),
            user_agent: "coffer".into(),
        }
    }
}

/// One place where a repository can be had.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The server, with the path that goes before `/v2/`.
    pub(crate) base: Address,
    pub(crate) credentials: Credentials,
    pub(crate) is_mirror: bool,
}

impl Config {
    /// Whether names of this domain may be used.
    pub fn allows(&self, domain: &str) -> bool {
        let Some(allowed) = &self.allowed else { return true };
        allowed.iter().any(|rule| match rule.strip_prefix("*.") {
            Some(below) => domain.strip_suffix(below).is_some_and(|rest| rest.ends_with('.')),
            None => rule == domain || rule == "*",
        })
    }

    /// Whether certificates of this server are not checked and it may speak plain HTTP. `addresses` are what its name
    /// resolves to.
    pub(crate) fn is_insecure(&self, host: &str, port: u16, addresses: &[IpAddr]) -> bool {
        if host == "localhost" {
            return true;
        }
        let named = |rule: &String| {
            let rule = rule.to_ascii_lowercase();
            rule == host || rule == format!("{host}:{port}") || rule == format!("[{host}]:{port}")
        };
        if self.insecure.iter().any(named) {
            return true;
        }
        let own: Option<IpAddr> = host.parse().ok();
        own.iter().chain(addresses).any(|ip| {
            ip.is_loopback()
                || self
                    .insecure
                    .iter()
                    .filter_map(|rule| rule.parse::<IpNet>().ok())
                    .any(|network| network.contains(ip))
        })
    }

    /// Where repositories of a domain can be had, in the order in which they are tried; for the registry itself first
    /// by TLS and, when it `may_be_plain`, then without.
    pub(crate) fn endpoints(
        &self,
        domain: &str,
        credentials: &Credentials,
        may_be_plain: bool,
        with_mirrors: bool,
    ) -> Vec<Endpoint> {
        let mirrors = self.mirrors.get(domain).filter(|_| with_mirrors).into_iter().flatten();
        let mirrors = mirrors.filter_map(|mirror| {
            let base = Address::parse(&mirror.url)?;
            let path = base.path_alone().trim_end_matches('/').to_owned();
            let credentials = mirror.credentials.clone();
            Some(Endpoint { base: base.at(path), credentials, is_mirror: true })
        });
        let host = if domain == DEFAULT_DOMAIN { DEFAULT_HOST } else { domain };
        let own = ["https", "http"].into_iter().take(if may_be_plain { 2 } else { 1 });
        let own = own.filter_map(|scheme| {
            let base = Address::parse(&format!("{scheme}://{host}/"))?.at("");
            Some(Endpoint { base, credentials: credentials.clone(), is_mirror: false })
        });
        mirrors.chain(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_listed_hosts_and_networks_are_insecure() {
        let config = Config {
            insecure: vec!["Reg.example:5000".into(), "10.0.0.0/8".into(), "plain".into()],
            ..Config::default()
        };
        let insecure = |host: &str, port, ip: &[&str]| {
            let ip: Vec<IpAddr> = ip.iter().map(|ip| ip.parse().unwrap()).collect();
            config.is_insecure(host, port, &ip)
        };
        assert!(insecure("127.0.0.1", 5000, &[]));
        assert!(insecure("127.8.0.1", 5000, &[]));
        assert!(insecure("::1", 5000, &[]));
        assert!(insecure("localhost", 443, &[]));
        assert!(insecure("reg.example", 5000, &[]));
        assert!(!insecure("reg.example", 443, &[]));
        assert!(insecure("plain", 443, &[]));
        assert!(insecure("any.example", 443, &["10.1.2.3"]));
        assert!(!insecure("any.example", 443, &["11.1.2.3"]));
    }

    #[test]
    fn mirrors_come_first_and_get_no_credentials_of_the_user() {
        let mut config = Config::default();
        let mirror =
            Mirror { url: "http://m:5000/hub/".into(), credentials: Credentials::default() };
        config.mirrors.insert("docker.io".into(), vec![mirror]);
        let user =
            Credentials { username: "jo".into(), password: "pw".into(), ..Credentials::default() };
        let endpoints = config.endpoints("docker.io", &user, false, true);
        let shown: Vec<_> =
            endpoints.iter().map(|e| (e.base.to_string(), e.credentials.is_anonymous())).collect();
        assert_eq!(
            shown,
            [("http://m:5000/hub".into(), true), ("https://registry-1.docker.io".into(), false)]
        );
        assert_eq!(config.endpoints("r:1", &user, true, true).len(), 2);
    }

    #[test]
    fn the_policy_names_domains_or_all_below_one() {
        let config = Config {
            allowed: Some(vec!["docker.io".into(), "*.corp".into()]),
            ..Config::default()
        };
        assert!(config.allows("docker.io"));
        assert!(config.allows("a.b.corp"));
        assert!(!config.allows("corp"));
        assert!(!config.allows("quay.io"));
        assert!(!config.allows("xdocker.io"));
    }
}

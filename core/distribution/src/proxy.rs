//! Which proxy an address is reached by.

use crate::Address;
use ipnet::IpNet;
use std::net::IpAddr;

/// Proxies as the variables `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http` addresses; none when empty.
    pub http: String,
    /// For `https` addresses; none when empty.
    pub https: String,
    /// Hosts, domains and networks that are reached without, separated by commas; `*` is all.
    pub exempt: String,
}

/// A proxy that speaks HTTP, perhaps by TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) address: Address,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<String>,
}

impl Proxies {
    /// The proxy for an address.
    pub(crate) fn of(&self, address: &Address) -> Option<Proxy> {
        let text = if address.tls { &self.https } else { &self.http };
        if text.is_empty() || self.is_exempt(address) {
            return None;
        }
        parse(text)
    }

    fn is_exempt(&self, address: &Address) -> bool {
        let host = address.host.trim_end_matches('.');
        let ip: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
            return true;
        }
        self.exempt.split(',').map(str::trim).filter(|rule| !rule.is_empty()).any(|rule| {
            if rule == "*" {
                return true;
            }
            if let (Ok(network), Some(ip)) = (rule.parse::<IpNet>(), ip) {
                return network.contains(&ip);
            }
            let (rule, port) = match rule.rsplit_once(':') {
                Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
                    (name, Some(port))
                }
                _ => (rule, None),
            };
            if port.is_some_and(|port| port.parse() != Ok(address.port)) {
                return false;
            }
            let rule = rule.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
            if let Ok(own) = rule.parse::<IpAddr>() {
                return ip == Some(own);
            }
            match rule.strip_prefix("*.").or_else(|| rule.strip_prefix('.')) {
                Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
                None => {
                    let below = host.strip_suffix(&*rule).is_some_and(|rest| rest.ends_with('.'));
                    host == rule || below
                }
            }
        })
    }
}

/// `[http[s]://][user:password@]host:port`.
fn parse(text: &str) -> Option<Proxy> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    let address = Address::parse(&format!("{scheme}://{rest}"))?;
    let authorization = user.map(|user| {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let (username, password) = (unescape(name), unescape(password));
        crate::Credentials { username, password, ..crate::Credentials::default() }.basic()
    });
    Some(Proxy { address, authorization })
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exempt_hosts_are_reached_without_a_proxy() {
        let proxies = Proxies {
            http: "http://p:3128".into(),
            https: "https://jo:p%40w@q:1".into(),
            exempt: "corp, .sub.example,10.0.0.0/8, one:81,192.0.2.7, [2001:db8::1]".into(),
        };
        let of = |text| proxies.of(&Address::parse(text).unwrap());
        for direct in [
            "http://localhost/",
            "https://127.0.0.1:5000/",
            "http://[::1]/",
            "http://corp/",
            "http://a.corp/",
            "https://x.sub.example/",
            "http://10.2.3.4/",
            "http://one:81/",
            "http://192.0.2.7/",
            "http://[2001:db8::1]:5000/",
        ] {
            assert_eq!(of(direct), None, "{direct}");
        }
        for by_proxy in
            ["http://notcorp/", "https://sub.example/", "http://one/", "http://11.0.0.1/"]
        {
            assert!(of(by_proxy).is_some(), "{by_proxy}");
        }
        let proxy = of("https://registry.example/").unwrap();
        assert_eq!(proxy.address.host_and_port(), "q:1");
        assert_eq!(proxy.authorization.unwrap(), "Basic am86cEB3");
    }
}

//! `hosts` and `resolv.conf` of a container; pure.

use std::fmt::Write;
use std::net::IpAddr;

/// The beginning of every `hosts`.
const HOSTS: &str = "127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

/// Name servers for a container when the host has none that it could reach.
const PUBLIC: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// The `hosts` of a container with these further lines (address, names) in order.
pub fn hosts(lines: &[(String, String)]) -> String {
    let mut text = HOSTS.to_owned();
    for (address, names) in lines {
        // Writing to a String cannot fail.
        writeln!(text, "{address}\t{names}").ok();
    }
    text
}

/// The line of a container itself: its address, its name with its domain, its name.
pub fn own_line(address: IpAddr, hostname: &str, domain: &str) -> (String, String) {
    let names = if domain.is_empty() { hostname.to_owned() } else { format!("{hostname}.{domain} {hostname}") };
    (address.to_string(), names)
}

/// What a container asks for itself.
#[derive(Debug, Default)]
pub struct Wanted {
    /// `--dns`.
    pub servers: Vec<String>,
    /// `--dns-search`.
    pub search: Vec<String>,
    /// `--dns-option`.
    pub options: Vec<String>,
}

/// The `resolv.conf` of a container: the host's, with what the container asks for instead. `own_network` is whether it
/// has a loopback of its own, where the host's name servers on loopback cannot be reached.
pub fn resolv_conf(host: &str, wanted: &Wanted, own_network: bool) -> String {
    let values = |key: &'static str| values(host, key);
    let mut servers: Vec<String> = wanted.servers.clone();
    if servers.is_empty() {
        servers = values("nameserver").filter_map(|words| words.into_iter().next()).collect();
        if own_network {
            servers.retain(|server| !is_loopback(server));
            if servers.is_empty() {
                servers = PUBLIC.iter().map(|server| (*server).to_owned()).collect();
            }
        }
    }
    let search = if wanted.search.is_empty() {
        values("search").chain(values("domain")).next().unwrap_or_default()
    } else {
        // A single dot asks for no search domain.
        wanted.search.iter().filter(|domain| *domain != ".").cloned().collect()
    };
    let options =
        if wanted.options.is_empty() { values("options").last().unwrap_or_default() } else { wanted.options.clone() };
    let mut text = String::new();
    for server in servers {
        writeln!(text, "nameserver {server}").ok();
    }
    if !search.is_empty() {
        writeln!(text, "search {}", search.join(" ")).ok();
    }
    if !options.is_empty() {
        writeln!(text, "options {}", options.join(" ")).ok();
    }
    text
}

/// The words behind `key` on each line that begins with it.
fn values<'a>(text: &'a str, key: &'static str) -> impl Iterator<Item = Vec<String>> + 'a {
    text.lines().filter_map(move |line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(key)).then(|| words.map(str::to_owned).collect())
    })
}

fn is_loopback(server: &str) -> bool {
    let address = server.split('%').next().unwrap_or_default();
    address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# x\nnameserver 127.0.0.53\nnameserver 10.0.0.1\nsearch a.example b.example\noptions edns0 ndots:2\n";

    #[test]
    fn a_network_of_ones_own_does_not_reach_the_hosts_loopback() {
        assert_eq!(
            resolv_conf(HOST, &Wanted::default(), true),
            "nameserver 10.0.0.1\nsearch a.example b.example\noptions edns0 ndots:2\n"
        );
        assert_eq!(resolv_conf("nameserver ::1", &Wanted::default(), true), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        assert!(resolv_conf(HOST, &Wanted::default(), false).starts_with("nameserver 127.0.0.53\n"));
    }

    #[test]
    fn what_the_container_asks_for_replaces_the_hosts() {
        let wanted = Wanted { servers: vec!["1.1.1.1".into()], search: vec![".".into()], options: vec!["x".into()] };
        assert_eq!(resolv_conf(HOST, &wanted, true), "nameserver 1.1.1.1\noptions x\n");
    }

    #[test]
    fn hosts_ends_with_the_container_itself() {
        let lines = [("10.0.0.9".to_owned(), "db".to_owned()), own_line("172.17.0.2".parse().unwrap(), "web", "lan")];
        assert!(hosts(&lines).ends_with("ff02::2\tip6-allrouters\n10.0.0.9\tdb\n172.17.0.2\tweb.lan web\n"));
    }
}

//! The contents of a container's `/etc/hosts` and `/etc/resolv.conf`, as pure functions.
//!
//! Every name comes from outside and ends up in a file that is split at spaces and line ends: one that holds either
//! is refused, so that no name adds a line of its own.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What glibc reads of a resolv.conf is far less; a host's file beyond it is cut.
const HOST_FILE_LIMIT: usize = 64 * 1024;
/// What is written when no usable name server is left: Google's public ones, as Docker does.
const PUBLIC_IPV4: [Ipv4Addr; 2] = [Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(8, 8, 4, 4)];
const PUBLIC_IPV6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888),
    Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8844),
];
/// systemd-resolved's stub, which only the host can reach.
const STUB: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));

/// Why a file cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// A name that is empty, or holds a space, a line end, a comment sign or another character that is not printable.
    #[error("invalid {what} {name:?}: must be printable, without spaces and without #")]
    BadName {
        /// What the name is for.
        what: &'static str,
        /// The name, cut to 80 characters.
        name: String,
    },
}

fn check<'a>(what: &'static str, name: &'a str) -> Result<&'a str, FileError> {
    let good = |c: char| c.is_alphanumeric() || (c.is_ascii_graphic() && c != '#' && c != ';');
    if !name.is_empty() && name.len() <= 255 && name.chars().all(good) {
        Ok(name)
    } else {
        Err(FileError::BadName { what, name: name.chars().take(80).collect() })
    }
}

/// What an `/etc/hosts` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts<'a> {
    /// The container's host name; nothing is written for it without an address.
    pub host_name: &'a str,
    /// Its domain, without leading dot; empty for none.
    pub domain_name: &'a str,
    /// The container's addresses.
    pub addresses: &'a [IpAddr],
    /// More names of the container, behind the host name on the same lines.
    pub aliases: &'a [&'a str],
    /// `--add-host`: name and address, `host-gateway` already resolved.
    pub extra: &'a [(&'a str, IpAddr)],
}

/// The `/etc/hosts` of a container: localhost, then `--add-host`, then the container itself.
pub fn hosts(of: &Hosts<'_>) -> Result<String, FileError> {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         ff00::0\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    append_extra(&mut text, of.extra)?;
    if of.host_name.is_empty() {
        return Ok(text);
    }
    let mut names = Vec::new();
    let host = check("host name", of.host_name)?;
    if !of.domain_name.is_empty() {
        names.push(format!("{host}.{}", check("domain name", of.domain_name)?));
    }
    names.push(host.to_owned());
    for alias in of.aliases {
        names.push(check("alias", alias)?.to_owned());
    }
    let names = names.join(" ");
    for address in of.addresses {
        writeln!(text, "{address}\t{names}").expect("a string takes any text");
    }
    Ok(text)
}

/// The host's own file with `--add-host` behind it, for a container in the host's network.
pub fn hosts_of_the_host(host: &str, extra: &[(&str, IpAddr)]) -> Result<String, FileError> {
    let mut text = cut(host).to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    append_extra(&mut text, extra)?;
    Ok(text)
}

fn append_extra(text: &mut String, extra: &[(&str, IpAddr)]) -> Result<(), FileError> {
    for (name, address) in extra {
        let name = check("extra host", name)?;
        writeln!(text, "{address}\t{name}").expect("a string takes any text");
    }
    Ok(())
}

/// What an `/etc/resolv.conf` is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver<'a> {
    /// The host's `/etc/resolv.conf`; empty when there is none.
    pub host: &'a str,
    /// `/run/systemd/resolve/resolv.conf`, when it is there: used when the host's file names only systemd's stub.
    pub behind_stub: Option<&'a str>,
    /// `--dns`: instead of the host's name servers, loopback ones included.
    pub servers: &'a [IpAddr],
    /// `--dns-search`: instead of the host's; one `.` means none.
    pub search: &'a [&'a str],
    /// `--dns-option`: instead of the host's.
    pub options: &'a [&'a str],
    /// The container is in the host's network, so that the host's loopback is its own.
    pub host_network: bool,
    /// The container can reach IPv6 name servers.
    pub ipv6: bool,
}

/// The `/etc/resolv.conf` of a container: name servers, search list, options, without comments.
pub fn resolv_conf(of: &Resolver<'_>) -> Result<String, FileError> {
    let mut read = Read::parse(of.host);
    if let (false, Some(behind)) = (of.host_network, of.behind_stub)
        && !read.servers.is_empty()
        && read.servers.iter().all(|server| server.parse() == Ok(STUB))
    {
        read = Read::parse(behind);
    }
    let servers = servers(of, read.servers);
    let mut text = String::new();
    // Docker writes a file of its own in this order, but keeps the host's when it takes that over.
    let own = !(of.servers.is_empty() && of.search.is_empty() && of.options.is_empty());
    let search = checked("search domain", of.search)?.unwrap_or(read.search);
    let search: Vec<String> = search.into_iter().filter(|domain| domain != ".").collect();
    if own {
        line(&mut text, "search", search.clone());
    }
    for server in servers {
        writeln!(text, "nameserver {server}").expect("a string takes any text");
    }
    if !own {
        line(&mut text, "search", search);
    }
    line(&mut text, "options", checked("DNS option", of.options)?.unwrap_or(read.options));
    for other in read.others {
        text.push_str(&other);
        text.push('\n');
    }
    Ok(text)
}

/// The same file for a container that has a name server of its own: that is the only one, and names without a dot are
/// asked of it as they are.
pub fn through_own_server(resolv_conf: &str) -> String {
    let mut text = format!("nameserver {}\n", crate::RESOLVER);
    let mut has_options = false;
    for line in resolv_conf.lines().filter(|line| !line.starts_with("nameserver")) {
        text.push_str(line);
        if line.starts_with("options") {
            has_options = true;
            if !line.contains("ndots:") {
                text.push_str(" ndots:0");
            }
        }
        text.push('\n');
    }
    if !has_options {
        text.push_str("options ndots:0\n");
    }
    text
}

/// The names, when there are any: they take the place of the host's.
fn checked(what: &'static str, names: &[&str]) -> Result<Option<Vec<String>>, FileError> {
    let names: Vec<String> =
        names.iter().map(|name| check(what, name).map(str::to_owned)).collect::<Result<_, _>>()?;
    Ok(Some(names).filter(|names| !names.is_empty()))
}

fn servers(of: &Resolver<'_>, read: Vec<String>) -> Vec<String> {
    if !of.servers.is_empty() {
        return of.servers.iter().map(IpAddr::to_string).collect();
    }
    if of.host_network {
        return read;
    }
    let reachable = |server: &String| match server.parse() {
        Ok(IpAddr::V4(v4)) => !v4.is_loopback(),
        Ok(IpAddr::V6(v6)) => of.ipv6 && !v6.is_loopback(),
        // An address with a zone (fe80::1%eth0) means a link of the host.
        Err(_) => false,
    };
    let left: Vec<String> = read.into_iter().filter(reachable).collect();
    if !left.is_empty() {
        return left;
    }
    let public = PUBLIC_IPV4.iter().map(Ipv4Addr::to_string);
    let public6 = PUBLIC_IPV6.iter().map(Ipv6Addr::to_string).take(if of.ipv6 { 2 } else { 0 });
    public.chain(public6).collect()
}

fn line(text: &mut String, keyword: &str, words: Vec<String>) {
    if !words.is_empty() {
        writeln!(text, "{keyword} {}", words.join(" ")).expect("a string takes any text");
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(HOST_FILE_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A resolv.conf (resolv.conf(5)): of several search or options lines the last counts, `domain` is an old `search`.
#[derive(Debug, Default)]
struct Read {
    servers: Vec<String>,
    search: Vec<String>,
    options: Vec<String>,
    others: Vec<String>,
}

impl Read {
    fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for line in cut(text).lines() {
            let line = line.trim();
            if line.starts_with(['#', ';']) {
                continue;
            }
            let mut words = line.split_whitespace();
            let keyword = words.next();
            let rest = || words.clone().map(str::to_owned).collect::<Vec<_>>();
            match keyword {
                None => {}
                Some("nameserver") => read.servers.extend(rest().into_iter().take(1)),
                Some("search" | "domain") => read.search = rest(),
                Some("options") => read.options = rest(),
                Some(_) => read.others.push(line.to_owned()),
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn hosts_has_localhost_then_extra_hosts_then_the_container() {
        let text = hosts(&Hosts {
            host_name: "web",
            domain_name: "example.org",
            addresses: &[ip("172.17.0.2"), ip("fd00::2")],
            aliases: &["db"],
            extra: &[("gw", ip("172.17.0.1"))],
        })
        .unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "127.0.0.1\tlocalhost");
        assert_eq!(lines[1], "::1\tlocalhost ip6-localhost ip6-loopback");
        assert_eq!(lines[6], "172.17.0.1\tgw");
        assert_eq!(lines[7], "172.17.0.2\tweb.example.org web db");
        assert_eq!(lines[8], "fd00::2\tweb.example.org web db");
        assert_eq!(lines.len(), 9);
        let none = hosts(&Hosts { host_name: "web", ..Hosts::default() }).unwrap();
        assert_eq!(none.lines().count(), 6, "network none has no address");
    }

    #[test]
    fn hosts_of_the_host_keeps_its_lines() {
        let text = hosts_of_the_host("127.0.0.1 localhost\n10.0.0.1 me", &[("a", ip("10.0.0.9"))]);
        assert_eq!(text.unwrap(), "127.0.0.1 localhost\n10.0.0.1 me\n10.0.0.9\ta\n");
    }

    #[test]
    fn a_name_that_would_add_a_line_is_refused() {
        for bad in ["", "a\nb", "a b", "a\tb", "a#b", "a\0", &"x".repeat(256)] {
            let extra = [(bad, ip("10.0.0.1"))];
            assert!(hosts(&Hosts { extra: &extra, ..Hosts::default() }).is_err(), "{bad:?}");
            let search = [bad];
            let of = Resolver { search: &search, ..Resolver::default() };
            assert!(resolv_conf(&of).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_hosts_resolver_is_copied_without_comments_and_loopback_servers() {
        let host = "# made by hand\nnameserver 127.0.0.1\nnameserver 10.0.0.53 # ours\n; old\n\
                    domain old.org\nsearch a.org b.org\noptions edns0 trust-ad\nsortlist 10.0.0.0\n";
        let text = resolv_conf(&Resolver { host, ..Resolver::default() }).unwrap();
        assert_eq!(
            text,
            "nameserver 10.0.0.53\nsearch a.org b.org\noptions edns0 trust-ad\nsortlist 10.0.0.0\n"
        );
        let of = Resolver { host, host_network: true, ..Resolver::default() };
        assert!(resolv_conf(&of).unwrap().starts_with("nameserver 127.0.0.1\n"));
    }

    #[test]
    fn behind_the_stub_the_real_servers_are_used_or_public_ones() {
        let host = "nameserver 127.0.0.53\nsearch stub\n";
        let behind = "nameserver 192.0.2.1\nsearch real\n";
        let of = Resolver { host, behind_stub: Some(behind), ..Resolver::default() };
        assert_eq!(resolv_conf(&of).unwrap(), "nameserver 192.0.2.1\nsearch real\n");
        let of = Resolver { host, ..Resolver::default() };
        assert_eq!(
            resolv_conf(&of).unwrap(),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\nsearch stub\n"
        );
        let of = Resolver { host, host_network: true, behind_stub: Some(behind), ..of };
        assert_eq!(resolv_conf(&of).unwrap(), "nameserver 127.0.0.53\nsearch stub\n");
    }

    #[test]
    fn ipv6_servers_stay_only_where_ipv6_is() {
        let host = "nameserver fd00::53\nnameserver fe80::1%eth0\nnameserver ::1\n";
        let of = Resolver { host, ipv6: true, ..Resolver::default() };
        assert_eq!(resolv_conf(&of).unwrap(), "nameserver fd00::53\n");
        let of = Resolver { host, ..Resolver::default() };
        assert_eq!(resolv_conf(&of).unwrap(), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        let of = Resolver { ipv6: true, ..Resolver::default() };
        assert_eq!(resolv_conf(&of).unwrap().lines().count(), 4);
    }

    #[test]
    fn what_the_user_gives_takes_the_hosts_place() {
        let host = "nameserver 10.0.0.53\nsearch a.org\noptions edns0\n";
        let of = Resolver {
            host,
            servers: &[ip("127.0.0.11"), ip("1.1.1.1")],
            search: &["x.org"],
            options: &["ndots:0", "rotate"],
            ..Resolver::default()
        };
        assert_eq!(
            resolv_conf(&of).unwrap(),
            "search x.org\nnameserver 127.0.0.11\nnameserver 1.1.1.1\noptions ndots:0 rotate\n"
        );
        let of = Resolver { host, search: &["."], ..Resolver::default() };
        assert_eq!(resolv_conf(&of).unwrap(), "nameserver 10.0.0.53\noptions edns0\n");
    }

    #[test]
    fn a_server_of_ones_own_takes_the_place_of_all_others() {
        assert_eq!(
            through_own_server(
                "search a.org\nnameserver 10.0.0.53\nnameserver 10.0.0.54\noptions edns0\n"
            ),
            "nameserver 127.0.0.11\nsearch a.org\noptions edns0 ndots:0\n"
        );
        let once = through_own_server("nameserver 10.0.0.53\n");
        assert_eq!(once, "nameserver 127.0.0.11\noptions ndots:0\n");
        assert_eq!(through_own_server(&once), once);
        assert!(through_own_server("options ndots:5\n").ends_with("\noptions ndots:5\n"));
    }

    proptest! {
        #[test]
        fn any_host_file_gives_a_server_and_no_comment(host in "\\PC{0,200}|[#; a-z0-9.:\n]{0,200}") {
            let text = resolv_conf(&Resolver { host: &host, ..Resolver::default() }).unwrap();
            prop_assert!(text.lines().any(|line| line.starts_with("nameserver ")));
            prop_assert!(!text.lines().any(|line| line.starts_with(['#', ';'])));
        }
    }
}

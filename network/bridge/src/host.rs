//! What the host itself must do for containers: forward packets.
//!
//! The files of `/proc/sys/net` are those of the calling thread's network namespace.

use crate::BridgeError;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Whether the host forwards packets of a family.
pub fn forwards(ipv6: bool) -> bool {
    read_sysctl(if ipv6 { IPV6 } else { IPV4 }).as_deref() == Some("1")
}

const IPV4: &str = "net.ipv4.ip_forward";
const IPV6: &str = "net.ipv6.conf.all.forwarding";

/// Whether an answer that is translated back to `::1` reaches its socket. With br_netfilter at work it is translated on
/// the bridge already, and then thrown away as a packet from the wire to `::1`.
pub fn delivers_to_loopback6() -> bool {
    read_sysctl("net.bridge.bridge-nf-call-ip6tables").as_deref() != Some("1")
}

/// Lets the host forward packets of a family, if it does not. A host that forwards IPv6 stops to take router
/// advertisements, and so would lose its own default route; links that take them now are told to go on (accept_ra 2),
/// before forwarding begins.
pub fn ensure_forwarding(ipv6: bool) -> Result<(), BridgeError> {
    if forwards(ipv6) {
        return Ok(());
    }
    if !ipv6 {
        return write_sysctl(IPV4, "1");
    }
    for name in accepting_links() {
        let path = Path::new("/proc/sys/net/ipv6/conf").join(&name).join("accept_ra");
        match write_file(&path, "2") {
            // A link that vanishes meanwhile needs nothing.
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                let name = format!("net.ipv6.conf.{name}.accept_ra");
                return Err(BridgeError::Sysctl { name, value: "2".to_owned(), source });
            }
            _ => {}
        }
    }
    write_sysctl(IPV6, "1")
}

/// Lets a link have IPv6 addresses on a host whose links begin without.
pub(crate) fn allow_ipv6(link: &str) -> Result<(), BridgeError> {
    let name = format!("net.ipv6.conf.{}.disable_ipv6", link.replace('.', "/"));
    match read_sysctl(&name).as_deref() {
        Some("1") => write_sysctl(&name, "0"),
        _ => Ok(()),
    }
}

/// Lets a bridge take no router advertisements: its neighbours are containers, and one that called itself a router
/// would get the host's traffic (CVE-2020-13401). Where there is no IPv6 there is nothing to do.
pub(crate) fn ignore_routers(link: &str) -> Result<(), BridgeError> {
    let name = format!("net.ipv6.conf.{}.accept_ra", link.replace('.', "/"));
    match read_sysctl(&name).as_deref() {
        None | Some("0") => Ok(()),
        Some(_) => write_sysctl(&name, "0"),
    }
}

/// The links that take router advertisements only as long as the host does not forward.
fn accepting_links() -> Vec<String> {
    let Ok(directory) = fs::read_dir("/proc/sys/net/ipv6/conf") else { return Vec::new() };
    directory
        .flatten()
        .filter(|entry| {
            fs::read_to_string(entry.path().join("accept_ra"))
                .is_ok_and(|value| value.trim() == "1")
        })
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != "all" && name != "lo")
        .collect()
}

/// The file of a dotted name under `net.`; dots within an interface name are written as slashes, as sysctl(8) has it.
/// `None` for anything else, and for names that would lead out of `/proc/sys/net`.
pub(crate) fn sysctl_path(name: &str) -> Option<PathBuf> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'_' | b'-');
    let rest = name.strip_prefix("net.")?;
    if rest.len() > 128 || !rest.bytes().all(plain) {
        return None;
    }
    let mut path = PathBuf::from("/proc/sys/net");
    for part in rest.split('.') {
        // A slash stands for a dot of an interface name such as eth0.100.
        let part = part.replace('/', ".");
        if part.bytes().all(|byte| byte == b'.') {
            return None;
        }
        path.push(part);
    }
    Some(path)
}

/// The value of a sysctl of the calling thread's namespace, without its line end.
pub(crate) fn read_sysctl(name: &str) -> Option<String> {
    Some(fs::read_to_string(sysctl_path(name)?).ok()?.trim_end().to_owned())
}

/// Sets a sysctl of the calling thread's namespace.
pub(crate) fn write_sysctl(name: &str, value: &str) -> Result<(), BridgeError> {
    let path = sysctl_path(name)
        .ok_or_else(|| BridgeError::NotNetworkSysctl { name: name.chars().take(80).collect() })?;
    write_file(&path, value).map_err(|source| BridgeError::Sysctl {
        name: name.to_owned(),
        value: value.chars().take(80).collect(),
        source,
    })
}

/// Writes a file of procfs, which is neither made nor cut: the worker's walls allow writing and no more.
fn write_file(path: &Path, value: &str) -> std::io::Result<()> {
    fs::File::options().write(true).open(path)?.write_all(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctl_names_stay_under_the_network_directory() {
        let path = |name| sysctl_path(name).map(|p| p.to_string_lossy().into_owned());
        assert_eq!(path("net.ipv4.ip_forward").unwrap(), "/proc/sys/net/ipv4/ip_forward");
        assert_eq!(
            path("net.ipv4.conf.eth0/100.forwarding").unwrap(),
            "/proc/sys/net/ipv4/conf/eth0.100/forwarding"
        );
        for bad in [
            "kernel.hostname",
            "net.",
            "net..x",
            "net.//.kernel",
            "net./",
            "net.a b",
            "net.ipv4.\0",
        ] {
            assert!(sysctl_path(bad).is_none(), "{bad:?}");
        }
    }
}

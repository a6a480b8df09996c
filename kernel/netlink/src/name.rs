//! Names of interfaces and hardware addresses, as types that hold only what the kernel takes.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;

/// Why a text is not the name of an interface or a hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not an interface name (kernel `dev_valid_name`, and no control characters).
    #[error(
        "invalid interface name {0:?}: must be 1 to 15 printable bytes without slash, colon, per cent or space"
    )]
    Interface(String),
    /// Not six pairs of hexadecimal digits, or a group address.
    #[error(
        "invalid MAC address {0:?}: must be six pairs of hexadecimal digits of a unicast address"
    )]
    Mac(String),
}

/// The name of a network interface: 1 to 15 bytes (IFNAMSIZ less the terminator), printable ASCII without `/`, `:`
/// and space, not `.` nor `..`, since the kernel makes it a directory of sysfs and procfs; not `all` nor `default`, whose
/// directories of settings are everybody's; without `%`, which asks the kernel to number the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceName(String);

impl InterfaceName {
    /// Reads a name; anything the kernel would refuse, and anything unprintable, is refused.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%');
        let taken = matches!(text, "." | ".." | "all" | "default");
        if text.bytes().all(allowed) && (1..=15).contains(&text.len()) && !taken {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Interface(text.chars().take(80).collect()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for InterfaceName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<InterfaceName> for String {
    fn from(name: InterfaceName) -> String {
        name.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A unicast Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

impl Mac {
    /// Reads `aa:bb:cc:dd:ee:ff`, with `-` allowed as the separator too; group addresses and the zero address are
    /// refused, as the kernel does.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let refuse = || NameError::Mac(text.chars().take(80).collect());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(refuse)?;
            let hex = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            *byte = u8::from_str_radix(if hex { part } else { "" }, 16).map_err(|_| refuse())?;
        }
        match parts.next() {
            None => Self::from_bytes(bytes).ok_or_else(refuse),
            Some(_) => Err(refuse()),
        }
    }

    /// The address of these bytes, unless it is zero or a group address.
    pub fn from_bytes(bytes: [u8; 6]) -> Option<Self> {
        (bytes != [0; 6] && bytes[0] & 1 == 0).then_some(Self(bytes))
    }

    /// The locally administered address `02:42` followed by an IPv4 address: Docker's rule, which makes the address
    /// of a container stable as long as its IP address is.
    pub fn from_ipv4(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }

    /// The six bytes as sent.
    pub fn bytes(&self) -> [u8; 6] {
        self.0
    }
}

impl TryFrom<String> for Mac {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_are_what_the_kernel_takes() {
        for good in ["lo", "docker0", "br-0123456789ab", "eth0.100", "a"] {
            assert_eq!(InterfaceName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "a b", "a:1", "sixteen-bytes-xx", "a\n", "ä"] {
            assert!(InterfaceName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn mac_reads_six_pairs_and_refuses_group_addresses() {
        let mac = Mac::parse("02:42:AC-11:00:02").unwrap();
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
        assert_eq!(mac, Mac::from_ipv4(Ipv4Addr::new(172, 17, 0, 2)));
        for bad in
            ["", "02:42:ac:11:00", "02:42:ac:11:00:02:03", "+2:42:ac:11:00:02", "2:42:ac:11:00:02"]
        {
            assert!(Mac::parse(bad).is_err(), "{bad}");
        }
        assert!(Mac::parse("01:00:5e:00:00:01").is_err());
        assert!(Mac::parse("00:00:00:00:00:00").is_err());
    }
}

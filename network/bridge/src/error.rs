//! Why the driver could not do what it was asked.

use crate::Prefix;
use netlink::NetlinkError;
use rustix::io::Errno;
use spec::Class;
use std::net::IpAddr;

/// Why an operation on a bridge, a sandbox or the firewall failed.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The kernel refused a part of it.
    #[error("{operation} {object}")]
    Kernel {
        /// What was to be done.
        operation: &'static str,
        /// With what.
        object: String,
        /// The part that was refused.
        #[source]
        source: NetlinkError,
    },
    /// A link of the name is there, and it is no bridge.
    #[error("create bridge {link}: a link of this name exists and is not a bridge but {kind}")]
    NotABridge {
        /// The name.
        link: String,
        /// What it is.
        kind: String,
    },
    /// The network would take an address away that the host has, or uses as a router.
    #[error(
        "create bridge {link}: {address}, an address of the host or of its router, is within {subnet}"
    )]
    OverlapsHost {
        /// The name of the bridge.
        link: String,
        /// The network.
        subnet: Prefix,
        /// The address.
        address: IpAddr,
    },
    /// A container is to be plugged into a bridge that the driver was not told of.
    #[error("plug into bridge {link}: no such bridge")]
    UnknownBridge {
        /// The name.
        link: String,
    },
    /// A bridge that somebody else made, which root has not named.
    #[error(
        "create bridge {link}: it exists and is not of this engine; name it in `bridges` of the policy to use it"
    )]
    Foreign {
        /// The name.
        link: String,
    },
    /// A link of the host that root keeps from networks.
    #[error("make an interface over {link}: the policy does not allow it")]
    ParentDenied {
        /// The name.
        link: String,
    },
    /// The parent of a network is not there.
    #[error("make an interface over {link}: no such link")]
    NoParent {
        /// The name.
        link: String,
    },
    /// The kernel has no links of a kind.
    #[error("this kernel has no {kind} links")]
    NoSuchKind {
        /// The kind.
        kind: &'static str,
        /// What the kernel said.
        #[source]
        source: NetlinkError,
    },
    /// A port is to lead to an address that is in no network of ours.
    #[error("publish port to {address}: it is in no network of this engine")]
    NotOurs {
        /// The address.
        address: IpAddr,
    },
    /// The bridge still has ports.
    #[error("remove bridge {link}: {ports} interfaces are plugged into it")]
    InUse {
        /// The name.
        link: String,
        /// How many ports it has.
        ports: usize,
    },
    /// The kernel has no nftables. The iptables command is not a fallback of this version.
    #[error(
        "set up firewall: this kernel has no nftables (CONFIG_NF_TABLES_INET, nft_nat, nft_masq, nft_fib_inet)"
    )]
    NoNftables(#[source] NetlinkError),
    /// A file of procfs could not be read or written.
    #[error("set {name} to {value}")]
    Sysctl {
        /// The dotted name.
        name: String,
        /// The value.
        value: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A sysctl that is not one of a network namespace.
    #[error("set {name}: not a network sysctl")]
    NotNetworkSysctl {
        /// The name, cut to 80 characters.
        name: String,
    },
    /// The interface is none that was made for a container.
    #[error("remove interface {link}: it is not a veth but {kind:?}")]
    NotAnEndpoint {
        /// The name.
        link: String,
        /// What it is.
        kind: String,
    },
    /// The namespace in which something is to be done is the host's own.
    #[error("enter the sandbox of {object}: it is the host's network namespace")]
    HostNamespace {
        /// What was to be done there.
        object: String,
    },
    /// The host port is published already.
    #[error("Bind for {port} failed: port is already allocated")]
    Published {
        /// Address and port.
        port: String,
    },
    /// The host port cannot be had: another process has it, or the host has no such address.
    #[error("failed to bind host port {address}/{protocol}")]
    Bind {
        /// Address and port.
        address: String,
        /// The protocol.
        protocol: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl BridgeError {
    /// The class of the failure.
    pub fn class(&self) -> Class {
        match self {
            Self::NotABridge { .. } | Self::InUse { .. } | Self::Published { .. } => {
                Class::Conflict
            }
            Self::UnknownBridge { .. } | Self::NoParent { .. } => Class::NotFound,
            Self::NoNftables(_) | Self::NoSuchKind { .. } => Class::NotImplemented,
            Self::NotNetworkSysctl { .. } | Self::NotAnEndpoint { .. } => Class::InvalidArgument,
            Self::HostNamespace { .. }
            | Self::OverlapsHost { .. }
            | Self::Foreign { .. }
            | Self::ParentDenied { .. }
            | Self::NotOurs { .. } => Class::Forbidden,
            Self::Bind { .. } => Class::Conflict,
            Self::Sysctl { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidInput => {
                    Class::InvalidArgument
                }
                _ => Class::Internal,
            },
            Self::Kernel { .. } => Class::Internal,
        }
    }
}

/// Says what was being done when the kernel refused.
pub(crate) fn during(
    operation: &'static str,
    object: impl Into<String>,
) -> impl FnOnce(NetlinkError) -> BridgeError {
    let object = object.into();
    move |source| BridgeError::Kernel { operation, object, source }
}

/// Tells a kernel without nftables from a transaction that was refused.
pub(crate) fn firewall(source: NetlinkError) -> BridgeError {
    if lacks_nftables(&source) {
        return BridgeError::NoNftables(source);
    }
    BridgeError::Kernel { operation: "set up", object: "firewall".to_owned(), source }
}

/// EPROTONOSUPPORT: no nfnetlink. EOPNOTSUPP: a transaction for a subsystem that is not there; EINVAL: a listing of it.
pub(crate) fn lacks_nftables(error: &NetlinkError) -> bool {
    let listing = matches!(error, NetlinkError::Refused { operation: "list", .. });
    match error.errno() {
        Some(Errno::PROTONOSUPPORT | Errno::OPNOTSUPP | Errno::AFNOSUPPORT) => true,
        Some(Errno::INVAL) => listing,
        _ => false,
    }
}

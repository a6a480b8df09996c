//! Landlock (5.13): a process gives up access to files and TCP ports for good.

use crate::raw::{check, check_fd};
use crate::{Arg, Result};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

bitflags::bitflags! {
    /// LANDLOCK_ACCESS_FS_* of linux/landlock.h; the version of the ABI is given where it is above 1.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct FileAccess: u64 {
        /// Execute a file.
        const EXECUTE = 1 << 0;
        /// Open a file for writing.
        const WRITE_FILE = 1 << 1;
        /// Open a file for reading.
        const READ_FILE = 1 << 2;
        /// List a directory.
        const READ_DIR = 1 << 3;
        /// Remove a directory.
        const REMOVE_DIR = 1 << 4;
        /// Remove a file.
        const REMOVE_FILE = 1 << 5;
        /// Make a character device.
        const MAKE_CHAR = 1 << 6;
        /// Make a directory.
        const MAKE_DIR = 1 << 7;
        /// Make a regular file.
        const MAKE_REG = 1 << 8;
        /// Make a socket.
        const MAKE_SOCK = 1 << 9;
        /// Make a FIFO.
        const MAKE_FIFO = 1 << 10;
        /// Make a block device.
        const MAKE_BLOCK = 1 << 11;
        /// Make a symbolic link.
        const MAKE_SYM = 1 << 12;
        /// Link or rename across directories (ABI 2; always denied before).
        const REFER = 1 << 13;
        /// Change a file's length (ABI 3).
        const TRUNCATE = 1 << 14;
        /// ioctl on devices (ABI 5).
        const IOCTL_DEV = 1 << 15;
    }

    /// LANDLOCK_ACCESS_NET_* (ABI 4).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct NetAccess: u64 {
        /// Bind a TCP socket.
        const BIND_TCP = 1;
        /// Connect a TCP socket.
        const CONNECT_TCP = 2;
    }

    /// LANDLOCK_SCOPE_* (ABI 6): what outside the domain cannot be reached.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Scope: u64 {
        /// Abstract UNIX sockets.
        const ABSTRACT_UNIX_SOCKET = 1;
        /// Signals.
        const SIGNAL = 2;
    }
}

impl FileAccess {
    /// The rights that a kernel with this ABI version can handle.
    pub fn supported(abi: u32) -> Self {
        match abi {
            0 => Self::empty(),
            1 => Self::from_bits_truncate((1 << 13) - 1),
            2 => Self::from_bits_truncate((1 << 14) - 1),
            3 | 4 => Self::from_bits_truncate((1 << 15) - 1),
            _ => Self::all(),
        }
    }
}

#[repr(C)]
struct RulesetAttr {
    access_fs: u64,
    access_net: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

#[repr(C)]
struct NetPort {
    allowed: u64,
    port: u64,
}

const RULE_PATH_BENEATH: libc::c_int = 1;
const RULE_NET_PORT: libc::c_int = 2;
const CREATE_RULESET_VERSION: libc::c_uint = 1;

/// The version of the kernel's ABI, 1 and up; 0 where Landlock is missing or switched off.
pub fn abi() -> u32 {
    let null = std::ptr::null::<RulesetAttr>();
    // SAFETY: with this flag the kernel wants a null pointer and size 0.
    let ret = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, null, 0usize, CREATE_RULESET_VERSION)
    };
    u32::try_from(ret).unwrap_or(0)
}

/// Rules that are being collected: what is `handled` is denied unless a rule allows it.
#[derive(Debug)]
pub struct Ruleset(OwnedFd);

impl Ruleset {
    /// A ruleset that handles these rights. Rights that the kernel's [`abi`] lacks are EINVAL: mask them first.
    pub fn new(files: FileAccess, net: NetAccess, scope: Scope) -> Result<Self> {
        let attr =
            RulesetAttr { access_fs: files.bits(), access_net: net.bits(), scoped: scope.bits() };
        // An older kernel accepts the longer struct only as far as the unknown part is zero, and answers E2BIG
        // otherwise, so the size is always the full one.
        // SAFETY: `attr` is a landlock_ruleset_attr with its size; the kernel reads it only.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                &raw const attr,
                size_of::<RulesetAttr>(),
                0,
            )
        };
        check_fd("landlock_create_ruleset", &[Arg::Hex(attr.access_fs)], ret).map(Self)
    }

    /// Allows `access` to `file`, an O_PATH descriptor, and below it if it is a directory.
    pub fn allow_path(&self, file: impl AsFd, access: FileAccess) -> Result<()> {
        let rule = PathBeneath { allowed: access.bits(), parent: file.as_fd().as_raw_fd() };
        let args = [self.0.as_fd().into(), file.as_fd().into(), Arg::Hex(access.bits())];
        // SAFETY: `rule` is the packed struct of this rule type; the kernel reads it only.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                self.0.as_raw_fd(),
                RULE_PATH_BENEATH,
                &raw const rule,
                0,
            )
        };
        check("landlock_add_rule", &args, ret).map(drop)
    }

    /// Allows `access` to one TCP port.
    pub fn allow_port(&self, port: u16, access: NetAccess) -> Result<()> {
        let rule = NetPort { allowed: access.bits(), port: port.into() };
        let args = [self.0.as_fd().into(), Arg::Int(port.into()), Arg::Hex(access.bits())];
        // SAFETY: `rule` is the struct of this rule type; the kernel reads it only.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                self.0.as_raw_fd(),
                RULE_NET_PORT,
                &raw const rule,
                0,
            )
        };
        check("landlock_add_rule", &args, ret).map(drop)
    }

    /// Restricts the calling thread for good. Needs no_new_privs or CAP_SYS_ADMIN.
    pub fn restrict_self(&self) -> Result<()> {
        // SAFETY: the call takes numbers only.
        let ret = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0) };
        check("landlock_restrict_self", &[self.0.as_fd().into()], ret).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restricted_thread_reads_only_below_the_allowed_directory() {
        let abi = abi();
        assert!(abi >= 1, "the kernel has no Landlock");
        std::thread::spawn(move || {
            let rules =
                Ruleset::new(FileAccess::supported(abi), NetAccess::empty(), Scope::empty())
                    .unwrap();
            let proc = std::fs::File::open("/proc").unwrap();
            rules.allow_path(&proc, FileAccess::READ_FILE | FileAccess::READ_DIR).unwrap();
            rules.restrict_self().unwrap();
            std::fs::read("/proc/version").unwrap();
            let error = std::fs::read("/etc/passwd").unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EACCES));
        })
        .join()
        .unwrap();
    }
}

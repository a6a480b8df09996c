//! The walls around each engine process: it enters them itself, first thing, before it reads a byte from a socket.
//!
//! [`Confinement::of`] is the table of docs/SECURITY.md as code: user, capabilities, no_new_privs, Landlock, system
//! calls, network namespace for each [`Role`]. [`Confinement::enter`] applies it to the calling thread, which must be
//! the only one; threads and children made later inherit it. This crate never gives anything back and has no switch
//! that leaves a wall out: a wall that the kernel lacks (Landlock before 5.13) is reported in [`Walls`], any other that
//! cannot be built is an error and the process ends.
//!
//! Reading order: [`Confinement`], [`Walls`], [`SandboxError`]; `calls` has the lists of system calls, `files` the
//! directories.

#![forbid(unsafe_code)]

mod calls;
mod enter;
mod files;

pub use enter::{SandboxError, Walls};

use messages::control::Role;
use std::path::PathBuf;
use sys::caps::{Cap, CapSet};

/// User and group of the api worker when the administrator names none. In the range that systemd leaves to programs
/// which allocate on their own (61184 to 65519 are its dynamic users; 60514 to 60577 its homed ones), below it.
pub const API_ID: u32 = 60_600;

/// What the engine's processes work on.
#[derive(Debug, Clone)]
pub struct Directories {
    /// `/var/lib/docker`.
    pub data_root: PathBuf,
    /// `/run/docker`.
    pub exec_root: PathBuf,
}

/// The walls of one process.
#[derive(Debug)]
pub struct Confinement {
    /// User and group; root when not set.
    ids: Option<(u32, u32)>,
    /// Capabilities that it keeps; nothing else can ever come back.
    keep: CapSet,
    /// Whether no execve can gain rights. Containers inherit it, so the task worker cannot have it.
    no_new_privs: bool,
    /// Whether it lives in a network namespace of its own without any interface.
    no_network: bool,
    /// What it may do with files, by Landlock.
    files: Option<Vec<files::Rule>>,
    /// What system calls it may make.
    calls: Option<seccomp::Filter>,
}

impl Confinement {
    /// The walls of the process with this role; `ids` are the api worker's user and group.
    pub fn of(role: Role, directories: &Directories, ids: (u32, u32)) -> Self {
        match role {
            Role::Api => Self {
                ids: Some(ids),
                keep: CapSet::EMPTY,
                no_new_privs: true,
                no_network: false,
                files: Some(files::api(directories)),
                calls: Some(calls::api()),
            },
            Role::Storage => Self {
                ids: None,
                keep: storage_caps(),
                no_new_privs: true,
                no_network: true,
                // Landlock forbids every mount, and mounting is this worker's work.
                files: None,
                calls: Some(calls::storage()),
            },
            Role::Network => Self {
                ids: None,
                // Published ports below 1024 are held by bound sockets.
                keep: CapSet::EMPTY
                    .with(Cap::NET_ADMIN)
                    .with(Cap::NET_BIND_SERVICE)
                    .with(Cap::SYS_ADMIN),
                no_new_privs: true,
                no_network: false,
                files: Some(files::network()),
                calls: Some(calls::network()),
            },
            // A container may have any of these rights, and inherits the walls of who starts it.
            Role::Task => Self {
                ids: None,
                keep: CapSet::KNOWN,
                no_new_privs: false,
                no_network: false,
                files: None,
                calls: None,
            },
        }
    }
}

/// Mounts (SYS_ADMIN), files of any owner with all their attributes, chroot for the children that unpack, entering a
/// running container's mount namespace (SYS_PTRACE), dropping to fewer rights in children (SETPCAP, SETUID, SETGID),
/// ending children (KILL).
fn storage_caps() -> CapSet {
    [
        Cap::CHOWN,
        Cap::DAC_OVERRIDE,
        Cap::DAC_READ_SEARCH,
        Cap::FOWNER,
        Cap::FSETID,
        Cap::KILL,
        Cap::LINUX_IMMUTABLE,
        Cap::MKNOD,
        Cap::SETFCAP,
        Cap::SETGID,
        Cap::SETPCAP,
        Cap::SETUID,
        Cap::SYS_ADMIN,
        Cap::SYS_CHROOT,
        Cap::SYS_PTRACE,
    ]
    .into_iter()
    .collect()
}

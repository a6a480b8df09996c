//! Building the walls, in the one order that works.

use crate::{Confinement, files::Rule};
use rustix::fs::{Mode, OFlags};
use seccomp::Arch;
use std::path::PathBuf;
use sys::caps::{self, CapSet, ThreadCaps};
use sys::clone::Namespaces;
use sys::landlock::{self, FileAccess, NetAccess, Ruleset, Scope};
use sys::seccomp::FilterFlags;
use sys::{ids, process};

/// Why a process could not be confined. It must end then.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A system call failed.
    #[error("confine process")]
    Call(#[from] sys::Error),
    /// A directory of a rule could not be opened.
    #[error("confine process: open {}", path.display())]
    Path {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: rustix::io::Errno,
    },
    /// The list of system calls could not be compiled.
    #[error("confine process: compile system call filter")]
    Filter(#[from] seccomp::CompileError),
    /// The machine's architecture has no filter.
    #[error("confine process: no system call filter for this architecture")]
    Architecture,
}

/// What was built; the rest of the table always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walls {
    /// Whether the kernel has Landlock (5.13), and the process is confined by it.
    pub landlock: bool,
}

impl Confinement {
    /// Confines the calling thread for good; it must be the process's only one. Needs root.
    pub fn enter(&self) -> Result<Walls, SandboxError> {
        // rustix reads /proc/self/auxv at its first need of it where the kernel has no PR_GET_AUXV (before Linux 6.4), and
        // panics when it cannot, as it could not from here on.
        rustix::param::page_size();
        if self.no_network {
            sys::clone::unshare(Namespaces::NET)?;
        }
        // The rules name directories that only root can reach, so they are opened first; the domain is entered before
        // the rights to do so are gone.
        let ruleset = self.files.as_deref().map(rules).transpose()?.flatten();
        if self.no_new_privs {
            process::set_no_new_privs()?;
        }
        if let Some(ruleset) = &ruleset {
            ruleset.restrict_self()?;
        }
        self.drop_rights()?;
        if let Some(filter) = &self.calls {
            let host = Arch::host().ok_or(SandboxError::Architecture)?;
            sys::seccomp::load(&filter.compile(host)?.bytes(), FilterFlags::empty())?;
        }
        Ok(Walls { landlock: ruleset.is_some() })
    }

    /// User, groups and capabilities. The bounding set goes first: it needs CAP_SETPCAP.
    fn drop_rights(&self) -> Result<(), SandboxError> {
        let keep = self.keep.and(caps::get()?.permitted);
        caps::limit_bounding(keep)?;
        caps::clear_ambient()?;
        if let Some((uid, gid)) = self.ids {
            ids::set_groups(&[])?;
            ids::set_gid(gid)?;
            ids::set_uid(uid)?;
        }
        caps::set(ThreadCaps { effective: keep, permitted: keep, inheritable: CapSet::EMPTY })?;
        // Nobody with the same user may look into the process or take its descriptors.
        process::set_dumpable(false)?;
        Ok(())
    }
}

/// The rules as the kernel wants them; `None` where it has no Landlock.
fn rules(list: &[Rule]) -> Result<Option<Ruleset>, SandboxError> {
    let supported = FileAccess::supported(landlock::abi());
    if supported.is_empty() {
        return Ok(None);
    }
    let ruleset = Ruleset::new(supported, NetAccess::empty(), Scope::empty())?;
    for rule in list {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&rule.path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => continue,
            Err(source) => return Err(SandboxError::Path { path: rule.path.clone(), source }),
        };
        let stat = rustix::fs::fstat(&file)
            .map_err(|source| SandboxError::Path { path: rule.path.clone(), source })?;
        let mut access = rule.access & supported;
        if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
            // The kernel refuses rights that only directories have.
            access &= FileAccess::READ_FILE | FileAccess::WRITE_FILE | FileAccess::TRUNCATE;
        }
        ruleset.allow_path(&file, access)?;
    }
    Ok(Some(ruleset))
}

//! Compiled system call filters, kept in files.
//!
//! Compiling Docker's default profile takes a millisecond and a half; containers have the same few profiles, so what was
//! compiled is kept in `@seccomp` of the directory of all containers, under the hash of all that it depends on. That
//! directory is only the runtime's user's, and the kernel checks each program again when it is loaded.

use crate::Error;
use crate::root::{Root, write_whole};
use plan::Filter;
use rustix::fs::{Mode, OFlags, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use seccomp::Arch;
use sha2::{Digest, Sha256};
use spec::oci::Seccomp;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use sys::seccomp::FilterFlags;

/// No name of a container has this character.
const DIRECTORY: &str = "@seccomp";
/// How many programs are kept.
const KEPT: usize = 64;
/// The flags and 4,096 instructions.
const LONGEST: u64 = 4 + 8 * 4096;

/// The program for `seccomp`; nothing if it means no filter.
pub(crate) fn compiled(root: &Root, seccomp: &Seccomp) -> Result<Option<Filter>, Error> {
    let host = Arch::host().ok_or_else(|| Error::Unsupported {
        what: "linux.seccomp".to_owned(),
        cause: "there is no table of system calls for this architecture".to_owned(),
    })?;
    let key = key(seccomp, host);
    // Without a place for them programs are compiled each time.
    let directory = directory(root).ok();
    if let Some(found) = directory.as_ref().and_then(|directory| load(directory, &key)) {
        return Ok(decode(&found));
    }
    let program = match seccomp::Filter::from_oci(seccomp)? {
        Some(filter) => {
            let program = filter.compile(host)?;
            Some(Filter {
                flags: FilterFlags::from_bits_retain(program.flags),
                program: program.bytes(),
            })
        }
        None => None,
    };
    if let Some(directory) = &directory {
        store(directory, &key, &encode(program.as_ref()));
    }
    Ok(program)
}

/// The file of a program: its flags and its instructions; empty for none.
pub(crate) fn encode(filter: Option<&Filter>) -> Vec<u8> {
    let Some(filter) = filter else { return Vec::new() };
    let mut bytes = filter.flags.bits().to_le_bytes().to_vec();
    bytes.extend_from_slice(&filter.program);
    bytes
}

/// The program in such a file.
pub(crate) fn decode(bytes: &[u8]) -> Option<Filter> {
    let (flags, program) = bytes.split_first_chunk()?;
    let flags = FilterFlags::from_bits_retain(u32::from_le_bytes(*flags));
    Some(Filter { program: program.to_vec(), flags })
}

fn key(seccomp: &Seccomp, host: Arch) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{} {}\n", seccomp::program::VERSION, host.name()));
    // Cannot fail: the type has nothing that the format does not know.
    hash.update(postcard::to_stdvec(seccomp).unwrap_or_default());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn directory(root: &Root) -> Result<OwnedFd, Errno> {
    match mkdirat(root.fd(), DIRECTORY, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(root.fd(), DIRECTORY, flags, Mode::empty())
}

/// A file that this user wrote, whole.
fn load(directory: &OwnedFd, key: &str) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(openat(directory, key, flags, Mode::empty()).ok()?);
    let status = file.metadata().ok()?;
    let own = rustix::process::geteuid().as_raw();
    if status.uid() != own || status.len() > LONGEST || !status.is_file() {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(status.len()).ok()? + 1);
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    (bytes.is_empty() || bytes.len() % 8 == 4).then_some(bytes)
}

/// Keeps a program. What cannot be kept is compiled again.
fn store(directory: &OwnedFd, key: &str, bytes: &[u8]) {
    use std::os::fd::AsFd;
    let Ok(entries) = rustix::fs::Dir::read_from(directory) else { return };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_owned()).collect();
    if names.len() > KEPT {
        for name in names {
            unlinkat(directory, &*name, rustix::fs::AtFlags::empty()).ok();
        }
    }
    write_whole(directory.as_fd(), key, bytes).ok();
}

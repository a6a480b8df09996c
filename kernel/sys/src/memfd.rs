//! Files in memory that nobody can change any more.

use crate::{Arg, Error, Result};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::ffi::CStr;
use std::io::Write;
use std::os::fd::OwnedFd;

/// A descriptor of a file in memory with these `bytes`, sealed against every change, close-on-exec. `name` is only
/// shown in /proc. Allocates nothing of its own.
pub fn sealed(name: &CStr, bytes: &[u8]) -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = memfd_create(name, flags)
        .map_err(|e| Error::new("memfd_create", &[Arg::Hex(flags.bits().into())], e))?;
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes).map_err(|e| {
        let errno =
            e.raw_os_error().map_or(rustix::io::Errno::IO, rustix::io::Errno::from_raw_os_error);
        Error::new("write", &[Arg::Name("memfd")], errno)
    })?;
    seal(&file)?;
    Ok(file.into())
}

/// Seals a memfd against writing, growing, shrinking and further seals.
pub fn seal(fd: impl std::os::fd::AsFd) -> Result<()> {
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    let args = [fd.as_fd().into(), Arg::Name("F_ADD_SEALS"), Arg::Hex(seals.bits().into())];
    fcntl_add_seals(fd.as_fd(), seals).map_err(|e| Error::new("fcntl", &args, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    #[test]
    fn a_sealed_file_keeps_its_bytes_and_refuses_writes() {
        let mut file = std::fs::File::from(sealed(c"test", b"bytes").unwrap());
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "bytes");
        assert_eq!(file.write_all(b"x").unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(file.set_len(0).unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
}

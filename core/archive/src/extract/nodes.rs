//! Makes what an entry describes.

use super::attributes::{set_mode_and_time, timestamps};
use super::error::ExtractError;
use super::{Extraction, Owners, Room};
use crate::directory::DIRECTORY;
use crate::entry::{Entry, Kind, Segment};
use crate::name::split;
use crate::read::Reader;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Makes overlayfs' mark of a deleted file. Needs no capability since Linux 5.8.
pub(super) fn make_whiteout(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)
}

pub(super) fn chown(file: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<(), Errno> {
    rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

impl Extraction<'_> {
    pub(super) fn owner_of(&self, uid: u32, gid: u32) -> (u32, u32) {
        match self.options.owners {
            Owners::Archive => (uid, gid),
            Owners::Fixed { uid, gid } => (uid, gid),
        }
    }

    pub(super) fn own(&self, file: BorrowedFd<'_>, entry: &Entry) -> Result<(), ExtractError> {
        let (uid, gid) = self.owner_of(entry.uid, entry.gid);
        chown(file, uid, gid).map_err(|errno| ExtractError::failed(entry, "set its owner", errno))
    }

    pub(super) fn make<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        parent: &OwnedFd,
        path: &[u8],
        entry: &Entry,
        room: Room,
    ) -> Result<(), ExtractError> {
        let (_, name) = split(path);
        match entry.kind {
            Kind::Directory => self.make_directory(parent, path, entry, room),
            Kind::File => self.make_file(reader, parent, name, entry),
            Kind::HardLink => {
                let (directory, target, _) = self.link_target(entry)?;
                rustix::fs::linkat(&directory, &*target, parent, name, AtFlags::empty())
                    .map_err(|errno| ExtractError::failed(entry, "link it", errno))
            }
            Kind::Symlink => {
                rustix::fs::symlinkat(&*entry.link, parent, name)
                    .map_err(|errno| ExtractError::failed(entry, "make the link", errno))?;
                self.finish_unopened(parent, name, entry)
            }
            Kind::CharDevice => self.make_node(parent, name, entry, FileType::CharacterDevice),
            Kind::BlockDevice => self.make_node(parent, name, entry, FileType::BlockDevice),
            Kind::Fifo => self.make_node(parent, name, entry, FileType::Fifo),
        }
    }

    fn make_directory(
        &mut self,
        parent: &OwnedFd,
        path: &[u8],
        entry: &Entry,
        room: Room,
    ) -> Result<(), ExtractError> {
        let failed = |errno| ExtractError::failed(entry, "make the directory", errno);
        let (_, name) = split(path);
        if room != Room::Directory {
            rustix::fs::mkdirat(parent, name, Mode::RWXU).map_err(failed)?;
        }
        if room == Room::Opaque {
            self.opaque.insert(path.to_vec());
        }
        let directory =
            rustix::fs::openat(parent, name, DIRECTORY, Mode::empty()).map_err(failed)?;
        self.own(directory.as_fd(), entry)?;
        self.set_attributes(directory.as_fd(), entry)?;
        self.directories.insert(path.to_vec(), (entry.mode, entry.modified));
        Ok(())
    }

    fn make_file<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        parent: &OwnedFd,
        name: &[u8],
        entry: &Entry,
    ) -> Result<(), ExtractError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| ExtractError::failed(entry, "make the file", errno))?;
        let mut file = File::from(file);
        self.copy(reader, &mut file, entry)?;
        self.result.bytes = self.result.bytes.saturating_add(entry.size);
        // A change of owner takes away set-uid and capabilities, so they come after it.
        self.own(file.as_fd(), entry)?;
        self.set_attributes(file.as_fd(), entry)?;
        set_mode_and_time(file.as_fd(), entry.mode, entry.modified)
            .map_err(|errno| ExtractError::failed(entry, "set its mode and time", errno))
    }

    /// Writes the content, with holes where a sparse file has them.
    fn copy<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        file: &mut File,
        entry: &Entry,
    ) -> Result<(), ExtractError> {
        let failed = |source| ExtractError::Failed {
            entry: crate::escape(&entry.name),
            step: "write the file",
            source,
        };
        let whole = [Segment { offset: 0, length: entry.size }];
        for segment in entry.segments.as_deref().unwrap_or(&whole) {
            if segment.offset != 0 {
                file.seek(SeekFrom::Start(segment.offset)).map_err(failed)?;
            }
            let mut left = segment.length;
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                let length = reader.read_stored(&mut self.buffer[..most])?;
                file.write_all(&self.buffer[..length]).map_err(failed)?;
                left -= length as u64;
            }
        }
        if entry.segments.is_some() {
            file.set_len(entry.size).map_err(failed)?;
        }
        Ok(())
    }

    fn make_node(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        kind: FileType,
    ) -> Result<(), ExtractError> {
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(entry.mode), device)
            .map_err(|errno| ExtractError::failed(entry, "make the node", errno))?;
        self.finish_unopened(parent, name, entry)
    }

    /// Owner and time of what cannot be opened without effects. Attributes are left out: none that a container could
    /// use is possible on these.
    fn finish_unopened(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        entry: &Entry,
    ) -> Result<(), ExtractError> {
        self.result.skipped_attributes += entry.attributes.len() as u64;
        let (uid, gid) = self.owner_of(entry.uid, entry.gid);
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| ExtractError::failed(entry, "set its owner", errno))?;
        let times = timestamps(entry.modified);
        rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| ExtractError::failed(entry, "set its time", errno))
    }
}

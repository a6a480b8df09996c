//! The journal: the commits since the last checkpoint.
//!
//! A record is `length u32, checksum [u8; 16], number u64, changes`, little-endian; `length` counts what follows the
//! checksum. The checksum is the beginning of SHA-256 over the database's id, the number and the changes, so a record
//! of another database or of an older use of the file does not count.

use crate::Error;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of the largest record: a transaction is a few records of containers or images, far below.
pub(crate) const LIMIT: usize = 64 << 20;
const HEAD: usize = 4 + 16;

/// Is given each commit's number and changes.
type Replay<'a> = dyn FnMut(u64, &[u8]) -> Result<(), Error> + 'a;

/// One change of a transaction.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Change<'a> {
    /// A record was written.
    Put {
        /// The table's name.
        table: &'a str,
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// A record was removed.
    Remove {
        /// The table's name.
        table: &'a str,
        /// The key.
        key: &'a [u8],
    },
}

/// The journal of one open database.
#[derive(Debug)]
pub(crate) struct Journal {
    file: Arc<File>,
    path: PathBuf,
    id: [u8; 16],
    length: u64,
    /// The number of the last commit.
    pub(crate) last: u64,
}

impl Journal {
    /// Opens or makes the journal at `path` of the database `id`, and calls `replay` for each commit after `last`.
    pub(crate) fn open(
        path: &Path,
        id: [u8; 16],
        last: u64,
        mut replay: impl FnMut(u64, &[u8]) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(Error::io("open", path))?;
        let mut journal = Self { file: Arc::new(file), path: path.to_owned(), id, length: 0, last };
        journal.replay(&mut replay)?;
        // What follows the last whole record is torn, or was replayed into an earlier checkpoint.
        journal.shrink(journal.length)?;
        Ok(journal)
    }

    fn replay(&mut self, replay: &mut Replay<'_>) -> Result<(), Error> {
        let end = self.file.metadata().map_err(Error::io("read", &self.path))?.len();
        let first = self.last;
        while let Some((number, changes, next)) = self.record_at(self.length, end)? {
            // Records up to the B-tree's number were applied before the journal could be emptied; a gap is the
            // boundary to an older use of the file.
            let applied = number <= first && self.last == first;
            if !applied && number != self.last + 1 {
                break;
            }
            if !applied {
                replay(number, &changes)?;
                self.last = number;
            }
            self.length = next;
        }
        Ok(())
    }

    fn record_at(&self, offset: u64, end: u64) -> Result<Option<(u64, Vec<u8>, u64)>, Error> {
        let mut head = [0; HEAD];
        if end.saturating_sub(offset) < (HEAD + 8) as u64 {
            return Ok(None);
        }
        self.file.read_exact_at(&mut head, offset).map_err(Error::io("read", &self.path))?;
        let (length, checksum) = head.split_at(4);
        let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
        let next = offset + HEAD as u64 + u64::from(length);
        if (length as usize) < 8 || length as usize > LIMIT || next > end {
            return Ok(None);
        }
        let mut body = vec![0; length as usize];
        let start = offset + HEAD as u64;
        self.file.read_exact_at(&mut body, start).map_err(Error::io("read", &self.path))?;
        if checksum != self.checksum(&body) {
            return Ok(None);
        }
        let number = u64::from_le_bytes(body[..8].try_into().expect("eight bytes"));
        body.drain(..8);
        Ok(Some((number, body, next)))
    }

    fn checksum(&self, body: &[u8]) -> [u8; 16] {
        let hash = sha2::Sha256::new().chain_update(self.id).chain_update(body).finalize();
        hash[..16].try_into().expect("a SHA-256 has 32 bytes")
    }

    /// Appends the next commit; when that fails, nothing of it stays.
    pub(crate) fn append(&mut self, changes: &[u8]) -> Result<(), Error> {
        let length = changes.len() + 8;
        if length > LIMIT {
            return Err(Error::TooLarge { bytes: length, limit: LIMIT });
        }
        let mut record = Vec::with_capacity(HEAD + length);
        record.extend_from_slice(&u32::try_from(length).expect("below the limit").to_le_bytes());
        record.extend_from_slice(&[0; 16]);
        record.extend_from_slice(&(self.last + 1).to_le_bytes());
        record.extend_from_slice(changes);
        let checksum = self.checksum(&record[HEAD..]);
        record[4..HEAD].copy_from_slice(&checksum);
        if let Err(source) = self.file.write_all_at(&record, self.length) {
            self.shrink(self.length)?;
            return Err(Error::io("write", &self.path)(source));
        }
        self.length += record.len() as u64;
        self.last += 1;
        Ok(())
    }

    /// Takes back the last append, which began at `length`.
    pub(crate) fn take_back(&mut self, length: u64) -> Result<(), Error> {
        self.shrink(length)?;
        self.length = length;
        self.last -= 1;
        Ok(())
    }

    /// Empties the journal after a checkpoint.
    pub(crate) fn empty(&mut self) -> Result<(), Error> {
        self.shrink(0)?;
        self.length = 0;
        Ok(())
    }

    fn shrink(&self, length: u64) -> Result<(), Error> {
        self.file.set_len(length).map_err(Error::io("shorten", &self.path))
    }

    /// Bytes in the journal.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The file, to be synced without holding the writer's lock.
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

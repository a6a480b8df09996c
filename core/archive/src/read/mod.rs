//! Reads archives as a stream of entries.
//!
//! ```text
//! [global header]* [extended header] [long name] [long link] header [old sparse blocks]* content padding
//! ... twice 512 zero bytes
//! ```
//! The headers in brackets belong to the header after them; at most one of each kind may stand there. The end may be
//! two zero blocks or the end of the stream between two entries, as Go accepts it; what follows is not looked at.

mod assemble;
mod flaw;
mod header;
mod pax;
mod sparse;
#[cfg(test)]
mod tests;

pub use flaw::{Flaw, ReadError};
pub(crate) use header::{BLOCK, Block, checksums};

use crate::entry::{Entry, Kind, Segment};
use crate::name::PATH_MAX;
use assemble::Pending;
use header::Header;
use pax::Pax;
use sparse::MapText;
use std::io::{self, BufReader, Read};

/// What an archive may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most entries, global headers counted too.
    pub entries: u64,
    /// Most bytes of stored content in all entries together.
    pub bytes: u64,
}

impl Default for Limits {
    /// 4,000,000 entries (twice the largest image known), 1 TiB.
    fn default() -> Self {
        Self { entries: 4_000_000, bytes: 1 << 40 }
    }
}

/// Where in a sparse file the next byte is read.
#[derive(Debug)]
struct SparsePosition {
    segments: Vec<Segment>,
    /// The first run that is not yet read to its end.
    next: usize,
    offset: u64,
    size: u64,
}

/// Reads an archive entry by entry. [`Read`] gives the content of the entry that [`Reader::next_entry`] returned
/// last, holes of a sparse file as zeros; what is not read is skipped.
#[derive(Debug)]
pub struct Reader<R> {
    input: BufReader<R>,
    limits: Limits,
    entries: u64,
    bytes: u64,
    /// Stored bytes of the current entry that are not read yet, and the bytes after them up to a block.
    stored: u64,
    padding: u64,
    sparse: Option<SparsePosition>,
    /// The current entry's name, for messages.
    name: Vec<u8>,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads an archive from `input`, which should not be buffered.
    pub fn new(input: R, limits: Limits) -> Self {
        Self {
            input: BufReader::with_capacity(256 << 10, input),
            limits,
            entries: 0,
            bytes: 0,
            stored: 0,
            padding: 0,
            sparse: None,
            name: Vec::new(),
            ended: false,
        }
    }

    /// The next entry; None at the archive's end.
    ///
    /// # Errors
    /// The archive is refused or cannot be read; the reader must not be used again then.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        self.skip_content()?;
        self.name.clear();
        self.sparse = None;
        let mut pending = Pending::default();
        loop {
            let Some(block) = self.next_header()? else {
                if pending.is_empty() {
                    return Ok(None);
                }
                return Err(self.refuse(Flaw::HeaderWithoutEntry));
            };
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(self.refuse(Flaw::TooManyEntries(self.limits.entries)));
            }
            let header = Header::parse(&block).map_err(|flaw| self.refuse(flaw))?;
            self.name.clone_from(&header.name);
            match header.kind {
                b'x' | b'g' | b'L' | b'K' => self.take_meta(&header, &mut pending)?,
                _ => return self.finish(header, &block, pending).map(Some),
            }
        }
    }

    /// Reads stored bytes of the current entry: of a sparse file its runs one behind the other, of any other file its
    /// content. 0 at the end.
    ///
    /// # Errors
    /// The stream fails or ends too early.
    pub fn read_stored(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let most = usize::try_from(self.stored).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let length = self.input.read(&mut buffer[..most]).map_err(ReadError::Input)?;
        if length == 0 {
            return Err(self.refuse(Flaw::CutOff));
        }
        self.stored -= length as u64;
        Ok(length)
    }

    /// Reads the stream to its end, so that its writer is not stopped and a digest over it is complete.
    ///
    /// # Errors
    /// What reading the stream gives.
    pub fn drain(mut self) -> Result<R, ReadError> {
        crate::compress::drain(&mut self.input).map_err(ReadError::Input)?;
        Ok(self.input.into_inner())
    }

    fn refuse(&self, flaw: Flaw) -> ReadError {
        ReadError::refused(&self.name, self.entries, flaw)
    }

    fn read_block(&mut self) -> Result<Block, ReadError> {
        let mut block = [0; BLOCK];
        match self.input.read_exact(&mut block) {
            Ok(()) => Ok(block),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.refuse(Flaw::CutOff))
            }
            Err(error) => Err(ReadError::Input(error)),
        }
    }

    fn at_end(&mut self) -> Result<bool, ReadError> {
        use io::BufRead as _;
        loop {
            match self.input.fill_buf() {
                Ok(data) => return Ok(data.is_empty()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::Input(error)),
            }
        }
    }

    /// The next block that is no zero block; None at the archive's end.
    fn next_header(&mut self) -> Result<Option<Block>, ReadError> {
        if self.ended || self.at_end()? {
            self.ended = true;
            return Ok(None);
        }
        let block = self.read_block()?;
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        self.ended = true;
        if !self.at_end()? && self.read_block()? != [0; BLOCK] {
            return Err(self.refuse(Flaw::LoneZeroBlock));
        }
        Ok(None)
    }

    fn skip_content(&mut self) -> Result<(), ReadError> {
        let mut scratch = [0; 8192];
        while self.read_stored(&mut scratch)? != 0 {}
        while self.padding > 0 {
            let most = self.padding.min(BLOCK as u64) as usize;
            let length = self.input.read(&mut scratch[..most]).map_err(ReadError::Input)?;
            if length == 0 {
                return Err(self.refuse(Flaw::CutOff));
            }
            self.padding -= length as u64;
        }
        Ok(())
    }

    /// Announces `size` stored bytes after the header.
    fn begin_content(&mut self, size: u64) -> Result<(), ReadError> {
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.bytes {
            return Err(self.refuse(Flaw::TooLarge(self.limits.bytes)));
        }
        self.stored = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
        Ok(())
    }

    /// Reads a header's body that belongs to the next entry.
    fn read_body(&mut self, size: u64, most: u64) -> Result<Vec<u8>, ReadError> {
        if size > most {
            return Err(self.refuse(Flaw::HeaderTooLarge(size)));
        }
        self.begin_content(size)?;
        let mut body = vec![0; size as usize];
        let mut filled = 0;
        while filled < body.len() {
            filled += self.read_stored(&mut body[filled..])?;
        }
        self.skip_content()?;
        Ok(body)
    }

    fn take_meta(&mut self, header: &Header, pending: &mut Pending) -> Result<(), ReadError> {
        let most =
            if matches!(header.kind, b'x' | b'g') { pax::BODY_MAX } else { PATH_MAX as u64 + 1 };
        let body = self.read_body(header.size, most)?;
        let taken = match header.kind {
            b'x' => Pax::parse(&body).and_then(|pax| pending.take_pax(pax)),
            b'g' => Pax::check_global(&body),
            b'L' => pending.take_long_name(header::text(&body)),
            _ => pending.take_long_link(header::text(&body)),
        };
        taken.map_err(|flaw| self.refuse(flaw))
    }

    fn finish(
        &mut self,
        header: Header,
        block: &Block,
        mut pending: Pending,
    ) -> Result<Entry, ReadError> {
        let old_sparse = header.kind == b'S';
        if old_sparse && header.dialect != header::Dialect::Gnu {
            return Err(self.refuse(Flaw::SparseFormat));
        }
        let sparse = pending.take_sparse().map_err(|flaw| self.refuse(flaw))?;
        let mut entry = pending.apply(header).map_err(|flaw| self.refuse(flaw))?;
        self.name.clone_from(&entry.name);
        if sparse.is_some() && (entry.kind != Kind::File || old_sparse) {
            return Err(self.refuse(Flaw::SparseFormat));
        }
        let stored = entry.size;
        if old_sparse {
            self.read_old_map(block, &mut entry)?;
        }
        self.begin_content(stored)?;
        if let Some(records) = sparse {
            self.read_pax_map(records, &mut entry)?;
        }
        self.sparse = entry.segments.clone().map(|segments| SparsePosition {
            segments,
            next: 0,
            offset: 0,
            size: entry.size,
        });
        Ok(entry)
    }

    /// Reads the map of an old GNU sparse file; the blocks that continue it come before the content.
    fn read_old_map(&mut self, block: &Block, entry: &mut Entry) -> Result<(), ReadError> {
        let (mut part, size) = sparse::parse_old_header(block).map_err(|flaw| self.refuse(flaw))?;
        let mut segments = part.segments;
        while part.continued {
            if segments.len() > sparse::SEGMENTS_MAX {
                return Err(self.refuse(Flaw::SparseMap));
            }
            let block = self.read_block()?;
            part = sparse::parse_old_continuation(&block).map_err(|flaw| self.refuse(flaw))?;
            if part.segments.is_empty() && part.continued {
                return Err(self.refuse(Flaw::SparseMap));
            }
            segments.append(&mut part.segments);
        }
        sparse::check(&segments, size, entry.size).map_err(|flaw| self.refuse(flaw))?;
        (entry.size, entry.segments) = (size, Some(segments));
        Ok(())
    }

    /// Takes the map of a sparse file from the extended header (0.x) or from the stored content's beginning (1.0).
    fn read_pax_map(
        &mut self,
        records: assemble::PaxSparse,
        entry: &mut Entry,
    ) -> Result<(), ReadError> {
        let segments = match records.map {
            Some(segments) => segments,
            None => {
                let mut text = MapText::default();
                loop {
                    let mut block = [0; BLOCK];
                    let mut filled = 0;
                    while filled < BLOCK {
                        match self.read_stored(&mut block[filled..])? {
                            0 => return Err(self.refuse(Flaw::SparseMap)),
                            length => filled += length,
                        }
                    }
                    if text.feed(&block).map_err(|flaw| self.refuse(flaw))? {
                        break text.segments();
                    }
                }
            }
        };
        let stored = self.stored;
        sparse::check(&segments, records.size, stored).map_err(|flaw| self.refuse(flaw))?;
        (entry.size, entry.segments) = (records.size, Some(segments));
        Ok(())
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(sparse) = &mut self.sparse else {
            return self.read_stored(buffer).map_err(io::Error::other);
        };
        while sparse.segments.get(sparse.next).is_some_and(|s| sparse.offset >= s.offset + s.length)
        {
            sparse.next += 1;
        }
        // Up to the next run there are zeros, then up to its end stored bytes.
        let run = sparse.segments.get(sparse.next).copied();
        let (hole, until) = match run {
            Some(run) if sparse.offset >= run.offset => (false, run.offset + run.length),
            Some(run) => (true, run.offset),
            None => (true, sparse.size),
        };
        let most = usize::try_from(until - sparse.offset).unwrap_or(usize::MAX).min(buffer.len());
        let length = if hole {
            buffer[..most].fill(0);
            most
        } else {
            self.read_stored(&mut buffer[..most]).map_err(io::Error::other)?
        };
        if let Some(sparse) = &mut self.sparse {
            sparse.offset += length as u64;
        }
        Ok(length)
    }
}

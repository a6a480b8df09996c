//! The 512-byte header block in its dialects.
//!
//! ```text
//! offset 0    100  108 116 124  136   148      156  157      257   263     265   297   329      337      345     500
//!        name mode uid gid size mtime checksum type linkname magic version uname gname devmajor devminor prefix
//! ```
//! ustar has magic `ustar\0` and version `00`, and a prefix of the name at 345. GNU has `ustar  \0`, and times and
//! the map of a sparse file at 345. star has ustar's magic, `tar\0` at 508 and a prefix of 131 bytes. v7 ends at 257.

use super::flaw::Flaw;
use crate::number;

/// Bytes in a block.
pub(crate) const BLOCK: usize = 512;

/// One block of an archive.
pub(crate) type Block = [u8; BLOCK];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    V7,
    Ustar,
    Star,
    Gnu,
}

/// What a header block says, before extended headers change it.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) dialect: Dialect,
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) mode: i64,
    pub(crate) uid: i64,
    pub(crate) gid: i64,
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) uname: Vec<u8>,
    pub(crate) gname: Vec<u8>,
    pub(crate) device: (u32, u32),
}

/// The bytes of a text field up to its first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    &field[..end]
}

/// The sum of all bytes with the checksum's own field taken as blanks: unsigned, and signed as some old writers did.
pub(crate) fn checksums(block: &Block) -> (i64, i64) {
    let (mut unsigned, mut signed) = (0, 0);
    for (index, byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&index) { b' ' } else { *byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    (unsigned, signed)
}

fn dialect(block: &Block) -> Dialect {
    match (&block[257..263], &block[263..265], &block[508..512]) {
        (b"ustar\0", b"00", b"tar\0") => Dialect::Star,
        (b"ustar\0", _, _) => Dialect::Ustar,
        (b"ustar ", b" \0", _) => Dialect::Gnu,
        _ => Dialect::V7,
    }
}

impl Header {
    /// Reads a header block.
    pub(crate) fn parse(block: &Block) -> Result<Self, Flaw> {
        let (unsigned, signed) = checksums(block);
        let checksum = number::parse(&block[148..156]).ok_or(Flaw::Checksum)?;
        if checksum != unsigned && checksum != signed {
            return Err(Flaw::Checksum);
        }
        let dialect = dialect(block);
        let field = |what, range: std::ops::Range<usize>| {
            number::parse(&block[range]).ok_or(Flaw::Number(what))
        };
        let kind = block[156];
        let mut header = Self {
            dialect,
            name: text(&block[..100]).to_vec(),
            link: text(&block[157..257]).to_vec(),
            kind,
            mode: field("mode", 100..108)?,
            uid: field("owner", 108..116)?,
            gid: field("group", 116..124)?,
            size: u64::try_from(field("size", 124..136)?).map_err(|_| Flaw::Number("size"))?,
            mtime: field("time", 136..148)?,
            uname: Vec::new(),
            gname: Vec::new(),
            device: (0, 0),
        };
        if dialect != Dialect::V7 {
            header.uname = text(&block[265..297]).to_vec();
            header.gname = text(&block[297..329]).to_vec();
        }
        if matches!(kind, b'3' | b'4') {
            let part =
                |what, range| u32::try_from(field(what, range)?).map_err(|_| Flaw::Number(what));
            header.device = (part("device", 329..337)?, part("device", 337..345)?);
        }
        let prefix = match dialect {
            Dialect::Ustar => text(&block[345..500]),
            Dialect::Star => text(&block[345..476]),
            Dialect::V7 | Dialect::Gnu => b"",
        };
        if !prefix.is_empty() {
            header.name = [prefix, b"/", &header.name].concat();
        }
        Ok(header)
    }
}

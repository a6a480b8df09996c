//! Puts an entry together from its header and the headers before it.

use super::flaw::Flaw;
use super::header::Header;
use super::pax::{Pax, SparseRecords};
use crate::entry::{Entry, Kind, Segment, Time};
use crate::name::PATH_MAX;

/// Largest size that eleven octal digits hold; only above it may the header's size differ from the extended one.
const OCTAL_MAX: u64 = 0o77_777_777_777;

/// What the headers before an entry said about it.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

/// A sparse file's description in an extended header.
#[derive(Debug)]
pub(super) struct PaxSparse {
    /// Bytes of the file with its holes.
    pub(super) size: u64,
    /// The runs; None when they stand before the content (version 1.0).
    pub(super) map: Option<Vec<Segment>>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }

    pub(super) fn take_pax(&mut self, pax: Pax) -> Result<(), Flaw> {
        match self.pax.replace(pax) {
            None => Ok(()),
            Some(_) => Err(Flaw::TwoHeaders("extended attributes")),
        }
    }

    pub(super) fn take_long_name(&mut self, name: &[u8]) -> Result<(), Flaw> {
        match self.long_name.replace(name.to_vec()) {
            None => Ok(()),
            Some(_) => Err(Flaw::TwoHeaders("name")),
        }
    }

    pub(super) fn take_long_link(&mut self, link: &[u8]) -> Result<(), Flaw> {
        match self.long_link.replace(link.to_vec()) {
            None => Ok(()),
            Some(_) => Err(Flaw::TwoHeaders("link target")),
        }
    }

    /// Takes out what the extended header says about a sparse file, if it does.
    pub(super) fn take_sparse(&mut self) -> Result<Option<PaxSparse>, Flaw> {
        let Some(pax) = &mut self.pax else { return Ok(None) };
        let records = std::mem::take(&mut pax.sparse);
        let SparseRecords { major, minor, name, size, map, .. } = records;
        match (major, minor, &map) {
            (None, None, None) if size.is_none() && name.is_none() => return Ok(None),
            (None, None, Some(_)) | (Some(0), Some(0 | 1), Some(_)) | (Some(1), Some(0), None) => {}
            _ => return Err(Flaw::SparseFormat),
        }
        if let Some(name) = name {
            // The path record then holds a stand-in for readers that do not know the format.
            pax.path = Some(name);
        }
        let size = size.ok_or(Flaw::SparseMap)?;
        Ok(Some(PaxSparse { size, map }))
    }

    /// The entry that the header and these describe, the map of a sparse file not looked at.
    pub(super) fn apply(self, header: Header) -> Result<Entry, Flaw> {
        let pax = self.pax.unwrap_or_default();
        let name = pick("name", pax.path, self.long_name)?.unwrap_or(header.name);
        let link = pick("link target", pax.link, self.long_link)?.unwrap_or(header.link);
        let size = pick_size(pax.size, header.size)?;
        let kind = kind_of(header.kind, &name)?;
        if kind != Kind::File && size != 0 {
            return Err(Flaw::ContentOfNonFile(size));
        }
        check_text("name", &name)?;
        let has_link = matches!(kind, Kind::HardLink | Kind::Symlink);
        if has_link {
            check_text("link target", &link)?;
        }
        Ok(Entry {
            kind,
            link: if has_link { link } else { Vec::new() },
            // Some writers put the file's type into the mode too.
            mode: (header.mode & 0o7777) as u32,
            uid: owner("owner", pax.uid, header.uid)?,
            gid: owner("group", pax.gid, header.gid)?,
            uname: pax.uname.unwrap_or(header.uname),
            gname: pax.gname.unwrap_or(header.gname),
            size,
            modified: pax.modified.unwrap_or(Time { seconds: header.mtime, nanos: 0 }),
            device: header.device,
            attributes: pax.attributes,
            segments: None,
            name,
        })
    }
}

fn pick(
    what: &'static str,
    pax: Option<Vec<u8>>,
    long: Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, Flaw> {
    match (pax, long) {
        (Some(_), Some(_)) => Err(Flaw::TwoHeaders(what)),
        (pax, long) => Ok(pax.or(long)),
    }
}

fn pick_size(pax: Option<u64>, header: u64) -> Result<u64, Flaw> {
    let Some(pax) = pax else { return Ok(header) };
    let stand_in = pax > OCTAL_MAX && matches!(header, 0 | OCTAL_MAX);
    if pax != header && !stand_in {
        return Err(Flaw::TwoSizes { pax, header });
    }
    i64::try_from(pax).map(|_| pax).map_err(|_| Flaw::PaxValue("size".to_owned()))
}

fn kind_of(kind: u8, name: &[u8]) -> Result<Kind, Flaw> {
    let slash = name.ends_with(b"/");
    Ok(match kind {
        // Before POSIX a directory was a file whose name ends with a slash.
        0 if slash => Kind::Directory,
        b'0' | b'7' | b'S' if slash => return Err(Flaw::FileWithSlash),
        // '7' is a file that wants contiguous blocks; S is GNU's old sparse file.
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => return Err(Flaw::UnknownType(char::from(other))),
    })
}

fn check_text(what: &'static str, text: &[u8]) -> Result<(), Flaw> {
    match text {
        [] => Err(Flaw::Empty(what)),
        text if text.len() > PATH_MAX => Err(Flaw::TooLong(what)),
        _ => Ok(()),
    }
}

/// An owner's number: 32 bits without the last value, which means "leave it" to chown.
fn owner(what: &'static str, pax: Option<u64>, header: i64) -> Result<u32, Flaw> {
    let value = match pax {
        Some(value) => u32::try_from(value).ok(),
        None => u32::try_from(header).ok(),
    };
    value.filter(|value| *value != u32::MAX).ok_or(Flaw::OwnerRange(what))
}

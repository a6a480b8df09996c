//! Why an archive is refused.

use crate::name::escape;
use std::io;

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The sum over the header block is another one.
    #[error("the header's checksum is wrong")]
    Checksum,
    /// A number in the header is not one.
    #[error("the header's {0} is not a number that fits")]
    Number(&'static str),
    /// The archive ends before the entry does.
    #[error("the archive is cut off here")]
    CutOff,
    /// One zero block, and then something else.
    #[error("a lone zero block stands where a header should be")]
    LoneZeroBlock,
    /// The name, or a link's target, is empty.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// A name or a link's target is longer than Linux takes.
    #[error("the {0} is longer than 4095 bytes")]
    TooLong(&'static str),
    /// A name or a link's target contains a zero byte.
    #[error("the {0} contains a zero byte")]
    ZeroByte(&'static str),
    /// The type is none that can be in a file system.
    #[error("type {0:?} is not known")]
    UnknownType(char),
    /// Something without content declares some; readers differ in whether it follows.
    #[error("it is no regular file but declares {0} bytes of content")]
    ContentOfNonFile(u64),
    /// A regular file whose name says that it is a directory; readers differ in what it is.
    #[error("it is a regular file but its name ends with a slash")]
    FileWithSlash,
    /// An owner beyond 32 bits.
    #[error("the {0} is out of range")]
    OwnerRange(&'static str),
    /// A record of an extended header has not the form `length key=value\n`.
    #[error("the extended header has a record that is not well-formed")]
    PaxRecord,
    /// The value of a record is none that the key can have.
    #[error("the extended header's {0} has a value that is not valid")]
    PaxValue(String),
    /// One key twice; readers differ in which one counts.
    #[error("the extended header has {0} twice")]
    PaxTwice(String),
    /// A global header with a key that would change what other readers see.
    #[error("the global extended header sets {0}, which readers understand in different ways")]
    PaxGlobal(String),
    /// Two sizes for one content: RUSTSEC-2025-0111.
    #[error("the extended header says {pax} bytes and the header {header}")]
    TwoSizes {
        /// What the extended header says.
        pax: u64,
        /// What the header says.
        header: u64,
    },
    /// Two headers of one kind, or of two kinds for one value, for one entry.
    #[error("two headers give its {0}")]
    TwoHeaders(&'static str),
    /// A header that belongs to the next entry, of an impossible size.
    #[error("a header of {0} bytes is larger than allowed")]
    HeaderTooLarge(u64),
    /// A header that belongs to the next entry, and no next entry.
    #[error("the archive ends after a header that belongs to a next entry")]
    HeaderWithoutEntry,
    /// The map of a sparse file is not sorted, overlaps, or does not cover what is stored.
    #[error("the map of the sparse file is not valid")]
    SparseMap,
    /// A sparse format of the future.
    #[error("the sparse file has an unknown format")]
    SparseFormat,
    /// More entries than the caller allows.
    #[error("the archive has more than {0} entries")]
    TooManyEntries(u64),
    /// More content than the caller allows.
    #[error("the archive holds more than {0} bytes")]
    TooLarge(u64),
}

/// Why an archive cannot be read further. The reader must not be used again after it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream under the archive failed.
    #[error("read archive")]
    Input(#[source] io::Error),
    /// The archive is refused.
    #[error("read archive entry {entry}: {flaw}")]
    Refused {
        /// The entry's name, escaped, or its number in the archive when it has no name yet.
        entry: String,
        /// What is wrong.
        flaw: Flaw,
    },
}

impl ReadError {
    /// What is wrong with the archive; None when the stream failed.
    pub fn flaw(&self) -> Option<&Flaw> {
        match self {
            Self::Refused { flaw, .. } => Some(flaw),
            Self::Input(_) => None,
        }
    }

    /// The error's class: what a stranger sent is his fault, a failing stream ours.
    pub fn class(&self) -> spec::Class {
        match self {
            Self::Refused { .. } => spec::Class::InvalidArgument,
            Self::Input(error) if error.kind() == io::ErrorKind::InvalidData => {
                spec::Class::InvalidArgument
            }
            Self::Input(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                spec::Class::InvalidArgument
            }
            Self::Input(_) => spec::Class::Internal,
        }
    }

    pub(crate) fn refused(name: &[u8], number: u64, flaw: Flaw) -> Self {
        let entry = if name.is_empty() { format!("number {number}") } else { escape(name) };
        Self::Refused { entry, flaw }
    }
}

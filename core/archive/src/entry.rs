//! One member of an archive.

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file; its content follows in the archive.
    File,
    /// Another name of an earlier entry: [`Entry::link`].
    HardLink,
    /// A symbolic link to [`Entry::link`].
    Symlink,
    /// A character device [`Entry::device`].
    CharDevice,
    /// A block device [`Entry::device`].
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// A moment: seconds since 1970, and the nanoseconds after that second (0 to 999,999,999).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since 1970, negative before.
    pub seconds: i64,
    /// Nanoseconds, counted forward from the second.
    pub nanos: u32,
}

/// A run of stored bytes in a sparse file; between the runs are holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where in the file the run begins.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// Extended attributes: names and values.
pub type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// One member of an archive, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path as the archive has it: any bytes but NUL, at most 4,095, perhaps absolute or with `..`.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Where a symbolic or hard link leads; empty otherwise.
    pub link: Vec<u8>,
    /// Permission bits with set-uid, set-gid and sticky (0 to 0o7777).
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The owner's name; empty when unknown.
    pub uname: Vec<u8>,
    /// The group's name; empty when unknown.
    pub gname: Vec<u8>,
    /// Bytes of a file as it is read, holes included; 0 for all else.
    pub size: u64,
    /// When the content changed last.
    pub modified: Time,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes, in the order of the archive.
    pub attributes: Attributes,
    /// The stored runs of a sparse file, ascending; None when the whole file is stored.
    pub segments: Option<Vec<Segment>>,
}

impl Entry {
    /// An entry that belongs to root, is from 1970, and has no content.
    pub fn new(name: impl Into<Vec<u8>>, kind: Kind, mode: u32) -> Self {
        Self {
            name: name.into(),
            kind,
            link: Vec::new(),
            mode,
            uid: 0,
            gid: 0,
            uname: Vec::new(),
            gname: Vec::new(),
            size: 0,
            modified: Time::default(),
            device: (0, 0),
            attributes: Vec::new(),
            segments: None,
        }
    }
}

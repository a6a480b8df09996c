//! `/proc/PID/mountinfo` (proc_pid_mountinfo(5)), read within bounds.

use crate::Error;
use rustix::io::Errno;
use std::io::Read;
use std::path::Path;

/// The longest table that is read, in bytes.
pub const LONGEST: u64 = 64 << 20;
/// The most mounts that are read.
pub const MOST_MOUNTS: usize = 200_000;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The mount's id; may be used again after it is gone.
    pub id: u32,
    /// The id of the mount that it is attached to.
    pub parent: u32,
    /// Major and minor number of the device.
    pub device: (u32, u32),
    /// The directory of the file system that is mounted.
    pub root: Vec<u8>,
    /// Where, from the reading process's root.
    pub mount_point: Vec<u8>,
    /// Options of the mount: `rw`, `nosuid`, ...
    pub options: String,
    /// Its peer group if it is shared.
    pub shared: Option<u32>,
    /// The peer group that it is a slave of.
    pub master: Option<u32>,
    /// The type of the file system.
    pub kind: String,
    /// The device or a free name.
    pub source: Vec<u8>,
    /// Options of the file system.
    pub super_options: Vec<u8>,
}

impl Mount {
    /// Whether `option` is among the mount's options.
    pub fn has_option(&self, option: &str) -> bool {
        self.options.split(',').any(|known| known == option)
    }
}

/// Why a table of mounts cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A line does not have the fields of proc_pid_mountinfo(5).
    #[error("line {line} is not a mount")]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// There are too many mounts.
    #[error("more than {MOST_MOUNTS} mounts")]
    TooMany,
}

/// Reads the table at `path`, such as `/proc/self/mountinfo`.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Mount>, Error> {
    let path = path.as_ref();
    let failed = |error: std::io::Error| {
        let errno = error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
        Error::new("read", path.display().to_string(), errno)
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
        .map_err(failed)?;
    Ok(parse(&bytes)?)
}

/// The mounts of a table's text.
pub fn parse(text: &[u8]) -> Result<Vec<Mount>, ParseError> {
    let mut mounts = Vec::new();
    for (index, line) in text.split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        if mounts.len() == MOST_MOUNTS {
            return Err(ParseError::TooMany);
        }
        mounts.push(parse_line(line).ok_or(ParseError::Line { line: index + 1 })?);
    }
    Ok(mounts)
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|b| *b == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let device = std::str::from_utf8(fields.next()?).ok()?.split_once(':')?;
    let root = unescape(fields.next()?);
    let mount_point = unescape(fields.next()?);
    let options = text(fields.next()?)?;
    let (mut shared, mut master) = (None, None);
    loop {
        match fields.next()? {
            b"-" => break,
            field => {
                if let Some(group) = field.strip_prefix(b"shared:") {
                    shared = number(group);
                } else if let Some(group) = field.strip_prefix(b"master:") {
                    master = number(group);
                }
            }
        }
    }
    let kind = text(fields.next()?)?;
    let source = unescape(fields.next()?);
    let super_options = unescape(fields.next()?);
    let device = (device.0.parse().ok()?, device.1.parse().ok()?);
    Some(Mount {
        id,
        parent,
        device,
        root,
        mount_point,
        options,
        shared,
        master,
        kind,
        source,
        super_options,
    })
}

fn text(field: &[u8]) -> Option<String> {
    std::str::from_utf8(field).ok().map(str::to_owned)
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Takes the kernel's octal escapes (`\040` for a space) away.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                plain.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                rest = tail;
            }
            _ => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_escapes_and_optional_fields_is_read() {
        let line =
            b"36 35 98:0 /a\\040b /m\\134n rw,nosuid shared:7 master:3 unbindable - ext4 /dev/x rw,errors=continue\n";
        let mounts = parse(line).unwrap();
        assert_eq!(mounts[0].root, b"/a b");
        assert_eq!(mounts[0].mount_point, b"/m\\n");
        assert_eq!((mounts[0].shared, mounts[0].master), (Some(7), Some(3)));
        assert_eq!(mounts[0].kind, "ext4");
        assert!(mounts[0].has_option("nosuid") && !mounts[0].has_option("suid"));
        assert_eq!(parse(b"1 2 0:1 / / rw - proc proc rw\nx\n"), Err(ParseError::Line { line: 2 }));
        assert_eq!(parse(b"1 2 0:1 / / rw"), Err(ParseError::Line { line: 1 }));
    }

    #[test]
    fn the_running_table_has_a_root() {
        assert!(read("/proc/self/mountinfo").unwrap().iter().any(|m| m.mount_point == b"/"));
    }
}

//! Writes archives: ustar where it can hold all of an entry, otherwise an extended header before it, the way Go's
//! archive/tar chooses. The same entries give the same bytes.

use crate::entry::{Entry, Kind, Time};
use crate::name::escape;
use crate::number::write_octal;
use crate::read::{BLOCK, Block, checksums};
use std::io::{self, Read, Write};

/// Why an archive cannot be written further.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What the archive is written to failed.
    #[error("write archive")]
    Output(#[source] io::Error),
    /// The content that was to be stored could not be read.
    #[error("read content of archive entry {entry}")]
    Content {
        /// The entry's name, escaped.
        entry: String,
        /// What reading gave.
        #[source]
        source: io::Error,
    },
    /// The entry cannot be expressed in an archive.
    #[error("write archive entry {entry}: the {what} cannot be written")]
    Unwritable {
        /// The entry's name, escaped.
        entry: String,
        /// Which value.
        what: &'static str,
    },
}

/// Writes an archive entry by entry.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
}

/// Appends a record `length key=value\n`, whose length counts its own digits.
pub(crate) fn push_record(body: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() + rest != length {
        length += 1;
    }
    body.extend_from_slice(length.to_string().as_bytes());
    body.push(b' ');
    body.extend_from_slice(key);
    body.push(b'=');
    body.extend_from_slice(value);
    body.push(b'\n');
}

/// The seconds with as many digits of the fraction as are not zero.
fn time_text(time: Time) -> String {
    let (sign, seconds, nanos) = match time.seconds < 0 && time.nanos > 0 {
        true => ("-", time.seconds.unsigned_abs() - 1, 1_000_000_000 - time.nanos),
        false if time.seconds < 0 => ("-", time.seconds.unsigned_abs(), 0),
        false => ("", time.seconds.unsigned_abs(), time.nanos),
    };
    let text = format!("{sign}{seconds}.{nanos:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn fits_text(text: &[u8], field: usize) -> bool {
    text.len() <= field && text.is_ascii()
}

/// Where ustar's prefix ends in a name of 101 to 256 ASCII bytes, so that both parts fit.
fn split_prefix(name: &[u8]) -> Option<usize> {
    if name.len() <= 100 || !name.is_ascii() {
        return None;
    }
    let most = name.len().min(156) - usize::from(name.ends_with(b"/") && name.len() <= 156);
    let slash = name[..most].iter().rposition(|b| *b == b'/')?;
    let rest = name.len() - slash - 1;
    (slash > 0 && slash <= 155 && rest > 0 && rest <= 100).then_some(slash)
}

fn put_text(field: &mut [u8], text: &[u8]) {
    // What does not fit stands in full in the extended header; here stay the ASCII bytes of its beginning, as in Go.
    let ascii = text.iter().filter(|byte| byte.is_ascii());
    for (place, byte) in field.iter_mut().zip(ascii) {
        *place = *byte;
    }
}

fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// The records that ustar cannot hold, sorted by key.
fn records(entry: &Entry, name: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut push = |needed: bool, key: &[u8], value: &dyn Fn() -> Vec<u8>| {
        if needed {
            records.push((key.to_vec(), value()));
        }
    };
    let octal = |value: u64, digits: u32| value >> (digits * 3) == 0;
    push(!fits_text(name, 100) && split_prefix(name).is_none(), b"path", &|| name.to_vec());
    push(!fits_text(&entry.link, 100), b"linkpath", &|| entry.link.clone());
    push(!fits_text(&entry.uname, 32), b"uname", &|| entry.uname.clone());
    push(!fits_text(&entry.gname, 32), b"gname", &|| entry.gname.clone());
    let number = |value: u64| value.to_string().into_bytes();
    push(!octal(entry.uid.into(), 7), b"uid", &|| number(entry.uid.into()));
    push(!octal(entry.gid.into(), 7), b"gid", &|| number(entry.gid.into()));
    push(!octal(entry.size, 11), b"size", &|| number(entry.size));
    let time = entry.modified;
    let plain = time.nanos == 0 && time.seconds >= 0 && octal(time.seconds.unsigned_abs(), 11);
    push(!plain, b"mtime", &|| time_text(time).into_bytes());
    for (name, value) in &entry.attributes {
        push(true, &[b"SCHILY.xattr.", &name[..]].concat(), &|| value.clone());
    }
    records.sort();
    records
}

/// A header block with the checksum set.
fn header_block(entry: &Entry, name: &[u8], kind: u8) -> Block {
    let mut block = [0; BLOCK];
    match split_prefix(name) {
        Some(slash) => {
            put_text(&mut block[345..500], &name[..slash]);
            put_text(&mut block[..100], &name[slash + 1..]);
        }
        None => put_text(&mut block[..100], name),
    }
    // A number that does not fit leaves zeros; its value stands in the extended header.
    let mut number = |range: std::ops::Range<usize>, value: i64| {
        write_octal(&mut block[range], value);
    };
    number(100..108, entry.mode.into());
    number(108..116, entry.uid.into());
    number(116..124, entry.gid.into());
    number(124..136, i64::try_from(entry.size).unwrap_or(-1));
    number(136..148, entry.modified.seconds);
    number(329..337, entry.device.0.into());
    number(337..345, entry.device.1.into());
    block[156] = kind;
    put_text(&mut block[157..257], &entry.link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    put_text(&mut block[265..297], &entry.uname);
    put_text(&mut block[297..329], &entry.gname);
    let (checksum, _) = checksums(&block);
    write_octal(&mut block[148..155], checksum);
    block[155] = b' ';
    block
}

/// The name of an extended header: Go puts `PaxHeaders.0` before the last component.
fn pax_name(name: &[u8]) -> Vec<u8> {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let (directory, last) = crate::name::split(name);
    let mut full = crate::name::join(&crate::name::join(directory, b"PaxHeaders.0"), last);
    full.retain(u8::is_ascii);
    full.truncate(100);
    full
}

impl<W: Write> Writer<W> {
    /// Writes to `output`, which should be buffered or take large writes.
    pub fn new(output: W) -> Self {
        Self { output }
    }

    /// Writes an entry that has no content.
    ///
    /// # Errors
    /// The entry cannot be expressed, or the output failed.
    pub fn append(&mut self, entry: &Entry) -> Result<(), WriteError> {
        self.append_with(entry, io::empty())
    }

    /// Writes an entry with its content, of which exactly `entry.size` bytes are stored: what the content has less is
    /// zeros, what it has more is left out. A file that changes while it is read so never breaks the archive. A sparse
    /// file is stored with its holes as zeros.
    ///
    /// # Errors
    /// The entry cannot be expressed, the content cannot be read, or the output failed.
    pub fn append_with(&mut self, entry: &Entry, content: impl Read) -> Result<(), WriteError> {
        let mut name = entry.name.clone();
        if entry.kind == Kind::Directory && !name.ends_with(b"/") {
            name.push(b'/');
        }
        check(entry, &name)?;
        let records = records(entry, &name);
        if !records.is_empty() {
            let mut body = Vec::new();
            for (key, value) in &records {
                push_record(&mut body, key, value);
            }
            let mut header = Entry::new(Vec::new(), Kind::File, 0);
            header.size = body.len() as u64;
            self.put(&header_block(&header, &pax_name(&name), b'x'))?;
            self.put(&body)?;
            self.pad(header.size)?;
        }
        self.put(&header_block(entry, &name, kind_byte(entry.kind)))?;
        self.put_content(entry, content)
    }

    /// Writes the archive's end.
    ///
    /// # Errors
    /// The output failed.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.put(&[0; 2 * BLOCK])?;
        self.output.flush().map_err(WriteError::Output)?;
        Ok(self.output)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.output.write_all(bytes).map_err(WriteError::Output)
    }

    fn pad(&mut self, size: u64) -> Result<(), WriteError> {
        let padding = (size.wrapping_neg() % BLOCK as u64) as usize;
        self.put(&[0; BLOCK][..padding])
    }

    fn put_content(&mut self, entry: &Entry, mut content: impl Read) -> Result<(), WriteError> {
        if entry.size == 0 {
            return Ok(());
        }
        let mut buffer =
            vec![0; (128 << 10).min(usize::try_from(entry.size).unwrap_or(usize::MAX))];
        let mut left = entry.size;
        let mut ended = false;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let length = if ended {
                buffer[..most].fill(0);
                most
            } else {
                match content.read(&mut buffer[..most]) {
                    Ok(0) => {
                        ended = true;
                        continue;
                    }
                    Ok(length) => length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(source) => {
                        return Err(WriteError::Content { entry: escape(&entry.name), source });
                    }
                }
            };
            self.put(&buffer[..length])?;
            left -= length as u64;
        }
        self.pad(entry.size)
    }
}

fn check(entry: &Entry, name: &[u8]) -> Result<(), WriteError> {
    let device = |number: u32| number >> 21 == 0;
    let attribute = |(name, _): &(Vec<u8>, Vec<u8>)| !name.contains(&b'=') && !name.contains(&0);
    let what = if name.is_empty() || name == b"/" || name.contains(&0) {
        "name"
    } else if entry.link.contains(&0) {
        "link target"
    } else if entry.mode > 0o7777 {
        "mode"
    } else if !device(entry.device.0) || !device(entry.device.1) {
        "device number"
    } else if !entry.attributes.iter().all(attribute) {
        "attribute's name"
    } else if entry.kind != Kind::File && entry.size != 0 {
        "content"
    } else {
        return Ok(());
    };
    Err(WriteError::Unwritable { entry: escape(name), what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Reader};

    fn write(entries: &[(Entry, &[u8])]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for (entry, content) in entries {
            writer.append_with(entry, *content).unwrap();
        }
        writer.finish().unwrap()
    }

    fn file(name: &[u8], size: u64) -> Entry {
        let mut entry = Entry::new(name, Kind::File, 0o644);
        entry.size = size;
        entry
    }

    #[test]
    fn an_entry_that_fits_ustar_has_no_extended_header() {
        let long = [&b"d/".repeat(60)[..], &b"n".repeat(90)].concat();
        assert_eq!(write(&[(file(&long, 3), b"abc")]).len(), 4 * BLOCK);
        assert_eq!(write(&[(file("ä".as_bytes(), 3), b"abc")]).len(), 6 * BLOCK);
    }

    #[test]
    fn what_is_written_is_read_back_equal() {
        let mut odd = file(&[&b"x/".repeat(300)[..], b"new\nline\xff"].concat(), 5);
        odd.uid = 3_000_000;
        odd.gid = 4_294_967_294;
        odd.uname = "ünser".into();
        odd.modified = Time { seconds: -5, nanos: 250_000_000 };
        odd.attributes = vec![
            (b"security.capability".to_vec(), vec![1, 0, 0, 2, b'\n', 0]),
            (b"user.a".to_vec(), b"b=c".to_vec()),
        ];
        let mut link = Entry::new("l", Kind::Symlink, 0o777);
        link.link = b"t/".repeat(150);
        let mut device = Entry::new("null", Kind::CharDevice, 0o666);
        device.device = (1, 3);
        let directory = Entry::new("d/", Kind::Directory, 0o1777);
        let entries = [
            (odd, &b"hello"[..]),
            (link, b""),
            (device, b""),
            (directory, b""),
            (file(b"e", 0), b""),
        ];
        let bytes = write(&entries);
        let mut reader = Reader::new(&bytes[..], Limits::default());
        for (entry, content) in &entries {
            assert_eq!(reader.next_entry().unwrap().as_ref(), Some(entry));
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert_eq!(read, *content);
        }
        assert_eq!(reader.next_entry().unwrap(), None);
        assert_eq!(write(&entries), bytes);
    }

    #[test]
    fn content_that_changed_its_size_is_padded_or_cut() {
        let bytes = write(&[(file(b"shrunk", 600), b"abc"), (file(b"grown", 2), b"abcdef")]);
        let mut reader = Reader::new(&bytes[..], Limits::default());
        let mut read = Vec::new();
        reader.next_entry().unwrap();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!((read.len(), &read[..4]), (600, &b"abc\0"[..]));
        reader.next_entry().unwrap();
        read.clear();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read, b"ab");
        assert_eq!(reader.next_entry().unwrap(), None);
    }

    #[test]
    fn record_lengths_count_their_own_digits() {
        for (value, length) in [(1, 7), (3, 9), (4, 11), (93, 100), (94, 102)] {
            let mut body = Vec::new();
            push_record(&mut body, b"k", &vec![b'v'; value - 1 + 1]);
            let text = String::from_utf8(body.clone()).unwrap();
            let stated: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(stated, body.len(), "{value} {length}");
        }
    }

    #[test]
    fn times_are_written_as_go_writes_them() {
        for (seconds, nanos, text) in [
            (5, 0, "5"),
            (100, 0, "100"),
            (1, 500_000_000, "1.5"),
            (-2, 500_000_000, "-1.5"),
            (-1, 999_999_999, "-0.000000001"),
        ] {
            assert_eq!(time_text(Time { seconds, nanos }), text);
        }
    }
}

//! Extended headers: records `length key=value\n` (POSIX.1-2017, pax, "pax Extended Header").

use super::flaw::Flaw;
use crate::entry::{Segment, Time};
use crate::name::PATH_MAX;
use crate::number::parse_decimal;

/// Largest extended header in bytes. Linux bounds one attribute to 64 KiB and one path to 4 KiB; real ones have less
/// than one kilobyte.
pub(crate) const BODY_MAX: u64 = 1 << 20;

/// What an extended header changes in the next entry.
#[derive(Debug, Default)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) uname: Option<Vec<u8>>,
    pub(crate) gname: Option<Vec<u8>>,
    pub(crate) modified: Option<Time>,
    pub(crate) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) sparse: SparseRecords,
}

/// GNU's records about a sparse file, in all three versions.
#[derive(Debug, Default)]
pub(crate) struct SparseRecords {
    pub(crate) major: Option<u64>,
    pub(crate) minor: Option<u64>,
    pub(crate) name: Option<Vec<u8>>,
    /// The file's size with its holes: `realsize` (1.0) or `size` (0.x).
    pub(crate) size: Option<u64>,
    /// Version 0.1, or gathered from 0.0's pairs.
    pub(crate) map: Option<Vec<Segment>>,
    /// The offset of a 0.0 pair whose length has not come yet.
    open_offset: Option<u64>,
    pairs: bool,
}

/// Splits off the first record: key, value, rest.
fn record(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = body.iter().take(8).position(|b| *b == b' ')?;
    let length = usize::try_from(parse_decimal(&body[..space])?).ok()?;
    let content = body.get(space + 1..length)?;
    let content = content.strip_suffix(b"\n")?;
    let equals = content.iter().position(|b| *b == b'=')?;
    let (key, value) = (&content[..equals], &content[equals + 1..]);
    if key.is_empty() || key.contains(&0) {
        return None;
    }
    Some((key, value, &body[length..]))
}

fn key_text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).chars().take(100).flat_map(char::escape_debug).collect()
}

fn set<T>(place: &mut Option<T>, key: &[u8], value: T) -> Result<(), Flaw> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Flaw::PaxTwice(key_text(key))),
    }
}

fn parse_path(key: &[u8], what: &'static str, value: &[u8]) -> Result<Vec<u8>, Flaw> {
    match value {
        [] => Err(Flaw::PaxValue(key_text(key))),
        value if value.contains(&0) => Err(Flaw::ZeroByte(what)),
        value if value.len() > PATH_MAX => Err(Flaw::TooLong(what)),
        value => Ok(value.to_vec()),
    }
}

/// Reads `-?digits(.digits)?`; more than nine digits of a fraction are cut as Go does.
fn parse_time(value: &[u8]) -> Option<Time> {
    let (negative, digits) = match value {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let dot = digits.iter().position(|b| *b == b'.');
    let (whole, fraction) = match dot {
        Some(dot) => (&digits[..dot], &digits[dot + 1..]),
        None => (digits, &b""[..]),
    };
    let seconds = i64::try_from(parse_decimal(whole)?).ok()?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos = (0..9).fold(0, |value, place| {
        value * 10 + fraction.get(place).map_or(0, |digit| u32::from(digit - b'0'))
    });
    Some(match (negative, nanos) {
        (false, nanos) => Time { seconds, nanos },
        (true, 0) => Time { seconds: -seconds, nanos: 0 },
        (true, nanos) => Time { seconds: -seconds - 1, nanos: 1_000_000_000 - nanos },
    })
}

fn parse_map(value: &[u8]) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut numbers = value.split(|b| *b == b',');
    while let Some(offset) = numbers.next() {
        let (offset, length) = (parse_decimal(offset)?, parse_decimal(numbers.next()?)?);
        segments.push(Segment { offset, length });
    }
    Some(segments)
}

impl Pax {
    /// Reads the body of an extended header.
    pub(crate) fn parse(mut body: &[u8]) -> Result<Self, Flaw> {
        let mut pax = Self::default();
        while !body.is_empty() {
            let (key, value, rest) = record(body).ok_or(Flaw::PaxRecord)?;
            pax.take(key, value)?;
            body = rest;
        }
        if pax.sparse.open_offset.is_some() {
            return Err(Flaw::SparseMap);
        }
        Ok(pax)
    }

    /// Checks a global header. Its values are not applied, as Go does not; so a key that would make other readers see
    /// another tree is refused.
    pub(crate) fn check_global(body: &[u8]) -> Result<(), Flaw> {
        let pax = Self::parse(body)?;
        let sparse = &pax.sparse;
        let sparse = sparse.map.is_some() || sparse.size.is_some() || sparse.name.is_some();
        for (key, present) in [
            ("path", pax.path.is_some()),
            ("linkpath", pax.link.is_some()),
            ("size", pax.size.is_some()),
            ("extended attributes", !pax.attributes.is_empty()),
            ("a sparse map", sparse),
        ] {
            if present {
                return Err(Flaw::PaxGlobal(key.to_owned()));
            }
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Flaw> {
        let invalid = || Flaw::PaxValue(key_text(key));
        let number = || parse_decimal(value).ok_or_else(invalid);
        match key {
            // Go keeps the header's value when a record is empty; POSIX deletes it. Nobody writes one.
            b"path" => set(&mut self.path, key, parse_path(key, "name", value)?),
            b"linkpath" => set(&mut self.link, key, parse_path(key, "link target", value)?),
            b"size" => set(&mut self.size, key, number()?),
            b"uid" => set(&mut self.uid, key, number()?),
            b"gid" => set(&mut self.gid, key, number()?),
            b"uname" => set(&mut self.uname, key, value.to_vec()),
            b"gname" => set(&mut self.gname, key, value.to_vec()),
            b"mtime" => set(&mut self.modified, key, parse_time(value).ok_or_else(invalid)?),
            _ => match (key.strip_prefix(b"SCHILY.xattr."), key.strip_prefix(b"GNU.sparse.")) {
                (Some(name), _) => self.take_attribute(name, value),
                (_, Some(name)) => self.sparse.take(key, name, value),
                // Comments, access times, other writers' private keys: none changes the tree.
                _ => Ok(()),
            },
        }
    }

    fn take_attribute(&mut self, name: &[u8], value: &[u8]) -> Result<(), Flaw> {
        if self.attributes.iter().any(|(other, _)| other == name) {
            return Err(Flaw::PaxTwice(key_text(name)));
        }
        self.attributes.push((name.to_vec(), value.to_vec()));
        Ok(())
    }
}

impl SparseRecords {
    fn take(&mut self, key: &[u8], name: &[u8], value: &[u8]) -> Result<(), Flaw> {
        let invalid = || Flaw::PaxValue(key_text(key));
        let number = || parse_decimal(value).ok_or_else(invalid);
        match name {
            b"major" => set(&mut self.major, key, number()?),
            b"minor" => set(&mut self.minor, key, number()?),
            b"name" => set(&mut self.name, key, parse_path(key, "name", value)?),
            b"size" | b"realsize" => set(&mut self.size, key, number()?),
            b"map" => set(&mut self.map, key, parse_map(value).ok_or_else(invalid)?),
            b"offset" => set(&mut self.open_offset, key, number()?),
            b"numbytes" => {
                let length = number()?;
                let offset = self.open_offset.take().ok_or(Flaw::SparseMap)?;
                if !self.pairs && self.map.is_some() {
                    return Err(Flaw::PaxTwice(key_text(b"GNU.sparse.map")));
                }
                self.pairs = true;
                self.map.get_or_insert_default().push(Segment { offset, length });
                Ok(())
            }
            // numblocks says only how long the map is.
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(records: &[(&str, &str)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (key, value) in records {
            crate::write::push_record(&mut body, key.as_bytes(), value.as_bytes());
        }
        body
    }

    #[test]
    fn parse_reads_times_with_fractions_before_and_after_1970() {
        for (text, time) in [
            ("1350244992.023960108", Some((1350244992, 23960108))),
            ("5", Some((5, 0))),
            ("0.0000000011", Some((0, 1))),
            ("-1.5", Some((-2, 500_000_000))),
            ("-3", Some((-3, 0))),
            ("1.", Some((1, 0))),
            (".5", None),
            ("+1", None),
            ("1e3", None),
        ] {
            let time = time.map(|(seconds, nanos)| Time { seconds, nanos });
            assert_eq!(parse_time(text.as_bytes()), time, "{text}");
        }
    }

    #[test]
    fn parse_refuses_records_that_are_not_well_formed() {
        for bad in [
            &b"6 k=1\n\n"[..],
            b"5 k=1\n",
            b"99 k=1\n",
            b"8 path\n=\n",
            b"4 =\n",
            b"x k=1\n",
            b"-6 k=1\n",
            b"123456789 k=1\n",
        ] {
            assert_eq!(Pax::parse(bad).unwrap_err(), Flaw::PaxRecord, "{bad:?}");
        }
    }

    #[test]
    fn parse_refuses_a_key_that_stands_twice() {
        for key in ["path", "linkpath", "size", "uid", "GNU.sparse.map", "SCHILY.xattr.user.a"] {
            let value = if key == "GNU.sparse.map" { "0,1" } else { "1" };
            let flaw = Pax::parse(&body(&[(key, value), (key, value)])).unwrap_err();
            let shown = key.strip_prefix("SCHILY.xattr.").unwrap_or(key);
            assert_eq!(flaw, Flaw::PaxTwice(shown.to_owned()));
        }
        assert!(Pax::parse(&body(&[("comment", "a"), ("comment", "b")])).is_ok());
    }

    #[test]
    fn a_global_header_may_not_change_the_tree() {
        assert_eq!(Pax::check_global(&body(&[("comment", "0123456789abcdef")])), Ok(()));
        for key in ["path", "linkpath", "size"] {
            let flaw = Pax::check_global(&body(&[(key, "1")])).unwrap_err();
            assert_eq!(flaw, Flaw::PaxGlobal(key.to_owned()));
        }
    }
}

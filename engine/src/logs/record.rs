//! One line of a container's log as the shim writes it: `{"log":"text\n","stream":"stdout","attrs":{..},"time":".."}`.
//!
//! The order of the keys is the shim's own, so a line is first read by position; a line in another order, as another
//! engine may have written it, is read by the JSON parser.

use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One record; it borrows from its line where nothing had to be unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// The bytes that the container wrote.
    pub text: Cow<'a, [u8]>,
    /// Whether a line feed follows them.
    pub ended: bool,
    /// True for stderr.
    pub stderr: bool,
    /// The JSON object of the additional attributes, braces included; empty when there are none.
    pub attributes: &'a [u8],
    /// When, in RFC 3339 with up to nine digits of fraction.
    pub time: Cow<'a, str>,
}

#[derive(Deserialize)]
struct AnyOrder {
    #[serde(default)]
    log: String,
    #[serde(default)]
    stream: String,
    time: String,
}

/// Reads a line without its end; `None` for a line that is torn or no record.
pub fn parse(line: &[u8]) -> Option<Record<'_>> {
    in_our_order(line).or_else(|| {
        let any: AnyOrder = serde_json::from_slice(line).ok()?;
        Some(Record {
            text: Cow::Owned(any.log.into_bytes()),
            ended: false,
            stderr: any.stream == "stderr",
            attributes: &[],
            time: Cow::Owned(any.time),
        })
    })
}

fn in_our_order(line: &[u8]) -> Option<Record<'_>> {
    let rest = line.strip_prefix(b"{\"log\":\"")?;
    let (end, escape) = closing_quote(rest)?;
    let (text, ended) = match escape {
        None => (Cow::Borrowed(&rest[..end]), false),
        // Nearly all lines: nothing is escaped but the line's own end.
        Some(at) if &rest[at..end] == b"\\n" => (Cow::Borrowed(&rest[..at]), true),
        Some(_) => (Cow::Owned(unescape(&rest[..end])?), false),
    };
    let rest = rest[end + 1..].strip_prefix(b",\"stream\":\"std")?;
    let (stderr, mut rest) = match rest.strip_prefix(b"out\",") {
        Some(rest) => (false, rest),
        None => (true, rest.strip_prefix(b"err\",")?),
    };
    let mut attributes: &[u8] = &[];
    if let Some(after) = rest.strip_prefix(b"\"attrs\":") {
        let end = object_end(after)?;
        attributes = &after[..end];
        rest = after[end..].strip_prefix(b",")?;
    }
    let rest = rest.strip_prefix(b"\"time\":\"")?;
    let time = rest.strip_suffix(b"\"}")?;
    Some(Record {
        text,
        ended,
        stderr,
        attributes,
        time: Cow::Borrowed(std::str::from_utf8(time).ok()?),
    })
}

/// Where the text ends, and its first escape.
fn closing_quote(text: &[u8]) -> Option<(usize, Option<usize>)> {
    let mut escape = None;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &text[at..])?;
        if text[at] == b'"' {
            return Some((at, escape));
        }
        escape = escape.or(Some(at));
        at += 2;
        if at > text.len() {
            return None;
        }
    }
}

fn object_end(text: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0);
    while at < text.len() {
        match text[at] {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => at += closing_quote(&text[at + 1..])?.0 + 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Undoes JSON's escapes. Most lines have one, the line's end, so the common ones are done by hand.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| *b == b'\\') {
        plain.extend_from_slice(&rest[..at]);
        let simple = match rest.get(at + 1)? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'"' => b'"',
            b'\\' => b'\\',
            b'/' => b'/',
            b'b' => 8,
            b'f' => 12,
            _ => return by_parser(text),
        };
        plain.push(simple);
        rest = &rest[at + 2..];
    }
    plain.extend_from_slice(rest);
    Some(plain)
}

fn by_parser(text: &[u8]) -> Option<Vec<u8>> {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(text);
    quoted.push(b'"');
    serde_json::from_slice::<String>(&quoted).ok().map(String::into_bytes)
}

/// The attributes as `docker logs --details` shows them: sorted `key=value`, both urlencoded, joined by commas.
pub fn details(attributes: &[u8]) -> String {
    let map: BTreeMap<String, String> = serde_json::from_slice(attributes).unwrap_or_default();
    let pairs: Vec<String> =
        map.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    pairs.join(",")
}

/// The encoding of a query's value (application/x-www-form-urlencoded).
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            b' ' => encoded.push('+'),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_shim_is_read_with_its_escapes() {
        let line =
            br#"{"log":"a \"b\" \u00e4\\\n","stream":"stderr","time":"2026-01-02T03:04:05.6Z"}"#;
        let record = parse(line).unwrap();
        assert_eq!(record.text, "a \"b\" ä\\\n".as_bytes());
        assert!(record.stderr);
        assert_eq!(record.time, "2026-01-02T03:04:05.6Z");
    }

    #[test]
    fn a_lines_own_end_is_no_reason_to_copy_it() {
        let line = |text: &str| {
            format!(r#"{{"log":"{text}","stream":"stdout","time":"2026-01-02T03:04:05Z"}}"#)
        };
        let read = |text: &str| {
            let line = line(text);
            let record = parse(line.as_bytes()).unwrap();
            (matches!(record.text, Cow::Borrowed(_)), record.text.into_owned(), record.ended)
        };
        assert_eq!(read(r"x\n"), (true, b"x".to_vec(), true));
        assert_eq!(read("x"), (true, b"x".to_vec(), false));
        assert_eq!(read(r"\n"), (true, Vec::new(), true));
        assert_eq!(read(r"x\\n"), (false, br"x\n".to_vec(), false));
        assert_eq!(read(r"x\ty\n"), (false, b"x\ty\n".to_vec(), false));
    }

    #[test]
    fn attributes_are_shown_sorted_and_encoded() {
        let line = br#"{"log":"x","stream":"stdout","attrs":{"z":"1","a b":"{\"}"},"time":"2026-01-02T03:04:05Z"}"#;
        let record = parse(line).unwrap();
        assert_eq!(record.text, &b"x"[..]);
        assert_eq!(details(record.attributes), "a+b=%7B%22%7D,z=1");
    }

    #[test]
    fn another_order_is_read_too_and_a_torn_line_is_not() {
        let line = br#"{"time":"2026-01-02T03:04:05Z","stream":"stdout","log":"x\n"}"#;
        assert_eq!(parse(line).unwrap().text, &b"x\n"[..]);
        for end in 0..line.len() {
            assert_eq!(parse(&line[..end]), None, "{end}");
        }
        let ours = br#"{"log":"x\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}"#;
        for end in 0..ours.len() {
            assert_eq!(parse(&ours[..end]), None, "{end}");
        }
        assert_eq!(parse(b"{\"log\":\"\\"), None);
    }
}

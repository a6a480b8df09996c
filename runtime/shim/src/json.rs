//! JSON strings byte for byte as Docker's json-file driver writes them.
//!
//! The driver escapes less than Go's `encoding/json` in one place (no `\t`) and the same elsewhere: `<`, `>` and `&` as
//! `\u003c`, the line separators U+2028 and U+2029, and one `\ufffd` for each byte that is not UTF-8
//! (moby `daemon/logger/jsonfilelog/jsonlog/jsonlogbytes.go`).

const HEX: &[u8; 16] = b"0123456789abcdef";

/// True for the bytes that may start something to be escaped.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[b'<' as usize] = true;
    table[b'>' as usize] = true;
    table[b'&' as usize] = true;
    // The first byte of U+2028 and U+2029.
    table[0xe2] = true;
    table
};

/// Which control characters have a short escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `\n` and `\r`, as the log driver.
    Log,
    /// Also `\t`, `\b` and `\f`, as `encoding/json` writes the attributes.
    Go,
}

/// Bytes that are looked at together; the loop over so many becomes a few vector instructions.
const LANES: usize = 32;

/// Whether all bytes are ASCII and stand for themselves.
fn is_plain(bytes: &[u8]) -> bool {
    let special = |byte: u8| {
        !(0x20..0x80).contains(&byte)
            | (byte == b'"')
            | (byte == b'\\')
            | (byte == b'<')
            | (byte == b'>')
            | (byte == b'&')
    };
    let any = |bytes: &[u8]| bytes.iter().fold(false, |any, byte| any | special(*byte));
    let (chunks, rest) = bytes.as_chunks::<LANES>();
    !chunks.iter().any(|chunk| any(chunk)) && !any(rest)
}

/// Appends `bytes` as a string without its quotes.
pub(crate) fn escape(out: &mut Vec<u8>, bytes: &[u8], dialect: Dialect) {
    if is_plain(bytes) {
        return out.extend_from_slice(bytes);
    }
    // Nearly all output is valid, and checking the whole is ten times faster than decoding step by step.
    if std::str::from_utf8(bytes).is_ok() {
        return escape_valid(out, bytes, dialect);
    }
    for chunk in bytes.utf8_chunks() {
        escape_valid(out, chunk.valid().as_bytes(), dialect);
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn escape_valid(out: &mut Vec<u8>, bytes: &[u8], dialect: Dialect) {
    let mut start = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if !SPECIAL[usize::from(byte)] {
            at += 1;
            continue;
        }
        let length = if byte == 0xe2 { 3 } else { 1 };
        let unit = &bytes[at..at + length];
        let mut buffer = [0; 6];
        if let Some(escaped) = escaped(unit, dialect, &mut buffer) {
            out.extend_from_slice(&bytes[start..at]);
            out.extend_from_slice(escaped);
            start = at + length;
        }
        at += length;
    }
    out.extend_from_slice(&bytes[start..]);
}

/// The escape of one character; none for a character that begins with 0xe2 and stands for itself.
fn escaped<'b>(unit: &[u8], dialect: Dialect, buffer: &'b mut [u8; 6]) -> Option<&'b [u8]> {
    let short = |letter| Some([b'\\', letter]);
    let pair = match unit {
        [byte @ (b'"' | b'\\')] => short(*byte),
        b"\n" => short(b'n'),
        b"\r" => short(b'r'),
        b"\t" if dialect == Dialect::Go => short(b't'),
        b"\x08" if dialect == Dialect::Go => short(b'b'),
        b"\x0c" if dialect == Dialect::Go => short(b'f'),
        _ => None,
    };
    if let Some(pair) = pair {
        buffer[..2].copy_from_slice(&pair);
        return Some(&buffer[..2]);
    }
    match unit {
        [byte] => {
            buffer[..4].copy_from_slice(b"\\u00");
            buffer[4] = HEX[usize::from(byte >> 4)];
            buffer[5] = HEX[usize::from(byte & 0xf)];
        }
        [0xe2, 0x80, last @ (0xa8 | 0xa9)] => {
            buffer[..5].copy_from_slice(b"\\u202");
            buffer[5] = HEX[usize::from(last & 0xf)];
        }
        _ => return None,
    }
    Some(&buffer[..])
}

/// How many bytes of output stand behind the escaped text of complete lines: what [`escape`] was given.
pub(crate) fn unescaped_length(text: &[u8]) -> u64 {
    let mut length = 0;
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return length,
            [b'\\', b'u', b'2', b'0', b'2', _, tail @ ..] => {
                length += 3;
                tail
            }
            [b'\\', b'u', _, _, _, _, tail @ ..] | [b'\\', _, tail @ ..] | [_, tail @ ..] => {
                length += 1;
                tail
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(bytes: &[u8], dialect: Dialect) -> String {
        let mut out = Vec::new();
        escape(&mut out, bytes, dialect);
        String::from_utf8(out).unwrap()
    }

    /// One character after the other, decoded as Go's `utf8.DecodeRune` does: an error is one byte long.
    fn reference(bytes: &[u8]) -> String {
        let mut out = String::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let decoded = (1..=4.min(rest.len()))
                .find_map(|length| std::str::from_utf8(&rest[..length]).ok())
                .and_then(|text| text.chars().next());
            let Some(character) = decoded else {
                out.push_str("\\ufffd");
                rest = &rest[1..];
                continue;
            };
            match character {
                '"' | '\\' => out.extend(['\\', character]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    out.push_str(&format!("\\u{:04x}", u32::from(character)));
                }
                _ => out.push(character),
            }
            rest = &rest[character.len_utf8()..];
        }
        out
    }

    #[test]
    fn one_special_byte_is_seen_wherever_it_stands() {
        for length in [1, LANES - 1, LANES, LANES + 1, 3 * LANES + 5] {
            for at in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b'x'; length];
                    bytes[at] = byte;
                    let itself = !SPECIAL[usize::from(byte)] && byte.is_ascii();
                    assert_eq!(is_plain(&bytes), itself, "{byte} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn escapes_are_those_of_the_log_driver() {
        for (bytes, text) in [
            (&b"plain"[..], "plain"),
            (b"\"\\", "\\\"\\\\"),
            (b"\n\r\t\x00\x7f", "\\n\\r\\u0009\\u0000\x7f"),
            (b"<&>", "\\u003c\\u0026\\u003e"),
            ("\u{2028}\u{2029}\u{2030}é".as_bytes(), "\\u2028\\u2029\u{2030}é"),
            (b"a\xff\xe2\x28b", "a\\ufffd\\ufffd(b"),
            (b"\xe2\x80", "\\ufffd\\ufffd"),
            (b"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"),
            ("\u{fffd}".as_bytes(), "\u{fffd}"),
        ] {
            assert_eq!(encode(bytes, Dialect::Log), text, "{bytes:?}");
        }
        assert_eq!(encode(b"\t\x08\x0c\x0b", Dialect::Go), "\\t\\b\\f\\u000b");
    }

    proptest::proptest! {
        #[test]
        fn every_input_is_encoded_as_the_reference_does(
            bytes in proptest::collection::vec(
                proptest::prop_oneof![
                    proptest::num::u8::ANY,
                    proptest::sample::select(&b"\xe2\x80\xa8\xa9<>&\"\\\n\xf0\x9f\x98\x80"[..]),
                ],
                0..200,
            ),
        ) {
            let encoded = encode(&bytes, Dialect::Log);
            proptest::prop_assert_eq!(&encoded, &reference(&bytes));
            proptest::prop_assert_eq!(unescaped_length(encoded.as_bytes()), bytes.len() as u64);
        }

        #[test]
        fn every_text_survives_a_json_decoder(text in "\\PC*") {
            let json = format!("\"{}\"", encode(text.as_bytes(), Dialect::Log));
            proptest::prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}

//! Names in archives: bytes, shown to people in quotes, and cleaned to a list of plain components.

/// Longest path of Linux in bytes, its final NUL not counted (`PATH_MAX`, limits.h).
pub(crate) const PATH_MAX: usize = 4095;

/// The name in double quotes with control bytes and invalid UTF-8 escaped, cut to about 200 characters.
pub fn escape(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len().min(200) + 2);
    text.push('"');
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if text.len() > 200 {
                text.push_str("...\"");
                return text;
            }
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                c if c.is_control() => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text.push('"');
    text
}

/// Cleans a path by its text alone, as Go's `path.Clean` does with a leading slash taken off: no empty component, no
/// `.`, and `..` takes away the component before it. The root itself is the empty path.
///
/// None when a `..` would lead above the root.
pub(crate) fn clean(name: &[u8]) -> Option<Vec<u8>> {
    let mut path: Vec<u8> = Vec::with_capacity(name.len());
    for component in name.split(|b| *b == b'/') {
        match component {
            b"" | b"." => {}
            b".." if path.is_empty() => return None,
            b".." => path.truncate(split(&path).0.len()),
            component => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(component);
            }
        }
    }
    Some(path)
}

/// The directory part and the last component of a cleaned path; the directory part is empty at the root.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// `directory/name`, or `name` alone when the directory is the root.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !directory.is_empty() && !name.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_shows_newlines_quotes_and_invalid_utf8() {
        assert_eq!(escape(b"a\nb\"\xff\xc3\xa4"), "\"a\\nb\\\"\\xff\u{e4}\"");
        assert!(escape(&[b'x'; 5000]).len() < 210);
    }

    #[test]
    fn clean_takes_away_dots_and_slashes_and_refuses_to_leave_the_root() {
        for (name, path) in [
            (&b"/etc//./passwd/"[..], &b"etc/passwd"[..]),
            (b"a/../b", b"b"),
            (b"./", b""),
            (b"a/b/..", b"a"),
            (b"...", b"..."),
        ] {
            assert_eq!(clean(name).as_deref(), Some(path), "{}", escape(name));
        }
        for bad in [&b".."[..], b"a/../../b", b"/..", b"../etc"] {
            assert_eq!(clean(bad), None, "{}", escape(bad));
        }
    }
}

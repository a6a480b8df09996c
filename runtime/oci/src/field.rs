//! Reading JSON, with the name of the field that is wrong: the parser knows the line and the column alone.

use crate::Error;
use serde::de::DeserializeOwned;

/// Reads the object `text`, which is called `object`.
pub(crate) fn read<T: DeserializeOwned>(object: &str, text: &[u8]) -> Result<T, Error> {
    let failed = |cause: String| Error::Syntax { object: object.to_owned(), cause };
    // A list would be taken for the fields of a type in their order.
    if text.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(failed("must be an object".to_owned()));
    }
    serde_json::from_slice(text).map_err(|error| {
        let path = path_at(text, offset(text, error.line(), error.column()));
        failed(if path.is_empty() { error.to_string() } else { format!("{path}: {error}") })
    })
}

/// The place in the text of a line and a column, both counted from 1.
fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let start = std::iter::once(0).chain(ends).nth(line.saturating_sub(1)).unwrap_or(text.len());
    start.saturating_add(column).min(text.len())
}

/// Where a value is in what is around it.
enum Step {
    Key(String),
    Index(usize),
}

/// The field in which the `end`th byte is, as `linux.namespaces[2].type`. What is no JSON gives some path or none.
fn path_at(text: &[u8], end: usize) -> String {
    let mut path: Vec<Step> = Vec::new();
    let mut at = 0;
    // Whether the next text is a name.
    let mut names = false;
    while at < end {
        match text[at] {
            b'{' => {
                path.push(Step::Key(String::new()));
                names = true;
            }
            b'[' => path.push(Step::Index(0)),
            b'}' | b']' => {
                path.pop();
            }
            b',' => match path.last_mut() {
                Some(Step::Index(index)) => *index += 1,
                _ => names = true,
            },
            b':' => names = false,
            b'"' => {
                let start = at + 1;
                at = string_end(text, start);
                if let (true, Some(Step::Key(key))) = (names && at < end, path.last_mut()) {
                    *key = String::from_utf8_lossy(&text[start..at]).chars().take(80).collect();
                }
            }
            _ => {}
        }
        at += 1;
    }
    shown(&path)
}

/// The quote that ends the text that begins at `at`.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at.min(text.len())
}

fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if key.is_empty() => {}
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::oci::Spec;

    fn cause(text: &str) -> String {
        read::<Spec>("config.json", text.as_bytes()).unwrap_err().sentence()
    }

    #[test]
    fn the_field_that_has_another_type_is_named() {
        let cases = [
            (r#"{"process": {"cwd": 7}}"#, "process.cwd: invalid type"),
            (
                "{\n \"hostname\": \"a,{\",\n \"process\": {\"args\": [\"x\", 5]}}",
                "process.args[1]: invalid type",
            ),
            (
                r#"{"linux": {"namespaces": [{"type": "pid"}, {"type": []}]}}"#,
                "linux.namespaces[1].type: invalid type",
            ),
            (
                r#"{"linux": {"resources": {"pids": {"limit": "many"}}}}"#,
                "linux.resources.pids.limit: invalid type",
            ),
            (r#"{"annotations": {"a\"b": 1}}"#, r#"annotations.a\"b: invalid type"#),
            ("[]", "must be an object"),
            ("", "EOF while parsing"),
            ("{\"process\": ", "process: EOF while parsing"),
        ];
        for (text, words) in cases {
            assert!(
                cause(text).starts_with(&format!("parse config.json: {words}")),
                "{}",
                cause(text)
            );
        }
    }

    #[test]
    fn whatever_the_bytes_are_a_path_is_found_or_none() {
        let texts: [&[u8]; 5] = [b"]]]", b"{\"", b"{\"a\\", b"[[[[\"\\\"", b":,{}:,\xff"];
        for text in texts {
            for end in 0..=text.len() {
                path_at(text, end);
            }
        }
    }
}

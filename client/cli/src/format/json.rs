//! JSON as Go shows it. The text is rearranged, not parsed, so the order of its keys and its numbers stay as they are.

use serde_json::Value;

/// Indents a JSON text; `indent` is one level.
pub(crate) fn pretty(text: &str, indent: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    let mut pending = false;
    for symbol in text.chars() {
        if quoted {
            out.push(symbol);
            (escaped, quoted) = (symbol == '\\' && !escaped, symbol != '"' || escaped);
            continue;
        }
        if symbol.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(symbol, '}' | ']');
        if pending && !closes {
            depth += 1;
            line(&mut out, depth, indent);
        }
        match symbol {
            '{' | '[' => out.push(symbol),
            '}' | ']' => {
                if !pending {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth, indent);
                }
                out.push(symbol);
            }
            ',' => {
                out.push(symbol);
                line(&mut out, depth, indent);
            }
            ':' => out.push_str(": "),
            _ => {
                quoted = symbol == '"';
                out.push(symbol);
            }
        }
        pending = matches!(symbol, '{' | '[');
    }
    out
}

fn line(out: &mut String, depth: usize, indent: &str) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str(indent);
    }
}

/// A value in one line, with the characters of HTML escaped as Go's encoder does unless told otherwise.
pub(crate) fn escaped(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// The raw text of the value at a path of keys, in the order in which it came; `None` if it is not there.
pub(crate) fn raw_at<'a>(text: &'a str, path: &[&str]) -> Option<&'a str> {
    use std::collections::BTreeMap;
    let mut text = text;
    for key in path {
        let map: BTreeMap<String, &serde_json::value::RawValue> =
            serde_json::from_str(text).ok()?;
        text = map.get(*key)?.get();
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_and_empty_lists_stay() {
        let text = r#"[{"b":1,"a":[],"c":{},"d":["x","y\"]"],"e":null}]"#;
        let expected = "[\n  {\n    \"b\": 1,\n    \"a\": [],\n    \"c\": {},\n    \"d\": [\n      \"x\",\n      \"y\\\"]\"\n    ],\n    \"e\": null\n  }\n]";
        assert_eq!(pretty(text, "  "), expected);
    }

    #[test]
    fn a_path_finds_the_text_as_it_came() {
        assert_eq!(raw_at(r#"{"b":{"z":1,"a":2}}"#, &["b"]), Some(r#"{"z":1,"a":2}"#));
        assert_eq!(raw_at(r#"{"b":1}"#, &["c"]), None);
    }
}

//! How results are shown: tables, Go templates, JSON, sizes and times.

pub(crate) mod json;
pub(crate) mod listing;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod time;
pub(crate) mod units;

/// A text in quotes, as Go's `strconv.Quote` writes it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for symbol in text.chars() {
        match symbol {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            symbol if symbol.is_control() && (symbol as u32) < 0x80 => {
                out.push_str(&format!("\\x{:02x}", symbol as u32));
            }
            symbol => out.push(symbol),
        }
    }
    out.push('"');
    out
}

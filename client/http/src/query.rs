//! The query of a URL, and paths.

use std::fmt::Write as _;

/// The parameters of a URL. They are sent sorted by name, as Go's clients do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(&'static str, String)>,
}

impl Query {
    /// No parameter.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one parameter; a name may come more than once.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.pairs.push((name, value.into()));
        self
    }

    /// Adds the parameter only if the value is not empty.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if value.is_empty() { self } else { self.with(name, value) }
    }

    /// Adds `name=1` if the switch is on.
    #[must_use]
    pub fn with_switch(self, name: &'static str, on: bool) -> Self {
        if on { self.with(name, "1") } else { self }
    }

    /// The text behind the question mark, with the mark; empty without parameters.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_by_key(|(name, _)| *name);
        let mut text = String::new();
        for (name, value) in pairs {
            text.push(if text.is_empty() { '?' } else { '&' });
            escape(&mut text, name, b"");
            text.push('=');
            escape(&mut text, value, b" ");
        }
        text
    }
}

/// Escapes one path element; `/` and `:` stay, since names of images hold them unescaped.
#[must_use]
pub fn escape_path(element: &str) -> String {
    let mut text = String::with_capacity(element.len());
    escape(&mut text, element, b"/:@+$&=,;!*'()");
    text
}

fn escape(text: &mut String, value: &str, kept: &[u8]) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte))
            }
            b' ' if kept == b" " => text.push('+'),
            _ if kept.contains(&byte) && byte != b' ' => text.push(char::from(byte)),
            _ => write!(text, "%{byte:02X}").expect("a String takes everything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_sorted_and_escaped_as_go_does() {
        let query = Query::new().with("tag", "a b").with("all", "1").with("f", "{\"x\":1}/é");
        assert_eq!(query.encode(), "?all=1&f=%7B%22x%22%3A1%7D%2F%C3%A9&tag=a+b");
        assert_eq!(Query::new().encode(), "");
    }

    #[test]
    fn a_path_keeps_slashes_and_colons() {
        assert_eq!(escape_path("localhost:5000/a b?#%"), "localhost:5000/a%20b%3F%23%25");
    }
}

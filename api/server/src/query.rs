//! The values of a request's query and of its form body, and what they mean.

use spec::Failure;

/// The most keys and values together.
const MOST_PAIRS: usize = 10_000;

/// Keys with their values, in the order in which they came; those of a form body first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `a=b&c=d`, percent-encoded.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let mut pairs = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            if part.contains(';') {
                return Err(Failure::invalid("invalid semicolon separator in query"));
            }
            if pairs.len() == MOST_PAIRS {
                return Err(Failure::invalid("query has more than 10000 values"));
            }
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            pairs.push((decode(key, true)?, decode(value, true)?));
        }
        Ok(Self(pairs))
    }

    /// This form, with another one's values behind it.
    pub(crate) fn followed_by(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// True when the key is there, with whatever value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(have, _)| have == key)
    }

    /// The first value of a key; empty when it is not there.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(have, _)| have == key).map_or("", |(_, value)| value)
    }

    /// The first value of a key when that is not empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        Some(self.get(key)).filter(|value| !value.is_empty())
    }

    /// All values of a key.
    pub(crate) fn all(&self, key: &str) -> Vec<String> {
        self.0.iter().filter(|(have, _)| have == key).map(|(_, value)| value.clone()).collect()
    }

    /// A value as yes or no: empty, `0`, `no`, `false` and `none` are no, all else is yes.
    pub(crate) fn flag(&self, key: &str) -> bool {
        let value = self.get(key).trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// The same with a default for a key that is not there.
    pub(crate) fn flag_or(&self, key: &str, default: bool) -> bool {
        if self.has(key) { self.flag(key) } else { default }
    }

    /// A whole number; `None` when it is not there or empty.
    pub(crate) fn number(&self, key: &str) -> Result<Option<i64>, Failure> {
        match self.text(key) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Failure::invalid(format!(
                    "invalid value for {key}: {:?} is no whole number",
                    shortened(text)
                ))),
            },
        }
    }

    /// The height or width of a terminal; required.
    pub(crate) fn dimension(&self, key: &str, what: &str) -> Result<u16, Failure> {
        let text = self.get(key);
        let cause = match text.parse::<u32>() {
            Ok(number) => return Ok(u16::try_from(number).unwrap_or(u16::MAX)),
            _ if text.starts_with('+') || text.is_empty() => "invalid syntax",
            Err(error) if matches!(error.kind(), std::num::IntErrorKind::PosOverflow) => {
                "value out of range"
            }
            Err(_) if text.strip_prefix('-').is_some_and(|rest| rest.parse::<u32>().is_ok()) => {
                "value out of range"
            }
            Err(_) => "invalid syntax",
        };
        Err(Failure::invalid(format!("invalid resize {what} {:?}: {cause}", shortened(text))))
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Undoes percent-encoding; with `plus`, a plus sign is a space, as in queries.
pub(crate) fn decode(text: &str, plus: bool) -> Result<String, Failure> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' if plus => bytes.push(b' '),
            b'%' => {
                let digits = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
                let byte = digits
                    .filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()))
                    .and_then(|two| u8::from_str_radix(two, 16).ok());
                let Some(byte) = byte else {
                    let tail: String = std::iter::once('%')
                        .chain(String::from_utf8_lossy(rest).chars().take(2))
                        .collect();
                    return Err(Failure::invalid(format!("invalid URL escape {tail:?}")));
                };
                bytes.push(byte);
                rest = &rest[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| Failure::invalid("URL is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read_as_docker_reads_booleans() {
        for no in ["", "0", "no", "false", "none", "False", " NONE "] {
            let form = Form(vec![("k".into(), no.into())]);
            assert!(!form.flag("k"), "{no:?}");
        }
        for yes in ["1", "true", "yes", "x", "2", "off"] {
            let form = Form(vec![("k".into(), yes.into())]);
            assert!(form.flag("k"), "{yes:?}");
        }
        assert!(Form::default().flag_or("k", true));
        assert!(!Form::parse("k=").unwrap().flag_or("k", true));
    }

    #[test]
    fn the_first_value_of_a_key_counts_and_all_are_kept() {
        let form = Form::parse("t=a%2Fb&t=c+d&&x").unwrap();
        assert_eq!(form.get("t"), "a/b");
        assert_eq!(form.all("t"), ["a/b", "c d"]);
        assert!(form.has("x"));
    }

    #[test]
    fn broken_escapes_and_semicolons_are_refused() {
        let refused = |text| Form::parse(text).unwrap_err().message;
        assert_eq!(refused("a=%zz"), "invalid URL escape \"%zz\"");
        assert_eq!(refused("a=%2"), "invalid URL escape \"%2\"");
        assert_eq!(refused("a=1;b=2"), "invalid semicolon separator in query");
    }

    #[test]
    fn dimensions_must_be_small_positive_numbers() {
        let form = Form::parse("h=40&w=x&n=-1&p=%2B5&b=99999999999").unwrap();
        assert_eq!(form.dimension("h", "height").unwrap(), 40);
        let refused = |key| form.dimension(key, "width").unwrap_err().message;
        assert_eq!(refused("w"), "invalid resize width \"x\": invalid syntax");
        assert_eq!(refused("q"), "invalid resize width \"\": invalid syntax");
        assert_eq!(refused("n"), "invalid resize width \"-1\": value out of range");
        assert_eq!(refused("b"), "invalid resize width \"99999999999\": value out of range");
    }

    proptest! {
        #[test]
        fn any_pairs_survive_encoding(pairs in prop::collection::vec((".*", ".*"), 0..8)) {
            let encode = |text: &str| -> String {
                text.bytes().map(|b| format!("%{b:02X}")).collect()
            };
            let encoded: Vec<String> =
                pairs.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
            prop_assert_eq!(Form::parse(&encoded.join("&")).unwrap().0, pairs);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            if let Ok(form) = Form::parse(&text) {
                prop_assert!(form.0.len() <= text.len());
            }
        }
    }
}

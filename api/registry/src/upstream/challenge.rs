//! `WWW-Authenticate` (RFC 9110, section 11.6.1), as much of it as registries send. Pure.

use std::collections::BTreeMap;

/// The longest header that is read, and the most parameters.
const LENGTH_MAX: usize = 8192;
const PARAMETERS_MAX: usize = 32;

/// How a server wants its clients to say who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// `basic`, `bearer`: in lower case.
    pub scheme: String,
    /// Its parameters; names in lower case, values without their quotes.
    pub parameters: BTreeMap<String, String>,
}

/// Reads one challenge: a scheme, then `name=value` or `name="value"` divided by commas. Of a name that comes twice,
/// the first counts. `None` when it is not that.
pub fn parse_challenge(text: &str) -> Option<Challenge> {
    if text.len() > LENGTH_MAX {
        return None;
    }
    let text = text.trim();
    let (scheme, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.is_empty() || !scheme.bytes().all(is_token) {
        return None;
    }
    let mut parameters = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let (name, after) = rest.split_once('=')?;
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(is_token) || parameters.len() == PARAMETERS_MAX {
            return None;
        }
        let (value, after) = value(after.trim_start())?;
        parameters.entry(name.to_ascii_lowercase()).or_insert(value);
        rest = after.trim_start();
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
    Some(Challenge { scheme: scheme.to_ascii_lowercase(), parameters })
}

fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let text = r#"Bearer realm="https://auth.x/token",service="a, b",scope="repository:a/b:pull,push", Error=invalid_token"#;
        let challenge = parse_challenge(text).unwrap();
        assert_eq!(challenge.scheme, "bearer");
        let wanted = [
            ("error", "invalid_token"),
            ("realm", "https://auth.x/token"),
            ("scope", "repository:a/b:pull,push"),
            ("service", "a, b"),
        ];
        let found: Vec<_> =
            challenge.parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, wanted);
        assert_eq!(parse_challenge("Basic").unwrap().scheme, "basic");
        assert_eq!(parse_challenge(r#"Basic realm="a\"b""#).unwrap().parameters["realm"], "a\"b");
    }

    #[test]
    fn what_is_no_challenge_is_none() {
        for bad in ["", "B\"", "Bearer realm", "Bearer realm=\"x", "Bearer =x", "Bearer a=b c=d"] {
            assert_eq!(parse_challenge(bad), None, "{bad}");
        }
        assert_eq!(parse_challenge(&format!("Bearer a=\"{}\"", "x".repeat(9000))), None);
    }

    proptest! {
        #[test]
        fn no_header_breaks_the_reader(text in "\\PC{0,80}|Bearer ([a-z]{0,3}=\"?[a-z,\\\\]{0,4}\"?,? ?){0,4}") {
            let _challenge = parse_challenge(&text);
        }
    }
}

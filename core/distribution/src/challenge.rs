//! The header `WWW-Authenticate` (RFC 9110, 11.6.1): what a registry wants to see.

/// A way to prove who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from a token server.
    Bearer {
        /// The token server.
        realm: String,
        /// For whom it is; empty when not told.
        service: String,
        /// What it is for; empty when not told.
        scope: String,
        /// Why the token that was shown is not enough (RFC 6750, 3.1); empty when none was shown.
        error: String,
    },
}

/// What stands between challenges.
const BETWEEN: [char; 3] = [' ', '\t', ','];
/// Bytes of a header that are looked at.
const HEADER_MAX: usize = 8 << 10;

impl Challenge {
    /// Reads all challenges of a header that this client understands, in their order. What is malformed ends the list.
    pub fn parse_all(header: &str) -> Vec<Self> {
        if header.len() > HEADER_MAX {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut rest = header.trim_start_matches(BETWEEN);
        while let Some((scheme, after)) = token(rest) {
            let (parameters, left) = parameters(after);
            rest = left.trim_start_matches(BETWEEN);
            if scheme.eq_ignore_ascii_case("basic") {
                found.push(Self::Basic);
            } else if scheme.eq_ignore_ascii_case("bearer") {
                let get = |name: &str| {
                    let pair = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    pair.map(|(_, value)| value.clone()).unwrap_or_default()
                };
                let (realm, service) = (get("realm"), get("service"));
                let (scope, error) = (get("scope"), get("error"));
                found.push(Self::Bearer { realm, service, scope, error });
            }
        }
        found
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A token at the start, and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|b| !is_token(b)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn skip(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// The parameters of a challenge, and where the next one begins.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    let mut rest = skip(text);
    while let Some((name, after)) = token(rest) {
        // A word that no `=` follows is the next scheme.
        let Some(after) = skip(after).strip_prefix('=') else { return (found, rest) };
        let Some((value, after)) = value(skip(after)) else { return (found, "") };
        found.push((name.to_owned(), value));
        rest = skip(after);
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start_matches([' ', '\t', ',']),
            None => return (found, rest),
        }
    }
    (found, rest)
}

/// A quoted text or a token; a scheme's bare word of base64 counts as a token with its padding.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, rest) = token(text)?;
        return Some((word.to_owned(), rest));
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, &quoted[at + 1..])),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: &str, scope: &str) -> Challenge {
        let (realm, service, scope) = (realm.into(), service.into(), scope.into());
        Challenge::Bearer { realm, service, scope, error: String::new() }
    }

    #[test]
    fn challenges_of_the_field_are_read() {
        for (header, challenges) in [
            (
                r#"Bearer realm="https://auth/token",service="r",scope="repository:a:pull,push""#,
                vec![bearer("https://auth/token", "r", "repository:a:pull,push")],
            ),
            (r#"basic realm="x y""#, vec![Challenge::Basic]),
            ("Basic", vec![Challenge::Basic]),
            (
                r#"Negotiate, Basic realm="a", bearer Realm = tok , service="q\"q""#,
                vec![Challenge::Basic, bearer("tok", r#"q"q"#, "")],
            ),
            (r#"Bearer realm="unfinished"#, vec![bearer("", "", "")]),
            ("", vec![]),
            (",,,", vec![]),
            ("\"x\"", vec![]),
        ] {
            assert_eq!(Challenge::parse_all(header), challenges, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_left(header in "\\PC{0,80}|[a-zA-Z=\", \\\\]{0,60}") {
            drop(Challenge::parse_all(&header));
        }
    }
}

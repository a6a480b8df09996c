//! `--security-opt`: the client reads the seccomp profile and sends its text.

use crate::failure::{Failure, io_text};
use api_types::List;

/// What the engine gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Security {
    pub(crate) options: Vec<String>,
    /// Both lists are empty instead of the engine's own.
    pub(crate) masked: List<String>,
    pub(crate) readonly: List<String>,
}

/// Reads every `--security-opt`.
pub(crate) fn parse(given: &[String]) -> Result<Security, Failure> {
    let mut security = Security::default();
    for text in given {
        if text == "systempaths=unconfined" {
            security.masked = List::empty();
            security.readonly = List::empty();
            continue;
        }
        security.options.push(option(text)?);
    }
    Ok(security)
}

fn option(text: &str) -> Result<String, Failure> {
    let (name, value) = match (text.split_once('='), text.split_once(':')) {
        (Some(pair), _) => pair,
        (None, Some(pair)) => pair,
        (None, None) if text == "no-new-privileges" => return Ok(text.to_owned()),
        (None, None) => return Err(Failure::Plain(format!("Invalid --security-opt: {text:?}"))),
    };
    if name != "seccomp" || value == "unconfined" || value == "builtin" {
        return Ok(text.to_owned());
    }
    let refuse = |cause: String| {
        Failure::Plain(format!("opening seccomp profile ({value}) failed: {cause}"))
    };
    let profile = std::fs::read(value)
        .map_err(|error| refuse(format!("open {value}: {}", io_text(&error))))?;
    let compact: Box<serde_json::value::RawValue> =
        serde_json::from_slice(&profile).map_err(|error| {
            Failure::Plain(format!("compacting json for seccomp profile ({value}) failed: {error}"))
        })?;
    Ok(format!("seccomp={}", compacted(compact.get())))
}

fn compacted(text: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let keep = |symbol: &char| {
        let kept = quoted || !symbol.is_ascii_whitespace();
        if quoted {
            (escaped, quoted) = (*symbol == '\\' && !escaped, *symbol != '"' || escaped);
        } else {
            quoted = *symbol == '"';
        }
        kept
    };
    text.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seccomp_profile_goes_as_its_text() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p.json");
        std::fs::write(&path, "{ \"a b\": [1, 2] }\n").unwrap();
        let security =
            parse(&[format!("seccomp={}", path.display()), "systempaths=unconfined".into()])
                .unwrap();
        assert_eq!(security.options, ["seccomp={\"a b\":[1,2]}"]);
        assert!(!security.masked.is_null());
    }
}

//! Environment and labels, from flags and from files.

use crate::failure::{Failure, io_text};
use api_types::Map;

/// `--env-file` first, then `--env`: a name without value is copied from our own environment.
pub(crate) fn environment(files: &[String], given: &[String]) -> Result<Vec<String>, Failure> {
    let mut variables = Vec::new();
    for file in files {
        for line in lines(file)? {
            variables.extend(resolved(&line));
        }
    }
    for text in given {
        if text.is_empty() || text.starts_with('=') {
            return Err(Failure::flag(
                "env",
                text,
                &format!("invalid environment variable: {text}"),
            ));
        }
        variables.extend(resolved_or_bare(text));
    }
    Ok(variables)
}

fn resolved(text: &str) -> Option<String> {
    if text.contains('=') {
        return Some(text.to_owned());
    }
    std::env::var(text).ok().map(|value| format!("{text}={value}"))
}

/// A name that we do not have ourselves goes as it is, which takes it away from the image's.
fn resolved_or_bare(text: &str) -> Option<String> {
    Some(resolved(text).unwrap_or_else(|| text.to_owned()))
}

/// `--label-file` first, then `--label`: a name without value is empty.
pub(crate) fn labels(files: &[String], given: &[String]) -> Result<Map<String>, Failure> {
    let mut pairs = Vec::new();
    for file in files {
        pairs.extend(lines(file)?);
    }
    pairs.extend(given.iter().cloned());
    Ok(map(&pairs))
}

/// `name=value` texts as a map.
pub(crate) fn map(pairs: &[String]) -> Map<String> {
    let split = |pair: &String| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    };
    pairs.iter().map(split).collect()
}

fn lines(file: &str) -> Result<Vec<String>, Failure> {
    let text = std::fs::read(file)
        .map_err(|error| Failure::Plain(format!("open {file}: {}", io_text(&error))))?;
    let text = String::from_utf8(text)
        .map_err(|_| Failure::Plain(format!("env file {file} contains invalid utf8 bytes")))?;
    let mut found = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() {
            return Err(Failure::Plain(format!(
                "invalid environment file: no variable name on line '{line}'"
            )));
        }
        if name.contains([' ', '\t']) {
            let text = format!("invalid environment file: variable '{name}' contains whitespaces");
            return Err(Failure::Plain(text));
        }
        found.push(line.to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_first_and_comments_do_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("env");
        std::fs::write(&path, "# no\n\n A=1\nHOME\nNOT_SET_ANYWHERE\nB=x y\n").unwrap();
        let variables =
            environment(&[path.display().to_string()], &["C=".into(), "NOT_SET".into()]).unwrap();
        let home = format!("HOME={}", std::env::var("HOME").unwrap_or_default());
        assert_eq!(variables, ["A=1", home.as_str(), "B=x y", "C=", "NOT_SET"]);
    }
}

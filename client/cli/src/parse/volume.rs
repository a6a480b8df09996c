//! `-v`: what is bound, and what becomes an anonymous volume.

use std::path::Path;

/// What a `-v` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    /// `source:target[:options]`, sent as it is.
    Bind(String),
    /// A path in the container that gets a volume of its own.
    Anonymous(String),
}

/// Reads one `-v`. A single letter before `:/` is a drive of Windows, as docker reads it.
pub(crate) fn parse(text: &str, here: &Path) -> Volume {
    let mut letters = text.chars();
    let drive = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
        && letters.next() == Some(':')
        && letters.next().is_some_and(|letter| ['/', '\\'].contains(&letter));
    let colon = if drive { text[2..].find(':').map(|at| at + 2) } else { text.find(':') };
    let Some(colon) = colon else { return Volume::Anonymous(text.to_owned()) };
    let (source, rest) = text.split_at(colon);
    if source.starts_with('.') {
        return Volume::Bind(format!("{}{rest}", clean(&here.join(source))));
    }
    Volume::Bind(text.to_owned())
}

/// A path without `.` and `..`, by its text alone.
pub(crate) fn clean(path: &Path) -> String {
    use std::path::Component;
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                parts.pop();
            }
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_start_with_a_dot_are_made_absolute() {
        let here = Path::new("/w/d");
        assert_eq!(parse("/a:/b:ro", here), Volume::Bind("/a:/b:ro".into()));
        assert_eq!(parse("./a:/b", here), Volume::Bind("/w/d/a:/b".into()));
        assert_eq!(parse("../a:/b", here), Volume::Bind("/w/a:/b".into()));
        assert_eq!(parse("name:/b", here), Volume::Bind("name:/b".into()));
        assert_eq!(parse("/b", here), Volume::Anonymous("/b".into()));
        assert_eq!(parse("v:/x", here), Volume::Anonymous("v:/x".into()));
    }
}

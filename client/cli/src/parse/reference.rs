//! Names of images, as far as a client has to understand them.

use crate::failure::Failure;

/// An image name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The registry, `docker.io` if the name says none.
    pub(crate) registry: String,
    /// The path in the registry, with `library/` where docker adds it.
    pub(crate) path: String,
    /// The tag, if the name says one.
    pub(crate) tag: Option<String>,
    /// The digest, if the name says one.
    pub(crate) digest: Option<String>,
}

impl Reference {
    /// Takes a name apart.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let invalid = || Failure::Plain("invalid reference format".into());
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, path))
                if first.contains(['.', ':']) || first == "localhost" || has_upper(first) =>
            {
                (first, path)
            }
            _ => ("docker.io", name),
        };
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let library =
                if registry == "docker.io" && !path.contains('/') { "library/" } else { "" };
            return Err(Failure::Plain(format!(
                "invalid reference format: repository name ({library}{path}) must be lowercase"
            )));
        }
        let part = |part: &str| {
            part.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)
            }) && part.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
                && part.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric())
        };
        let tag_fits = tag.as_ref().is_none_or(|tag| {
            !tag.is_empty()
                && tag.len() <= 128
                && !tag.starts_with(['.', '-'])
                && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        });
        if !path.split('/').all(part)
            || !tag_fits
            || digest.as_ref().is_some_and(|digest| !is_digest(digest))
        {
            return Err(invalid());
        }
        let library = registry == "docker.io" && !path.contains('/');
        let path = if library { format!("library/{path}") } else { path.to_owned() };
        Ok(Self { registry: registry.to_owned(), path, tag, digest })
    }

    /// The name as users write it, without tag and digest.
    pub(crate) fn familiar(&self) -> String {
        match (self.registry.as_str(), self.path.strip_prefix("library/")) {
            ("docker.io", Some(name)) => name.to_owned(),
            ("docker.io", None) => self.path.clone(),
            (registry, _) => format!("{registry}/{}", self.path),
        }
    }

    /// The full name, without tag and digest.
    pub(crate) fn full(&self) -> String {
        format!("{}/{}", self.registry, self.path)
    }

    /// As users write it, with `latest` where the name says neither tag nor digest.
    pub(crate) fn familiar_tagged(&self) -> String {
        let tag = match (&self.tag, &self.digest) {
            (Some(tag), _) => format!(":{tag}"),
            (None, None) => ":latest".to_owned(),
            (None, Some(_)) => String::new(),
        };
        let digest = self.digest.as_ref().map_or_else(String::new, |digest| format!("@{digest}"));
        format!("{}{tag}{digest}", self.familiar())
    }

    /// What the API wants as the tag of a pull.
    pub(crate) fn tag_or_digest(&self) -> String {
        self.digest.clone().or_else(|| self.tag.clone()).unwrap_or_else(|| "latest".to_owned())
    }
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty()
            && hex.len() >= 32
            && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn has_upper(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_docker_completes_them() {
        for (text, full, familiar, tag) in [
            ("busybox", "docker.io/library/busybox", "busybox:latest", "latest"),
            ("a/b:c", "docker.io/a/b", "a/b:c", "c"),
            ("localhost:5000/x", "localhost:5000/x", "localhost:5000/x:latest", "latest"),
            (
                "x@sha256:0123456789abcdef0123456789abcdef",
                "docker.io/library/x",
                "x@sha256:0123456789abcdef0123456789abcdef",
                "sha256:0123456789abcdef0123456789abcdef",
            ),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.full(), full);
            assert_eq!(reference.familiar_tagged(), familiar);
            assert_eq!(reference.tag_or_digest(), tag);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "Bad", "a b", "a:", "a//b", "-a", "x:.y"] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}

//! The lists that were begun here.

use crate::config::{self, Config};
use crate::failure::{Failure, io_text};
use crate::manifest::entry::Entry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// More than any list needs, in bytes: one file.
const LONGEST: u64 = 16 << 20;

/// The directory of all lists.
#[derive(Debug)]
pub(crate) struct Store(PathBuf);

fn file_name(name: &str) -> String {
    name.replace('/', "_").replace(':', "-")
}

impl Store {
    /// Beside the client's configuration.
    pub(crate) fn new(config: &Config) -> Self {
        Self(config.directory.join("manifests"))
    }

    /// The images of a list, by their names; `None` if there is no such list.
    pub(crate) fn list(&self, list: &str) -> Result<Option<Vec<Entry>>, Failure> {
        let directory = self.0.join(file_name(list));
        let files = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            files => files.map_err(|error| broken(&directory, &io_text(&error)))?,
        };
        let mut entries = Vec::new();
        for file in files {
            entries.push(read(&file?.path())?);
        }
        entries.sort_by(|one: &Entry, other| one.name.cmp(&other.name));
        Ok(Some(entries))
    }

    /// One image of a list; `None` if the list has none of this name.
    pub(crate) fn entry(&self, list: &str, image: &str) -> Result<Option<Entry>, Failure> {
        let path = self.0.join(file_name(list)).join(file_name(image));
        if path.exists() { read(&path).map(Some) } else { Ok(None) }
    }

    /// Puts an image into a list, or another state of it.
    pub(crate) fn put(&self, list: &str, image: &str, entry: &Entry) -> Result<(), Failure> {
        let directory = self.0.join(file_name(list));
        std::fs::create_dir_all(&directory)
            .map_err(|error| broken(&directory, &io_text(&error)))?;
        config::replace(&directory.join(file_name(image)), entry.text()?.as_bytes())
    }

    /// Removes a list. False if there is none.
    pub(crate) fn remove(&self, list: &str) -> Result<bool, Failure> {
        let directory = self.0.join(file_name(list));
        match std::fs::remove_dir_all(&directory) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(broken(&directory, &io_text(&error))),
        }
    }
}

fn read(path: &Path) -> Result<Entry, Failure> {
    let length = std::fs::metadata(path).map_err(|error| broken(path, &io_text(&error)))?.len();
    if length > LONGEST {
        return Err(broken(path, "it is too large for a manifest"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| broken(path, &io_text(&error)))?;
    Entry::read(&text).map_err(|error| broken(path, &error.to_string()))
}

fn broken(path: &Path, cause: &str) -> Failure {
    Failure::Plain(format!("manifest list {}: {cause}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::entry::Descriptor;

    #[test]
    fn a_list_keeps_what_was_put_into_it_until_it_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store(directory.path().join("manifests"));
        assert_eq!(store.list("r:5000/l:1").unwrap(), None);
        let entry = |name: &str| Entry {
            name: name.into(),
            descriptor: Descriptor::default(),
            manifest: "{}".into(),
        };
        for name in ["r:5000/b:1", "r:5000/a:1", "r:5000/b:1"] {
            store.put("r:5000/l:1", name, &entry(name)).unwrap();
        }
        let names: Vec<_> = store
            .list("r:5000/l:1")
            .unwrap()
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(names, ["r:5000/a:1", "r:5000/b:1"]);
        assert!(directory.path().join("manifests/r-5000_l-1/r-5000_b-1").is_file());
        assert!(store.entry("r:5000/l:1", "r:5000/c:1").unwrap().is_none());
        assert!(store.remove("r:5000/l:1").unwrap());
        assert!(!store.remove("r:5000/l:1").unwrap());
    }

    #[test]
    fn a_broken_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let list = directory.path().join("l");
        std::fs::create_dir(&list).unwrap();
        std::fs::write(list.join("x"), "nonsense").unwrap();
        let error = Store(directory.path().to_owned()).list("l").unwrap_err().to_string();
        assert!(error.contains("/l/x: "), "{error}");
    }
}

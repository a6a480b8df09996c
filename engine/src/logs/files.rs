//! The files of one log: the current one and those that rotation left, newest suffix lowest.
//!
//! ```text
//! <name>      being written
//! <name>.1    full before it
//! <name>.2    ...
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The highest suffix that is looked for.
const MOST: u32 = 1000;

/// Where a log is kept.
#[derive(Debug, Clone)]
pub struct Place {
    /// The path of the current file.
    pub path: PathBuf,
}

impl Place {
    fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    /// All files, oldest first. Files that vanish meanwhile are left out.
    pub fn open_all(&self) -> io::Result<Vec<File>> {
        let mut files = Vec::new();
        for number in 0..MOST {
            match open(&self.numbered(number)) {
                Ok(file) => files.push(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if number > 0 {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        files.reverse();
        files.dedup_by(|a, b| matches!((identity(a), identity(b)), (Ok(a), Ok(b)) if a == b));
        Ok(files)
    }

    /// The files that came after `file`, oldest first; none when it is the current one. When rotation has dropped
    /// `file` itself, all that are left came after it.
    pub fn newer_than(&self, file: &File) -> io::Result<Vec<File>> {
        let own = identity(file)?;
        let mut all = self.open_all()?;
        let at = all.iter().position(|other| identity(other).is_ok_and(|id| id == own));
        Ok(match at {
            Some(at) => all.split_off(at + 1),
            None => all,
        })
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(path)
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn texts(files: Vec<File>) -> Vec<String> {
        let read = |mut file: File| {
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            text
        };
        files.into_iter().map(read).collect()
    }

    #[test]
    fn rotated_files_are_read_oldest_first_and_followed_through_rotations() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place { path: directory.path().join("log") };
        assert!(place.open_all().unwrap().is_empty());
        std::fs::write(&place.path, "new").unwrap();
        let followed = place.open_all().unwrap().pop().unwrap();
        assert!(place.newer_than(&followed).unwrap().is_empty());
        for text in ["newer", "newest"] {
            if place.numbered(1).exists() {
                std::fs::rename(place.numbered(1), place.numbered(2)).unwrap();
            }
            std::fs::rename(&place.path, place.numbered(1)).unwrap();
            std::fs::write(&place.path, text).unwrap();
        }
        assert_eq!(texts(place.newer_than(&followed).unwrap()), ["newer", "newest"]);
        assert_eq!(texts(place.open_all().unwrap()), ["new", "newer", "newest"]);
        std::fs::remove_file(place.numbered(2)).unwrap();
        assert_eq!(texts(place.newer_than(&followed).unwrap()), ["newer", "newest"]);
    }
}

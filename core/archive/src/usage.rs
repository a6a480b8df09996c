//! Bytes on disk.

use crate::directory::{self, file_type};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::collections::HashSet;
use std::os::fd::BorrowedFd;

/// Why a directory could not be measured.
#[derive(Debug, thiserror::Error)]
#[error("measure disk usage")]
pub struct UsageError(#[from] Errno);

/// Bytes that a directory and all below it take on disk, as `du` counts: allocated blocks, a file with several names
/// once, other mounts left out.
///
/// # Errors
/// A directory cannot be read, or was moved away meanwhile.
pub fn disk_usage(root: BorrowedFd<'_>) -> Result<u64, UsageError> {
    let mut seen = HashSet::new();
    let blocks = |stat: &rustix::fs::Stat| u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
    let mut bytes = blocks(&rustix::fs::fstat(root)?);
    directory::walk(root, |node| {
        let stat = &node.stat;
        let shared = stat.st_nlink > 1 && file_type(stat) != FileType::Directory;
        if !shared || seen.insert((stat.st_dev, stat.st_ino)) {
            bytes += blocks(stat);
        }
        Ok::<_, UsageError>(true)
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn disk_usage_equals_du_with_hard_links_and_holes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::create_dir_all(path.join("a/b/c")).unwrap();
        std::fs::write(path.join("a/full"), vec![1; 300_000]).unwrap();
        std::fs::hard_link(path.join("a/full"), path.join("a/b/again")).unwrap();
        std::fs::File::create(path.join("a/hole")).unwrap().set_len(1 << 30).unwrap();
        std::os::unix::fs::symlink("/usr", path.join("a/link")).unwrap();
        let du = std::process::Command::new("du").args(["-s", "-B1"]).arg(path).output().unwrap();
        let du = String::from_utf8(du.stdout).unwrap();
        let du: u64 = du.split('\t').next().unwrap().parse().unwrap();
        let root = std::fs::File::open(path).unwrap();
        assert_eq!(disk_usage(root.as_fd()).unwrap(), du);
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_measured_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let root = std::fs::File::open(directory.path()).unwrap();
        let mut at = crate::directory::open_child(root.as_fd(), b".").unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "deep", rustix::fs::Mode::RWXU).unwrap();
            at = crate::directory::open_child(at.as_fd(), b"deep").unwrap();
        }
        rustix::fs::mkdirat(&at, "end", rustix::fs::Mode::RWXU).unwrap();
        assert!(disk_usage(root.as_fd()).unwrap() >= 3000 * 4096);
        crate::remove_tree(root.as_fd(), b"deep").unwrap();
        assert_eq!(directory::names(&root).unwrap(), Vec::<Vec<u8>>::new());
    }
}

//! Reading an archive: every file becomes a blob.

use super::early::Seen;
use crate::{Lease, LoadError, Store};
use archive::{Decoder, Kind, Limits, Reader};
use content::{Blob, Expected};
use spec::Digest;
use spec::image::DOCUMENT_MAX;
use std::collections::{HashMap, HashSet};
use std::io::Read;
use tokio::sync::mpsc::UnboundedSender;

/// Bytes that an archive may have, uncompressed.
const ARCHIVE_LIMIT: u64 = 1 << 40;
/// Entries of an archive: a thousand images of thirty files.
const ENTRIES_MAX: u64 = 32 << 10;
/// Bytes of a name.
const NAME_MAX: usize = 1024;
/// Links that may lead from one to the next.
const HOPS_MAX: usize = 8;
/// The files that say what is in the archive; they are kept in memory.
const LISTS: [&str; 4] = ["manifest.json", "index.json", "oci-layout", "repositories"];

/// What an archive has. The blobs are in the content store, kept by the load's lease.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    lists: HashMap<String, Vec<u8>>,
    files: HashMap<String, Blob>,
    /// Where links lead, as paths in the archive.
    links: HashMap<String, String>,
}

impl Contents {
    /// One of the lists.
    pub(crate) fn list(&self, name: &str) -> Option<&[u8]> {
        self.lists.get(name).map(Vec::as_slice)
    }

    /// The file at `path`, which `by` names, through links.
    pub(crate) fn file(&self, path: &str, by: &str) -> Result<&Blob, LoadError> {
        let mut current = clean(path).ok_or_else(|| LoadError::Name(shown(path)))?;
        for _ in 0..HOPS_MAX {
            if let Some(blob) = self.files.get(&current) {
                return Ok(blob);
            }
            match self.links.get(&current) {
                Some(target) => current.clone_from(target),
                None => {
                    return Err(LoadError::Missing { name: shown(path), by: by.to_owned() });
                }
            }
        }
        Err(LoadError::Link(shown(path)))
    }

    /// The blob of an OCI layout, if it is there.
    pub(crate) fn blob(&self, digest: &Digest) -> Option<&Blob> {
        self.file(&format!("blobs/sha256/{}", digest.hex()), "").ok()
    }
}

/// Reads the whole archive into the content store.
pub(crate) fn read(
    store: &Store,
    lease: &Lease,
    input: impl Read,
    seen_blobs: &UnboundedSender<Seen>,
) -> Result<Contents, LoadError> {
    let decoder = Decoder::new(input, ARCHIVE_LIMIT).map_err(LoadError::Input)?;
    let limits = Limits { entries: ENTRIES_MAX, bytes: ARCHIVE_LIMIT };
    let mut reader = Reader::new(decoder, limits);
    let mut contents = Contents::default();
    let mut seen = HashSet::new();
    while let Some(entry) = reader.next_entry().map_err(LoadError::Read)? {
        let name = entry_name(&entry.name)?;
        if entry.kind == Kind::Directory {
            continue;
        }
        if name.is_empty() || !seen.insert(name.clone()) {
            return Err(LoadError::Duplicate(name));
        }
        match entry.kind {
            Kind::File if LISTS.contains(&&*name) => {
                let document = read_list(&mut reader, &name, entry.size)?;
                contents.lists.insert(name, document);
            }
            Kind::File if is_legacy_metadata(&name) => {}
            Kind::File => {
                let blob = ingest(store, lease, &mut reader, &name, entry.size)?;
                // Nobody listens any more when the load was given up.
                seen_blobs.send(Seen::new(store, &blob)).unwrap_or_default();
                contents.files.insert(name, blob);
            }
            Kind::Symlink | Kind::HardLink => {
                let target = link_target(&name, &entry.link, entry.kind)?;
                contents.links.insert(name, target);
            }
            _ => return Err(LoadError::Kind(name)),
        }
    }
    // To the end, so that the writer of the stream is not stopped and a broken end is noticed.
    reader.drain().map_err(LoadError::Read)?;
    Ok(contents)
}

fn read_list(reader: &mut Reader<impl Read>, name: &str, size: u64) -> Result<Vec<u8>, LoadError> {
    if size > DOCUMENT_MAX as u64 {
        let (name, limit) = (name.to_owned(), DOCUMENT_MAX as u64);
        return Err(LoadError::TooLarge { name, size, limit });
    }
    let mut document = Vec::new();
    reader.read_to_end(&mut document).map_err(read_failed)?;
    Ok(document)
}

fn ingest(
    store: &Store,
    lease: &Lease,
    reader: &mut Reader<impl Read>,
    name: &str,
    size: u64,
) -> Result<Blob, LoadError> {
    let digest = name.strip_prefix("blobs/sha256/");
    let digest = digest.and_then(|hex| Digest::parse(&format!("sha256:{hex}")).ok());
    let mut ingest =
        store.content().ingest(Expected { digest, size: Some(size), limit: ARCHIVE_LIMIT })?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let length = reader.read(&mut buffer).map_err(read_failed)?;
        if length == 0 {
            break;
        }
        ingest.write_bytes(&buffer[..length])?;
    }
    Ok(lease.commit_blocking(ingest)?)
}

/// The archive's reader hands its own errors through [`Read`] wrapped.
fn read_failed(error: std::io::Error) -> LoadError {
    match error.downcast::<archive::ReadError>() {
        Ok(error) => LoadError::Read(error),
        Err(error) => LoadError::Input(error),
    }
}

/// `<id>/json` and `<id>/VERSION`, which say nothing that the configuration does not.
fn is_legacy_metadata(name: &str) -> bool {
    matches!(name.split_once('/'), Some((id, "json" | "VERSION")) if id.len() == 64)
}

fn entry_name(name: &[u8]) -> Result<String, LoadError> {
    let refuse =
        || LoadError::Name(String::from_utf8_lossy(name).escape_debug().take(200).collect());
    let text = std::str::from_utf8(name).map_err(|_| refuse())?;
    clean(text).ok_or_else(refuse)
}

fn link_target(name: &str, link: &[u8], kind: Kind) -> Result<String, LoadError> {
    let refuse = || LoadError::Link(name.to_owned());
    let link = std::str::from_utf8(link).map_err(|_| refuse())?;
    let directory = match name.rsplit_once('/') {
        Some((directory, _)) if kind == Kind::Symlink && !link.starts_with('/') => directory,
        _ => "",
    };
    resolve(directory, link).ok_or_else(refuse)
}

/// A path without `.` and without a leading `/`; `None` when it has `..`, a control character or too many bytes.
fn clean(path: &str) -> Option<String> {
    if path.split('/').any(|part| part == "..") { None } else { resolve("", path) }
}

/// `path` from `directory`; `None` when it leads out of the archive.
fn resolve(directory: &str, path: &str) -> Option<String> {
    if path.len() > NAME_MAX || path.chars().any(char::is_control) {
        return None;
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// A path of a document for a message.
fn shown(path: &str) -> String {
    path.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_and_cannot_lead_out() {
        assert_eq!(clean("./a//b/."), Some("a/b".into()));
        assert_eq!(clean("/a"), Some("a".into()));
        assert_eq!(clean("a/../b"), None);
        assert_eq!(clean("../b"), None);
        assert_eq!(clean("a\nb"), None);
        assert_eq!(resolve("a", "../b/layer.tar"), Some("b/layer.tar".into()));
        assert_eq!(resolve("a", "../../b"), None);
    }
}

//! A store in a temporary directory, layers that are really read, and archives made by hand.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "each test file uses a part of this"
)]

use archive::{Decoder, Entry, HashReader, Kind, Limits, Reader, Writer};
use images::{Layers, LoadError, Loaded, Pending, Progress, Store, User};
use sha2::Digest as _;
use spec::{Digest, Failure, SnapshotKey};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Layers in memory: the tar is decompressed, hashed and read to its end, and the bytes of its files are counted.
#[derive(Debug, Default)]
pub(crate) struct MemoryLayers {
    pub(crate) present: Mutex<BTreeMap<SnapshotKey, u64>>,
    pub(crate) unpacked: Mutex<Vec<SnapshotKey>>,
}

impl MemoryLayers {
    pub(crate) fn keys(&self) -> Vec<SnapshotKey> {
        self.present.lock().unwrap().keys().cloned().collect()
    }
}

fn read_layer(blob: OwnedFd, diff_id: &Digest, limit: u64) -> Result<u64, Failure> {
    let fail =
        |error: &dyn std::error::Error| Failure::from_error(spec::Class::InvalidArgument, error);
    let decoder = Decoder::new(std::fs::File::from(blob), limit).map_err(|e| fail(&e))?;
    let mut reader = Reader::new(HashReader::new(decoder), Limits::default());
    let mut size = 0;
    while let Some(entry) = reader.next_entry().map_err(|e| fail(&e))? {
        size += entry.size;
    }
    let (found, _) = reader.drain().map_err(|e| fail(&e))?.finish();
    match found == *diff_id {
        true => Ok(size),
        false => Err(Failure::invalid(format!("the tar has the digest {found}"))),
    }
}

impl Layers for MemoryLayers {
    fn unpack(
        &self,
        key: SnapshotKey,
        blob: OwnedFd,
        diff_id: Digest,
        limit: u64,
    ) -> Pending<'_, u64> {
        Box::pin(async move {
            let size = tokio::task::spawn_blocking(move || read_layer(blob, &diff_id, limit));
            let size = size.await.unwrap()?;
            self.present.lock().unwrap().insert(key.clone(), size);
            self.unpacked.lock().unwrap().push(key);
            Ok(size)
        })
    }

    fn remove(&self, key: SnapshotKey) -> Pending<'_, ()> {
        Box::pin(async move {
            self.present.lock().unwrap().remove(&key);
            Ok(())
        })
    }
}

/// A store, and what is under it.
pub(crate) struct Engine {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) metadata: metadata::Store,
    pub(crate) layers: Arc<MemoryLayers>,
    pub(crate) store: Store,
}

impl Engine {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (metadata, layers, store) = open(directory.path(), Arc::default());
        Self { directory, metadata, layers, store }
    }

    /// The names in `blobs/sha256` and `ingest`.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names = Vec::new();
        for directory in ["content/blobs/sha256", "content/ingest"] {
            for entry in std::fs::read_dir(self.directory.path().join(directory)).unwrap() {
                names.push(entry.unwrap().file_name().into_string().unwrap());
            }
        }
        names.sort();
        names
    }

    /// Loads an archive and answers the lines that a client sees.
    pub(crate) async fn load(&self, archive: Vec<u8>) -> Result<(Vec<Loaded>, String), LoadError> {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let loaded = self.store.load(std::io::Cursor::new(archive), sender).await?;
        let mut lines = String::new();
        while let Some(progress) = receiver.recv().await {
            if let Progress::Message(line) = progress {
                lines.push_str(&line);
            }
        }
        Ok((loaded, lines))
    }

    /// Loads the archive, which must be refused and leave nothing. Answers the sentence.
    pub(crate) async fn refuse(&self, archive: Vec<u8>) -> String {
        let (before, layers) = (self.files(), self.layers.keys());
        let failure = Failure::from(self.load(archive).await.unwrap_err());
        assert_eq!(self.files(), before, "{failure}");
        assert_eq!(self.layers.keys(), layers, "{failure}");
        assert_eq!(failure.class, spec::Class::InvalidArgument, "{failure}");
        failure.message
    }

    pub(crate) async fn save(&self, names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let save = self.store.save(&names).await.unwrap();
        let mut out = Vec::new();
        save.write_blocking(&mut out).unwrap();
        out
    }
}

pub(crate) fn open(
    directory: &Path,
    layers: Arc<MemoryLayers>,
) -> (metadata::Store, Arc<MemoryLayers>, Store) {
    let metadata = metadata::Store::open(&directory.join("meta")).unwrap();
    let content = content::Store::open(&directory.join("content")).unwrap();
    let store = Store::new(metadata.clone(), content, Arc::clone(&layers) as Arc<dyn Layers>);
    (metadata, layers, store)
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(&sha2::Sha256::digest(bytes).into())
}

/// A tar of files and, where a content begins with `->`, symbolic links.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, content) in files {
        let link = content.strip_prefix(b"->");
        let kind = if link.is_some() { Kind::Symlink } else { Kind::File };
        let mut entry = Entry::new(*name, kind, 0o755);
        match link {
            Some(link) => entry.link = link.to_vec(),
            None => entry.size = content.len() as u64,
        }
        writer.append_with(&entry, if link.is_some() { &b""[..] } else { *content }).unwrap();
    }
    writer.finish().unwrap()
}

/// A layer with one file.
pub(crate) fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    tar(&[(name, content)])
}

/// The configuration of an image of these layers.
pub(crate) fn config(layers: &[Vec<u8>], extra: &str) -> Vec<u8> {
    let diff_ids: Vec<String> =
        layers.iter().map(|layer| format!("\"{}\"", digest(layer))).collect();
    format!(
        r#"{{"architecture":"amd64","os":"linux","created":"2024-05-06T07:08:09Z",
        "config":{{"Cmd":["/bin/sh"],"Labels":{{"of":"test"}}}},
        "rootfs":{{"type":"layers","diff_ids":[{}]}}{extra}}}"#,
        diff_ids.join(",")
    )
    .into_bytes()
}

/// An archive as `docker save` wrote it before version 25, with these names.
pub(crate) fn docker_archive(config: &[u8], layers: &[Vec<u8>], tags: &[&str]) -> Vec<u8> {
    let config_name = format!("{}.json", digest(config).hex());
    let paths: Vec<String> =
        (0..layers.len()).map(|n| format!("{:064x}/layer.tar", n + 1)).collect();
    let list = serde_json::json!([
        { "Config": config_name, "RepoTags": tags, "Layers": paths }
    ])
    .to_string();
    let mut files: Vec<(&str, &[u8])> = vec![(&config_name, config)];
    for (path, layer) in paths.iter().zip(layers) {
        files.push((path, layer));
    }
    files.push(("manifest.json", list.as_bytes()));
    tar(&files)
}

/// An image whose layers are told apart by `seed`.
pub(crate) fn simple(seed: &str, layers: usize, tags: &[&str]) -> Vec<u8> {
    let layers: Vec<Vec<u8>> =
        (0..layers).map(|n| layer(&format!("f{n}"), format!("{seed}{n}").as_bytes())).collect();
    docker_archive(&config(&layers, &format!(r#","seed":"{seed}""#)), &layers, tags)
}

pub(crate) fn user(container: char, image: &Digest, running: bool) -> User {
    User {
        container: container.to_string().repeat(64),
        image: image.clone(),
        running,
        layers: Vec::new(),
    }
}

/// Runs a program that must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
}

pub(crate) fn read_file(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

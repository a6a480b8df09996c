//! The store after SIGKILL in the middle of loads and removals: after one collection, what is there is exactly what
//! the images have.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{config, docker_archive, layer};
use images::{Layers, Pending, RemoveOptions, Store};
use spec::{Digest, SnapshotKey};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const DIRECTORY: &str = "IMAGES_KILL_DIRECTORY";

/// Layers as files, so that they outlive the process.
#[derive(Debug)]
struct DiskLayers(PathBuf);

impl DiskLayers {
    fn keys(&self) -> Vec<SnapshotKey> {
        let names = std::fs::read_dir(&self.0).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.map(|name| SnapshotKey::parse(&name).unwrap()).collect()
    }
}

impl Layers for DiskLayers {
    fn unpack(&self, key: SnapshotKey, _: OwnedFd, _: Digest, _: u64) -> Pending<'_, u64> {
        Box::pin(async move {
            std::fs::write(self.0.join(key.as_str()), "layer").unwrap();
            Ok(5)
        })
    }

    fn remove(&self, key: SnapshotKey) -> Pending<'_, ()> {
        Box::pin(async move {
            drop(std::fs::remove_file(self.0.join(key.as_str())));
            Ok(())
        })
    }
}

fn open(directory: &Path) -> (metadata::Store, Arc<DiskLayers>, Store) {
    let layers = directory.join("layers");
    std::fs::create_dir_all(&layers).unwrap();
    let layers = Arc::new(DiskLayers(layers));
    let metadata = metadata::Store::open(&directory.join("meta")).unwrap();
    let content = content::Store::open(&directory.join("content")).unwrap();
    let store = Store::new(metadata.clone(), content, Arc::clone(&layers) as Arc<dyn Layers>);
    (metadata, layers, store)
}

fn archive(number: u64) -> Vec<u8> {
    let layers: Vec<Vec<u8>> = (0..3u64)
        .map(|n| layer(&format!("f{n}"), format!("{}", number % (n + 2)).repeat(5000).as_bytes()))
        .collect();
    docker_archive(
        &config(&layers, &format!(r#","n":{number}"#)),
        &layers,
        &[&format!("x:{}", number % 5)],
    )
}

/// The child: loads and removes until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let (_metadata, _, store) = open(directory.as_ref());
    for number in 0.. {
        let (sender, _) = tokio::sync::mpsc::unbounded_channel();
        store.load(std::io::Cursor::new(archive(number)), sender).await.unwrap();
        println!("loaded {number}");
        if number % 3 == 2 {
            let name = format!("x:{}", (number + 1) % 5);
            drop(store.remove(&name, RemoveOptions::default(), &[]).await);
        }
    }
}

#[tokio::test]
async fn after_a_kill_one_collection_leaves_exactly_what_images_have() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["loads_until_it_is_killed", "--exact", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 + round * 17));
        child.kill().unwrap();
        child.wait().unwrap();

        let (metadata, layers, store) = open(directory.path());
        store.collect(&[], layers.keys()).await.unwrap();
        let images = store.list(&images::Filters::default(), true).unwrap();
        let mut blobs = BTreeSet::new();
        let mut snapshots = BTreeSet::new();
        for image in images.into_iter().map(|summary| summary.image) {
            blobs.insert(image.id.clone());
            blobs.extend(image.layers.iter().map(|layer| layer.blob.digest.clone()));
            snapshots.extend(image.snapshots());
            for layer in &image.layers {
                store.content().verify(&layer.blob.digest).unwrap();
            }
        }
        let found: BTreeSet<_> =
            store.content().list().unwrap().into_iter().map(|blob| blob.digest).collect();
        assert_eq!(found, blobs);
        assert_eq!(layers.keys().into_iter().collect::<BTreeSet<_>>(), snapshots);
        metadata.close().unwrap();
    }
}

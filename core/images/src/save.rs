//! Writing images out: one tar that is both Docker's archive (manifest.json) and an OCI layout (index.json).

use crate::lookup::{by_prefix, full_id, key, names_in, not_found};
use crate::record::{IMAGES, Image, REFERENCES, digest};
use crate::{Error, Lease, Store};
use archive::{Entry, Kind, Time, Writer};
use metadata::Read as _;
use serde_json::{Value, json};
use spec::image::{Descriptor, Index, Manifest, PlatformDescriptor, media};
use spec::{Digest, Reference};
use std::collections::BTreeMap;
use std::io::Write;

/// Images that are ready to be written out. What they need is kept until this is dropped.
#[derive(Debug)]
pub struct Save {
    store: Store,
    images: Vec<(Image, Vec<Reference>)>,
    _leases: Vec<Lease>,
}

/// Where a blob of the archive comes from.
enum Source {
    Store(u64),
    Made(Vec<u8>),
}

impl Store {
    /// Gets images ready to be written out. A name with a tag gives that image with that name; a name without one all
    /// images of the repository with their tags; an id, or the beginning of one, an image without a name.
    pub async fn save(&self, names: &[String]) -> Result<Save, Error> {
        let mut images: Vec<(Image, Vec<Reference>)> = Vec::new();
        for (image, name) in self.targets(names)? {
            let at = match images.iter().position(|(known, _)| known.id == image.id) {
                Some(at) => at,
                None => {
                    images.push((image, Vec::new()));
                    images.len() - 1
                }
            };
            let known = &mut images[at].1;
            known.extend(name.filter(|name| !known.contains(name)));
        }
        let mut leases = Vec::new();
        for (image, _) in &images {
            leases.push(self.keep(image).await?);
        }
        Ok(Save { store: self.clone(), images, _leases: leases })
    }

    fn targets(&self, names: &[String]) -> Result<Vec<(Image, Option<Reference>)>, Error> {
        let reader = self.read()?;
        let image = |id: &Digest| reader.get(IMAGES, id);
        let mut found = Vec::new();
        for text in names {
            let missing = || not_found(text);
            if let Some(id) = full_id(text) {
                found.push((image(&id)?.ok_or_else(missing)?, None));
                continue;
            }
            let reference = Reference::parse(text)?;
            if reference.tag().is_some() || reference.digest().is_some() {
                match reader.get(REFERENCES, &*key(&reference))? {
                    Some(named) => {
                        let name = reference.digest().is_none().then_some(reference);
                        found.push((image(&named.id)?.ok_or_else(missing)?, name));
                    }
                    None => found.push((by_prefix(&reader, text)?.ok_or_else(missing)?, None)),
                }
                continue;
            }
            let named = names_in(&reader, &reference)?;
            if named.is_empty() {
                found.push((by_prefix(&reader, text)?.ok_or_else(missing)?, None));
            }
            for (name, id) in named {
                let tag = name.digest().is_none().then_some(name);
                found.push((image(&id)?.ok_or_else(missing)?, tag));
            }
        }
        Ok(found)
    }
}

impl Save {
    /// The images that will be written, with the names they will have.
    pub fn images(&self) -> impl Iterator<Item = (&Image, &[Reference])> {
        self.images.iter().map(|(image, names)| (image, &**names))
    }

    /// Writes the tar. Blocks for the disk and for `out`, which should take large writes. The same images give the
    /// same bytes.
    pub fn write_blocking(&self, out: impl Write) -> Result<(), Error> {
        let mut blobs: BTreeMap<Digest, Source> = BTreeMap::new();
        let mut index = Vec::new();
        for (image, names) in &self.images {
            let manifest = self.collect_blobs(image, &mut blobs)?;
            index.extend(index_entries(image, names, &manifest));
        }
        let modified = self.images.iter().filter_map(|(image, _)| image.created_at).max();
        let modified =
            Time { seconds: modified.unwrap_or_default().div_euclid(1_000_000_000), nanos: 0 };
        let mut tar = Writer::new(out);
        for directory in ["blobs/", "blobs/sha256/"] {
            put_entry(&mut tar, directory, Kind::Directory, modified, 0, std::io::empty())?;
        }
        for (digest, source) in &blobs {
            let name = format!("blobs/sha256/{}", digest.hex());
            match source {
                Source::Made(bytes) => put(&mut tar, &name, modified, bytes)?,
                Source::Store(size) => {
                    let file = self.store.content().open_blob(digest)?;
                    put_entry(&mut tar, &name, Kind::File, modified, *size, file)?;
                }
            }
        }
        put(&mut tar, "index.json", modified, &to_json(&Index::new(index)))?;
        put(&mut tar, "manifest.json", modified, &to_json(&self.docker_list()))?;
        put(&mut tar, "oci-layout", modified, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let repositories = self.repositories();
        if !repositories.is_empty() {
            put(&mut tar, "repositories", modified, &to_json(&repositories))?;
        }
        tar.finish().map_err(Error::Save)?;
        Ok(())
    }

    /// Notes the blobs of an image, and answers its manifest: its own, or one that is made here.
    fn collect_blobs(
        &self,
        image: &Image,
        blobs: &mut BTreeMap<Digest, Source>,
    ) -> Result<Descriptor, Error> {
        for blob in image.blobs() {
            if !blobs.contains_key(blob) {
                let size = self.store.content().size(blob)?;
                let size = size.ok_or_else(|| content::Error::NotFound(blob.clone()))?;
                blobs.insert(blob.clone(), Source::Store(size));
            }
        }
        if let Some(manifest) = &image.manifest {
            return Ok(manifest.clone());
        }
        let config = Descriptor::new(media::CONFIG, image.id.clone(), image.config_size);
        let layers = image.layers.iter().map(|layer| layer.blob.clone()).collect();
        let bytes = to_json(&Manifest::new(config, layers));
        let made = Descriptor::new(media::MANIFEST, digest(&bytes), bytes.len() as u64);
        blobs.insert(made.digest.clone(), Source::Made(bytes));
        Ok(made)
    }

    fn docker_list(&self) -> Vec<Value> {
        let image = |(image, names): &(Image, Vec<Reference>)| {
            let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
            let tags: Vec<String> = names.iter().map(Reference::familiar).collect();
            let layers: Vec<String> =
                image.layers.iter().map(|layer| path(&layer.blob.digest)).collect();
            let sources: BTreeMap<&Digest, &Descriptor> =
                image.layers.iter().map(|layer| (&layer.diff_id, &layer.blob)).collect();
            json!({
                "Config": path(&image.id),
                "RepoTags": if tags.is_empty() { Value::Null } else { json!(tags) },
                "Layers": layers,
                "LayerSources": sources,
            })
        };
        self.images.iter().map(image).collect()
    }

    /// Docker's first list: repository to tag to the uppermost layer.
    fn repositories(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (image, names) in &self.images {
            let Some(top) = image.layers.last() else { continue };
            for name in names {
                let tags = repositories.entry(name.familiar_name()).or_default();
                let tag = name.tag().unwrap_or(spec::reference::DEFAULT_TAG);
                tags.insert(tag.to_owned(), top.blob.digest.hex().to_owned());
            }
        }
        repositories
    }
}

/// The manifest in the index: once for each name, or once without.
fn index_entries(image: &Image, names: &[Reference], manifest: &Descriptor) -> Vec<Descriptor> {
    let mut bare = manifest.clone();
    bare.platform = Some(PlatformDescriptor::from(&image.platform));
    if names.is_empty() {
        return vec![bare];
    }
    let named = |name: &Reference| {
        let tag = name.tag().unwrap_or(spec::reference::DEFAULT_TAG).to_owned();
        let mut named = bare.clone();
        named.annotations.insert("io.containerd.image.name".into(), name.to_string());
        named.annotations.insert("org.opencontainers.image.ref.name".into(), tag);
        named
    };
    names.iter().map(named).collect()
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("maps with text keys and plain values are JSON")
}

fn put(
    tar: &mut Writer<impl Write>,
    name: &str,
    modified: Time,
    bytes: &[u8],
) -> Result<(), Error> {
    put_entry(tar, name, Kind::File, modified, bytes.len() as u64, bytes)
}

fn put_entry(
    tar: &mut Writer<impl Write>,
    name: &str,
    kind: Kind,
    modified: Time,
    size: u64,
    content: impl std::io::Read,
) -> Result<(), Error> {
    let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
    let mut entry = Entry::new(name, kind, mode);
    (entry.size, entry.modified) = (size, modified);
    tar.append_with(&entry, content).map_err(Error::Save)
}

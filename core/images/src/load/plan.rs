//! Which images an archive has, and of which blobs.

use super::contents::Contents;
use crate::{LoadError, Store};
use archive::Compression;
use content::Blob;
use spec::image::{
    ArchiveImage, Config, DOCUMENT_MAX, Descriptor, Index, Manifest, media, parse_archive_manifest,
};
use spec::{Digest, Platform, Reference};
use std::collections::HashMap;
use std::io::Read as _;

/// Indexes that may be inside each other.
const NESTED_MAX: usize = 3;
/// The annotations that name an image in an index.
const NAME_ANNOTATION: &str = "io.containerd.image.name";
const REF_ANNOTATION: &str = "org.opencontainers.image.ref.name";

/// An image that is to be added.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) config: Vec<u8>,
    pub(crate) diff_ids: Vec<Digest>,
    pub(crate) layers: Vec<PlannedLayer>,
    pub(crate) manifest: Option<Descriptor>,
    pub(crate) names: Vec<Reference>,
}

/// A layer of an image that is to be added.
#[derive(Debug)]
pub(crate) struct PlannedLayer {
    pub(crate) blob: Blob,
    media_type: String,
}

impl PlannedLayer {
    pub(crate) fn descriptor(&self) -> Descriptor {
        Descriptor::new(&*self.media_type, self.blob.digest.clone(), self.blob.size)
    }
}

/// Reads the lists. Docker's goes before the OCI one where there are both, as Docker itself reads them.
pub(crate) fn plan(store: &Store, contents: &Contents) -> Result<Vec<Planned>, LoadError> {
    let planner = Planner { store, contents };
    let index = match (contents.list("index.json"), contents.list("oci-layout")) {
        (Some(bytes), Some(_)) => Some(Index::parse(bytes).map_err(document("index.json"))?),
        _ => None,
    };
    match (contents.list("manifest.json"), index) {
        (Some(list), index) => {
            let images = parse_archive_manifest(list).map_err(document("manifest.json"))?;
            let manifests = match index {
                Some(index) => planner.manifests(&index.manifests, 0)?,
                None => Vec::new(),
            };
            images.iter().map(|image| planner.docker(image, &manifests)).collect()
        }
        (None, Some(index)) => planner.oci(&index),
        (None, None) => Err(LoadError::NoImages),
    }
}

fn document(name: &str) -> impl FnOnce(spec::image::DocumentError) -> LoadError {
    let name = name.to_owned();
    move |source| LoadError::Document { name, source }
}

/// A manifest of the archive, and where it is named.
#[derive(Debug)]
struct Found {
    descriptor: Descriptor,
    manifest: Manifest,
    platform: Platform,
}

struct Planner<'a> {
    store: &'a Store,
    contents: &'a Contents,
}

impl Planner<'_> {
    fn read(&self, blob: &Blob, name: &str) -> Result<Vec<u8>, LoadError> {
        let limit = DOCUMENT_MAX as u64;
        if blob.size > limit {
            let name = name.to_owned();
            return Err(LoadError::TooLarge { name, size: blob.size, limit });
        }
        Ok(self.store.content().read(&blob.digest, limit)?)
    }

    fn config(&self, blob: &Blob, name: &str) -> Result<(Vec<u8>, Config), LoadError> {
        let bytes = self.read(blob, name)?;
        let config = Config::parse(&bytes).map_err(document(name))?;
        match config.platform().os {
            os if os == "linux" => Ok((bytes, config)),
            os => Err(LoadError::Platform { config: name.to_owned(), os }),
        }
    }

    fn docker(&self, image: &ArchiveImage, manifests: &[Found]) -> Result<Planned, LoadError> {
        let list = "manifest.json";
        let blob = self.contents.file(&image.config, list)?;
        let (config, parsed) = self.config(blob, &image.config)?;
        check_count(&image.config, image.layers.len(), &parsed)?;
        let mut layers = Vec::new();
        for path in &image.layers {
            let blob = self.contents.file(path, list)?.clone();
            let media_type = self.media_type(&blob)?;
            layers.push(PlannedLayer { blob, media_type });
        }
        let of_this = |found: &&Found| {
            let digests = found.manifest.layers.iter().map(|layer| &layer.digest);
            found.manifest.config.digest == blob.digest
                && digests.eq(layers.iter().map(|layer| &layer.blob.digest))
        };
        let manifest = manifests.iter().find(of_this).map(|found| bare(&found.descriptor));
        let names = image.repo_tags.iter().map(|name| parse_name(name));
        Ok(Planned {
            config,
            diff_ids: parsed.rootfs.diff_ids,
            manifest,
            names: names.collect::<Result<_, _>>()?,
            layers,
        })
    }

    /// What a layer's blob is, by its first bytes.
    fn media_type(&self, blob: &Blob) -> Result<String, LoadError> {
        let mut start = Vec::new();
        let file = self.store.content().open_blob(&blob.digest)?;
        file.take(16).read_to_end(&mut start).map_err(LoadError::Input)?;
        Ok(match Compression::detect(&start) {
            Compression::Gzip => media::LAYER_GZIP.into(),
            Compression::Zstd => media::LAYER_ZSTD.into(),
            _ => media::LAYER.into(),
        })
    }

    fn oci(&self, index: &Index) -> Result<Vec<Planned>, LoadError> {
        // Manifests of one name are one image for several platforms.
        let mut groups: Vec<(Option<Reference>, Vec<Descriptor>)> = Vec::new();
        for descriptor in &index.manifests {
            let name = name_of(descriptor)?;
            match groups.iter_mut().find(|(of, _)| name.is_some() && *of == name) {
                Some((_, descriptors)) => descriptors.push(descriptor.clone()),
                None => groups.push((name, vec![descriptor.clone()])),
            }
        }
        let mut planned: Vec<Planned> = Vec::new();
        let mut by_manifest: HashMap<Digest, usize> = HashMap::new();
        let mut other_platforms = Vec::new();
        let many = groups.len() > 1;
        for (name, descriptors) in groups {
            let manifests = self.manifests(&descriptors, 0)?;
            let Some(found) = choose(&manifests, name.is_none() && many) else {
                other_platforms.extend(manifests.iter().map(|found| found.platform.to_string()));
                continue;
            };
            let at = match by_manifest.get(&found.descriptor.digest) {
                Some(at) => *at,
                None => {
                    planned.push(self.oci_image(found)?);
                    by_manifest.insert(found.descriptor.digest.clone(), planned.len() - 1);
                    planned.len() - 1
                }
            };
            planned[at].names.extend(name);
        }
        if planned.is_empty() {
            return Err(LoadError::NoPlatform(Platform::host().to_string()));
        }
        Ok(planned)
    }

    /// All image manifests that descriptors lead to. What is no image, and what is not in the archive because it is
    /// for another platform, is left out.
    fn manifests(&self, descriptors: &[Descriptor], depth: usize) -> Result<Vec<Found>, LoadError> {
        if depth > NESTED_MAX {
            return Err(LoadError::Nested(NESTED_MAX));
        }
        let mut found = Vec::new();
        for descriptor in descriptors {
            let Some(blob) = self.contents.blob(&descriptor.digest) else { continue };
            check_size(blob, descriptor)?;
            let name = format!("blobs/sha256/{}", descriptor.digest.hex());
            if media::is_index(&descriptor.media_type) {
                let index = Index::parse(&self.read(blob, &name)?).map_err(document(&name))?;
                found.extend(self.manifests(&index.manifests, depth + 1)?);
            } else if media::is_manifest(&descriptor.media_type) {
                let manifest =
                    Manifest::parse(&self.read(blob, &name)?).map_err(document(&name))?;
                found.extend(self.image_manifest(descriptor, manifest)?);
            }
        }
        Ok(found)
    }

    fn image_manifest(
        &self,
        descriptor: &Descriptor,
        manifest: Manifest,
    ) -> Result<Option<Found>, LoadError> {
        // Attestations have the configuration of an image, but layers that are none.
        let attestation = descriptor.annotations.contains_key("vnd.docker.reference.type");
        let image = matches!(&*manifest.config.media_type, media::CONFIG | media::DOCKER_CONFIG);
        if attestation || !image || manifest.artifact_type.is_some() {
            return Ok(None);
        }
        let platform = match &descriptor.platform {
            Some(platform) => Platform {
                os: platform.os.clone(),
                architecture: platform.architecture.clone(),
                variant: platform.variant.clone(),
            },
            None => match self.contents.blob(&manifest.config.digest) {
                Some(blob) => {
                    let name = format!("blobs/sha256/{}", blob.digest.hex());
                    let bytes = self.read(blob, &name)?;
                    Config::parse(&bytes).map_err(document(&name))?.platform()
                }
                None => Platform::host(),
            },
        };
        Ok(Some(Found { descriptor: descriptor.clone(), manifest, platform }))
    }

    fn oci_image(&self, found: &Found) -> Result<Planned, LoadError> {
        let by = format!("blobs/sha256/{}", found.descriptor.digest.hex());
        let (blob, name) = self.named_blob(&found.manifest.config, &by)?;
        let (config, parsed) = self.config(blob, &name)?;
        check_count(&name, found.manifest.layers.len(), &parsed)?;
        let mut layers = Vec::new();
        for layer in &found.manifest.layers {
            let (blob, _) = self.named_blob(layer, &by)?;
            layers.push(PlannedLayer { blob: blob.clone(), media_type: layer.media_type.clone() });
        }
        let manifest = Some(bare(&found.descriptor));
        let diff_ids = parsed.rootfs.diff_ids;
        Ok(Planned { config, diff_ids, layers, manifest, names: Vec::new() })
    }

    fn named_blob(&self, descriptor: &Descriptor, by: &str) -> Result<(&Blob, String), LoadError> {
        let name = format!("blobs/sha256/{}", descriptor.digest.hex());
        let blob = self.contents.file(&name, by)?;
        check_size(blob, descriptor)?;
        Ok((blob, name))
    }
}

/// The manifest for this platform; one that is alone is taken whatever it is for, unless it is one of several.
fn choose(manifests: &[Found], only_host: bool) -> Option<&Found> {
    let host = Platform::host();
    let fits = |found: &&Found| {
        found.platform.os == host.os && found.platform.architecture == host.architecture
    };
    match manifests {
        [one] if !only_host => Some(one),
        all => all.iter().find(fits),
    }
}

fn check_size(blob: &Blob, descriptor: &Descriptor) -> Result<(), LoadError> {
    if blob.size == descriptor.size {
        return Ok(());
    }
    let (blob, found) = (blob.digest.clone(), blob.size);
    Err(LoadError::Size { blob, expected: descriptor.size, found })
}

fn check_count(name: &str, layers: usize, config: &Config) -> Result<(), LoadError> {
    let diff_ids = config.rootfs.diff_ids.len();
    if layers == diff_ids {
        return Ok(());
    }
    Err(LoadError::LayerCount { config: name.to_owned(), manifest: layers, diff_ids })
}

/// A descriptor of the blob alone, without what its index said about it.
fn bare(descriptor: &Descriptor) -> Descriptor {
    Descriptor::new(&*descriptor.media_type, descriptor.digest.clone(), descriptor.size)
}

fn parse_name(name: &str) -> Result<Reference, LoadError> {
    let refuse = |source| LoadError::Reference { name: name.chars().take(200).collect(), source };
    let reference = Reference::parse(name).map_err(refuse)?;
    // A digest in a name is a claim that nothing here proves.
    match reference.digest() {
        Some(_) => Err(refuse(spec::reference::ReferenceError::Format)),
        None => Ok(reference.with_default_tag()),
    }
}

/// The name in a descriptor's annotations. A bare tag, as `skopeo` writes it, names nothing.
fn name_of(descriptor: &Descriptor) -> Result<Option<Reference>, LoadError> {
    if let Some(name) = descriptor.annotations.get(NAME_ANNOTATION) {
        return parse_name(name).map(Some);
    }
    let name = descriptor.annotations.get(REF_ANNOTATION);
    name.filter(|name| name.contains([':', '/'])).map(|name| parse_name(name)).transpose()
}

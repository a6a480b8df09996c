//! What can go wrong with images. The texts are Docker's where it has one.

use spec::image::DocumentError;
use spec::reference::ReferenceError;
use spec::{Class, Digest, Failure};

/// A failure of the image store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No image has this name or id.
    #[error("No such image: {0}")]
    NotFound(String),
    /// The text is no image name.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A tag cannot have a digest.
    #[error("refusing to create a tag with a digest reference")]
    TagWithDigest,
    /// The name would look like an id.
    #[error("refusing to create an ambiguous tag using digest algorithm as name")]
    TagLikeDigest,
    /// The image is in use.
    #[error("{0}")]
    InUse(Conflict),
    /// The filter is not known, or its value is wrong.
    #[error("invalid filter '{0}'")]
    Filter(String),
    /// The pattern of a filter is wrong.
    #[error("invalid filter 'reference': syntax error in pattern {0}")]
    Pattern(String),
    /// A change to a configuration is wrong.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The configuration names another number of layers than there are.
    #[error("image {id} has {layers} layers, but its configuration names {diff_ids}")]
    LayerCount {
        /// The image.
        id: Digest,
        /// How many there are.
        layers: usize,
        /// How many the configuration names.
        diff_ids: usize,
    },
    /// The image would have more layers than can be mounted.
    #[error("image {id} has {layers} layers, more than {limit}")]
    TooManyLayers {
        /// The image.
        id: Digest,
        /// How many it would have.
        layers: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A document of an image in the store is broken.
    #[error("read image {id}")]
    Document {
        /// The image.
        id: Digest,
        /// What is wrong.
        #[source]
        source: DocumentError,
    },
    /// An archive could not be written.
    #[error("save images")]
    Save(#[source] archive::WriteError),
    /// An archive that is imported, or a layer that is committed, could not be read.
    #[error("{doing}")]
    Input {
        /// `import image` or `commit container`.
        doing: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A layer could not be unpacked or removed.
    #[error("{doing} layer {layer}")]
    Layer {
        /// `unpack` or `remove`.
        doing: &'static str,
        /// The digest of the uncompressed tar, or the chain id.
        layer: String,
        /// Why.
        #[source]
        source: Failure,
    },
    /// A layer's blob is not what its image says.
    #[error(
        "verify layer {blob}: its uncompressed tar has the digest {found} and should have {expected}"
    )]
    DiffId {
        /// The blob.
        blob: Digest,
        /// What its tar should have.
        expected: Digest,
        /// What it has.
        found: Digest,
    },
    /// The content store failed.
    #[error(transparent)]
    Content(#[from] content::Error),
    /// The metadata database failed.
    #[error(transparent)]
    Metadata(#[from] metadata::Error),
    /// A task was stopped because the engine ends.
    #[error("the engine is shutting down")]
    Stopped,
}

impl Error {
    /// The class for the user.
    pub fn class(&self) -> Class {
        match self {
            Self::NotFound(_) => Class::NotFound,
            Self::InUse(_) => Class::Conflict,
            Self::Reference(_)
            | Self::TagWithDigest
            | Self::TagLikeDigest
            | Self::Filter(_)
            | Self::Pattern(_)
            | Self::Change(_)
            | Self::TooManyLayers { .. }
            | Self::LayerCount { .. }
            | Self::DiffId { .. } => Class::InvalidArgument,
            Self::Input { source, .. } => input_class(source),
            Self::Layer { source, .. } => source.class,
            Self::Content(error) => error.class(),
            Self::Metadata(error) => error.class(),
            Self::Stopped => Class::Unavailable,
            Self::Document { .. } | Self::Save(_) => Class::Internal,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::from_error(error.class(), &error)
    }
}

impl From<tokio::task::JoinError> for Error {
    /// A blocking task that panicked goes on panicking; otherwise the runtime is being dropped.
    fn from(error: tokio::task::JoinError) -> Self {
        match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Self::Stopped,
        }
    }
}

fn input_class(error: &std::io::Error) -> Class {
    match error.kind() {
        std::io::ErrorKind::InvalidData
        | std::io::ErrorKind::InvalidInput
        | std::io::ErrorKind::FileTooLarge
        | std::io::ErrorKind::UnexpectedEof => Class::InvalidArgument,
        _ => Class::Internal,
    }
}

/// Why an image cannot be removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A name was given, it is the last one, and a container uses the image.
    #[error(
        "conflict: unable to remove repository reference \"{reference}\" (must force) - container {container} is using its referenced image {image}"
    )]
    Reference {
        /// The name as it was given.
        reference: String,
        /// The container's short id.
        container: String,
        /// The image's short id.
        image: String,
    },
    /// Another image was made from it.
    #[error(
        "conflict: unable to delete {image} (cannot be forced) - image has dependent child images"
    )]
    Children {
        /// The image's short id.
        image: String,
    },
    /// A container of it runs.
    #[error(
        "conflict: unable to delete {image} (cannot be forced) - image is being used by running container {container}"
    )]
    Running {
        /// The image's short id.
        image: String,
        /// The container's short id.
        container: String,
    },
    /// It has names in several repositories.
    #[error(
        "conflict: unable to delete {image} (must be forced) - image is referenced in multiple repositories"
    )]
    Referenced {
        /// The image's short id.
        image: String,
    },
    /// A container of it exists.
    #[error(
        "conflict: unable to delete {image} (must be forced) - image is being used by stopped container {container}"
    )]
    Stopped {
        /// The image's short id.
        image: String,
        /// The container's short id.
        container: String,
    },
}

/// Why a change (`--change`) cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The instruction is not one that changes a configuration.
    #[error("{0} is not a valid change command")]
    Unknown(String),
    /// The instruction has wrong arguments: what is wrong, in the words of Docker's parser.
    #[error("{0}")]
    Arguments(String),
    /// There are changes, but nothing in them.
    #[error("file with no instructions")]
    Nothing,
}

/// Why an archive cannot be loaded. Nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The archive cannot be read.
    #[error("load archive")]
    Read(#[source] archive::ReadError),
    /// The archive's compression cannot be read.
    #[error("load archive")]
    Input(#[source] std::io::Error),
    /// An entry's name leads out of the archive, is no text or is too long.
    #[error("load archive: entry {0} has an invalid name")]
    Name(String),
    /// Two entries have the same name.
    #[error("load archive: entry {0} occurs twice")]
    Duplicate(String),
    /// An entry is neither file nor directory nor link.
    #[error("load archive: entry {0} is not a file, directory or link")]
    Kind(String),
    /// A document is too large or no JSON.
    #[error("load archive: {name}")]
    Document {
        /// Its path.
        name: String,
        /// What is wrong.
        #[source]
        source: DocumentError,
    },
    /// A document is larger than allowed.
    #[error("load archive: {name} has {size} bytes, more than {limit}")]
    TooLarge {
        /// Its path.
        name: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A file that another one names is not there.
    #[error("load archive: {name} is missing, but {by} names it")]
    Missing {
        /// The file that is missing.
        name: String,
        /// The file that names it.
        by: String,
    },
    /// Links lead in a circle, or through too many others.
    #[error("load archive: link {0} leads to no file")]
    Link(String),
    /// A descriptor has another size than its blob.
    #[error("load archive: blob {blob} has {found} bytes, but its manifest says {expected}")]
    Size {
        /// The blob.
        blob: Digest,
        /// In the manifest.
        expected: u64,
        /// In the archive.
        found: u64,
    },
    /// The configuration names another number of layers than the manifest.
    #[error(
        "load archive: image {config} has {manifest} layers, but its configuration names {diff_ids}"
    )]
    LayerCount {
        /// The configuration.
        config: String,
        /// Layers in the manifest.
        manifest: usize,
        /// Layers in the configuration.
        diff_ids: usize,
    },
    /// The image is for another operating system.
    #[error("load archive: image {config} is for the operating system {os}, not for linux")]
    Platform {
        /// The configuration.
        config: String,
        /// The operating system.
        os: String,
    },
    /// A name in the archive is none.
    #[error("load archive: name {name:?}")]
    Reference {
        /// The name.
        name: String,
        /// What is wrong.
        #[source]
        source: ReferenceError,
    },
    /// There is no list of images.
    #[error("load archive: it has neither manifest.json nor index.json with oci-layout")]
    NoImages,
    /// No image in it runs on this platform.
    #[error("load archive: no image in it is for the platform {0}")]
    NoPlatform(String),
    /// There are too many indexes inside each other.
    #[error("load archive: indexes are nested deeper than {0}")]
    Nested(usize),
    /// The store refused something.
    #[error("load archive")]
    Store(#[source] Error),
}

impl LoadError {
    /// The class for the user.
    pub fn class(&self) -> Class {
        match self {
            Self::Read(error) => error.class(),
            Self::Input(error) => input_class(error),
            Self::Store(error) => error.class(),
            _ => Class::InvalidArgument,
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Failure::from_error(error.class(), &error)
    }
}

impl<E: Into<Error>> From<E> for LoadError {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

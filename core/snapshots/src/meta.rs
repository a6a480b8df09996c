//! The file that says what a snapshot is.

use spec::SnapshotKey;

/// Most parents of a container: overlayfs takes 500 lower directories (OVL_MAX_STACK), one is `init`, and for reading the
/// container's own is one too.
pub(crate) const PARENTS_MAX: usize = 498;

/// Longest meta file in bytes.
pub(crate) const META_MAX: usize = 16 + PARENTS_MAX * 65;

/// What a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snapshot {
    /// A committed layer.
    Layer {
        /// Bytes of its files' content when it was unpacked.
        size: u64,
    },
    /// A container's writable directory.
    Container {
        /// The layers below it, the lowest first.
        parents: Vec<SnapshotKey>,
    },
}

impl Snapshot {
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Layer { size } => format!("layer {size}\n"),
            Self::Container { parents } => {
                let keys: String = parents.iter().map(|key| format!(" {key}")).collect();
                format!("container{keys}\n")
            }
        }
    }

    /// None when the text is not what [`Snapshot::to_text`] writes.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.strip_suffix('\n')?;
        let mut words = text.split(' ');
        match words.next()? {
            "layer" => {
                let size = words.next()?.parse().ok()?;
                words.next().is_none().then_some(Self::Layer { size })
            }
            "container" => {
                let parents: Result<Vec<_>, _> = words.map(SnapshotKey::parse).collect();
                Some(Self::Container { parents: parents.ok()? })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_is_read_as_it_is_written_and_nothing_else_is() {
        let key = |c: &str| SnapshotKey::parse(&c.repeat(64)).unwrap();
        for snapshot in [
            Snapshot::Layer { size: u64::MAX },
            Snapshot::Container { parents: vec![] },
            Snapshot::Container { parents: vec![key("a"), key("b")] },
        ] {
            let text = snapshot.to_text();
            assert_eq!(Snapshot::parse(text.as_bytes()), Some(snapshot));
            assert_eq!(Snapshot::parse(&text.as_bytes()[..text.len() - 1]), None);
        }
        for bad in ["", "\n", "layer\n", "layer 1 2\n", "layer -1\n", "container ../x\n", "other\n"]
        {
            assert_eq!(Snapshot::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }
}

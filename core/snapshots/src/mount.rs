//! Overlay mounts of snapshots, attached nowhere.

use crate::error::{StoreError, kernel};
use crate::store::Store;
use mounts::{Attr, Change, Detached, Extent, Layers, Overlay, Propagation};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use spec::SnapshotKey;
use std::ffi::{CStr, CString};
use std::os::fd::AsFd;

/// How Docker mounts its overlays. Without `redirect_dir` and `metacopy` each upper directory can be read alone, which
/// is what makes a layer of it possible; without `index` a layer may be in use by several overlays.
const OPTIONS: &[(&CStr, &CStr)] =
    &[(c"index", c"off"), (c"xino", c"off"), (c"metacopy", c"off"), (c"redirect_dir", c"off")];

/// What a mount is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A container runs on it.
    Run,
    /// The engine looks at it: devices, programs and set-uid have no effect, whatever the files say.
    View,
}

fn text(path: String) -> CString {
    CString::new(path).expect("keys and the store's own names have no zero byte")
}

impl Store {
    /// Mounts a container's snapshot for its container. The mount goes with its last descriptor.
    ///
    /// # Errors
    /// It does not exist, a parent is missing, or the kernel refuses.
    pub fn mount(&self, key: &SnapshotKey) -> Result<Detached, StoreError> {
        self.mount_container(key, Purpose::Run)
    }

    /// Mounts a container's snapshot for copies into it. Only while the container does not run.
    ///
    /// # Errors
    /// As [`Store::mount`].
    pub fn mount_view(&self, key: &SnapshotKey) -> Result<Detached, StoreError> {
        self.mount_container(key, Purpose::View)
    }

    /// Mounts a container's snapshot to be read, whether or not it is mounted for its container at the same time.
    ///
    /// What the container has written is one more lower layer here. A second mount with the same work directory would
    /// empty it, and with that break the first: overlayfs cleans its work directory whenever it is mounted.
    ///
    /// # Errors
    /// As [`Store::mount`].
    pub fn mount_read(&self, key: &SnapshotKey) -> Result<Detached, StoreError> {
        let mut lower = vec![text(format!("{key}/upper"))];
        lower.extend(self.lower(&self.parents(key)?)?);
        lower.push(text("init".to_owned()));
        self.mount_paths(key, &lower, None, Purpose::View)
    }

    /// Mounts layers read-only, the lowest first.
    ///
    /// # Errors
    /// A layer is missing, or the kernel refuses.
    pub fn mount_layers(&self, layers: &[SnapshotKey]) -> Result<Detached, StoreError> {
        let top = layers.last().cloned();
        let key = top.unwrap_or_else(|| SnapshotKey::from_bytes(&[0; 32]));
        self.mount_overlay(&key, layers, None, Purpose::View)
    }

    fn mount_container(&self, key: &SnapshotKey, purpose: Purpose) -> Result<Detached, StoreError> {
        let parents = self.parents(key)?;
        self.mount_overlay(key, &parents, Some(key), purpose)
    }

    fn mount_overlay(
        &self,
        key: &SnapshotKey,
        layers: &[SnapshotKey],
        writable: Option<&SnapshotKey>,
        purpose: Purpose,
    ) -> Result<Detached, StoreError> {
        let mut lower = self.lower(layers)?;
        if writable.is_some() {
            // The lowest of all: it shows only where the image has nothing.
            lower.push(text("init".to_owned()));
        } else {
            // Overlayfs wants two lower directories when there is no upper one. Empty ones below change nothing.
            let missing = 2usize.saturating_sub(lower.len());
            let empty = ["empty/one", "empty/two"].into_iter().take(missing);
            lower.extend(empty.map(|name| text(name.to_owned())));
        }
        self.mount_paths(key, &lower, writable, purpose)
    }

    /// The directories of these layers, the highest first, as overlayfs wants them.
    fn lower(&self, layers: &[SnapshotKey]) -> Result<Vec<CString>, StoreError> {
        let mut lower = Vec::with_capacity(layers.len() + 2);
        for layer in layers.iter().rev() {
            let path = text(format!("{layer}/fs"));
            match openat(&self.root, &*path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
                Ok(_) => lower.push(path),
                Err(Errno::NOENT) => return Err(StoreError::Missing(layer.clone())),
                Err(errno) => return Err(kernel("open", layer)(errno)),
            }
        }
        Ok(lower)
    }

    fn mount_paths(
        &self,
        key: &SnapshotKey,
        lower: &[CString],
        writable: Option<&SnapshotKey>,
        purpose: Purpose,
    ) -> Result<Detached, StoreError> {
        let upper = writable.map(|key| (text(format!("{key}/upper")), text(format!("{key}/work"))));
        let lower: Vec<&CStr> = lower.iter().map(CString::as_c_str).collect();
        let overlay = Overlay {
            base: self.root.as_fd(),
            lower: Layers::Paths(&lower),
            upper: upper.as_ref().map(|(upper, work)| (upper.as_c_str(), work.as_c_str())),
            options: OPTIONS,
        };
        let mount = overlay
            .mount(&self.features)
            .map_err(|source| StoreError::Mount { key: key.clone(), source })?;
        if purpose == Purpose::View {
            self.restrict(&mount, Extent::Mount, Attr::empty()).map_err(kernel("mount", key))?;
        }
        Ok(mount)
    }

    /// Takes the effect from devices, programs and set-uid on a mount that nobody has attached yet, cuts it off from
    /// other mounts, and gives it `more` attributes.
    ///
    /// A kernel before 5.12 cannot do that; there nothing happens, and readers of the mount rely on looking at a file
    /// before they open it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn restrict(&self, mount: &Detached, extent: Extent, more: Attr) -> Result<(), Errno> {
        if !self.features.set_attributes {
            return Ok(());
        }
        let set = Attr::NODEV | Attr::NOSUID | Attr::NOEXEC | more;
        let propagation = Some(Propagation::Private);
        mount.set(extent, &Change { set, propagation, ..Change::default() })
    }
}

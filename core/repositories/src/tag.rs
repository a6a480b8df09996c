//! Tags, and the list of repositories.

use crate::lock::Guard;
use crate::store::{Store, repository_path, tag_path};
use crate::{Digest, Error, Name, Tag};
use std::collections::BTreeSet;
use std::time::SystemTime;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it, in order.
    pub items: Vec<T>,
    /// Whether there is more behind it.
    pub more: bool,
}

impl Store {
    /// The digest of the manifest that a tag names.
    pub fn tag(&self, name: &Name, tag: &Tag) -> Result<Option<Digest>, Error> {
        let path = tag_path(name, tag);
        let Some(bytes) = self.tree().read(&path, 256)? else { return Ok(None) };
        let digest = std::str::from_utf8(&bytes).ok().and_then(|text| Digest::parse(text).ok());
        digest.map(Some).ok_or_else(|| Error::Damaged(self.tree().path(&path)))
    }

    /// When a tag was last set, or found to be right by [`Store::confirm_tag`].
    pub fn tag_time(&self, name: &Name, tag: &Tag) -> Result<Option<SystemTime>, Error> {
        Ok(self.tree().stat(&tag_path(name, tag))?.map(|stat| stat.modified))
    }

    /// Notes that a tag is still right.
    pub fn confirm_tag(&self, name: &Name, tag: &Tag) -> Result<(), Error> {
        self.tree().touch(&tag_path(name, tag)).map(|_| ())
    }

    /// Lets `tag` name a manifest that is there.
    pub fn set_tag(&self, name: &Name, tag: &Tag, digest: &Digest) -> Result<(), Error> {
        let staged = self.tree().stage(&[digest.as_str().as_bytes()])?;
        let _guard = Guard::shared(self.tree())?;
        if !self.has_manifest(name, digest)? {
            return Err(Error::ManifestUnknown {
                name: name.clone(),
                reference: digest.to_string(),
            });
        }
        self.tree().rename(&staged.path, &tag_path(name, tag), true)?;
        Ok(())
    }

    /// Deletes a tag; the manifest stays.
    pub fn delete_tag(&self, name: &Name, tag: &Tag) -> Result<(), Error> {
        match self.tree().remove(&tag_path(name, tag), true)? {
            true => Ok(()),
            false => Err(Error::ManifestUnknown { name: name.clone(), reference: tag.to_string() }),
        }
    }

    /// Up to `most` tags of a repository that come after `last`, in ASCII order.
    pub fn tags(&self, name: &Name, most: usize, last: Option<&str>) -> Result<Page<Tag>, Error> {
        let mut first = First::new(most);
        let found = self.tree().each(&format!("{}/_tags", repository_path(name)), |text| {
            if last.is_none_or(|last| text > last)
                && let Ok(tag) = Tag::parse(text)
            {
                first.add(tag);
            }
        })?;
        if !found && !self.exists(name)? {
            return Err(Error::NameUnknown(name.clone()));
        }
        Ok(first.page())
    }

    pub(crate) fn all_tags(&self, name: &Name) -> Result<Vec<Tag>, Error> {
        let names = self.tree().names(&format!("{}/_tags", repository_path(name)))?;
        Ok(names.iter().filter_map(|text| Tag::parse(text).ok()).collect())
    }

    /// Whether a repository has or had a manifest.
    pub fn exists(&self, name: &Name) -> Result<bool, Error> {
        let path = format!("{}/_manifests", repository_path(name));
        Ok(self.tree().directory(&path)?.is_some())
    }

    /// Up to `most` repositories that have a manifest and come after `last`, in the order of [`Name`].
    pub fn repositories(&self, most: usize, last: Option<&Name>) -> Result<Page<Name>, Error> {
        let mut items = Vec::new();
        let mut failure = None;
        self.walk(last, &mut |name, has_manifests| {
            if has_manifests && last.is_none_or(|last| name > *last) {
                items.push(name);
            }
            items.len() <= most
        })
        .unwrap_or_else(|error| failure = Some(error));
        if let Some(error) = failure {
            return Err(error);
        }
        let more = items.len() > most;
        items.truncate(most);
        Ok(Page { items, more })
    }

    /// Calls `visit` with every directory of repositories in the order of [`Name`], except those that end before
    /// `after`, and with whether it has manifests; until it answers false.
    pub(crate) fn walk(
        &self,
        after: Option<&Name>,
        visit: &mut dyn FnMut(Name, bool) -> bool,
    ) -> Result<(), Error> {
        // Names are bounded, and so is the depth: at most 128 parts, each with its list on the stack.
        let mut stack = vec![(String::new(), self.children("", after)?)];
        while let Some((prefix, children)) = stack.last_mut() {
            let Some(child) = children.pop() else {
                stack.pop();
                continue;
            };
            let path = match prefix.is_empty() {
                true => child,
                false => format!("{prefix}/{child}"),
            };
            let Ok(name) = Name::parse(&path) else { continue };
            let has_manifests = self.exists(&name)?;
            if !visit(name, has_manifests) {
                return Ok(());
            }
            let below = self.children(&path, after)?;
            stack.push((path, below));
        }
        Ok(())
    }

    /// The directories below a repository, the first last; without those that end before `after`.
    fn children(&self, prefix: &str, after: Option<&Name>) -> Result<Vec<String>, Error> {
        let path = match prefix.is_empty() {
            true => "repositories".to_owned(),
            false => format!("repositories/{prefix}"),
        };
        let mut names = self.tree().names(&path)?;
        names.retain(|name| !name.starts_with('_'));
        if let Some(after) = after {
            let floor = match prefix.is_empty() {
                true => after.as_str().split('/').next(),
                false => after
                    .as_str()
                    .strip_prefix(prefix)
                    .and_then(|rest| rest.strip_prefix('/'))
                    .and_then(|rest| rest.split('/').next()),
            };
            if let Some(floor) = floor {
                names.retain(|name| name.as_str() >= floor);
            }
        }
        names.reverse();
        Ok(names)
    }
}

/// The first so many of a list that comes in any order, in memory for no more than those.
struct First<T> {
    most: usize,
    kept: BTreeSet<T>,
    more: bool,
}

impl<T: Ord> First<T> {
    fn new(most: usize) -> Self {
        Self { most, kept: BTreeSet::new(), more: false }
    }

    fn add(&mut self, item: T) {
        if self.kept.len() == self.most && self.kept.last().is_none_or(|last| item > *last) {
            self.more = true;
            return;
        }
        self.kept.insert(item);
        if self.kept.len() > self.most {
            self.kept.pop_last();
            self.more = true;
        }
    }

    fn page(self) -> Page<T> {
        Page { items: self.kept.into_iter().collect(), more: self.more }
    }
}

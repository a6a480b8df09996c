//! Removing names and images, by Docker's rules.

use crate::collect::Candidates;
use crate::error::Conflict;
use crate::lookup::{key, names_of, not_found};
use crate::record::{IMAGES, Image, REFERENCES, User};
use crate::{Error, Store};
use metadata::{Read as _, Writer};
use spec::{Digest, Reference, SnapshotKey};

/// How an image is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoveOptions {
    /// Also when stopped containers use it or several repositories have it.
    pub force: bool,
    /// Keep parents that have no name.
    pub no_prune: bool,
}

/// One thing that was removed, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name of an image.
    Untagged {
        /// The name, as people write it.
        name: String,
        /// The image that had it.
        image: Digest,
    },
    /// An image.
    Deleted(Digest),
    /// A layer that nothing has any more, by its chain id.
    Layer(SnapshotKey),
}

/// A removal in one transaction.
struct Removal<'a> {
    users: &'a [User],
    writer: Writer<'a>,
    done: Vec<Removed>,
    /// Images that are gone, with their layers and blobs.
    images: Vec<Image>,
    /// What names that are gone stood for in a registry.
    origins: Vec<Digest>,
}

/// What was told, the images that are gone, and what their names stood for in a registry.
type Gone = (Vec<Removed>, Vec<Image>, Vec<Digest>);

impl Store {
    /// Removes a name, or an image with its names, and then what nothing has any more. `users` are all containers.
    pub async fn remove(
        &self,
        text: &str,
        options: RemoveOptions,
        users: &[User],
    ) -> Result<Vec<Removed>, Error> {
        let (store, text, all) = (self.clone(), text.to_owned(), users.to_vec());
        // A task of its own: a client that leaves must not leave layers behind.
        let remove = async move {
            let (blocking, users) = (store.clone(), all.clone());
            let remove = move || blocking.remove_blocking(&text, options, &users);
            let (mut removed, images, origins) = tokio::task::spawn_blocking(remove).await??;
            store.remove_layers(&all, images, origins, &mut removed).await?;
            Ok(removed)
        };
        tokio::spawn(remove).await?
    }

    fn remove_blocking(
        &self,
        text: &str,
        options: RemoveOptions,
        users: &[User],
    ) -> Result<Gone, Error> {
        let writer = self.write()?;
        let image = crate::lookup::resolve(&writer, text)?.ok_or_else(|| not_found(text))?;
        let (done, images, origins) = (Vec::new(), Vec::new(), Vec::new());
        let mut removal = Removal { users, writer, done, images, origins };
        removal.run(&image, text, options)?;
        removal.writer.commit()?;
        Ok((removal.done, removal.images, removal.origins))
    }

    /// Removes what images that are gone had, the uppermost layer first.
    async fn remove_layers(
        &self,
        users: &[User],
        images: Vec<Image>,
        origins: Vec<Digest>,
        removed: &mut Vec<Removed>,
    ) -> Result<(), Error> {
        if images.is_empty() && origins.is_empty() {
            return Ok(());
        }
        let blobs = images.iter().flat_map(|image| image.blobs().cloned()).chain(origins).collect();
        let layers: Vec<_> =
            images.iter().flat_map(|image| image.snapshots().into_iter().rev()).collect();
        // What is reported is what is no longer used; that its files are gone may take longer.
        let mut unused = self.unused_layers(users, layers.clone())?;
        let mut seen = std::collections::HashSet::new();
        unused.retain(|layer| seen.insert(layer.clone()));
        removed.extend(unused.into_iter().map(Removed::Layer));
        self.collect_candidates(users, Candidates::These { blobs, layers }).await?;
        Ok(())
    }
}

impl Removal<'_> {
    fn run(&mut self, image: &Image, text: &str, options: RemoveOptions) -> Result<(), Error> {
        let names = names_of(&self.writer, &image.id)?;
        let mut quiet = false;
        if !is_id_prefix(&image.id, text) {
            if !options.force && is_single(&names) {
                self.check_reference(image, text)?;
            }
            let left = self.untag(image, text, names)?;
            if !left.is_empty() {
                return Ok(());
            }
            quiet = true;
        } else if is_single(&names) {
            self.check(image, options.force, true)?;
            for name in &names {
                self.remove_name(image, name)?;
            }
        }
        self.delete(image.clone(), options.force, !options.no_prune, quiet)
    }

    fn check_reference(&self, image: &Image, text: &str) -> Result<(), Error> {
        let Some(user) = self.users.iter().find(|user| user.image == image.id) else {
            return Ok(());
        };
        Err(Error::InUse(Conflict::Reference {
            reference: text.to_owned(),
            container: short(&user.container),
            image: image.id.short().to_owned(),
        }))
    }

    /// Removes the name that was given, and with the last tag of a repository its digests. Answers what is left.
    fn untag(
        &mut self,
        image: &Image,
        text: &str,
        mut names: Vec<Reference>,
    ) -> Result<Vec<Reference>, Error> {
        let given = Reference::parse(text)?.with_default_tag();
        let given = Reference::parse(&key(&given))?;
        self.remove_name(image, &given)?;
        names.retain(|name| *name != given);
        let same = |name: &Reference| name.name() == given.name();
        let tagged = names.iter().any(|name| name.digest().is_none() && same(name));
        if given.digest().is_some() || tagged {
            return Ok(names);
        }
        let (digests, left) =
            names.into_iter().partition(|name| name.digest().is_some() && same(name));
        let digests: Vec<Reference> = digests;
        for digest in &digests {
            self.remove_name(image, digest)?;
        }
        Ok(left)
    }

    fn remove_name(&mut self, image: &Image, name: &Reference) -> Result<(), Error> {
        let named = self.writer.get(REFERENCES, &*name.to_string())?;
        self.origins.extend(named.and_then(|named| named.origin).map(|origin| origin.digest));
        self.writer.remove(REFERENCES, &*name.to_string())?;
        self.done.push(Removed::Untagged { name: name.familiar(), image: image.id.clone() });
        Ok(())
    }

    fn delete(&mut self, image: Image, force: bool, prune: bool, quiet: bool) -> Result<(), Error> {
        if let Err(error) = self.check(&image, force, false) {
            let Error::InUse(conflict) = &error else { return Err(error) };
            let used = matches!(conflict, Conflict::Running { .. } | Conflict::Stopped { .. });
            // After a name was removed, an image that must stay is no failure, unless it is left without any name
            // for a reason that the user does not see.
            let named = !names_of(&self.writer, &image.id)?.is_empty();
            let child = self.has_children(&image.id)?;
            return if quiet && (named || child || used) { Ok(()) } else { Err(error) };
        }
        for name in names_of(&self.writer, &image.id)? {
            self.remove_name(&image, &name)?;
        }
        self.writer.remove(IMAGES, &image.id)?;
        self.done.push(Removed::Deleted(image.id.clone()));
        let parent = image.parent.clone().filter(|_| prune);
        self.images.push(image);
        match parent.map(|parent| self.writer.get(IMAGES, &parent)).transpose()?.flatten() {
            Some(parent) => self.delete(parent, false, true, true),
            None => Ok(()),
        }
    }

    /// Whether something stands against removing the image. `named` says that its names are no obstacle.
    fn check(&self, image: &Image, force: bool, named: bool) -> Result<(), Error> {
        let short_id = || image.id.short().to_owned();
        if self.has_children(&image.id)? {
            return Err(Error::InUse(Conflict::Children { image: short_id() }));
        }
        let user = |running| {
            let mut users = self.users.iter();
            users.find(|user| user.image == image.id && user.running == running)
        };
        if let Some(user) = user(true) {
            let container = short(&user.container);
            return Err(Error::InUse(Conflict::Running { image: short_id(), container }));
        }
        if force {
            return Ok(());
        }
        if !named && !names_of(&self.writer, &image.id)?.is_empty() {
            return Err(Error::InUse(Conflict::Referenced { image: short_id() }));
        }
        if let Some(user) = user(false) {
            let container = short(&user.container);
            return Err(Error::InUse(Conflict::Stopped { image: short_id(), container }));
        }
        Ok(())
    }

    fn has_children(&self, id: &Digest) -> Result<bool, Error> {
        let images = self.writer.list(IMAGES)?;
        Ok(images.iter().any(|(_, image)| image.parent.as_ref() == Some(id)))
    }
}

fn short(container: &str) -> String {
    container.chars().take(12).collect()
}

fn is_id_prefix(id: &Digest, text: &str) -> bool {
    id.as_str().starts_with(text) || id.hex().starts_with(text)
}

/// Whether all names are one tag at most, and digests of the same repository.
fn is_single(names: &[Reference]) -> bool {
    if names.len() <= 1 {
        return true;
    }
    let tags = names.iter().filter(|name| name.digest().is_none()).count();
    tags <= 1 && names.iter().all(|name| name.name() == names[0].name())
}

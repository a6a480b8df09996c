//! Naming and removing images.

use super::filters;
use crate::{Engine, Filters};
use api_types::List;
use api_types::image::{DeleteItem, PruneReply};
use images::{RemoveOptions, Removed};
use spec::{Class, Failure, Platform};

/// How an image is removed.
#[derive(Debug, Clone, Default)]
pub struct ImageRemoveOptions {
    /// Also when stopped containers use it or several repositories have it.
    pub force: bool,
    /// Its parents too, when they have no name.
    pub prune_parents: bool,
    /// Only the parts for these platforms; an image here has exactly one.
    pub platforms: Vec<Platform>,
}

impl Engine {
    /// Gives an image another name.
    pub async fn image_tag(&self, name: &str, repo: &str, tag: &str) -> Result<(), Failure> {
        let (id, given) = self.images().tag(name, repo, tag).await?;
        self.image_event("tag", &id, &given.familiar());
        Ok(())
    }

    /// Removes a name, or an image with its names.
    pub async fn image_remove(
        &self,
        name: &str,
        options: ImageRemoveOptions,
    ) -> Result<Vec<DeleteItem>, Failure> {
        if !options.platforms.is_empty() {
            return Err(Failure::new(
                Class::NotImplemented,
                "removing single platforms of an image is not supported",
            ));
        }
        let how = RemoveOptions { force: options.force, no_prune: !options.prune_parents };
        let removed = self.images().remove(name, how, &self.image_users()).await?;
        Ok(self.tell_removed(removed))
    }

    /// Removes images that nothing uses: those without a name, or with `dangling=false` all.
    pub async fn image_prune(&self, wanted: &Filters) -> Result<PruneReply, Failure> {
        let filters = filters(wanted, &["dangling", "label", "label!", "until"])?;
        let mut pruned = self.images().prune(&filters, &self.image_users()).await?;
        if !wanted.has("until") && !wanted.has("label") && !wanted.has("label!") {
            pruned.reclaimed += self.forget_fetched().await?;
        }
        let deleted = self.tell_removed(pruned.removed);
        let attributes = [("reclaimed".to_owned(), pruned.reclaimed.to_string())].into();
        self.events().publish("image", "prune", "", attributes);
        let images_deleted = if deleted.is_empty() { List::default() } else { deleted.into() };
        Ok(PruneReply { images_deleted, space_reclaimed: pruned.reclaimed })
    }

    /// Removes what pulls have left that were not finished; the bytes that were freed.
    async fn forget_fetched(&self) -> Result<u64, Failure> {
        let (store, busy) = (self.images().clone(), self.0.downloads.busy());
        let freed = super::blocking(move || store.sweep_fetched_blocking(true, &busy)).await?;
        let collected = self.images().collect(&self.image_users(), Vec::new()).await?;
        Ok(freed + collected.bytes)
    }

    /// What was removed as the API says it; tells of it as events, too.
    fn tell_removed(&self, removed: Vec<Removed>) -> Vec<DeleteItem> {
        let mut items = Vec::new();
        for one in removed {
            match one {
                Removed::Untagged { name, image } => {
                    self.image_event("untag", &image, image.as_str());
                    items.push(DeleteItem { untagged: name, ..DeleteItem::default() });
                }
                Removed::Deleted(id) => {
                    self.image_event("delete", &id, id.as_str());
                    items.push(DeleteItem { deleted: id.to_string(), ..DeleteItem::default() });
                }
                Removed::Layer(chain) => {
                    let deleted = format!("sha256:{}", chain.as_str());
                    items.push(DeleteItem { deleted, ..DeleteItem::default() });
                }
            }
        }
        items
    }
}

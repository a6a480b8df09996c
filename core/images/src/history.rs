//! How an image came to be.

use crate::record::Image;
use crate::{Error, Store};
use spec::Digest;

/// One step, as `docker history` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryItem {
    /// The image that the step made, if it is here.
    pub id: Option<Digest>,
    /// When: nanoseconds since 1970.
    pub created_at: Option<i64>,
    /// The command.
    pub created_by: String,
    /// The names of that image, as people write them.
    pub tags: Vec<String>,
    /// Bytes of the step's layer.
    pub size: u64,
    /// What for.
    pub comment: String,
}

impl Store {
    /// The steps that made an image, the newest first.
    pub fn history(&self, text: &str) -> Result<Vec<HistoryItem>, Error> {
        let image = self.resolve(text)?;
        let config = self.config(&image.id)?;
        let mut layers = image.layers.iter();
        let mut items = Vec::new();
        for step in &config.history {
            let layer = if step.empty_layer { None } else { layers.next() };
            items.push(HistoryItem {
                id: None,
                created_at: step.created.as_deref().and_then(crate::time::parse),
                created_by: step.created_by.clone(),
                tags: Vec::new(),
                size: layer.map_or(0, |layer| layer.size),
                comment: step.comment.clone(),
            });
        }
        items.reverse();
        self.name_steps(image, &mut items)?;
        Ok(items)
    }

    /// The newest step made the image itself, the ones before it its parents.
    fn name_steps(&self, image: Image, items: &mut [HistoryItem]) -> Result<(), Error> {
        let mut current = Some(image);
        for item in items {
            let Some(image) = current else { break };
            let names = self.names(&image.id)?;
            let tagged = names.iter().filter(|name| name.digest().is_none());
            item.tags = tagged.map(|name| name.familiar()).collect();
            current = match &image.parent {
                Some(parent) => self.get(parent)?,
                None => None,
            };
            item.id = Some(image.id);
        }
        Ok(())
    }
}

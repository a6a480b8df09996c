//! Images out of archives and into them.

use super::stream;
use crate::{Engine, TarStream};
use api_types::image::{Progress, ProgressDetail};
use images::{Loaded, NewImport};
use spec::{Class, Failure, Platform};
use std::fs::File;
use std::os::fd::OwnedFd;
use tokio::sync::mpsc;

/// What is known about an import besides the archive.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The repository that the image gets; none when empty.
    pub repo: String,
    /// The tag; `latest` when empty.
    pub tag: String,
    /// What for.
    pub message: String,
    /// Dockerfile instructions that give the configuration.
    pub changes: Vec<String>,
    /// What it runs on; this host's platform when not set.
    pub platform: Option<Platform>,
}

impl Engine {
    /// Loads all images of the archive that is read from `source`, compressed or not. Gives what clients are told,
    /// the failure too; the load goes on when nobody listens.
    pub fn image_load(
        &self,
        source: OwnedFd,
        quiet: bool,
        _platforms: Vec<Platform>,
    ) -> mpsc::Receiver<Progress> {
        let (sender, receiver) = mpsc::channel(16);
        let engine = self.clone();
        tokio::spawn(async move {
            let (told, mut progress) = mpsc::unbounded_channel();
            let load = engine.images().load(File::from(source), told);
            let tell = async {
                while let Some(step) = progress.recv().await {
                    if let Some(step) = shown(step, quiet) {
                        // Nobody may listen.
                        sender.send(step).await.ok();
                    }
                }
            };
            match tokio::join!(load, tell).0 {
                Ok(loaded) => engine.tell_loaded(&loaded),
                Err(error) => {
                    let failure = Failure::from(error);
                    sender.send(Progress::failed(&failure.message)).await.ok();
                }
            }
        });
        receiver
    }

    fn tell_loaded(&self, loaded: &[Loaded]) {
        for one in loaded {
            let id = &one.image.id;
            let names: Vec<String> = one.names.iter().map(|name| name.familiar()).collect();
            if names.is_empty() {
                self.image_event("load", id, id.as_str());
            }
            for name in names {
                self.image_event("load", id, &name);
            }
        }
    }

    /// Makes an image of one layer out of the tar that is read from `source`; its id.
    pub async fn image_import(
        &self,
        options: ImportOptions,
        source: OwnedFd,
    ) -> Result<String, Failure> {
        let name = (!options.repo.is_empty()).then_some((options.repo, options.tag));
        let import = NewImport {
            name,
            message: options.message,
            changes: options.changes,
            platform: options.platform,
        };
        let image = self.images().import(File::from(source), import).await?;
        self.image_event("import", &image.id, image.id.as_str());
        Ok(image.id.to_string())
    }

    /// Images as one tar, which is Docker's archive and an OCI layout.
    pub async fn image_save(
        &self,
        names: &[String],
        platforms: &[Platform],
    ) -> Result<TarStream, Failure> {
        for name in names {
            // Without the tag that would have been taken, which is the text for other verbs.
            self.images().resolve(name).map_err(|error| match Failure::from(error) {
                failure if failure.class == Class::NotFound => {
                    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
                    Failure::not_found(match has_tag {
                        true => "reference does not exist".to_owned(),
                        false => format!("No such image: {name}"),
                    })
                }
                failure => failure,
            })?;
        }
        let save = self.images().save(names).await?;
        for (image, _) in save.images() {
            if !platforms.is_empty() && !platforms.contains(&image.platform) {
                let id = image.id.short();
                return Err(Failure::not_found(format!(
                    "image {id} is for {} and does not provide a specified platform",
                    image.platform
                )));
            }
            self.image_event("save", &image.id, image.id.as_str());
        }
        stream::written(move |out| save.write_blocking(out))
    }
}

fn shown(step: images::Progress, quiet: bool) -> Option<Progress> {
    match step {
        images::Progress::Message(text) => Some(Progress::text(text)),
        images::Progress::Layer { .. } if quiet => None,
        images::Progress::Layer { id, current, total } => Some(Progress {
            status: "Loading layer".into(),
            id,
            progress_detail: Some(ProgressDetail {
                current: super::show::number(current),
                total: super::show::number(total),
                ..ProgressDetail::default()
            }),
            ..Progress::default()
        }),
    }
}

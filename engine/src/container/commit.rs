//! `docker commit`: a container's changes as a new image.

use super::actor::{Command, tell};
use super::archive::pipe;
use super::merge;
use super::options::CommitOptions;
use super::state::State;
use crate::open::Engine;
use api_types::container::Config;
use images::NewCommit;
use spec::image::RunConfig;
use spec::{Digest, Failure, SnapshotKey};
use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc;

impl Engine {
    /// Makes an image of a container; its id.
    pub async fn commit(
        &self,
        options: CommitOptions,
        config: Option<Config>,
    ) -> Result<String, Failure> {
        let handle = self.0.containers.find(&options.container)?;
        let view = handle.view();
        match view.state {
            State::Dead => {
                return Err(Failure::conflict(format!(
                    "You cannot commit container {} which is Dead",
                    handle.id
                )));
            }
            State::Removing => {
                let text =
                    format!("You cannot commit container {} which is being removed", handle.id);
                return Err(Failure::conflict(text));
            }
            _ => {}
        }
        let own = &view.config.config;
        let mut run = config.unwrap_or_else(|| own.clone());
        merge::merge(&mut run, own)?;
        let commit = NewCommit {
            parent: Digest::parse(&view.config.image.id).ok(),
            config: run_config(&run)?,
            changes: options.changes.clone(),
            container: handle.id.to_string(),
            container_config: serde_json::to_value(own).map_err(|error| unreadable(&error))?,
            created_by: std::iter::once(&view.config.path)
                .chain(&view.config.args)
                .cloned()
                .collect::<Vec<_>>()
                .join(" "),
            author: options.author.clone(),
            comment: options.comment.clone(),
            name: name(&options),
        };
        let pause = options.pause && view.state == State::Running;
        // Not cut short by a client that goes away: the container would stay frozen.
        let (engine, owner) = (self.clone(), handle.clone());
        let work = async move {
            let frozen = |reply| Command::Pause { lasting: false, reply };
            let paused = pause && owner.ask(frozen).await.is_ok();
            let image = engine.commit_layer(&owner.id, commit).await;
            if paused {
                owner.ask(Command::Unpause).await?;
            }
            image
        };
        let ending = |_| Err(Failure::internal("commit: the engine is ending"));
        let id = tokio::spawn(work).await.unwrap_or_else(ending)?.to_string();
        let reference =
            name(&options).map(|(repo, tag)| format!("{repo}:{tag}")).unwrap_or_default();
        let more = [("comment", options.comment), ("imageID", id.clone()), ("imageRef", reference)];
        tell(&self.0, &view.config, "commit", &more);
        Ok(id)
    }

    async fn commit_layer(
        &self,
        id: &spec::ContainerId,
        commit: NewCommit,
    ) -> Result<Digest, Failure> {
        let (reader, writer) = pipe()?;
        let (told, outcome) = mpsc::channel();
        let (workers, key) = (self.0.workers.clone(), SnapshotKey::from(id));
        tokio::spawn(async move {
            // Who gave up reading needs no outcome.
            told.send(workers.write_difference(key, writer).await).ok();
        });
        let layer = Layer { pipe: reader.into(), outcome };
        Ok(self.0.images.commit(layer, commit).await?.id)
    }
}

fn name(options: &CommitOptions) -> Option<(String, String)> {
    let tag = if options.tag.is_empty() { "latest" } else { &options.tag };
    (!options.repo.is_empty()).then(|| (options.repo.clone(), tag.to_owned()))
}

/// The part of a container's configuration that an image has.
fn run_config(config: &Config) -> Result<RunConfig, Failure> {
    let value = serde_json::to_value(config).map_err(|error| unreadable(&error))?;
    serde_json::from_value(value).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::internal(format!("write the configuration of the image: {error}"))
}

/// The tar that the storage worker writes. Its end is only an end if the worker says that all was written.
struct Layer {
    pipe: File,
    outcome: mpsc::Receiver<Result<(), Failure>>,
}

impl Read for Layer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.pipe.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        match self.outcome.recv() {
            Ok(Err(failure)) => Err(io::Error::other(failure)),
            // A second read at the end finds no sender any more.
            Ok(Ok(())) | Err(mpsc::RecvError) => Ok(0),
        }
    }
}

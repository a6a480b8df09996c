//! Signatures of the verbs that are still to come.
#![expect(clippy::todo, unused_variables, reason = "signatures first")]

use crate::{ArchivePutOptions, AttachOptions, Attached, CommitOptions, Engine, Filters, ListOptions, LogOptions, LogStream, RemoveOptions, TarStream, WaitCondition, WaitHandle};
use api_types::container::*;
use api_types::inspect::{Inspect, Summary};
use ::spec::Failure;
use std::os::fd::OwnedFd;

impl Engine {
    /// Creates a container.
    pub async fn create(
        &self,
        name: Option<String>,
        platform: Option<String>,
        body: CreateBody,
    ) -> Result<CreateReply, Failure> {
        todo!()
    }
    /// Starts.
    pub async fn start(&self, name: &str) -> Result<(), Failure> {
        todo!()
    }
    /// Stops.
    pub async fn stop(&self, name: &str, timeout: Option<i64>, signal: Option<String>) -> Result<(), Failure> {
        todo!()
    }
    /// Restarts.
    pub async fn restart(&self, name: &str, timeout: Option<i64>, signal: Option<String>) -> Result<(), Failure> {
        todo!()
    }
    /// Kills.
    pub async fn kill(&self, name: &str, signal: Option<String>) -> Result<(), Failure> {
        todo!()
    }
    /// Pauses.
    pub async fn pause(&self, name: &str) -> Result<(), Failure> {
        todo!()
    }
    /// Unpauses.
    pub async fn unpause(&self, name: &str) -> Result<(), Failure> {
        todo!()
    }
    /// Renames.
    pub async fn rename(&self, name: &str, new: &str) -> Result<(), Failure> {
        todo!()
    }
    /// Updates.
    pub async fn update(&self, name: &str, body: UpdateBody) -> Result<Vec<String>, Failure> {
        todo!()
    }
    /// Waits; resolves at once, [`WaitHandle::finish`] when the condition holds.
    pub async fn wait(&self, name: &str, condition: WaitCondition) -> Result<WaitHandle, Failure> {
        todo!()
    }
    /// Attaches.
    pub async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attached, Failure> {
        todo!()
    }
    /// Resizes.
    pub async fn resize(&self, name: &str, width: u16, height: u16) -> Result<(), Failure> {
        todo!()
    }
    /// Logs.
    pub async fn logs(&self, name: &str, options: LogOptions) -> Result<LogStream, Failure> {
        todo!()
    }
    /// Top.
    pub async fn top(&self, name: &str, ps_args: &str) -> Result<TopReply, Failure> {
        todo!()
    }
    /// Inspects.
    pub async fn inspect(&self, name: &str, size: bool) -> Result<Inspect, Failure> {
        todo!()
    }
    /// Lists.
    pub async fn list(&self, options: ListOptions) -> Result<Vec<Summary>, Failure> {
        todo!()
    }
    /// Changes.
    pub async fn changes(&self, name: &str) -> Result<Vec<ChangeItem>, Failure> {
        todo!()
    }
    /// Exports.
    pub async fn export(&self, name: &str) -> Result<TarStream, Failure> {
        todo!()
    }
    /// What lies at a path in a container.
    pub async fn archive_stat(&self, name: &str, path: &str) -> Result<PathStat, Failure> {
        todo!()
    }
    /// A tar of what lies at a path in a container.
    pub async fn archive_get(&self, name: &str, path: &str) -> Result<(PathStat, TarStream), Failure> {
        todo!()
    }
    /// Unpacks a tar, already decompressed, that is read from a descriptor.
    pub async fn archive_put(
        &self,
        name: &str,
        path: &str,
        options: ArchivePutOptions,
        archive: OwnedFd,
    ) -> Result<(), Failure> {
        todo!()
    }
    /// Removes.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<(), Failure> {
        todo!()
    }
    /// Prunes.
    pub async fn prune(&self, filters: &Filters) -> Result<PruneReply, Failure> {
        todo!()
    }
    /// Makes an exec; its id.
    pub async fn exec_create(&self, name: &str, body: api_types::exec::CreateBody) -> Result<String, Failure> {
        todo!()
    }
    /// Starts an exec; without `detach` the stream of its process. A failure to start it is text in the stream then.
    pub async fn exec_start(&self, id: &str, body: api_types::exec::StartBody) -> Result<Option<Attached>, Failure> {
        todo!()
    }
    /// Resizes an exec's terminal.
    pub async fn exec_resize(&self, id: &str, width: u16, height: u16) -> Result<(), Failure> {
        todo!()
    }
    /// Shows an exec.
    pub async fn exec_inspect(&self, id: &str) -> Result<api_types::exec::Inspect, Failure> {
        todo!()
    }
    /// Makes an image of a container; its id.
    pub async fn commit(&self, options: CommitOptions, config: Option<Config>) -> Result<String, Failure> {
        todo!()
    }
}

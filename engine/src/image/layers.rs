//! The unpacked layers, which only the storage worker can touch.

use images::{Layers, Pending};
use messages::Fd;
use messages::storage::{Reply, Request};
use spec::{Digest, Failure, SnapshotKey};
use std::os::fd::OwnedFd;
use transport::Client;

/// The storage worker as the image store sees it.
#[derive(Debug)]
pub struct WorkerLayers(Client<Request>);

impl WorkerLayers {
    /// The layers that this client's worker keeps.
    pub fn new(client: Client<Request>) -> Self {
        Self(client)
    }
}

impl Layers for WorkerLayers {
    fn unpack(
        &self,
        key: SnapshotKey,
        blob: OwnedFd,
        diff_id: Digest,
        limit: u64,
    ) -> Pending<'_, u64> {
        Box::pin(async move {
            let request = Request::Unpack { key, blob: Fd(0), diff_id, limit };
            match self.0.call(request, vec![blob]).await? {
                (Reply::Unpacked { size }, _) => Ok(size),
                (other, _) => Err(unexpected("unpack layer", &other)),
            }
        })
    }

    fn remove(&self, key: SnapshotKey) -> Pending<'_, ()> {
        Box::pin(async move {
            self.0.call(Request::Remove { key }, Vec::new()).await?;
            Ok(())
        })
    }
}

/// The failure of a worker that answers something else than was asked.
pub(crate) fn unexpected(what: &str, reply: &Reply) -> Failure {
    tracing::error!(?reply, "the storage worker answered something else");
    Failure::internal(format!("{what}: unexpected answer of the storage worker"))
}

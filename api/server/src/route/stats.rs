//! `GET /containers/{id}/stats`

use crate::http::reply::{self, JSON, Reply};
use crate::http::request::Request;
use crate::stream::objects::{self, Framing, Objects};
use engine::StatsMode;
use spec::Failure;

/// Sends one sample, or one a second until the container is removed or the client leaves.
pub(crate) async fn stats(request: Request) -> Result<Reply, Failure> {
    let form = &request.form;
    let one_shot = !request.version.before(41) && form.flag("one-shot");
    let mode = match (form.flag_or("stream", true), one_shot) {
        (true, _) => StatsMode::Stream,
        (false, false) => StatsMode::Single,
        (false, true) => StatsMode::OneShot,
    };
    let mut samples = request.server.engine().stats(&request.name, mode).await?;
    let (pieces, content) = reply::pieces(Some(&request.link));
    let objects = Objects::new(pieces, Framing::Lines(JSON));
    tokio::spawn(async move {
        loop {
            let sample = tokio::select! {
                sample = samples.next() => sample,
                () = objects.closed() => return,
            };
            match sample {
                None => return,
                Some(Ok(sample)) => {
                    if !objects.send(&sample).await {
                        return;
                    }
                }
                Some(Err(failure)) => {
                    tracing::warn!(%failure, "sample container");
                    return objects.fail(&failure).await;
                }
            }
        }
    });
    Ok(objects::reply(Framing::Lines(JSON), content))
}

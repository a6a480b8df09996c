//! `GET /containers/{id}/logs`

use super::timestamp;
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use crate::stream::hijack;
use engine::LogOptions;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use spec::Failure;
use std::io;

/// Sends the log; the head goes out at once, also when there is nothing to send yet.
pub(crate) async fn logs(request: Request) -> Result<Reply, Failure> {
    let form = &request.form;
    let (stdout, stderr) = (form.flag("stdout"), form.flag("stderr"));
    if !stdout && !stderr {
        return Err(Failure::invalid("must specify at least one of 'stdout' or 'stderr'"));
    }
    let until = Some(form.get("until")).filter(|until| *until != "0").unwrap_or_default();
    let options = LogOptions {
        follow: form.flag("follow"),
        stdout,
        stderr,
        since: timestamp::parse("\"since\"", form.get("since"))?,
        until: timestamp::parse("\"until\"", until)?,
        timestamps: form.flag("timestamps"),
        // Anything but a number means all, as «all» itself.
        tail: form.get("tail").parse().ok(),
        details: form.flag("details"),
    };
    let mut log = request.server.engine().logs(&request.name, options).await?;
    let kind = hijack::media_type(log.tty, request.version);
    let (pieces, content) = reply::pieces(Some(&request.link));
    tokio::spawn(async move {
        loop {
            let piece = tokio::select! {
                piece = log.next() => piece,
                () = pieces.closed() => return,
            };
            match piece {
                None => return,
                Some(Ok(piece)) => {
                    if !pieces.send(piece).await {
                        return;
                    }
                }
                Some(Err(failure)) => {
                    tracing::warn!(%failure, "read log");
                    return pieces.fail(io::Error::other(failure.message)).await;
                }
            }
        }
    });
    let mut reply = hyper::Response::new(content);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(reply)
}

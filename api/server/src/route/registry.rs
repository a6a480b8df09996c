//! What goes to a registry: credentials in headers, and progress that comes back.

use crate::http::reply::{self, Reply};
use crate::stream::objects::{self, Framing, Objects};
use api_types::image::Progress;
use engine::image::Credentials;
use hyper::HeaderMap;
use hyper::header::USER_AGENT;
use tokio::sync::mpsc;

/// The header `X-Registry-Auth`; nobody in particular when there is none or it cannot be read.
pub(crate) fn credentials(headers: &HeaderMap) -> Credentials {
    let text = headers.get("x-registry-auth").and_then(|value| value.to_str().ok());
    text.map(Credentials::from_header).unwrap_or_default()
}

/// What the client calls itself.
pub(crate) fn agent(headers: &HeaderMap) -> String {
    let text = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    text.unwrap_or_default().to_owned()
}

/// A stream of progress. The work ends when its receiver is dropped, which is when the client has gone.
pub(crate) fn progress(mut progress: mpsc::Receiver<Progress>) -> Reply {
    let (pieces, content) = reply::pieces(None);
    let objects = Objects::new(pieces, Framing::Progress);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = objects.closed() => return,
                object = progress.recv() => match object {
                    Some(object) => if !objects.send(&object).await { return },
                    None => return,
                },
            }
        }
    });
    objects::reply(Framing::Progress, content)
}

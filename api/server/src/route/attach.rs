//! Attaching to a container: by hijack or websocket.

use crate::failure;
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use crate::stream::{hijack, websocket};
use engine::{AttachOptions, Attached};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use spec::Failure;

/// `POST /containers/{id}/attach`
pub(crate) async fn attach(mut request: Request) -> Result<Reply, Failure> {
    match open(&request, false).await {
        Ok(attached) if request.wants_upgrade() => Ok(hijack::upgraded(&mut request, attached)),
        Ok(attached) => Ok(output_only(&request, attached)),
        Err(failure) => Ok(refusal(&failure, hijack::RAW)),
    }
}

/// The container's stream as a request asks for it; `raw` without frames.
pub(crate) async fn open(request: &Request, raw: bool) -> Result<Attached, Failure> {
    let form = &request.form;
    // A websocket has all streams before 1.42.
    let all = raw && request.version.before(42);
    let options = AttachOptions {
        stdin: all || form.flag("stdin"),
        stdout: all || form.flag("stdout"),
        stderr: all || form.flag("stderr"),
        logs: form.flag("logs"),
        stream: form.flag("stream"),
        detach_keys: form.text("detachKeys").map(str::to_owned),
        raw,
    };
    request.server.engine().attach(&request.name, options).await
}

/// What a failed attach answers: plain text, since clients have always got it so.
pub(crate) fn refusal(failure: &Failure, kind: &'static str) -> Reply {
    reply::whole(failure::status(failure.class), kind, format!("{}\r\n", failure.message))
}

/// A client without `Upgrade` on a connection that hyper keeps: it gets the output as an ordinary body.
pub(crate) fn output_only(request: &Request, attached: Attached) -> Reply {
    let (pieces, content) = reply::pieces(Some(&request.link));
    tokio::spawn(async move {
        let (mut output, _input) = attached.stream.into_split();
        let mut buffer = vec![0; 32 << 10];
        loop {
            let read = tokio::select! {
                read = tokio::io::AsyncReadExt::read(&mut output, &mut buffer) => read,
                () = pieces.closed() => return,
            };
            let Ok(count @ 1..) = read else { return };
            if !pieces.send(buffer[..count].to_vec()).await {
                return;
            }
        }
    });
    let mut reply = hyper::Response::new(content);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(hijack::RAW));
    reply
}

/// `GET /containers/{id}/attach/ws`
pub(crate) async fn websocket(mut request: Request) -> Result<Reply, Failure> {
    let accept = websocket::check(&request)?;
    let attached = open(&request, true).await?;
    Ok(websocket::upgraded(&mut request, &accept, attached.stream))
}

//! What goes to a registry: credentials in headers, and progress that comes back.

use super::{filters, platform};
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use crate::stream::objects::{self, Framing, Objects};
use api_types::image::Progress;
use engine::image::{Credentials, PushOptions};
use hyper::HeaderMap;
use hyper::header::USER_AGENT;
use serde_json::json;
use spec::Failure;
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

/// `POST /images/{name}/push`
pub(crate) async fn push(request: Request) -> Result<Reply, Failure> {
    let platform = match request.form.text("platform") {
        Some(text) if !request.version.before(46) => Some(platform::parse_json(text)?),
        _ => None,
    };
    let options = PushOptions {
        name: request.name.clone(),
        tag: request.form.get("tag").to_owned(),
        platform,
        credentials: credentials(&request.headers),
        agent: agent(&request.headers),
    };
    Ok(progress(request.server.engine().image_push(options).await?))
}

/// `POST /auth`
pub(crate) async fn auth(mut request: Request) -> Result<Reply, Failure> {
    // Not by the lenient reader of bodies, which keeps what it reads for messages.
    request.check_json()?;
    let body = request.body.collect().await?;
    let credentials: Credentials = serde_json::from_slice(&body)
        .map_err(|_| Failure::invalid("invalid JSON: the body is no set of credentials"))?;
    let agent = agent(&request.headers);
    let token = request.server.engine().registry_login(credentials, &agent).await?;
    Ok(reply::ok(&json!({"IdentityToken": token, "Status": "Login Succeeded"})))
}

/// `GET /images/search`
pub(crate) async fn search(request: Request) -> Result<Reply, Failure> {
    let filters = filters::of(&request.form)?;
    let limit =
        match request.form.get("limit") {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                Failure::invalid("invalid limit: it must be a number from 1 to 100")
            })?),
        };
    let (credentials, agent) = (credentials(&request.headers), agent(&request.headers));
    let engine = request.server.engine();
    let term = request.form.get("term");
    let found = engine.image_search(term, limit, &filters, &credentials, &agent).await?;
    let show = |one: engine::image::Found| {
        json!({
            "star_count": one.star_count,
            "is_official": one.is_official,
            "name": one.name,
            "is_automated": one.is_automated,
            "description": one.description,
        })
    };
    Ok(reply::ok(&found.into_iter().map(show).collect::<Vec<_>>()))
}

/// `GET /distribution/{name}/json`
pub(crate) async fn distribution(request: Request) -> Result<Reply, Failure> {
    let (credentials, agent) = (credentials(&request.headers), agent(&request.headers));
    let engine = request.server.engine();
    let remote = engine.distribution_inspect(&request.name, credentials, &agent).await?;
    Ok(reply::ok(&json!({
        "Descriptor": {
            "mediaType": remote.media_type,
            "digest": remote.digest,
            "size": remote.size,
        },
        "Platforms": remote.platforms,
    })))
}

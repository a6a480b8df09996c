//! From hyper's request to a route, and back: versions, common headers, errors, and a wall against panics.

use crate::http::link::Link;
use crate::http::reply::{self, Reply};
use crate::http::request::{Payload, Request, Unread, media_type};
use crate::query::{self, Form};
use crate::routes::{self, Found, Route};
use crate::version::{self, Version};
use crate::{Server, failure, route};
use hyper::body::{Body, Incoming};
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Method, StatusCode};
use spec::Failure;

/// Answers a request of hyper's. The verb runs as a task of its own: it neither ends with the connection nor takes
/// it down.
pub(crate) async fn answer(server: Server, link: Link, request: hyper::Request<Incoming>) -> Reply {
    link.begin(!request.body().is_end_stream());
    let reply = walled(respond(server, link.clone(), request)).await;
    reply::tracked(reply, link)
}

/// Runs a handler as a task; a panic in it is an answer like another.
async fn walled(handler: impl Future<Output = Reply> + Send + 'static) -> Reply {
    match tokio::spawn(handler).await {
        Ok(reply) => reply,
        Err(error) => {
            tracing::error!(%error, "a request's handler broke off");
            reply::error(StatusCode::INTERNAL_SERVER_ERROR, "internal error: handler broke off")
        }
    }
}

async fn respond(server: Server, link: Link, mut request: hyper::Request<Incoming>) -> Reply {
    let upgrade = request
        .headers()
        .contains_key(hyper::header::UPGRADE)
        .then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let target = Target::of(&head.method, head.uri.path());
    let (found, asked) = match target {
        Target::Options => return with_common(&server, reply::empty(StatusCode::OK)),
        Target::Unknown => return reply::error(StatusCode::NOT_FOUND, "page not found"),
        Target::Malformed(failure) => return failure::reply(&failure),
        Target::Found(found, asked) => (found, asked),
    };
    let version = match check_version(&server, asked.as_deref(), &found) {
        Ok(version) => version,
        Err(refusal) => return with_common(&server, *refusal),
    };
    let body = Payload::Incoming(Unread::new(body), link.clone());
    let query = head.uri.query().unwrap_or_default();
    let reply = match form(query, &head.method, &head.headers, body).await {
        Ok((form, body)) => {
            let (name, headers) = (found.name, head.headers);
            let server = server.clone();
            let request = Request { server, version, name, form, headers, body, link, upgrade };
            run(found.route, head.method, request).await
        }
        Err(failure) => failure::reply(&failure),
    };
    with_common(&server, reply)
}

/// What a request line asks for.
pub(crate) enum Target {
    /// `OPTIONS`, which is answered everywhere.
    Options,
    /// No such route.
    Unknown,
    /// A path that cannot be read.
    Malformed(Failure),
    /// A route, and the version in front of it.
    Found(Found, Option<String>),
}

impl Target {
    /// The target of a method and an encoded path.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        if method == Method::OPTIONS {
            return Self::Options;
        }
        let path = match query::decode(path, false) {
            Ok(path) => path,
            Err(failure) => return Self::Malformed(failure),
        };
        let (asked, path) = version::split(&path);
        match routes::find(method, path) {
            Some(found) => Self::Found(found, asked.map(str::to_owned)),
            None => Self::Unknown,
        }
    }
}

/// The version that a request gets, or the refusal.
pub(crate) fn check_version(
    server: &Server,
    asked: Option<&str>,
    found: &Found,
) -> Result<Version, Box<Reply>> {
    let Some(text) = asked else { return Ok(Version::NEWEST) };
    let too_new = || {
        let most = Version::NEWEST;
        let message =
            format!("client version {text} is too new. Maximum supported API version is {most}");
        Box::new(reply::error(StatusCode::BAD_REQUEST, &message))
    };
    let version = Version::parse(text).ok_or_else(too_new)?;
    let oldest = server.options().oldest;
    if version < oldest {
        let message = format!(
            "client version {text} is too old. Minimum supported API version is {oldest}, \
             please upgrade your client to a newer version"
        );
        return Err(Box::new(if version.before(24) {
            let plain = "text/plain; charset=utf-8";
            reply::whole(StatusCode::BAD_REQUEST, plain, format!("{message}\n"))
        } else {
            reply::error(StatusCode::BAD_REQUEST, &message)
        }));
    }
    if version > Version::NEWEST {
        return Err(too_new());
    }
    if version.before(found.since) {
        let message = format!("page not found: needs API version 1.{}", found.since);
        return Err(Box::new(reply::error(StatusCode::NOT_FOUND, &message)));
    }
    Ok(version)
}

/// The values of the query, behind those of a form body.
async fn form(
    query: &str,
    method: &Method,
    headers: &HeaderMap,
    mut body: Payload,
) -> Result<(Form, Payload), Failure> {
    let query = Form::parse(query)?;
    let is_form = media_type(headers).as_deref() == Some("application/x-www-form-urlencoded");
    if !is_form || !matches!(*method, Method::POST | Method::PUT) {
        return Ok((query, body));
    }
    let bytes = body.collect().await?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::invalid("form body is not UTF-8"))?;
    Ok((Form::parse(&text)?.followed_by(query), Payload::Whole(bytes::Bytes::new())))
}

async fn run(found: Route, method: Method, request: Request) -> Reply {
    let (version, name) = (request.version, request.name.clone());
    match route::call(found, &method, request).await {
        Ok(reply) => reply,
        Err(failure) => {
            if failure::status(failure.class).is_server_error() {
                tracing::warn!(route = ?found, %version, name, %failure, "request failed");
            }
            failure::reply(&failure)
        }
    }
}

/// Adds the headers that every answer of a known route carries.
fn with_common(server: &Server, mut reply: Reply) -> Reply {
    let ping = server.engine().ping();
    let experimental = server.options().experimental;
    let headers = [
        ("api-version", Version::NEWEST.to_string()),
        ("docker-experimental", experimental.to_string()),
        ("ostype", ping.os.clone()),
        ("server", format!("Docker/{} ({})", ping.engine_version, ping.os)),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            reply.headers_mut().insert(name, value);
        }
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_panic_in_a_handler_is_answered_with_500() {
        let reply = walled(async { panic!("broken") }).await;
        assert_eq!(reply.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "{\"message\":\"internal error: handler broke off\"}\n");
    }
}

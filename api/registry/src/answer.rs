//! One request: who asks, may they, what is it, and one line about it.

use crate::access::issue::LIFETIME;
use crate::access::{Action, User, Wish, basic};
use crate::address::{Query, Route};
use crate::body::{Body, Reply};
use crate::exchange::{Exchange, Peer};
use crate::failure::Failure;
use crate::lists::json_reply;
use crate::receive::{Source, blocking, discard, into_memory};
use crate::uploads::set;
use crate::{Shared, blobs, lists, manifests, metrics, uploads};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// The most bytes of a form sent to `/token`.
const FORM_MAX: usize = 16 << 10;

/// Answers a request, counts it and writes its line.
pub(crate) async fn answer(shared: &Shared, request: Request<Incoming>, peer: Arc<Peer>) -> Reply {
    let begun = Instant::now();
    let mut exchange = Exchange::new(request, peer);
    let route = Route::parse(&exchange.path);
    let word = route.as_ref().map_or("unknown", Route::word);
    let (user, answered) = match route {
        Ok(route) => handle(shared, &mut exchange, route).await,
        Err(failure) => (None, Err(failure)),
    };
    let mut reply = match answered {
        Ok(reply) => reply,
        Err(failure) => refuse(&mut exchange, failure).await,
    };
    finish(&exchange, &mut reply);
    let length = reply.body().length();
    metrics::add(&shared.metrics.sent, length.unwrap_or(0));
    shared.metrics.request(method(&exchange), word, reply.status().as_u16(), begun.elapsed());
    if shared.options.access_log && word != "health" {
        log(&exchange, user.as_deref(), &reply, length, begun);
    }
    reply
}

fn finish(exchange: &Exchange, reply: &mut Reply) {
    reply.headers_mut().insert(VERSION, HeaderValue::from_static("registry/2.0"));
    if let (Some(length), false) =
        (reply.body().length(), reply.headers().contains_key(CONTENT_LENGTH))
        && !matches!(reply.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    {
        set(reply, CONTENT_LENGTH, &length.to_string());
    }
    if exchange.method == Method::HEAD {
        *reply.body_mut() = Body::empty();
    }
}

/// The answer to a request that failed. What its client still sends is read for a while, unless it waits for us to
/// ask for it; else the client would see a broken connection in place of the answer.
async fn refuse(exchange: &mut Exchange, failure: Failure) -> Reply {
    if let Some(body) = exchange.body.take()
        && !failure.close
        && exchange.said() != Some(0)
        && !exchange.headers.contains_key(EXPECT)
    {
        discard(Source::new(body)).await;
    }
    failure.reply()
}

fn method(exchange: &Exchange) -> &'static str {
    match exchange.method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    }
}

fn log(
    exchange: &Exchange,
    user: Option<&str>,
    reply: &Reply,
    length: Option<u64>,
    begun: Instant,
) {
    // Debug form: a client must not be able to write a second line.
    let agent: String = exchange.header(USER_AGENT).unwrap_or_default().chars().take(100).collect();
    let path: String = exchange.path.chars().take(400).collect();
    tracing::info!(
        target: "access",
        "{} {} {} {path:?} {} {} {:.3}ms {agent:?}",
        exchange.peer.address,
        user.map_or_else(|| "-".to_owned(), |user| format!("{user:?}")),
        method(exchange),
        reply.status().as_u16(),
        length.map_or_else(|| "-".to_owned(), |length| length.to_string()),
        begun.elapsed().as_secs_f64() * 1000.0,
    );
}

async fn handle(
    shared: &Shared,
    exchange: &mut Exchange,
    route: Route,
) -> (User, Result<Reply, Failure>) {
    match route {
        Route::Health => return (None, health(shared).await),
        Route::Metrics if shared.options.metrics_path => {
            return (None, Ok(plain(shared.metrics.text())));
        }
        Route::Metrics => {
            let failure =
                Failure::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "there is no such path");
            return (None, Err(failure));
        }
        Route::Token => return (None, token(shared, exchange).await),
        _ => {}
    }
    let actions = actions(&route, &exchange.method);
    let wish = match (&route, route.name()) {
        (_, Some(name)) => Wish::Repository(name, actions),
        (Route::Catalog, _) => Wish::Catalog,
        _ => Wish::Known,
    };
    let user = match shared.access.check(&exchange.headers, wish, exchange.peer.secure).await {
        Ok(user) => user,
        Err(failure) => return (None, Err(failure)),
    };
    let answered = match allowed(shared, actions) {
        Ok(()) => dispatch(shared, exchange, route).await,
        Err(failure) => Err(failure),
    };
    (user, answered)
}

/// What a request does to its repository.
fn actions(route: &Route, method: &Method) -> &'static [Action] {
    match (route, method) {
        (Route::Uploads(_) | Route::Upload(..), _) | (_, &Method::PUT) => {
            &[Action::Pull, Action::Push]
        }
        (_, &Method::DELETE) => &[Action::Delete],
        _ => &[Action::Pull],
    }
}

/// Whether the registry as a whole does such things.
fn allowed(shared: &Shared, actions: &[Action]) -> Result<(), Failure> {
    if actions == [Action::Pull] {
        return Ok(());
    }
    if shared.upstream.is_some() {
        return Err(Failure::unsupported("this registry is a cache: write to its upstream"));
    }
    if shared.options.read_only {
        return Err(Failure::unsupported("this registry is read-only"));
    }
    match actions.contains(&Action::Delete) && !shared.options.delete {
        true => Err(Failure::unsupported("this registry deletes nothing")),
        false => Ok(()),
    }
}

async fn dispatch(
    shared: &Shared,
    exchange: &mut Exchange,
    route: Route,
) -> Result<Reply, Failure> {
    match route {
        Route::Base if exchange.reads() => Ok(json_reply("application/json", &json!({}))),
        Route::Base => Err(Failure::unsupported("/v2/ is read with GET")),
        Route::Catalog => lists::catalog(shared, exchange).await,
        Route::Tags(name) => lists::tags(shared, exchange, name).await,
        Route::Referrers(name, digest) => lists::referrers(shared, exchange, name, digest).await,
        Route::Manifest(name, reference) => {
            manifests::answer(shared, exchange, name, reference).await
        }
        Route::Blob(name, digest) => blobs::answer(shared, exchange, name, digest).await,
        Route::Uploads(name) => uploads::begin(shared, exchange, name).await,
        Route::Upload(name, id) => uploads::go_on(shared, exchange, name, id).await,
        Route::Token | Route::Health | Route::Metrics => health(shared).await,
    }
}

/// Whether the store answers.
async fn health(shared: &Shared) -> Result<Reply, Failure> {
    let store = shared.store.clone();
    blocking(move || store.free()).await?;
    Ok(plain("ok\n".to_owned()))
}

fn plain(text: String) -> Reply {
    let mut reply = Response::new(Body::whole(text));
    set(&mut reply, CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    reply
}

/// The answers of the listener that is for metrics alone.
pub(crate) fn answer_metrics(shared: &Shared, path: &str) -> Reply {
    match path {
        "/metrics" => plain(shared.metrics.text()),
        "/" | "/healthz" => plain("ok\n".to_owned()),
        _ => Failure::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "there is no such path").reply(),
    }
}

/// `GET /token?service=..&scope=..` with a password, or the same as a form (Docker's token specification).
async fn token(shared: &Shared, exchange: &mut Exchange) -> Result<Reply, Failure> {
    let Some(issuer) = &shared.issuer else {
        return Err(Failure::new(
            StatusCode::NOT_FOUND,
            "UNSUPPORTED",
            "this registry gives out no tokens",
        ));
    };
    let (query, login) = match exchange.method {
        Method::GET => (exchange.query()?, basic(&exchange.headers)?),
        Method::POST => {
            let body = exchange.body.take().map(Source::new);
            let bytes = match body {
                Some(source) => into_memory(source, FORM_MAX).await?,
                None => Vec::new(),
            };
            let form = Query::parse(std::str::from_utf8(&bytes).ok())?;
            if form.get("grant_type") != Some("password") {
                return Err(Failure::unsupported("only passwords are exchanged for tokens"));
            }
            let field = |key| form.get(key).unwrap_or_default().to_owned();
            let login = Some((field("username"), field("password")));
            (form, login)
        }
        _ => return Err(Failure::unsupported("tokens are asked for with GET or POST")),
    };
    let unknown = |message: &str| {
        let realm = format!("Basic realm=\"{}\"", issuer.service);
        Failure::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
            .with(hyper::header::WWW_AUTHENTICATE, &realm)
    };
    let user = match login {
        Some((name, password)) => match issuer.users.check(&name, &password).await? {
            true => Some(name),
            false => return Err(unknown("user or password are not right")),
        },
        None => None,
    };
    let token = issuer.issue(user.as_deref(), query.all("scope"));
    let token = token.ok_or_else(|| Failure::internal("the token could not be signed"))?;
    let issued = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut reply = json_reply(
        "application/json",
        &json!({
            "token": token, "access_token": token, "expires_in": LIFETIME, "issued_at": issued
        }),
    );
    set(&mut reply, hyper::header::CACHE_CONTROL, "no-store");
    Ok(reply)
}

//! The engine itself: ping, version, info, events and disk usage.

use super::{filters, timestamp};
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use crate::shim;
use crate::stream::objects::{self, Framing, Objects};
use crate::version::Version;
use engine::system::{DiskUsageOptions, EventRange};
use hyper::{Method, StatusCode};
use spec::Failure;

/// `GET /_ping` and `HEAD /_ping`
pub(crate) fn ping(method: &Method, request: &Request) -> Result<Reply, Failure> {
    let text = "text/plain; charset=utf-8";
    let mut answer = if method == Method::HEAD {
        reply::with_header(reply::whole(StatusCode::OK, text, ""), "content-length", "0")
    } else {
        reply::whole(StatusCode::OK, text, "OK")
    };
    let ping = request.server.engine().ping();
    let headers = [
        ("builder-version", ping.builder_version.as_str()),
        ("swarm", ping.swarm.as_str()),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
    ];
    for (name, value) in headers {
        answer = reply::with_header(answer, name, value);
    }
    Ok(answer)
}

/// `GET /version`
pub(crate) async fn version(request: Request) -> Result<Reply, Failure> {
    let (newest, oldest) = (Version::NEWEST, request.server.options().oldest);
    let mut version = request.server.engine().version().await?;
    version.api_version = newest.to_string();
    version.min_api_version = oldest.to_string();
    version.experimental = request.server.options().experimental;
    let details = [("ApiVersion", newest.to_string()), ("MinAPIVersion", oldest.to_string())];
    if let Some(engine) = version.components.first_mut() {
        engine.details.extend(details.map(|(key, value)| (key.to_owned(), value)));
    }
    Ok(reply::ok(&version))
}

/// `GET /info`
pub(crate) async fn info(request: Request) -> Result<Reply, Failure> {
    let mut info = request.server.engine().info().await?;
    info.experimental_build = request.server.options().experimental;
    shim::system::info(request.version, info)
}

/// `GET /events`
pub(crate) async fn events(request: Request) -> Result<Reply, Failure> {
    let form = &request.form;
    let range = EventRange {
        since: timestamp::parse("'since'", form.get("since"))?,
        until: timestamp::parse("'until'", form.get("until"))?,
    };
    if let (Some(since), Some(until)) = (range.since, range.until)
        && until < since
    {
        return Err(Failure::invalid(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            form.get("since"),
            form.get("until")
        )));
    }
    let version = request.version;
    let mut events = request.server.engine().event_stream(range, filters::of(form)?);
    let framing = Framing::of_events(&request.headers, version);
    let (pieces, content) = reply::pieces(Some(&request.link));
    let objects = Objects::new(pieces, framing);
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = objects.closed() => return,
            };
            let Some(event) = event else { return };
            if let Some(event) = shim::system::event(version, &event)
                && !objects.send(&event).await
            {
                return;
            }
        }
    });
    Ok(objects::reply(framing, content))
}

/// `GET /system/df`
pub(crate) async fn disk_usage(request: Request) -> Result<Reply, Failure> {
    let version = request.version;
    let mut wanted = DiskUsageOptions::default();
    let kinds = if version.before(42) { Vec::new() } else { request.form.all("type") };
    if kinds.is_empty() {
        wanted =
            DiskUsageOptions { containers: true, images: true, volumes: true, build_cache: true };
    }
    for kind in kinds {
        match kind.as_str() {
            "container" => wanted.containers = true,
            "image" => wanted.images = true,
            "volume" => wanted.volumes = true,
            "build-cache" => wanted.build_cache = true,
            other => {
                let other: String = other.chars().take(100).collect();
                return Err(Failure::invalid(format!("unknown object type: {other}")));
            }
        }
    }
    let usage = request.server.engine().disk_usage(wanted).await?;
    shim::system::disk_usage(version, request.form.flag("verbose"), usage)
}

//! Containers: start, stop and wait.

use crate::http::reply::{self, JSON, Reply};
use crate::http::request::Request;
use crate::version::Version;
use api_types::container::WaitReply;
use engine::{WaitCondition, WaitHandle};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use spec::Failure;

/// A body of `start` that is longer than this was a configuration, long ago.
const MOST_START_BODY: u64 = 7;

/// `POST /containers/{id}/start`
pub(crate) async fn start(request: Request) -> Result<Reply, Failure> {
    if request.body.length().is_none_or(|length| length > MOST_START_BODY) {
        return Err(Failure::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    if request.form.text("checkpoint").is_some() {
        return Err(Failure::new(
            spec::Class::NotImplemented,
            "checkpoint of containers is not supported",
        ));
    }
    request.server.engine().start(&request.name).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// The time and signal of a stop: the signal is heard since 1.42.
fn stop_values(request: &Request) -> Result<(Option<i64>, Option<String>), Failure> {
    let timeout = request.form.number("t")?;
    let signal = request.form.text("signal").filter(|_| !request.version.before(42));
    Ok((timeout, signal.map(str::to_owned)))
}

/// `POST /containers/{id}/stop`
pub(crate) async fn stop(request: Request) -> Result<Reply, Failure> {
    let (timeout, signal) = stop_values(&request)?;
    request.server.engine().stop(&request.name, timeout, signal).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /containers/{id}/restart`
pub(crate) async fn restart(request: Request) -> Result<Reply, Failure> {
    let (timeout, signal) = stop_values(&request)?;
    request.server.engine().restart(&request.name, timeout, signal).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /containers/{id}/kill`
pub(crate) async fn kill(request: Request) -> Result<Reply, Failure> {
    let signal = request.form.text("signal").map(str::to_owned);
    request.server.engine().kill(&request.name, signal).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /containers/{id}/pause`
pub(crate) async fn pause(request: Request) -> Result<Reply, Failure> {
    request.server.engine().pause(&request.name).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /containers/{id}/unpause`
pub(crate) async fn unpause(request: Request) -> Result<Reply, Failure> {
    request.server.engine().unpause(&request.name).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

fn condition(text: &str, version: Version) -> Result<WaitCondition, Failure> {
    if version.before(30) {
        return Ok(WaitCondition::NotRunning);
    }
    match text {
        "" | "not-running" => Ok(WaitCondition::NotRunning),
        "next-exit" => Ok(WaitCondition::NextExit),
        "removed" => Ok(WaitCondition::Removed),
        other => {
            let other: String = other.chars().take(100).collect();
            Err(Failure::invalid(format!("invalid condition: {other:?}")))
        }
    }
}

/// `POST /containers/{id}/wait`: the head goes out at once since 1.30, because clients wait before they start.
pub(crate) async fn wait(request: Request) -> Result<Reply, Failure> {
    let condition = condition(request.form.get("condition"), request.version)?;
    let waiting = request.server.engine().wait(&request.name, condition).await?;
    if request.version.before(30) {
        return Ok(reply::ok(&waiting.finish().await));
    }
    // Before 1.34 nothing is said when the container could not be removed.
    let silent = condition == WaitCondition::Removed && request.version.before(34);
    let (pieces, content) = reply::pieces(Some(&request.link));
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = finish(waiting) => ended,
            () = pieces.closed() => return,
        };
        if !(silent && ended.error.is_some())
            && let Ok(line) = reply::line(&ended)
        {
            pieces.send(line).await;
        }
    });
    let mut reply = hyper::Response::new(content);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    Ok(reply)
}

async fn finish(waiting: WaitHandle) -> WaitReply {
    waiting.finish().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_heard_since_1_30() {
        let read = |text, minor| condition(text, Version::new(1, minor));
        assert_eq!(read("removed", 29).unwrap(), WaitCondition::NotRunning);
        assert_eq!(read("removed", 30).unwrap(), WaitCondition::Removed);
        assert_eq!(read("", 56).unwrap(), WaitCondition::NotRunning);
        assert_eq!(read("next-exit", 56).unwrap(), WaitCondition::NextExit);
        assert_eq!(read("x", 56).unwrap_err().message, "invalid condition: \"x\"");
    }
}

//! Containers: list, create, inspect and change.

use super::{filters, platform};
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use crate::shim;
use api_types::container::{CreateBody, UpdateBody, UpdateReply};
use engine::{ListOptions, RemoveOptions};
use hyper::StatusCode;
use spec::Failure;

/// `GET /containers/json`
pub(crate) async fn list(request: Request) -> Result<Reply, Failure> {
    let form = &request.form;
    let limit = form.number("limit")?.and_then(|limit| usize::try_from(limit).ok());
    let options = ListOptions {
        all: form.flag("all"),
        limit: limit.filter(|limit| *limit > 0),
        size: form.flag("size"),
        filters: filters::of(form)?,
    };
    let containers = request.server.engine().list(options).await?;
    Ok(shim::container::summaries(request.version, &containers))
}

/// `POST /containers/create`
pub(crate) async fn create(mut request: Request) -> Result<Reply, Failure> {
    let version = request.version;
    let Some(mut body) = request.json_or_none::<CreateBody>().await? else {
        return Err(Failure::invalid("config cannot be empty in order to create a container"));
    };
    let warnings = shim::create::adapt(version, &mut body)?;
    let platform = match request.form.text("platform") {
        Some(text) if !version.before(41) => Some(platform::parse(text)?.to_string()),
        _ => None,
    };
    let name = request.form.text("name").map(str::to_owned);
    let mut made = request.server.engine().create(name, platform, body).await?;
    made.warnings.extend(warnings);
    Ok(reply::json(StatusCode::CREATED, &made))
}

/// `POST /containers/prune`
pub(crate) async fn prune(request: Request) -> Result<Reply, Failure> {
    let filters = filters::of(&request.form)?;
    Ok(reply::ok(&request.server.engine().prune(&filters).await?))
}

/// `GET /containers/{id}/json`
pub(crate) async fn inspect(request: Request) -> Result<Reply, Failure> {
    let size = request.form.flag("size");
    let inspected = request.server.engine().inspect(&request.name, size).await?;
    shim::container::inspect(request.version, inspected)
}

/// `GET /containers/{id}/top`
pub(crate) async fn top(request: Request) -> Result<Reply, Failure> {
    let arguments = request.form.text("ps_args").unwrap_or("-ef");
    Ok(reply::ok(&request.server.engine().top(&request.name, arguments).await?))
}

/// `GET /containers/{id}/changes`
pub(crate) async fn changes(request: Request) -> Result<Reply, Failure> {
    let changes = request.server.engine().changes(&request.name).await?;
    // Docker answers null when nothing has changed.
    Ok(reply::ok(&Some(changes).filter(|changes| !changes.is_empty())))
}

/// `POST /containers/{id}/update`
pub(crate) async fn update(mut request: Request) -> Result<Reply, Failure> {
    let mut body: UpdateBody = request.json().await?;
    shim::create::adapt_update(request.version, &mut body);
    let warnings = request.server.engine().update(&request.name, body).await?;
    Ok(reply::ok(&UpdateReply { warnings: warnings.into() }))
}

/// `POST /containers/{id}/rename`
pub(crate) async fn rename(request: Request) -> Result<Reply, Failure> {
    request.server.engine().rename(&request.name, request.form.get("name")).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /containers/{id}/resize`
pub(crate) async fn resize(request: Request) -> Result<Reply, Failure> {
    let height = request.form.dimension("h", "height")?;
    let width = request.form.dimension("w", "width")?;
    request.server.engine().resize(&request.name, width, height).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// `DELETE /containers/{id}`
pub(crate) async fn remove(request: Request) -> Result<Reply, Failure> {
    let form = &request.form;
    let options = RemoveOptions {
        volumes: form.flag("v"),
        force: form.flag("force"),
        link: form.flag("link"),
    };
    request.server.engine().remove(&request.name, options).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

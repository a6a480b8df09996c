//! Volumes.

use super::filters;
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use api_types::volume::{CreateBody, ListReply};
use engine::Filters;
use hyper::StatusCode;
use spec::{Class, Failure};

/// `GET /volumes`
pub(crate) async fn list(request: Request) -> Result<Reply, Failure> {
    let filters = filters::of(&request.form)?;
    let volumes = request.server.engine().volume_list(&filters).await?;
    Ok(reply::ok(&ListReply { volumes, ..ListReply::default() }))
}

/// `POST /volumes/create`
pub(crate) async fn create(mut request: Request) -> Result<Reply, Failure> {
    let body: CreateBody = request.json().await?;
    let volume = request.server.engine().volume_create(body).await?;
    Ok(reply::json(StatusCode::CREATED, &volume))
}

/// `GET /volumes/{name}`
pub(crate) async fn inspect(request: Request) -> Result<Reply, Failure> {
    Ok(reply::ok(&request.server.engine().volume_inspect(&request.name).await?))
}

/// `DELETE /volumes/{name}`
pub(crate) async fn remove(request: Request) -> Result<Reply, Failure> {
    let force = request.form.flag("force");
    match request.server.engine().volume_remove(&request.name, force).await {
        Err(failure) if !(force && failure.class == Class::NotFound) => Err(failure),
        _ => Ok(reply::empty(StatusCode::NO_CONTENT)),
    }
}

/// `POST /volumes/prune`: named volumes too before 1.42.
pub(crate) async fn prune(request: Request) -> Result<Reply, Failure> {
    let mut wanted = filters::parse(request.form.get("filters"))?;
    if request.version.before(42) {
        wanted.insert("all".into(), vec!["true".into()]);
    }
    Ok(reply::ok(&request.server.engine().volume_prune(&Filters::new(wanted)).await?))
}

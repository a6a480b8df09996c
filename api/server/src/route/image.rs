//! Images: list, inspect, name and remove.

use super::{filters, platform};
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use crate::shim;
use engine::image::{ImageListOptions, ImageRemoveOptions};
use hyper::StatusCode;
use spec::{Failure, Platform};

/// The platform of a query's JSON value, for clients since 1.`minor`.
pub(crate) fn asked_platform(request: &Request, minor: u32) -> Result<Option<Platform>, Failure> {
    match request.form.text("platform") {
        Some(text) if !request.version.before(minor) => platform::parse_json(text).map(Some),
        _ => Ok(None),
    }
}

/// `GET /images/json`
pub(crate) async fn list(request: Request) -> Result<Reply, Failure> {
    let (form, version) = (&request.form, request.version);
    let mut wanted = filters::parse(form.get("filters"))?;
    if let Some(name) = form.text("filter")
        && version.before(25)
        && !wanted.contains_key("reference")
    {
        wanted.insert("reference".into(), vec![name.to_owned()]);
    }
    let manifests = !version.before(47) && form.flag("manifests");
    if !version.before(54) && form.flag("identity") && !manifests {
        return Err(Failure::invalid("conflicting options: identity requires manifests=1"));
    }
    let options = ImageListOptions {
        all: form.flag("all"),
        shared_size: !version.before(42) && form.flag("shared-size"),
        manifests,
        filters: engine::Filters::new(wanted),
    };
    let images = request.server.engine().image_list(options).await?;
    shim::image::summaries(version, images)
}

/// `GET /images/{name}/json`
pub(crate) async fn inspect(request: Request) -> Result<Reply, Failure> {
    let manifests = !request.version.before(48) && request.form.flag("manifests");
    let platform = asked_platform(&request, 49)?;
    if manifests && platform.is_some() {
        return Err(Failure::invalid(
            "conflicting options: manifests and platform options cannot both be set",
        ));
    }
    let engine = request.server.engine();
    let image = engine.image_inspect(&request.name, manifests, platform.as_ref()).await?;
    shim::image::inspect(request.version, image)
}

/// `GET /images/{name}/history`
pub(crate) async fn history(request: Request) -> Result<Reply, Failure> {
    let platform = asked_platform(&request, 48)?;
    let engine = request.server.engine();
    Ok(reply::ok(&engine.image_history(&request.name, platform.as_ref()).await?))
}

/// `POST /images/{name}/tag`
pub(crate) async fn tag(request: Request) -> Result<Reply, Failure> {
    let (repo, tag) = (request.form.get("repo"), request.form.get("tag"));
    request.server.engine().image_tag(&request.name, repo, tag).await?;
    Ok(reply::empty(StatusCode::CREATED))
}

/// `DELETE /images/{name}`
pub(crate) async fn remove(request: Request) -> Result<Reply, Failure> {
    if request.name.trim().is_empty() {
        return Err(Failure::invalid("image name cannot be blank"));
    }
    let form = &request.form;
    let platforms = if request.version.before(50) { Vec::new() } else { form.all("platforms") };
    let options = ImageRemoveOptions {
        force: form.flag("force"),
        prune_parents: !form.flag("noprune"),
        platforms: platforms
            .iter()
            .map(|text| platform::parse_json(text))
            .collect::<Result<_, _>>()?,
    };
    Ok(reply::ok(&request.server.engine().image_remove(&request.name, options).await?))
}

/// `POST /images/prune`
pub(crate) async fn prune(request: Request) -> Result<Reply, Failure> {
    let filters = filters::of(&request.form)?;
    Ok(reply::ok(&request.server.engine().image_prune(&filters).await?))
}

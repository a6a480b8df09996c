//! Images out of something else: an archive of a root directory, a container, a registry.

use super::{platform, registry};
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use crate::stream::objects::{self, Framing, Objects};
use crate::stream::pipe;
use api_types::container::Config;
use api_types::error::IdReply;
use api_types::image::Progress;
use engine::CommitOptions;
use engine::image::{ImportOptions, PullOptions};
use hyper::StatusCode;
use spec::{Class, Failure};

/// `POST /images/create`: a pull with `fromImage`, an import with `fromSrc`.
pub(crate) async fn create(request: Request) -> Result<Reply, Failure> {
    let platform = match request.form.text("platform") {
        Some(text) if !request.version.before(32) => Some(platform::parse(text)?),
        _ => None,
    };
    if let Some(image) = request.form.text("fromImage") {
        let options = PullOptions {
            image: image.trim_end_matches(':').to_owned(),
            tag: request.form.get("tag").to_owned(),
            platform,
            credentials: registry::credentials(&request.headers),
            agent: registry::agent(&request.headers),
        };
        let progress = request.server.engine().image_pull(options).await?;
        return Ok(registry::progress(progress));
    }
    let source = request.form.get("fromSrc");
    if source != "-" {
        return Err(Failure::new(
            Class::Unavailable,
            "import image: an archive is not downloaded; download it, and import the file",
        ));
    }
    let message = request
        .form
        .text("message")
        .map_or_else(|| format!("Imported from {source}"), str::to_owned);
    let options = ImportOptions {
        repo: request.form.get("repo").to_owned(),
        tag: request.form.get("tag").to_owned(),
        message,
        changes: request.form.all("changes"),
        platform,
    };
    let Request { server, body, .. } = request;
    let (sender, archive) = pipe::for_reader()?;
    let (filled, imported) =
        tokio::join!(pipe::fill(body, sender), server.engine().image_import(options, archive));
    let id = imported?;
    filled?;
    let (pieces, content) = reply::pieces(None);
    let objects = Objects::new(pieces, Framing::Progress);
    tokio::spawn(async move { objects.send(&Progress::status(id)).await });
    Ok(objects::reply(Framing::Progress, content))
}

/// `POST /commit`
pub(crate) async fn commit(mut request: Request) -> Result<Reply, Failure> {
    let config: Option<Config> = request.json_or_none().await?;
    let form = &request.form;
    let options = CommitOptions {
        container: form.get("container").to_owned(),
        repo: form.get("repo").to_owned(),
        tag: form.get("tag").to_owned(),
        author: form.get("author").to_owned(),
        comment: form.get("comment").to_owned(),
        pause: form.flag_or("pause", true),
        changes: form.all("changes"),
    };
    let id = request.server.engine().commit(options, config).await?;
    Ok(reply::json(StatusCode::CREATED, &IdReply { id }))
}

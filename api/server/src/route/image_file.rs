//! Images to and from archives.

use super::{archive, platform};
use crate::http::reply::{self, Reply, TAR};
use crate::http::request::Request;
use crate::stream::objects::{self, Framing, Objects};
use crate::stream::pipe;
use api_types::image::Progress;
use spec::{Failure, Platform};

/// The platforms of a query's JSON values: heard since 1.48, several since 1.52.
fn platforms(request: &Request) -> Result<Vec<Platform>, Failure> {
    if request.version.before(48) {
        return Ok(Vec::new());
    }
    let texts = request.form.all("platform");
    if texts.len() > 1 && request.version.before(52) {
        return Err(Failure::invalid(
            "multiple platform parameters are not supported in this API version; use API version 1.52 or later",
        ));
    }
    texts.iter().map(|text| platform::parse_json(text)).collect()
}

/// `POST /images/load`: failures are always told in the stream.
pub(crate) async fn load(request: Request) -> Result<Reply, Failure> {
    let platforms = platforms(&request)?;
    let quiet = request.form.flag_or("quiet", true);
    let (sender, source) = pipe::for_reader()?;
    let (pieces, content) = reply::pieces(None);
    let objects = Objects::new(pieces, Framing::Progress);
    let Request { server, body, .. } = request;
    tokio::spawn(async move {
        let filling = tokio::spawn(pipe::fill(body, sender));
        let mut progress = server.engine().image_load(source, quiet, platforms);
        let mut failed = false;
        while let Some(object) = progress.recv().await {
            failed |= object.error_detail.is_some();
            objects.send(&object).await;
        }
        if let Ok(Err(failure)) = filling.await
            && !failed
        {
            objects.send(&Progress::failed(&failure.message)).await;
        }
    });
    Ok(objects::reply(Framing::Progress, content))
}

/// `GET /images/get` and `GET /images/{name}/get`
pub(crate) async fn save(request: Request) -> Result<Reply, Failure> {
    let names = match request.name.as_str() {
        "" => request.form.all("names"),
        name => vec![name.to_owned()],
    };
    let platforms = platforms(&request)?;
    let tar = request.server.engine().image_save(&names, &platforms).await?;
    archive::send(tar, &request, TAR).await
}

//! Networks.

use super::filters;
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use spec::Failure;

/// `GET /networks`: with their containers only before 1.28.
pub(crate) async fn list(request: Request) -> Result<Reply, Failure> {
    let filters = filters::of(&request.form)?;
    let engine = request.server.engine();
    let mut networks = engine.network_list(&filters).await?;
    if request.version.before(28) {
        for network in &mut networks {
            *network = engine.network_inspect(&network.id).await?;
            network.status = None;
        }
    }
    Ok(reply::ok(&networks))
}

/// `GET /networks/{id}`
pub(crate) async fn inspect(request: Request) -> Result<Reply, Failure> {
    let mut network = request.server.engine().network_inspect(&request.name).await?;
    let scope = request.form.get("scope");
    if !scope.is_empty() && scope != network.scope {
        return Err(Failure::not_found(format!("network {} not found", request.name)));
    }
    if request.version.before(52) {
        network.status = None;
    }
    Ok(reply::ok(&network))
}

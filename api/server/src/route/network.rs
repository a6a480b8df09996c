//! Networks.

use super::filters;
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use api_types::network::{ConnectBody, CreateBody, DisconnectBody};
use hyper::StatusCode;
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

/// `POST /networks/create`: whether there is IPv4 could not be chosen before 1.48.
pub(crate) async fn create(mut request: Request) -> Result<Reply, Failure> {
    let mut body: CreateBody = request.json().await?;
    if request.version.before(48) {
        body.enable_ipv4 = None;
    }
    let created = request.server.engine().network_create(body).await?;
    Ok(reply::json(StatusCode::CREATED, &created))
}

/// `POST /networks/{id}/connect`
pub(crate) async fn connect(mut request: Request) -> Result<Reply, Failure> {
    let mut body: ConnectBody = request.json().await?;
    if request.version.before(44)
        && let Some(settings) = &mut body.endpoint_config
    {
        settings.mac_address.clear();
    }
    request.server.engine().network_connect(&request.name, body).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// `POST /networks/{id}/disconnect`
pub(crate) async fn disconnect(mut request: Request) -> Result<Reply, Failure> {
    let body: DisconnectBody = request.json().await?;
    request.server.engine().network_disconnect(&request.name, body).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// `DELETE /networks/{id}`
pub(crate) async fn remove(request: Request) -> Result<Reply, Failure> {
    request.server.engine().network_remove(&request.name).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /networks/prune`
pub(crate) async fn prune(request: Request) -> Result<Reply, Failure> {
    let filters = filters::of(&request.form)?;
    Ok(reply::ok(&request.server.engine().network_prune(&filters).await?))
}

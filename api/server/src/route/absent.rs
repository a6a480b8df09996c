//! Routes of what this engine does not have: each answers as an engine would that lacks the thing, not as if the route
//! were unknown.

use crate::http::reply::{self, Reply};
use crate::routes::Route;
use spec::{Class, Failure};

const NO_SWARM: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
                        connect this node to swarm and try again.";
const NO_CLUSTER_VOLUMES: &str =
    "volume update only valid for cluster volumes, but swarm is unavailable";

/// Answers such a route.
pub(crate) fn call(route: Route) -> Result<Reply, Failure> {
    let missing =
        |what: &str| Err(Failure::new(Class::NotImplemented, format!("{what} is not supported")));
    match route {
        Route::Swarm => Err(Failure::new(Class::Unavailable, NO_SWARM)),
        Route::VolumeUpdate => Err(Failure::new(Class::Unavailable, NO_CLUSTER_VOLUMES)),
        Route::PluginList => Ok(reply::ok::<[(); 0]>(&[])),
        Route::Plugin => missing("managing plugins"),
        Route::Checkpoint => missing("checkpoint of containers"),
        Route::Build | Route::BuildPrune => missing("building images"),
        other => Err(Failure::internal(format!("route {other:?} has no handler"))),
    }
}

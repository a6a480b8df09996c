//! One file per area; each route reads its values, calls one verb of the engine, and gives the reply its shape.

pub(crate) mod absent;
pub(crate) mod archive;
pub(crate) mod attach;
pub(crate) mod container;
pub(crate) mod exec;
pub(crate) mod filters;
pub(crate) mod image;
pub(crate) mod image_create;
pub(crate) mod image_file;
pub(crate) mod lifecycle;
pub(crate) mod logs;
pub(crate) mod network;
pub(crate) mod platform;
pub(crate) mod registry;
pub(crate) mod stats;
pub(crate) mod system;
pub(crate) mod timestamp;
pub(crate) mod volume;

use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::routes::Route;
use hyper::Method;
use spec::Failure;

/// Answers a request of a route.
pub(crate) async fn call(
    route: Route,
    method: &Method,
    request: Request,
) -> Result<Reply, Failure> {
    match route {
        Route::Ping => system::ping(method, &request),
        Route::Version => system::version(request).await,
        Route::Info => system::info(request).await,
        Route::Events => system::events(request).await,
        Route::DiskUsage => system::disk_usage(request).await,
        Route::ContainerList => container::list(request).await,
        Route::ContainerCreate => container::create(request).await,
        Route::ContainerPrune => container::prune(request).await,
        Route::ContainerInspect => container::inspect(request).await,
        Route::ContainerTop => container::top(request).await,
        Route::ContainerChanges => container::changes(request).await,
        Route::ContainerUpdate => container::update(request).await,
        Route::ContainerRename => container::rename(request).await,
        Route::ContainerResize => container::resize(request).await,
        Route::ContainerRemove => container::remove(request).await,
        Route::ContainerStart => lifecycle::start(request).await,
        Route::ContainerStop => lifecycle::stop(request).await,
        Route::ContainerRestart => lifecycle::restart(request).await,
        Route::ContainerKill => lifecycle::kill(request).await,
        Route::ContainerPause => lifecycle::pause(request).await,
        Route::ContainerUnpause => lifecycle::unpause(request).await,
        Route::ContainerWait => lifecycle::wait(request).await,
        Route::ContainerStats => stats::stats(request).await,
        Route::ContainerLogs => logs::logs(request).await,
        Route::ContainerAttach => attach::attach(request).await,
        Route::ContainerAttachWebsocket => attach::websocket(request).await,
        Route::ContainerExport => archive::export(request).await,
        Route::ArchiveStat => archive::stat(request).await,
        Route::ArchiveGet => archive::get(request).await,
        Route::ArchivePut => archive::put(request).await,
        Route::ExecCreate => exec::create(request).await,
        Route::ExecStart => exec::start(request).await,
        Route::ExecResize => exec::resize(request).await,
        Route::ExecInspect => exec::inspect(request).await,
        Route::Commit => image_create::commit(request).await,
        Route::ImageCreate => image_create::create(request).await,
        Route::ImageLoad => image_file::load(request).await,
        Route::ImageSave | Route::ImageSaveMany => image_file::save(request).await,
        Route::ImageList => image::list(request).await,
        Route::ImageInspect => image::inspect(request).await,
        Route::ImageHistory => image::history(request).await,
        Route::ImageTag => image::tag(request).await,
        Route::ImageRemove => image::remove(request).await,
        Route::ImagePrune => image::prune(request).await,
        Route::ImagePush => registry::push(request).await,
        Route::ImageSearch => registry::search(request).await,
        Route::Distribution => registry::distribution(request).await,
        Route::Auth => registry::auth(request).await,
        Route::NetworkList => network::list(request).await,
        Route::NetworkInspect => network::inspect(request).await,
        Route::NetworkCreate => network::create(request).await,
        Route::NetworkConnect => network::connect(request).await,
        Route::NetworkDisconnect => network::disconnect(request).await,
        Route::NetworkRemove => network::remove(request).await,
        Route::NetworkPrune => network::prune(request).await,
        Route::VolumeList => volume::list(request).await,
        Route::VolumeCreate => volume::create(request).await,
        Route::VolumeInspect => volume::inspect(request).await,
        Route::VolumeRemove => volume::remove(request).await,
        Route::VolumePrune => volume::prune(request).await,
        route => absent::call(route),
    }
}

//! Which method and path is which route.
//!
//! A path is matched by its beginning and end, because names contain slashes (`/images/localhost:5000/a/json`). The
//! table is searched in order: fixed paths before those with a name, longer endings before shorter ones.

use hyper::Method;

/// Every route that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Ping,
    Version,
    Info,
    Events,
    DiskUsage,
    Auth,
    ContainerList,
    ContainerCreate,
    ContainerPrune,
    ContainerInspect,
    ContainerTop,
    ContainerLogs,
    ContainerChanges,
    ContainerExport,
    ContainerStats,
    ContainerResize,
    ContainerStart,
    ContainerStop,
    ContainerRestart,
    ContainerKill,
    ContainerUpdate,
    ContainerRename,
    ContainerPause,
    ContainerUnpause,
    ContainerAttach,
    ContainerAttachWebsocket,
    ContainerWait,
    ContainerRemove,
    ArchiveStat,
    ArchiveGet,
    ArchivePut,
    Checkpoint,
    ExecCreate,
    ExecStart,
    ExecResize,
    ExecInspect,
    Commit,
    ImageList,
    ImageCreate,
    ImageLoad,
    ImagePrune,
    ImageSaveMany,
    ImageSave,
    ImageSearch,
    ImageInspect,
    ImageHistory,
    ImagePush,
    ImageTag,
    ImageRemove,
    Distribution,
    NetworkList,
    NetworkInspect,
    NetworkCreate,
    NetworkConnect,
    NetworkDisconnect,
    NetworkPrune,
    NetworkRemove,
    VolumeList,
    VolumeCreate,
    VolumeInspect,
    VolumeUpdate,
    VolumeRemove,
    VolumePrune,
    Build,
    BuildPrune,
    PluginList,
    Plugin,
    Swarm,
}

#[derive(Clone, Copy)]
struct Entry {
    method: &'static str,
    start: &'static str,
    /// `None`: the path is exactly `start`. Otherwise a name stands between both; `""` takes all that follows.
    end: Option<&'static str>,
    route: Route,
    /// The minor number of the first API version that has the route.
    since: u32,
}

const fn exact(method: &'static str, start: &'static str, route: Route) -> Entry {
    Entry { method, start, end: None, route, since: 24 }
}

const fn named(
    method: &'static str,
    start: &'static str,
    end: &'static str,
    route: Route,
) -> Entry {
    Entry { method, start, end: Some(end), route, since: 24 }
}

const fn since(minor: u32, entry: Entry) -> Entry {
    Entry { since: minor, ..entry }
}

const GET: &str = "GET";
const HEAD: &str = "HEAD";
const POST: &str = "POST";
const PUT: &str = "PUT";
const DELETE: &str = "DELETE";

#[rustfmt::skip]
static TABLE: &[Entry] = &[
    exact(GET, "/_ping", Route::Ping),
    exact(HEAD, "/_ping", Route::Ping),
    exact(GET, "/version", Route::Version),
    exact(GET, "/info", Route::Info),
    exact(GET, "/events", Route::Events),
    exact(GET, "/system/df", Route::DiskUsage),
    exact(POST, "/auth", Route::Auth),

    exact(GET, "/containers/json", Route::ContainerList),
    exact(POST, "/containers/create", Route::ContainerCreate),
    since(25, exact(POST, "/containers/prune", Route::ContainerPrune)),
    since(25, named(GET, "/containers/", "/checkpoints", Route::Checkpoint)),
    since(25, named(POST, "/containers/", "/checkpoints", Route::Checkpoint)),
    named(GET, "/containers/", "/attach/ws", Route::ContainerAttachWebsocket),
    named(GET, "/containers/", "/json", Route::ContainerInspect),
    named(GET, "/containers/", "/top", Route::ContainerTop),
    named(GET, "/containers/", "/logs", Route::ContainerLogs),
    named(GET, "/containers/", "/changes", Route::ContainerChanges),
    named(GET, "/containers/", "/export", Route::ContainerExport),
    named(GET, "/containers/", "/stats", Route::ContainerStats),
    named(GET, "/containers/", "/archive", Route::ArchiveGet),
    named(HEAD, "/containers/", "/archive", Route::ArchiveStat),
    named(PUT, "/containers/", "/archive", Route::ArchivePut),
    named(POST, "/containers/", "/resize", Route::ContainerResize),
    named(POST, "/containers/", "/start", Route::ContainerStart),
    named(POST, "/containers/", "/stop", Route::ContainerStop),
    named(POST, "/containers/", "/restart", Route::ContainerRestart),
    named(POST, "/containers/", "/kill", Route::ContainerKill),
    named(POST, "/containers/", "/update", Route::ContainerUpdate),
    named(POST, "/containers/", "/rename", Route::ContainerRename),
    named(POST, "/containers/", "/unpause", Route::ContainerUnpause),
    named(POST, "/containers/", "/pause", Route::ContainerPause),
    named(POST, "/containers/", "/attach", Route::ContainerAttach),
    named(POST, "/containers/", "/wait", Route::ContainerWait),
    named(POST, "/containers/", "/exec", Route::ExecCreate),
    named(DELETE, "/containers/", "", Route::ContainerRemove),
    named(POST, "/exec/", "/start", Route::ExecStart),
    named(POST, "/exec/", "/resize", Route::ExecResize),
    named(GET, "/exec/", "/json", Route::ExecInspect),
    exact(POST, "/commit", Route::Commit),

    exact(GET, "/images/json", Route::ImageList),
    exact(GET, "/images/search", Route::ImageSearch),
    exact(GET, "/images/get", Route::ImageSaveMany),
    exact(POST, "/images/create", Route::ImageCreate),
    exact(POST, "/images/load", Route::ImageLoad),
    since(25, exact(POST, "/images/prune", Route::ImagePrune)),
    named(GET, "/images/", "/get", Route::ImageSave),
    named(GET, "/images/", "/history", Route::ImageHistory),
    named(GET, "/images/", "/json", Route::ImageInspect),
    named(POST, "/images/", "/push", Route::ImagePush),
    named(POST, "/images/", "/tag", Route::ImageTag),
    named(DELETE, "/images/", "", Route::ImageRemove),
    since(30, named(GET, "/distribution/", "/json", Route::Distribution)),

    exact(GET, "/networks", Route::NetworkList),
    exact(GET, "/networks/", Route::NetworkList),
    exact(POST, "/networks/create", Route::NetworkCreate),
    since(25, exact(POST, "/networks/prune", Route::NetworkPrune)),
    named(POST, "/networks/", "/connect", Route::NetworkConnect),
    named(POST, "/networks/", "/disconnect", Route::NetworkDisconnect),
    named(GET, "/networks/", "", Route::NetworkInspect),
    named(DELETE, "/networks/", "", Route::NetworkRemove),

    exact(GET, "/volumes", Route::VolumeList),
    exact(POST, "/volumes/create", Route::VolumeCreate),
    since(25, exact(POST, "/volumes/prune", Route::VolumePrune)),
    named(GET, "/volumes/", "", Route::VolumeInspect),
    since(42, named(PUT, "/volumes/", "", Route::VolumeUpdate)),
    named(DELETE, "/volumes/", "", Route::VolumeRemove),

    exact(POST, "/build", Route::Build),
    since(31, exact(POST, "/build/prune", Route::BuildPrune)),
    since(31, exact(POST, "/build/cancel", Route::Build)),
    exact(POST, "/session", Route::Build),
    exact(POST, "/grpc", Route::Build),

    exact(GET, "/plugins", Route::PluginList),
    exact(GET, "/plugins/privileges", Route::Plugin),
    named(GET, "/plugins/", "/json", Route::Plugin),
    named(POST, "/plugins/", "", Route::Plugin),
    named(DELETE, "/plugins/", "", Route::Plugin),

    exact(GET, "/swarm", Route::Swarm),
    exact(GET, "/swarm/unlockkey", Route::Swarm),
    exact(POST, "/swarm/init", Route::Swarm),
    exact(POST, "/swarm/join", Route::Swarm),
    exact(POST, "/swarm/leave", Route::Swarm),
    exact(POST, "/swarm/update", Route::Swarm),
    exact(POST, "/swarm/unlock", Route::Swarm),
    exact(GET, "/services", Route::Swarm),
    exact(POST, "/services/create", Route::Swarm),
    named(GET, "/services/", "", Route::Swarm),
    named(POST, "/services/", "/update", Route::Swarm),
    named(DELETE, "/services/", "", Route::Swarm),
    exact(GET, "/nodes", Route::Swarm),
    named(GET, "/nodes/", "", Route::Swarm),
    named(POST, "/nodes/", "/update", Route::Swarm),
    named(DELETE, "/nodes/", "", Route::Swarm),
    exact(GET, "/tasks", Route::Swarm),
    named(GET, "/tasks/", "", Route::Swarm),
    since(25, exact(GET, "/secrets", Route::Swarm)),
    since(25, exact(POST, "/secrets/create", Route::Swarm)),
    since(25, named(GET, "/secrets/", "", Route::Swarm)),
    since(25, named(POST, "/secrets/", "/update", Route::Swarm)),
    since(25, named(DELETE, "/secrets/", "", Route::Swarm)),
    since(30, exact(GET, "/configs", Route::Swarm)),
    since(30, exact(POST, "/configs/create", Route::Swarm)),
    since(30, named(GET, "/configs/", "", Route::Swarm)),
    since(30, named(POST, "/configs/", "/update", Route::Swarm)),
    since(30, named(DELETE, "/configs/", "", Route::Swarm)),
];

/// A route with what its path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) route: Route,
    pub(crate) name: String,
    /// The minor number of the first API version that has it.
    pub(crate) since: u32,
}

/// The route of a decoded path without its version.
pub(crate) fn find(method: &Method, path: &str) -> Option<Found> {
    TABLE.iter().filter(|entry| entry.method == method.as_str()).find_map(|entry| {
        let rest = path.strip_prefix(entry.start)?;
        let name = match entry.end {
            None => rest.is_empty().then_some("")?,
            Some(end) => rest.strip_suffix(end).filter(|name| !name.is_empty())?,
        };
        Some(Found { route: entry.route, name: name.to_owned(), since: entry.since })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_contain_slashes_and_words_of_other_routes() {
        let table = [
            (GET, "/images/localhost:5000/a/json", Route::ImageInspect, "localhost:5000/a"),
            (GET, "/images/json", Route::ImageList, ""),
            (GET, "/images/get", Route::ImageSaveMany, ""),
            (GET, "/images/a/get", Route::ImageSave, "a"),
            (GET, "/images/get/json", Route::ImageInspect, "get"),
            (DELETE, "/images/localhost:5000/a:b", Route::ImageRemove, "localhost:5000/a:b"),
            (POST, "/images/a/push", Route::ImagePush, "a"),
            (GET, "/containers/x/attach/ws", Route::ContainerAttachWebsocket, "x"),
            (POST, "/containers/x/attach", Route::ContainerAttach, "x"),
            (POST, "/containers/x/unpause", Route::ContainerUnpause, "x"),
            (DELETE, "/containers/x", Route::ContainerRemove, "x"),
            (HEAD, "/containers/x/archive", Route::ArchiveStat, "x"),
            (GET, "/networks/", Route::NetworkList, ""),
            (GET, "/networks/bridge", Route::NetworkInspect, "bridge"),
        ];
        for (method, path, route, name) in table {
            let found = find(&Method::from_bytes(method.as_bytes()).unwrap(), path).unwrap();
            assert_eq!((found.route, found.name.as_str()), (route, name), "{path}");
        }
    }

    #[test]
    fn a_wrong_method_is_as_unknown_as_a_wrong_path() {
        for (method, path) in [
            (POST, "/_ping"),
            (GET, "/containers/create"),
            (GET, "/"),
            (GET, "/nothing"),
            (PUT, "/info"),
        ] {
            assert_eq!(
                find(&Method::from_bytes(method.as_bytes()).unwrap(), path),
                None,
                "{method} {path}"
            );
        }
    }
}

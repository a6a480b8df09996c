//! The commands: one row each in [`TABLE`], one file for each small family.

use crate::arg::Flags;
use crate::failure::Failure;
use crate::session::Session;
use clap::Arg;
use std::future::Future;
use std::pin::Pin;

mod attach;
mod completion;
mod context;
mod copy;
mod create;
mod create_body;
mod create_flags;
mod exec;
mod export;
mod image_files;
mod image_list;
mod images;
mod info;
mod inspect;
mod lifecycle;
mod list;
mod login;
mod logs;
mod manifest;
mod network;
mod network_create;
mod port;
mod prune;
pub(crate) mod pull;
mod push;
mod remove;
mod run;
mod search;
mod start;
mod stats;
mod system;
mod top;
mod update;
mod version;
mod volume;
mod wait;

/// How many arguments a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    Exact(usize),
    Min(usize),
    Max(usize),
    Range(usize, usize),
}

/// What a command gets.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) session: Session,
    pub(crate) flags: Flags,
    pub(crate) args: Vec<String>,
}

/// What a command does, when it is polled.
pub(crate) type Outcome = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// One command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    /// The group, empty for a command that stands alone.
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    /// Other names in the group.
    pub(crate) aliases: &'static [&'static str],
    /// The name without the group, empty if there is none.
    pub(crate) top: &'static str,
    pub(crate) about: &'static str,
    /// What follows the name in the usage.
    pub(crate) usage: &'static str,
    pub(crate) arity: Arity,
    /// Flags end at the first argument.
    pub(crate) trailing: bool,
    pub(crate) hidden: bool,
    pub(crate) flags: fn() -> Vec<Arg>,
    pub(crate) run: fn(Invocation) -> Outcome,
}

/// The groups and what they are for.
pub(crate) const GROUPS: &[(&str, &str)] = &[
    ("container", "Manage containers"),
    ("context", "Manage contexts"),
    ("image", "Manage images"),
    ("manifest", "Manage lists of images for several platforms"),
    ("network", "Manage networks"),
    ("system", "Manage the engine"),
    ("volume", "Manage volumes"),
];

/// The names that the overview shows first.
pub(crate) const FREQUENT: &[&str] = &[
    "run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "search", "version",
    "info",
];

fn none() -> Vec<Arg> {
    Vec::new()
}

macro_rules! row {
    ($group:literal $name:literal $aliases:expr, $top:literal, $about:literal, $usage:literal, $arity:expr,
     $flags:expr, $run:path $(, $key:ident)*) => {
        Spec {
            group: $group, name: $name, aliases: &$aliases, top: $top, about: $about, usage: $usage, arity: $arity,
            flags: $flags, run: |invocation| Box::pin($run(invocation)),
            $($key: true,)*
            ..BLANK
        }
    };
}

const BLANK: Spec = Spec {
    group: "",
    name: "",
    aliases: &[],
    top: "",
    about: "",
    usage: "",
    arity: Arity::Exact(0),
    trailing: false,
    hidden: false,
    flags: none,
    run: |_| Box::pin(std::future::ready(Ok(()))),
};

use Arity::{Exact, Max, Min, Range};

/// Every command.
pub(crate) const TABLE: &[Spec] = &[
    row!("container" "attach" [], "attach", "Attach local standard input, output, and error streams to a running container", "[OPTIONS] CONTAINER", Exact(1), attach::flags, attach::run),
    row!("container" "commit" [], "commit", "Create a new image from a container's changes", "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", Range(1, 2), export::commit_flags, export::commit),
    row!("container" "cp" [], "cp", "Copy files/folders between a container and the local filesystem", "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tdocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH", Exact(2), copy::flags, copy::run),
    row!("container" "create" [], "create", "Create a new container", "[OPTIONS] IMAGE [COMMAND] [ARG...]", Min(1), create_flags::create, create::run, trailing),
    row!("container" "diff" [], "diff", "Inspect changes to files or directories on a container's filesystem", "CONTAINER", Exact(1), none, export::diff),
    row!("container" "exec" [], "exec", "Execute a command in a running container", "[OPTIONS] CONTAINER COMMAND [ARG...]", Min(2), exec::flags, exec::run, trailing),
    row!("container" "export" [], "export", "Export a container's filesystem as a tar archive", "[OPTIONS] CONTAINER", Exact(1), export::flags, export::run),
    row!("container" "inspect" [], "", "Display detailed information on one or more containers", "[OPTIONS] CONTAINER [CONTAINER...]", Min(1), inspect::container_flags, inspect::container),
    row!("container" "kill" [], "kill", "Kill one or more running containers", "[OPTIONS] CONTAINER [CONTAINER...]", Min(1), lifecycle::kill_flags, lifecycle::kill),
    row!("container" "logs" [], "logs", "Fetch the logs of a container", "[OPTIONS] CONTAINER", Exact(1), logs::flags, logs::run),
    row!("container" "ls" ["list", "ps"], "ps", "List containers", "[OPTIONS]", Exact(0), list::flags, list::run),
    row!("container" "pause" [], "pause", "Pause all processes within one or more containers", "CONTAINER [CONTAINER...]", Min(1), none, lifecycle::pause),
    row!("container" "port" [], "port", "List port mappings or a specific mapping for the container", "CONTAINER [PRIVATE_PORT[/PROTO]]", Range(1, 2), none, port::run),
    row!("container" "prune" [], "", "Remove all stopped containers", "[OPTIONS]", Exact(0), prune::flags, prune::containers),
    row!("container" "rename" [], "rename", "Rename a container", "CONTAINER NEW_NAME", Exact(2), none, lifecycle::rename),
    row!("container" "restart" [], "restart", "Restart one or more containers", "[OPTIONS] CONTAINER [CONTAINER...]", Min(1), lifecycle::stop_flags, lifecycle::restart),
    row!("container" "rm" ["remove"], "rm", "Remove one or more containers", "[OPTIONS] CONTAINER [CONTAINER...]", Min(1), remove::flags, remove::run),
    row!("container" "run" [], "run", "Create and run a new container from an image", "[OPTIONS] IMAGE [COMMAND] [ARG...]", Min(1), create_flags::run, run::run, trailing),
    row!("container" "start" [], "start", "Start one or more stopped containers", "[OPTIONS] CONTAINER [CONTAINER...]", Min(1), start::flags, start::run),
    row!("container" "stats" [], "stats", "Display a live stream of container(s) resource usage statistics", "[OPTIONS] [CONTAINER...]", Min(0), stats::flags, stats::run),
    row!("container" "stop" [], "stop", "Stop one or more running containers", "[OPTIONS] CONTAINER [CONTAINER...]", Min(1), lifecycle::stop_flags, lifecycle::stop),
    row!("container" "top" [], "top", "Display the running processes of a container", "CONTAINER [ps OPTIONS]", Min(1), none, top::run, trailing),
    row!("container" "unpause" [], "unpause", "Unpause all processes within one or more containers", "CONTAINER [CONTAINER...]", Min(1), none, lifecycle::unpause),
    row!("container" "update" [], "update", "Update configuration of one or more containers", "[OPTIONS] CONTAINER [CONTAINER...]", Min(1), update::flags, update::run),
    row!("container" "wait" [], "wait", "Block until one or more containers stop, then print their exit codes", "CONTAINER [CONTAINER...]", Min(1), none, wait::run),
    row!("image" "history" [], "history", "Show the history of an image", "[OPTIONS] IMAGE", Exact(1), images::history_flags, images::history),
    row!("image" "import" [], "import", "Import the contents from a tarball to create a filesystem image", "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]", Min(1), image_files::import_flags, image_files::import),
    row!("image" "inspect" [], "", "Display detailed information on one or more images", "[OPTIONS] IMAGE [IMAGE...]", Min(1), inspect::image_flags, inspect::image),
    row!("image" "load" [], "load", "Load an image from a tar archive or STDIN", "[OPTIONS]", Exact(0), image_files::load_flags, image_files::load),
    row!("image" "ls" ["list"], "images", "List images", "[OPTIONS] [REPOSITORY[:TAG]]", Max(1), image_list::flags, image_list::run),
    row!("image" "prune" [], "", "Remove unused images", "[OPTIONS]", Exact(0), prune::all_flags, prune::images),
    row!("image" "pull" [], "pull", "Download an image from a registry", "[OPTIONS] NAME[:TAG|@DIGEST]", Exact(1), pull::flags, pull::run),
    row!("image" "push" [], "push", "Upload an image to a registry", "[OPTIONS] NAME[:TAG]", Exact(1), push::flags, push::run),
    row!("image" "rm" ["remove"], "rmi", "Remove one or more images", "[OPTIONS] IMAGE [IMAGE...]", Min(1), images::remove_flags, images::remove),
    row!("image" "save" [], "save", "Save one or more images to a tar archive (streamed to STDOUT by default)", "[OPTIONS] IMAGE [IMAGE...]", Min(1), image_files::save_flags, image_files::save),
    row!("image" "tag" [], "tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", Exact(2), none, images::tag),
    row!("manifest" "annotate" [], "", "Add information to an image of a local manifest list", "[OPTIONS] MANIFEST_LIST MANIFEST", Exact(2), manifest::annotate_flags, manifest::annotate),
    row!("manifest" "create" [], "", "Create a local manifest list", "MANIFEST_LIST MANIFEST [MANIFEST...]", Min(2), manifest::create_flags, manifest::create),
    row!("manifest" "inspect" [], "", "Display an image manifest, or manifest list", "[OPTIONS] [MANIFEST_LIST] MANIFEST", Range(1, 2), manifest::inspect_flags, manifest::inspect),
    row!("manifest" "push" [], "", "Push a manifest list to a repository", "[OPTIONS] MANIFEST_LIST", Exact(1), manifest::push_flags, manifest::push),
    row!("manifest" "rm" [], "", "Delete local manifest lists", "MANIFEST_LIST [MANIFEST_LIST...]", Min(1), none, manifest::remove),
    row!("network" "connect" [], "", "Connect a container to a network", "[OPTIONS] NETWORK CONTAINER", Exact(2), network::connect_flags, network::connect),
    row!("network" "create" [], "", "Create a network", "[OPTIONS] NETWORK", Exact(1), network_create::flags, network_create::run),
    row!("network" "disconnect" [], "", "Disconnect a container from a network", "[OPTIONS] NETWORK CONTAINER", Exact(2), network::disconnect_flags, network::disconnect),
    row!("network" "inspect" [], "", "Display detailed information on one or more networks", "[OPTIONS] NETWORK [NETWORK...]", Min(1), inspect::network_flags, inspect::network),
    row!("network" "ls" ["list"], "", "List networks", "[OPTIONS]", Exact(0), network::list_flags, network::list),
    row!("network" "prune" [], "", "Remove all unused networks", "[OPTIONS]", Exact(0), prune::flags, prune::networks),
    row!("network" "rm" ["remove"], "", "Remove one or more networks", "NETWORK [NETWORK...]", Min(1), network::remove_flags, network::remove),
    row!("volume" "create" [], "", "Create a volume", "[OPTIONS] [VOLUME]", Max(1), volume::create_flags, volume::create),
    row!("volume" "inspect" [], "", "Display detailed information on one or more volumes", "[OPTIONS] VOLUME [VOLUME...]", Min(1), inspect::volume_flags, inspect::volume),
    row!("volume" "ls" ["list"], "", "List volumes", "[OPTIONS]", Exact(0), volume::list_flags, volume::list),
    row!("volume" "prune" [], "", "Remove unused local volumes", "[OPTIONS]", Exact(0), prune::all_flags, prune::volumes),
    row!("volume" "rm" ["remove"], "", "Remove one or more volumes", "[OPTIONS] VOLUME [VOLUME...]", Min(1), volume::remove_flags, volume::remove),
    row!("system" "df" [], "", "Show docker disk usage", "[OPTIONS]", Exact(0), system::df_flags, system::df),
    row!("system" "events" [], "events", "Get real time events from the server", "[OPTIONS]", Exact(0), system::events_flags, system::events),
    row!("system" "info" [], "info", "Display system-wide information", "[OPTIONS]", Exact(0), info::flags, info::run),
    row!("system" "prune" [], "", "Remove unused data", "[OPTIONS]", Exact(0), prune::system_flags, prune::system),
    row!("system" "dial-stdio" [], "", "Proxy the stdio stream to the daemon connection", "", Exact(0), none, system::dial_stdio, hidden),
    row!("context" "create" [], "", "Create a context", "[OPTIONS] CONTEXT", Exact(1), context::create_flags, context::create),
    row!("context" "inspect" [], "", "Display detailed information on one or more contexts", "[OPTIONS] [CONTEXT] [CONTEXT...]", Min(0), context::inspect_flags, context::inspect),
    row!("context" "ls" ["list"], "", "List contexts", "[OPTIONS]", Exact(0), context::list_flags, context::list),
    row!("context" "rm" ["remove"], "", "Remove one or more contexts", "CONTEXT [CONTEXT...]", Min(1), context::remove_flags, context::remove),
    row!("context" "show" [], "", "Print the name of the current context", "", Exact(0), none, context::show),
    row!("context" "use" [], "", "Set the current docker context", "CONTEXT", Exact(1), none, context::select),
    row!("" "inspect" [], "inspect", "Return low-level information on Docker objects", "[OPTIONS] NAME|ID [NAME|ID...]", Min(1), inspect::any_flags, inspect::any),
    row!("" "login" [], "login", "Authenticate to a registry", "[OPTIONS] [SERVER]", Max(1), login::flags, login::login),
    row!("" "logout" [], "logout", "Log out from a registry", "[SERVER]", Max(1), none, login::logout),
    row!("" "search" [], "search", "Search a registry for images", "[OPTIONS] TERM", Exact(1), search::flags, search::run),
    row!("" "version" [], "version", "Show the version information of client and engine", "[OPTIONS]", Exact(0), version::flags, version::run),
    row!("" "completion" [], "completion", "Write the completion script of a shell", "bash|zsh|fish", Exact(1), none, completion::run),
    row!("" "man" [], "man", "Write the man pages into a directory", "DIR", Exact(1), none, completion::man, hidden),
];

//! A worker's entry: it confines itself first, and then serves its control socket, which is its standard input.

use clap::{Arg, ArgMatches, Command};
use messages::control::Role;
use sandbox::{Confinement, Directories};
use std::error::Error;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// Network namespaces that wait to be used: a burst of starts takes them faster than they are made.
const PREPARED_NAMESPACES: usize = 8;

/// The subcommand; the supervisor uses it, people do not.
pub(crate) fn command() -> Command {
    let required = |name: &'static str| Arg::new(name).long(name).required(true);
    Command::new("worker")
        .hide(true)
        .arg(Arg::new("role").required(true).value_parser(["api", "storage", "network"]))
        .arg(required("data-root"))
        .arg(required("exec-root"))
        .arg(required("policy"))
        .arg(required("ids"))
        .arg(required("bridge"))
}

/// Runs the worker until the supervisor ends it.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Box<dyn Error>> {
    let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    let directories = Directories {
        data_root: PathBuf::from(text("data-root")),
        exec_root: PathBuf::from(text("exec-root")),
    };
    let (uid, gid) = text("ids").split_once(':').ok_or("--ids must be UID:GID")?;
    let ids = (uid.parse()?, gid.parse()?);
    let default_bridge = text("bridge").to_owned();
    // Read before the walls are up: afterwards not every worker can reach it.
    let policy = policy::Policy::load(text("policy").as_ref())?;
    // The default bridge is root's to name, in the same file as the rest.
    let permitted = links::Permitted {
        bridges: policy.bridges().iter().cloned().chain([default_bridge]).collect(),
        parents: policy.network_parents().map(<[String]>::to_vec),
    };
    let control = control()?;
    let confine = |role| Confinement::of(role, &directories, ids).enter();
    match text("role") {
        "storage" => {
            let worker = storage::Worker::open(&directories.data_root, policy)?;
            confine(Role::Storage)?;
            worker.run(control)?;
        }
        "network" => {
            confine(Role::Network)?;
            links::serve(control, PREPARED_NAMESPACES, permitted)?;
        }
        _ => {
            confine(Role::Api)?;
            crate::api::run(control)?;
        }
    }
    Ok(())
}

/// The control socket, with /dev/null in its place, so that no child ever inherits it as its standard input.
fn control() -> Result<OwnedFd, Box<dyn Error>> {
    let control = std::io::stdin().as_fd().try_clone_to_owned()?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(control)
}

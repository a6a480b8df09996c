//! What the processes may do with files, by Landlock.

use crate::Directories;
use std::path::{Path, PathBuf};
use sys::landlock::FileAccess;

/// What may be done with a path and all below it. A path that does not exist allows nothing.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) path: PathBuf,
    pub(crate) access: FileAccess,
}

fn read(path: impl AsRef<Path>) -> Rule {
    let access = FileAccess::READ_FILE | FileAccess::READ_DIR;
    Rule { path: path.as_ref().to_owned(), access }
}

/// All but executing, devices and sockets.
fn write(path: impl AsRef<Path>) -> Rule {
    let access = FileAccess::all()
        - FileAccess::EXECUTE
        - FileAccess::MAKE_CHAR
        - FileAccess::MAKE_BLOCK
        - FileAccess::MAKE_SOCK
        - FileAccess::IOCTL_DEV;
    Rule { path: path.as_ref().to_owned(), access }
}

/// Its own three directories, and what a program reads to resolve names, check certificates and describe the host.
pub(crate) fn api(directories: &Directories) -> Vec<Rule> {
    let own = ["meta", "content", "containers"];
    let mut rules: Vec<Rule> =
        own.iter().map(|name| write(directories.data_root.join(name))).collect();
    rules.extend(
        [
            "/etc",
            "/proc",
            "/sys",
            "/usr/share/zoneinfo",
            "/usr/lib/os-release",
            "/run/systemd/resolve",
        ]
        .map(read),
    );
    rules.extend(["/usr/share/ca-certificates", "/usr/local/share/ca-certificates"].map(read));
    rules.push(read("/dev/urandom"));
    rules.push(Rule {
        path: "/dev/null".into(),
        access: FileAccess::READ_FILE | FileAccess::WRITE_FILE,
    });
    rules
}

/// The settings of the network, its own process's descriptors and namespaces.
pub(crate) fn network() -> Vec<Rule> {
    let settings = FileAccess::READ_FILE | FileAccess::READ_DIR | FileAccess::WRITE_FILE;
    vec![read("/proc"), Rule { path: "/proc/sys/net".into(), access: settings }]
}

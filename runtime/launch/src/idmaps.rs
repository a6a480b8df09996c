//! The id maps of a new user namespace.

use crate::LaunchError;
use crate::child::hook::{self, Failed, Hook};
use crate::hooks::file;
use crate::prepare::{id_range, pointers};
use plan::IdMap;
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use safepath::ProcHandle;
use std::ffi::CString;
use std::os::fd::AsFd;
use sys::caps::{self, Cap};

/// Where the programs that map subordinate ids are looked for.
const DIRECTORIES: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"];

/// Writes the maps of the process `pid`: directly with the rights to do so or if only the caller's own ids are mapped,
/// otherwise by newuidmap(1) and newgidmap(1), which allow what `/etc/subuid` and `/etc/subgid` say.
pub(crate) fn write(pid: i32, uids: &[IdMap], gids: &[IdMap]) -> Result<(), LaunchError> {
    let own = caps::get().map_err(|error| LaunchError::new("read", "capabilities", error))?;
    let may = |cap| own.effective.contains(cap);
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    if may(Cap::SETUID) && may(Cap::SETGID) {
        let ranges = |maps: &[IdMap]| maps.iter().map(id_range).collect::<Vec<_>>();
        return mounts::userns::write_maps(pid, &ranges(uids), &ranges(gids)).map_err(|error| {
            LaunchError::new("write", "id maps", error.errno().unwrap_or(Errno::IO))
        });
    }
    match is_own(uids, user) {
        true => directly(pid, "uid_map", uids)?,
        false => by_program("newuidmap", pid, uids)?,
    }
    match is_own(gids, group) {
        true => {
            // Without the right to set groups, giving up those that keep one from files must be impossible inside too.
            put(pid, "setgroups", "deny")?;
            directly(pid, "gid_map", gids)
        }
        false => by_program("newgidmap", pid, gids),
    }
}

/// Whether the map is of the id `own` alone, which everybody may write.
fn is_own(maps: &[IdMap], own: u32) -> bool {
    matches!(maps, [map] if map.outside == own && map.count == 1)
}

fn directly(pid: i32, file: &str, maps: &[IdMap]) -> Result<(), LaunchError> {
    let line = |map: &IdMap| format!("{} {} {}\n", map.inside, map.outside, map.count);
    put(pid, file, &maps.iter().map(line).collect::<String>())
}

fn put(pid: i32, file: &str, text: &str) -> Result<(), LaunchError> {
    let failed = |errno: Errno| LaunchError::new("write", file, errno);
    let proc = ProcHandle::present().map_err(failed)?;
    let path = CString::new(format!("{pid}/{file}")).map_err(|_| failed(Errno::INVAL))?;
    proc.write(&path, text.as_bytes()).map_err(failed)
}

fn by_program(name: &str, pid: i32, maps: &[IdMap]) -> Result<(), LaunchError> {
    let object = || format!("ids by {name}");
    let path = DIRECTORIES.iter().map(|directory| format!("{directory}/{name}"));
    let path = path.into_iter().find(|path| rustix::fs::stat(path.as_str()).is_ok());
    let path = path.ok_or_else(|| LaunchError::new("map", object(), Errno::NOENT))?;
    let mut argv = vec![name.to_owned(), pid.to_string()];
    for map in maps {
        argv.extend([map.inside, map.outside, map.count].map(|number| number.to_string()));
    }
    let text = |text: String| {
        CString::new(text).map_err(|_| LaunchError::new("map", object(), Errno::INVAL))
    };
    let argv = argv.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let path = text(path)?;
    let (nothing, output) = (file(3)?, file(3)?);
    let hook = Hook { path: &path, argv: &pointers(&argv), env: &pointers(&[]), timeout: Some(30) };
    hook::call(&hook, nothing.as_fd(), output.as_fd()).map_err(|failed| match failed {
        Failed::Errno(errno) => LaunchError::new("map", object(), errno),
        Failed::Status(status) => LaunchError::Program {
            object: object(),
            status,
            words: crate::hooks::last_line(output.as_fd()),
        },
    })
}

//! The servers that the host itself asks.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How long what was read is good without a look at the file.
const FRESH: Duration = Duration::from_secs(1);
/// What is read of the file, and how many servers of it are used (glibc's MAXNS).
const LIMIT: u64 = 64 * 1024;
const SERVERS: usize = 3;

#[derive(Debug, Default)]
struct Read {
    at: Option<Instant>,
    changed: Option<SystemTime>,
    servers: Vec<IpAddr>,
}

/// The name servers in a resolv.conf, which is read again when it has changed.
#[derive(Debug)]
pub struct HostServers {
    path: PathBuf,
    read: Mutex<Read>,
}

impl HostServers {
    /// Those of this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), read: Mutex::default() }
    }

    /// The servers now. None when there is no file, or no server in it.
    pub fn get(&self) -> Vec<IpAddr> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.at.is_some_and(|at| at.elapsed() < FRESH) {
            return read.servers.clone();
        }
        let changed = std::fs::metadata(&self.path).and_then(|meta| meta.modified()).ok();
        if changed != read.changed || read.at.is_none() {
            read.servers = self.load();
            read.changed = changed;
        }
        read.at = Some(Instant::now());
        read.servers.clone()
    }

    fn load(&self) -> Vec<IpAddr> {
        let Ok(file) = std::fs::File::open(&self.path) else { return Vec::new() };
        let mut text = String::new();
        // A file that is no text has no servers.
        std::io::Read::read_to_string(&mut std::io::Read::take(file, LIMIT), &mut text).ok();
        let server = |line: &str| {
            let mut words = line.split_whitespace();
            let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
            // An address with a zone is of a link of the host, which the standard library cannot name.
            address.parse().ok()
        };
        text.lines().filter_map(server).take(SERVERS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_with_those_on_the_loopback_and_without_comments() {
        let path = std::env::temp_dir().join(format!("resolv-{}", std::process::id()));
        std::fs::write(
            &path,
            "# nameserver 9.9.9.9\nnameserver 127.0.0.53\nsearch x\nnameserver fd00::53 # ours\n",
        )
        .unwrap();
        let servers = HostServers::new(&path).get();
        std::fs::remove_file(&path).unwrap();
        let texts: Vec<String> = servers.iter().map(IpAddr::to_string).collect();
        assert_eq!(texts, ["127.0.0.53", "fd00::53"]);
        assert!(HostServers::new("/nonexistent").get().is_empty());
    }
}

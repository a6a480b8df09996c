//! The supervisor's start: directories, sockets, the workers' programs.

use crate::options;
use crate::settings::{Settings, SettingsError};
use clap::ArgMatches;
use messages::control::Listener;
use rustix::fs::{Mode, OFlags};
use std::error::Error;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use supervisor::listen::{self, Socket};
use supervisor::{Plan, Program, Supervisor, directories};

/// Runs the daemon until a signal ends it.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Box<dyn Error>> {
    let settings = load(matches)?;
    policy::Policy::load(&settings.policy)?;
    if matches.get_flag("validate") {
        println!("configuration OK");
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("must be started by root".into());
    }
    let ids = settings.api_ids()?;
    let _held = directories::prepare(&settings.data_root, &settings.exec_root, ids)?;
    let pidfile = PidFile::write(&settings.pidfile)?;
    let plan = Plan {
        api: cofferd("api", &settings)?,
        storage: cofferd("storage", &settings)?,
        network: cofferd("network", &settings)?,
        task: shim(&settings)?,
        sockets: sockets(&settings)?,
        settings: serde_json::to_string(&settings)?,
    };
    let unix: Vec<PathBuf> = plan.sockets.iter().filter_map(unix_path).collect();
    let ended = Supervisor::new(plan)?.run();
    for path in unix {
        std::fs::remove_file(path).ok();
    }
    drop(pidfile);
    Ok(ended?)
}

fn load(matches: &ArgMatches) -> Result<Settings, Box<dyn Error>> {
    let mut settings = Settings::from_options(options::resolve(matches)?)?;
    settings.proxies.complete(|name| std::env::var(name).ok());
    if let Some(profile) = &settings.seccomp_profile
        && !matches!(profile.as_str(), "" | "unconfined" | "builtin")
    {
        let text = std::fs::read_to_string(profile)
            .map_err(|error| format!("read seccomp profile {profile}: {error}"))?;
        settings.seccomp_profile = Some(text);
    }
    Ok(settings)
}

/// A worker that is a part of this binary.
fn cofferd(role: &str, settings: &Settings) -> Result<Program, Box<dyn Error>> {
    let file = open(Path::new("/proc/self/exe"))?;
    let (uid, gid) = settings.api_ids()?;
    let arguments = vec![
        "worker".to_owned(),
        role.to_owned(),
        format!("--data-root={}", settings.data_root.display()),
        format!("--exec-root={}", settings.exec_root.display()),
        format!("--policy={}", settings.policy.display()),
        format!("--ids={uid}:{gid}"),
        format!("--bridge={}", settings.bridge),
    ];
    Ok(Program { file, name: "cofferd".into(), arguments })
}

/// The task worker is another binary, small because each container has a fork of it, and runs from a sealed copy in
/// memory: no container that gets hold of it can change what the next one is started with (CVE-2019-5736).
fn shim(settings: &Settings) -> Result<Program, Box<dyn Error>> {
    let path = beside("coffer-shim")?;
    let bytes =
        std::fs::read(&path).map_err(|error| format!("read {}: {error}", path.display()))?;
    let file = sys::memfd::sealed(c"coffer-shim", &bytes)?;
    let root = settings.exec_root.display().to_string();
    let data_root = settings.data_root.display().to_string();
    let policy = settings.policy.display().to_string();
    let init = beside("coffer-init")?.display().to_string();
    let mut arguments =
        ["--exec-root", &root, "--data-root", &data_root, "--policy", &policy, "--init", &init]
            .map(str::to_owned)
            .to_vec();
    if let Some(parent) = &settings.cgroup_parent {
        arguments.extend(["--cgroup-parent".to_owned(), parent.clone()]);
    }
    Ok(Program { file, name: "coffer-shim".into(), arguments })
}

/// A program that was installed in the same directory as this one.
fn beside(name: &str) -> std::io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().unwrap_or(Path::new("/")).join(name))
}

fn open(path: &Path) -> std::io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

fn sockets(settings: &Settings) -> Result<Vec<Socket>, Box<dyn Error>> {
    settings.hosts.iter().map(|host| socket(host, settings)).collect()
}

fn socket(host: &str, settings: &Settings) -> Result<Socket, Box<dyn Error>> {
    if let Some(path) = host.strip_prefix("unix://") {
        return Ok(listen::unix(Path::new(path), group(&settings.group)?)?);
    }
    let wrong = |why| SettingsError::Value { key: "hosts", value: host.to_owned(), why };
    let address =
        host.strip_prefix("tcp://").ok_or_else(|| wrong("must begin with unix:// or tcp://"))?;
    let tls = settings.tls || settings.tlsverify;
    let port = if tls { "2376" } else { "2375" };
    let address = match address {
        "" => format!("127.0.0.1:{port}"),
        address if address.contains("]:") || (address.contains(':') && !address.ends_with(']')) => {
            address.to_owned()
        }
        address => format!("{address}:{port}"),
    };
    if !tls && !settings.allow_insecure_tcp && !is_loopback(&address) {
        return Err(wrong(
            "without TLS anybody who reaches this address is root on this host; use --tlsverify, or --allow-insecure-tcp if you mean it",
        )
        .into());
    }
    let listener =
        if tls { tls_listener(&address, settings)? } else { Listener::Tcp(address.clone()) };
    Ok(listen::tcp(&address, listener)?)
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn tls_listener(address: &str, settings: &Settings) -> Result<Listener, Box<dyn Error>> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))
    };
    Ok(Listener::Tls {
        address: address.to_owned(),
        certificate: read(&settings.tlscert)?,
        key: read(&settings.tlskey)?,
        ca: settings.tlsverify.then(|| read(&settings.tlscacert)).transpose()?,
    })
}

/// The id of a group, by /etc/group; a group that does not exist leaves the socket to root.
fn group(name: &str) -> Result<Option<u32>, Box<dyn Error>> {
    if let Ok(gid) = name.parse() {
        return Ok(Some(gid));
    }
    let text = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let gid = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    if gid.is_none() && name != "docker" {
        return Err(format!("group {name} does not exist").into());
    }
    Ok(gid)
}

fn unix_path(socket: &Socket) -> Option<PathBuf> {
    match &socket.listener {
        Listener::Unix(path) => Some(path.into()),
        _ => None,
    }
}

/// The file with the process id, removed at the end.
struct PidFile(PathBuf);

impl PidFile {
    /// What is in an old file does not matter: the lock of the data root says whether another daemon runs.
    fn write(path: &Path) -> Result<Self, Box<dyn Error>> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, std::process::id().to_string())
            .map_err(|error| format!("write pidfile {}: {error}", path.display()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_loopback() {
        for address in ["127.0.0.1:2375", "localhost:1", "[::1]:2375", "127.9.9.9:1"] {
            assert!(is_loopback(address), "{address}");
        }
        for address in
            ["0.0.0.0:2375", "[::]:2375", "192.0.2.1:2375", ":2375", "localhost.example:1"]
        {
            assert!(!is_loopback(address), "{address}");
        }
    }

    #[test]
    fn tcp_without_tls_beyond_loopback_needs_the_flag() {
        let settings = Settings::default();
        let message = socket("tcp://0.0.0.0:0", &settings).unwrap_err().to_string();
        assert!(message.contains("anybody who reaches this address is root"), "{message}");
        let settings = Settings { allow_insecure_tcp: true, ..settings };
        socket("tcp://0.0.0.0:0", &settings).unwrap();
        assert!(socket("fd://", &settings).is_err());
    }
}

//! One function per question to a worker, so that verbs read as what they do.

use crate::workers::Workers;
use messages::Fd;
use messages::storage::{self, Root};
use messages::task;
use messages::{network, shim};
use spec::{ContainerId, ExecId, Failure, SnapshotKey, VolumeName};
use std::net::IpAddr;
use std::os::fd::OwnedFd;

/// All default routes of a sandbox: interface, next hop if there is one, family.
pub(crate) type DefaultRoutes = Vec<(String, Option<IpAddr>, network::Family)>;

/// What a sandbox shall have.
#[derive(Debug, Default)]
pub(crate) struct SandboxSpec {
    pub(crate) endpoints: Vec<network::Endpoint>,
    pub(crate) sysctls: Vec<(String, String)>,
    pub(crate) ports: Vec<network::Wanted>,
    pub(crate) resolver: bool,
}

/// A sandbox that was made.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) netns: OwnedFd,
    pub(crate) ports: Vec<network::Published>,
    pub(crate) resolver: Option<(OwnedFd, OwnedFd)>,
}

/// An answer of a kind that the question does not have: the worker is of another version, or broken.
fn odd<T>(what: &str) -> Result<T, Failure> {
    Err(Failure::internal(format!("{what}: the worker gave an answer of another kind")))
}

fn take(fds: Vec<OwnedFd>, fd: Fd) -> Result<OwnedFd, Failure> {
    transport::Descriptors::new(fds).take(fd)
}

impl Workers {
    async fn storage_done(
        &self,
        request: storage::Request,
        fds: Vec<OwnedFd>,
    ) -> Result<(), Failure> {
        self.storage.call(request, fds).await.map(|_| ())
    }

    pub(crate) async fn prepare(
        &self,
        key: SnapshotKey,
        parents: Vec<SnapshotKey>,
    ) -> Result<(), Failure> {
        self.storage_done(storage::Request::Prepare { key, parents }, Vec::new()).await
    }

    pub(crate) async fn mount(&self, key: SnapshotKey) -> Result<OwnedFd, Failure> {
        match self.storage.call(storage::Request::Mount { key }, Vec::new()).await? {
            (storage::Reply::Mount { mount }, fds) => take(fds, mount),
            _ => odd("mount snapshot"),
        }
    }

    pub(crate) async fn remove_snapshot(&self, key: SnapshotKey) -> Result<(), Failure> {
        self.storage_done(storage::Request::Remove { key }, Vec::new()).await
    }

    pub(crate) async fn snapshots(&self) -> Result<Vec<storage::SnapshotInfo>, Failure> {
        match self.storage.call(storage::Request::List, Vec::new()).await? {
            (storage::Reply::Snapshots(all), _) => Ok(all),
            _ => odd("list snapshots"),
        }
    }

    pub(crate) async fn usage(&self, key: SnapshotKey) -> Result<u64, Failure> {
        match self.storage.call(storage::Request::Usage { key }, Vec::new()).await? {
            (storage::Reply::Usage { bytes }, _) => Ok(bytes),
            _ => odd("measure snapshot"),
        }
    }

    pub(crate) async fn changes(&self, key: SnapshotKey) -> Result<Vec<storage::Change>, Failure> {
        match self.storage.call(storage::Request::Changes { key }, Vec::new()).await? {
            (storage::Reply::Changes(all), _) => Ok(all),
            _ => odd("list changes"),
        }
    }

    pub(crate) async fn write_difference(
        &self,
        key: SnapshotKey,
        out: OwnedFd,
    ) -> Result<(), Failure> {
        self.storage_done(storage::Request::DiffTar { key, out: Fd(0) }, vec![out]).await
    }

    /// `root`'s own descriptors are the first of `fds`, the tar's the last.
    pub(crate) async fn export(
        &self,
        root: Root,
        mut fds: Vec<OwnedFd>,
        out: OwnedFd,
    ) -> Result<(), Failure> {
        let position = Fd(u16::try_from(fds.len()).unwrap_or(u16::MAX));
        fds.push(out);
        self.storage_done(storage::Request::ExportTar { root, out: position }, fds).await
    }

    pub(crate) async fn stat(
        &self,
        root: Root,
        path: Vec<u8>,
        fds: Vec<OwnedFd>,
    ) -> Result<storage::PathStat, Failure> {
        match self.storage.call(storage::Request::Stat { root, path }, fds).await? {
            (storage::Reply::Stat(stat), _) => Ok(stat),
            _ => odd("stat path"),
        }
    }

    pub(crate) async fn copy_out(
        &self,
        root: Root,
        path: Vec<u8>,
        mut fds: Vec<OwnedFd>,
        out: OwnedFd,
    ) -> Result<(), Failure> {
        let position = Fd(u16::try_from(fds.len()).unwrap_or(u16::MAX));
        fds.push(out);
        self.storage_done(storage::Request::CopyOut { root, path, out: position }, fds).await
    }

    pub(crate) async fn copy_in(
        &self,
        root: Root,
        path: Vec<u8>,
        options: storage::CopyIn,
        mut fds: Vec<OwnedFd>,
        archive: OwnedFd,
    ) -> Result<(), Failure> {
        let position = Fd(u16::try_from(fds.len()).unwrap_or(u16::MAX));
        fds.push(archive);
        let request =
            storage::Request::CopyIn { root, path, archive: position, options, limit: u64::MAX };
        self.storage_done(request, fds).await
    }

    /// A file of at most `limit` bytes; `None` when it does not exist.
    pub(crate) async fn open_file(
        &self,
        root: Root,
        path: &str,
        limit: u64,
        fds: Vec<OwnedFd>,
    ) -> Result<Option<OwnedFd>, Failure> {
        let request = storage::Request::OpenFile { root, path: path.into(), limit };
        match self.storage.call(request, fds).await {
            Ok((storage::Reply::Opened { file, .. }, fds)) => take(fds, file).map(Some),
            Ok(_) => odd("open file"),
            Err(failure) if failure.class == spec::Class::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(crate) async fn open_host_path(
        &self,
        path: &str,
        create_directory: bool,
        read_only: bool,
    ) -> Result<OwnedFd, Failure> {
        self.open_bind_source(path, create_directory, read_only, storage::Passes::Anything).await
    }

    /// The same for a mount that needs something of the mount that its source lies on.
    pub(crate) async fn open_bind_source(
        &self,
        path: &str,
        create_directory: bool,
        read_only: bool,
        passes: storage::Passes,
    ) -> Result<OwnedFd, Failure> {
        let path = path.into();
        let request = storage::Request::OpenHostPath { path, create_directory, read_only, passes };
        match self.storage.call(request, Vec::new()).await? {
            (storage::Reply::Opened { file, .. }, fds) => take(fds, file),
            _ => odd("open host path"),
        }
    }

    pub(crate) async fn host_devices(&self, path: &str) -> Result<Vec<storage::Device>, Failure> {
        let request = storage::Request::HostDevice { path: path.into() };
        match self.storage.call(request, Vec::new()).await? {
            (storage::Reply::Devices(all), _) => Ok(all),
            _ => odd("look up host device"),
        }
    }

    pub(crate) async fn create_volume(&self, name: VolumeName) -> Result<(), Failure> {
        self.storage_done(storage::Request::VolumeCreate { name }, Vec::new()).await
    }

    pub(crate) async fn remove_volume(&self, name: VolumeName) -> Result<(), Failure> {
        self.storage_done(storage::Request::VolumeRemove { name }, Vec::new()).await
    }

    pub(crate) async fn open_volume(
        &self,
        name: VolumeName,
        copy_up: Option<(SnapshotKey, Vec<u8>)>,
    ) -> Result<OwnedFd, Failure> {
        match self.storage.call(storage::Request::VolumeOpen { name, copy_up }, Vec::new()).await? {
            (storage::Reply::Opened { file, .. }, fds) => take(fds, file),
            _ => odd("open volume"),
        }
    }

    pub(crate) async fn ensure_bridge(&self, bridge: network::Bridge) -> Result<(), Failure> {
        self.network.call(network::Request::EnsureBridge(bridge), Vec::new()).await.map(|_| ())
    }

    pub(crate) async fn remove_bridge(&self, link: String) -> Result<(), Failure> {
        self.network_done(network::Request::RemoveBridge { link }, Vec::new()).await
    }

    async fn network_done(
        &self,
        request: network::Request,
        fds: Vec<OwnedFd>,
    ) -> Result<(), Failure> {
        self.network.call(request, fds).await.map(|_| ())
    }

    pub(crate) async fn reconcile_networks(
        &self,
        bridges: Vec<String>,
        ports: Vec<network::Published>,
        addresses: Vec<IpAddr>,
        complete: bool,
    ) -> Result<(), Failure> {
        let request = network::Request::Reconcile { bridges, ports, addresses, complete };
        self.network_done(request, Vec::new()).await
    }

    /// The networks that the host has routes to.
    pub(crate) async fn host_routes(&self) -> Result<Vec<ipam::IpNet>, Failure> {
        match self.network.call(network::Request::HostRoutes, Vec::new()).await? {
            (network::Reply::Routes(routes), _) => {
                let net = |p: &network::Prefix| ipam::IpNet::new(p.address, p.length).ok();
                Ok(routes.iter().filter_map(net).collect())
            }
            _ => odd("list routes"),
        }
    }

    /// A new network namespace, published ports, and sockets for a name server if they are wanted.
    pub(crate) async fn create_sandbox(&self, spec: SandboxSpec) -> Result<Sandbox, Failure> {
        let SandboxSpec { endpoints, sysctls, ports, resolver } = spec;
        let request = network::Request::CreateSandbox { endpoints, sysctls, ports, resolver };
        match self.network.call(request, Vec::new()).await? {
            (network::Reply::Sandbox { netns, ports, resolver }, fds) => {
                let mut fds = transport::Descriptors::new(fds);
                let netns = fds.take(netns)?;
                let resolver = match resolver {
                    Some((udp, tcp)) => Some((fds.take(udp)?, fds.take(tcp)?)),
                    None => None,
                };
                Ok(Sandbox { netns, ports, resolver })
            }
            _ => odd("create sandbox"),
        }
    }

    /// Sockets for a name server in a sandbox that is there already: UDP, and TCP that listens.
    pub(crate) async fn open_resolver(
        &self,
        sandbox: OwnedFd,
    ) -> Result<(OwnedFd, OwnedFd), Failure> {
        let request = network::Request::Resolver { sandbox: Fd(0) };
        match self.network.call(request, vec![sandbox]).await? {
            (network::Reply::Resolver { udp, tcp }, fds) => {
                let mut fds = transport::Descriptors::new(fds);
                Ok((fds.take(udp)?, fds.take(tcp)?))
            }
            _ => odd("open resolver"),
        }
    }

    pub(crate) async fn connect_sandbox(
        &self,
        sandbox: OwnedFd,
        endpoint: network::Endpoint,
        gateways: DefaultRoutes,
        sysctls: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let request = network::Request::Connect { sandbox: Fd(0), endpoint, gateways, sysctls };
        self.network_done(request, vec![sandbox]).await
    }

    pub(crate) async fn disconnect_sandbox(
        &self,
        sandbox: OwnedFd,
        interface: String,
        gateways: DefaultRoutes,
    ) -> Result<(), Failure> {
        let request = network::Request::Disconnect { sandbox: Fd(0), interface, gateways };
        self.network_done(request, vec![sandbox]).await
    }

    pub(crate) async fn network_statistics(
        &self,
        sandbox: OwnedFd,
    ) -> Result<Vec<network::Counters>, Failure> {
        let request = network::Request::Statistics { sandbox: Fd(0) };
        match self.network.call(request, vec![sandbox]).await? {
            (network::Reply::Statistics(counted), _) => Ok(counted),
            _ => odd("read network statistics"),
        }
    }

    pub(crate) async fn publish(
        &self,
        ports: Vec<network::Wanted>,
    ) -> Result<Vec<network::Published>, Failure> {
        if ports.is_empty() {
            return Ok(Vec::new());
        }
        match self.network.call(network::Request::Publish { ports }, Vec::new()).await? {
            (network::Reply::Published(ports), _) => Ok(ports),
            _ => odd("publish ports"),
        }
    }

    pub(crate) async fn release(
        &self,
        ports: Vec<network::Published>,
        addresses: Vec<IpAddr>,
    ) -> Result<(), Failure> {
        self.network_done(network::Request::Release { ports, addresses }, Vec::new()).await
    }

    /// The network namespace of a running container.
    pub(crate) async fn open_network(&self, id: ContainerId) -> Result<OwnedFd, Failure> {
        match self.task.call(task::Request::OpenNetwork { id }, Vec::new()).await? {
            (task::Reply::Network { netns }, fds) => take(fds, netns),
            _ => odd("open network namespace"),
        }
    }

    async fn task_done(&self, request: task::Request) -> Result<(), Failure> {
        self.task.call(request, Vec::new()).await.map(|_| ())
    }

    /// Starts a container or exec; its process and when it was started.
    pub(crate) async fn start_task(
        &self,
        request: task::Request,
        fds: Vec<OwnedFd>,
    ) -> Result<(i32, i64, Vec<String>), Failure> {
        match self.task.call(request, fds).await? {
            (task::Reply::Started { pid, at, warnings }, _) => Ok((pid, at, warnings)),
            _ => odd("start task"),
        }
    }

    pub(crate) async fn connect_task(
        &self,
        id: ContainerId,
        exec: Option<ExecId>,
    ) -> Result<OwnedFd, Failure> {
        match self.task.call(task::Request::Connect { id, exec }, Vec::new()).await? {
            (task::Reply::Channel { channel }, fds) => take(fds, channel),
            _ => odd("connect to shim"),
        }
    }

    pub(crate) async fn signal(
        &self,
        id: ContainerId,
        exec: Option<ExecId>,
        signal: i32,
    ) -> Result<(), Failure> {
        self.task_done(task::Request::Signal { id, exec, signal }).await
    }

    pub(crate) async fn freeze(&self, id: ContainerId) -> Result<(), Failure> {
        self.task_done(task::Request::Freeze { id }).await
    }

    pub(crate) async fn thaw(&self, id: ContainerId) -> Result<(), Failure> {
        self.task_done(task::Request::Thaw { id }).await
    }

    pub(crate) async fn update_task(
        &self,
        id: ContainerId,
        resources: Box<spec::oci::Resources>,
    ) -> Result<(), Failure> {
        self.task_done(task::Request::Update { id, resources }).await
    }

    pub(crate) async fn ps(
        &self,
        id: ContainerId,
        arguments: Vec<String>,
    ) -> Result<String, Failure> {
        match self.task.call(task::Request::Top { id, arguments }, Vec::new()).await? {
            (task::Reply::Top { output }, _) => Ok(output),
            _ => odd("run ps"),
        }
    }

    pub(crate) async fn statistics(&self, id: ContainerId) -> Result<task::Statistics, Failure> {
        match self.task.call(task::Request::Statistics { id }, Vec::new()).await? {
            (task::Reply::Statistics(counted), _) => Ok(*counted),
            _ => odd("read statistics"),
        }
    }

    pub(crate) async fn open_init(&self, id: ContainerId) -> Result<OwnedFd, Failure> {
        match self.task.call(task::Request::OpenInit { id }, Vec::new()).await? {
            (task::Reply::Init { pidfd }, fds) => take(fds, pidfd),
            _ => odd("open container"),
        }
    }

    pub(crate) async fn delete_task(
        &self,
        id: ContainerId,
        exec: Option<ExecId>,
    ) -> Result<(), Failure> {
        self.task_done(task::Request::Delete { id, exec }).await
    }

    pub(crate) async fn tasks(&self) -> Result<Vec<task::TaskInfo>, Failure> {
        match self.task.call(task::Request::List, Vec::new()).await? {
            (task::Reply::Tasks(all), _) => Ok(all),
            _ => odd("list tasks"),
        }
    }
}

/// A SEQPACKET pair: the engine's end, ready to be used, and the shim's.
pub(crate) fn shim_channel() -> Result<(transport::Channel, OwnedFd), Failure> {
    let pair = || -> std::io::Result<_> {
        let (ours, theirs) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::SEQPACKET,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((transport::Channel::new(ours)?, theirs))
    };
    pair().map_err(|error| Failure::internal(format!("make a channel to a shim: {error}")))
}

/// Sends a request to a shim; a shim that is gone is a conflict: its process has ended.
pub(crate) async fn ask_shim(
    channel: &transport::Channel,
    request: shim::Request,
    fds: Vec<OwnedFd>,
) -> Result<(), Failure> {
    channel
        .send(&request, fds)
        .await
        .map_err(|error| Failure::conflict(format!("reach the shim: {error}")))
}

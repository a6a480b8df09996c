//! Network namespaces: made, named by a descriptor, and worked in.
//!
//! A namespace belongs to a thread. Work inside one is done on a thread that lives for that work only, so that no
//! thread ever has to find its way back; a socket that it opens stays in the namespace and is used from anywhere.
//! The descriptor of a namespace comes from a socket in it (SIOCGSKNS, Linux 4.9): procfs is not needed.

use crate::{NetlinkError, RouteSocket};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `SIOCGSKNS` of linux/sockios.h.
const SIOCGSKNS: libc::c_ulong = 0x894C;

/// A network namespace, kept alive by this descriptor.
#[derive(Debug)]
pub struct Namespace(OwnedFd);

fn failed(call: &'static str) -> impl Fn(Errno) -> NetlinkError {
    move |errno| NetlinkError::Namespace { call, errno }
}

impl Namespace {
    /// A new namespace, and what `prepare` makes in it; `prepare` runs on a thread inside it. The loopback is down.
    /// Needs CAP_SYS_ADMIN. ENOSPC: the limit user.max_net_namespaces is reached.
    pub fn create<T: Send>(
        prepare: impl FnOnce() -> Result<T, NetlinkError> + Send,
    ) -> Result<(Self, T), NetlinkError> {
        on_a_thread(move || {
            unshare_network()?;
            let namespace = Self::current()?;
            Ok((namespace, prepare()?))
        })
    }

    /// The namespace of the calling thread. Needs CAP_NET_ADMIN in it.
    pub fn current() -> Result<Self, NetlinkError> {
        Self::of_socket(RouteSocket::open()?.as_fd())
    }

    /// The namespace in which a socket was opened. Needs CAP_NET_ADMIN in it.
    pub fn of_socket(socket: BorrowedFd<'_>) -> Result<Self, NetlinkError> {
        namespace_of(socket).map(Self).map_err(failed("ioctl SIOCGSKNS for"))
    }

    /// Takes a descriptor that names a namespace, such as one of `/proc/PID/ns/net`; whether it does shows at its
    /// first use.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Runs `work` on a thread of its own inside the namespace and waits for it. Needs CAP_SYS_ADMIN.
    pub fn run<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, NetlinkError> + Send,
    ) -> Result<T, NetlinkError> {
        on_a_thread(|| {
            self.enter()?;
            work()
        })
    }

    /// Moves the calling thread into the namespace, for good: only for a thread that ends there. EINVAL: the
    /// descriptor names something else.
    pub fn enter(&self) -> Result<(), NetlinkError> {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(failed("enter"))
    }

    /// A rtnetlink socket inside the namespace.
    pub fn route_socket(&self) -> Result<RouteSocket, NetlinkError> {
        self.run(RouteSocket::open)
    }

    /// Whether two descriptors name one namespace: it is the inode that does (namespaces(7)).
    pub fn is(&self, other: &Self) -> Result<bool, NetlinkError> {
        let inode = |of: &Self| {
            let stat = rustix::fs::fstat(&of.0).map_err(failed("describe"))?;
            Ok((stat.st_dev, stat.st_ino))
        };
        Ok(inode(self)? == inode(other)?)
    }

    /// Another descriptor of the same namespace.
    pub fn try_clone(&self) -> Result<Self, NetlinkError> {
        rustix::io::fcntl_dupfd_cloexec(&self.0, 3).map(Self).map_err(failed("duplicate"))
    }

    /// The descriptor alone.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn on_a_thread<T: Send>(
    work: impl FnOnce() -> Result<T, NetlinkError> + Send,
) -> Result<T, NetlinkError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("netns".to_owned())
            .stack_size(256 * 1024)
            .spawn_scoped(scope, work)
            .map_err(|error| {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::AGAIN);
                NetlinkError::Namespace { call: "start a thread for", errno }
            })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[expect(unsafe_code, reason = "unshare has no safe wrapper")]
fn unshare_network() -> Result<(), NetlinkError> {
    // SAFETY: only the network namespace of this thread changes; the table of descriptors stays shared, so no
    // descriptor changes its meaning.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.map_err(failed("create"))
}

#[expect(unsafe_code, reason = "the ioctl SIOCGSKNS has no safe wrapper")]
fn namespace_of(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // SAFETY: the ioctl takes no argument and reads no memory of ours; the descriptor is borrowed for the call.
    let fd = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS as _) };
    if fd < 0 {
        let error = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    // SAFETY: the kernel has just made this descriptor (with O_CLOEXEC, open_related_ns) for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

//! Network namespaces that are ready before somebody needs one.
//!
//! A namespace takes 0.3 ms to make and a veth pair 0.4 ms: most of what plugging a container in costs. Both wait
//! here, and taking one costs microseconds. A thread of the pool fills it up when nothing has been taken for a moment,
//! for making them holds the lock of all links (rtnl), for which the sandbox just taken would have to wait; when few
//! are left that moment is shorter.
//!
//! What waits is bound to this process: when it dies, its namespaces go, and the ends of their pairs with them.

use crate::sandbox::Prepared;
use netlink::{NetlinkError, RouteSocket};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After a failure the pool is refilled no sooner than this: whoever needs a namespace then makes it himself and
/// sees the error.
const PAUSE: Duration = Duration::from_secs(1);
/// How long after its beginning the pool is filled for the first time: the engine's other processes start meanwhile, and
/// the first client waits for them.
const BEGIN: Duration = Duration::from_millis(100);
/// How long nothing must have been taken before the stock is filled up: longer than the start of a container.
const QUIET: Duration = Duration::from_millis(20);
/// The same when few are left: longer than plugging in.
const SHORT_QUIET: Duration = Duration::from_millis(2);

#[derive(Debug, Default)]
struct Stock {
    /// Without a veth pair: for network mode none.
    plain: VecDeque<Prepared>,
    /// With one.
    paired: VecDeque<Prepared>,
    taken: Option<Instant>,
    closed: bool,
}

/// Which one is to be made next, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    In(Duration),
    Plain,
    Paired,
}

impl Stock {
    fn need(&self, size: usize) -> Need {
        let (plain, paired) = (self.plain.len(), self.paired.len());
        let quiet = if paired <= size / 4 { SHORT_QUIET } else { QUIET };
        let delay =
            self.taken.map_or(Duration::ZERO, |taken| quiet.saturating_sub(taken.elapsed()));
        match () {
            () if paired >= size && plain >= plain_of(size) => Need::Nothing,
            () if !delay.is_zero() => Need::In(delay),
            () if paired < size => Need::Paired,
            () => Need::Plain,
        }
    }
}

/// Few containers have no network.
fn plain_of(size: usize) -> usize {
    size.div_ceil(4)
}

#[derive(Debug)]
struct Shared {
    stock: Mutex<Stock>,
    changed: Condvar,
    size: usize,
}

impl Shared {
    fn stock(&self) -> MutexGuard<'_, Stock> {
        // Nothing is done under the lock that could leave the queues half changed.
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until another one shall be made, and whether with a pair; `None` when the pool is closed.
    fn wait_for_need(&self) -> Option<bool> {
        let mut stock = self.stock();
        while !stock.closed {
            stock = match stock.need(self.size) {
                Need::Plain => return Some(false),
                Need::Paired => return Some(true),
                Need::In(delay) => {
                    let waited = self.changed.wait_timeout(stock, delay);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Need::Nothing => self.changed.wait(stock).unwrap_or_else(PoisonError::into_inner),
            };
        }
        None
    }
}

/// A stock of prepared namespaces and the thread that refills it.
#[derive(Debug)]
pub struct NamespacePool {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl NamespacePool {
    /// Starts to prepare `size` namespaces with a veth pair, whose other ends are in the calling thread's namespace,
    /// and a quarter as many without. With size 0 each is made when it is asked for, and there is no thread.
    pub fn start(size: usize) -> std::io::Result<Self> {
        let stock = Stock { taken: Some(Instant::now() + BEGIN), ..Stock::default() };
        let shared = Arc::new(Shared { stock: Mutex::new(stock), changed: Condvar::new(), size });
        let thread = if size == 0 {
            None
        } else {
            let shared = Arc::clone(&shared);
            let builder = std::thread::Builder::new().name("netns pool".to_owned());
            Some(builder.stack_size(256 * 1024).spawn(move || refill(&shared))?)
        };
        Ok(Self { shared, thread })
    }

    /// A prepared namespace: from the stock, or made now, then always without a pair.
    pub(crate) fn take(&self, with_pair: bool) -> Result<Prepared, NetlinkError> {
        let ready = {
            let mut stock = self.shared.stock();
            stock.taken = Some(Instant::now());
            if with_pair { stock.paired.pop_front() } else { stock.plain.pop_front() }
        };
        match ready {
            Some(prepared) => {
                self.shared.changed.notify_all();
                Ok(prepared)
            }
            None => Prepared::make(),
        }
    }

    /// Waits until the stock is full, at most this long; answers whether it is.
    pub fn wait_full(&self, limit: Duration) -> bool {
        let size = self.shared.size;
        let missing = |stock: &mut Stock| stock.need(size) != Need::Nothing;
        let waited = self.shared.changed.wait_timeout_while(self.shared.stock(), limit, missing);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for NamespacePool {
    fn drop(&mut self) {
        self.shared.stock().closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread ends at its next look at `closed`; a panic in it has been reported already.
            drop(thread.join());
        }
    }
}

fn refill(shared: &Shared) {
    let mut host = None;
    while let Some(with_pair) = shared.wait_for_need() {
        match make(&mut host, with_pair) {
            Ok(prepared) => {
                let mut stock = shared.stock();
                if with_pair {
                    stock.paired.push_back(prepared);
                } else {
                    stock.plain.push_back(prepared);
                }
                drop(stock);
                shared.changed.notify_all();
            }
            Err(_) => {
                host = None;
                let stock = shared.stock();
                let open = |stock: &mut Stock| !stock.closed;
                drop(shared.changed.wait_timeout_while(stock, PAUSE, open));
            }
        }
    }
}

/// `host` is a socket of the host's namespace, opened at the first need.
fn make(host: &mut Option<RouteSocket>, with_pair: bool) -> Result<Prepared, NetlinkError> {
    let mut prepared = Prepared::make()?;
    if with_pair {
        let socket = match host {
            Some(socket) => socket,
            None => host.insert(RouteSocket::open()?),
        };
        prepared.add_pair(socket)?;
    }
    Ok(prepared)
}

//! Network namespaces that are ready before somebody needs one.
//!
//! Making a namespace takes 0.2 ms, opening a socket in it and bringing its loopback up half as much again; taking
//! one from here takes microseconds. A thread of the pool fills it up behind each taking.

use crate::sandbox::Prepared;
use netlink::NetlinkError;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// After a failure the pool is refilled no sooner than this: whoever needs a namespace then makes it himself and
/// sees the error.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Stock {
    ready: VecDeque<Prepared>,
    closed: bool,
}

#[derive(Debug)]
struct Shared {
    stock: Mutex<Stock>,
    changed: Condvar,
    size: usize,
}

impl Shared {
    fn stock(&self) -> MutexGuard<'_, Stock> {
        // Nothing is done under the lock that could leave the queue half changed.
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stock of prepared namespaces and the thread that refills it.
#[derive(Debug)]
pub struct NamespacePool {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl NamespacePool {
    /// Starts to prepare `size` namespaces. With size 0 each is made when it is asked for, and there is no thread.
    pub fn start(size: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { stock: Mutex::default(), changed: Condvar::new(), size });
        let thread = if size == 0 {
            None
        } else {
            let shared = Arc::clone(&shared);
            let builder = std::thread::Builder::new().name("netns pool".to_owned());
            Some(builder.stack_size(256 * 1024).spawn(move || refill(&shared))?)
        };
        Ok(Self { shared, thread })
    }

    /// A prepared namespace: from the stock, or made now when there is none.
    pub(crate) fn take(&self) -> Result<Prepared, NetlinkError> {
        let ready = self.shared.stock().ready.pop_front();
        match ready {
            Some(prepared) => {
                self.shared.changed.notify_all();
                Ok(prepared)
            }
            None => Prepared::make(),
        }
    }

    /// How many are ready now.
    pub fn ready(&self) -> usize {
        self.shared.stock().ready.len()
    }

    /// Waits until the stock is full, at most this long; answers whether it is.
    pub fn wait_full(&self, limit: Duration) -> bool {
        let size = self.shared.size;
        let stock = self.shared.stock();
        let waited = self.shared.changed.wait_timeout_while(stock, limit, |s| s.ready.len() < size);
        waited.unwrap_or_else(PoisonError::into_inner).0.ready.len() >= size
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
    loop {
        let stock = shared.stock();
        let full = |stock: &mut Stock| !stock.closed && stock.ready.len() >= shared.size;
        let stock = shared.changed.wait_while(stock, full).unwrap_or_else(PoisonError::into_inner);
        if stock.closed {
            return;
        }
        drop(stock);
        match Prepared::make() {
            Ok(prepared) => {
                shared.stock().ready.push_back(prepared);
                shared.changed.notify_all();
            }
            Err(_) => {
                let stock = shared.stock();
                let open = |stock: &mut Stock| !stock.closed;
                drop(shared.changed.wait_timeout_while(stock, PAUSE, open));
            }
        }
    }
}

//! The open database: one B-tree, its journal, and the thread that syncs it.

use crate::journal::Journal;
use crate::read::Reader;
use crate::sync::SyncState;
use crate::write::Writer;
use crate::{Error, tree};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// How long a commit may wait until it is safe from a power loss.
pub const GROUP_COMMIT: Duration = Duration::from_millis(500);
/// Bytes of journal after which the B-tree is made durable and the journal emptied.
const CHECKPOINT: u64 = 4 << 20;
/// Bytes that a checkpoint may need, besides twice the journal.
const CHECKPOINT_SPACE: u64 = 1 << 20;
/// Bytes that are kept free for the day when the disk is full.
const RESERVE: u64 = 1 << 20;

/// An open database. Clones are handles of the same one; it is closed by [`Store::close`] or with the last handle.
#[derive(Debug, Clone)]
pub struct Store {
    owner: Arc<Owner>,
}

/// Closes the database when the last handle is dropped. The thread that syncs has no such handle.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// What the handles and the thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    directory: PathBuf,
    /// The writer's lock, and the journal under it.
    journal: Mutex<Option<Journal>>,
    /// `None` after the close, or when it could not be opened again.
    database: RwLock<Option<redb::Database>>,
    /// The B-tree must be opened again before it can be written.
    broken: AtomicBool,
    pub(crate) sync: SyncState,
}

impl Store {
    /// Opens the database in `directory`, or makes both. Blocks for syncs of the disk. Fails when another process has
    /// it open, when it is not this engine's or of a newer version, and when it is damaged ([`Error::Damaged`]).
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let (database, journal) = tree::open(directory)?;
        let unsynced = journal.length() > 0;
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            journal: Mutex::new(Some(journal)),
            database: RwLock::new(Some(database)),
            broken: AtomicBool::new(false),
            sync: SyncState::default(),
        });
        shared.ensure_reserve();
        if unsynced {
            // Commits of a process that was killed before its sync.
            shared.sync.request();
        }
        let thread = std::thread::Builder::new()
            .name("metadata-sync".into())
            .stack_size(256 << 10)
            .spawn({
                let shared = Arc::clone(&shared);
                move || crate::sync::run(&shared)
            })
            .map_err(Error::io("start the sync thread of", directory))?;
        Ok(Self { owner: Arc::new(Owner { shared, thread: Mutex::new(Some(thread)) }) })
    }

    /// A snapshot of what is committed now.
    pub fn read(&self) -> Result<Reader, Error> {
        self.owner.shared.read()
    }

    /// Begins a transaction. Blocks while another one lives, so keep it short, and do not begin one inside another.
    pub fn write(&self) -> Result<Writer<'_>, Error> {
        let shared = &*self.owner.shared;
        let mut guard = shared.journal();
        shared.mend(&mut guard)?;
        let transaction = shared.begin()?;
        Ok(Writer::new(shared, guard, transaction))
    }

    /// Makes all that is committed durable, and the B-tree whole without the journal. Blocks for a sync of the disk.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.owner.shared.checkpoint()
    }

    /// Reads the whole database and compares its checksums; false when it was damaged and could be put right. Blocks
    /// everybody meanwhile.
    pub fn verify(&self) -> Result<bool, Error> {
        let shared = &*self.owner.shared;
        let _journal = shared.journal();
        let mut database = shared.database.write().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_mut().ok_or(Error::Closed)?;
        database.check_integrity().map_err(Error::tree("verify"))
    }

    /// Makes all durable and closes the database for all handles. Their calls fail with [`Error::Closed`] then.
    pub fn close(&self) -> Result<(), Error> {
        self.owner.close()
    }
}

impl Owner {
    fn close(&self) -> Result<(), Error> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        self.shared.sync.stop();
        // The thread ends without a result; a panic in it was reported by the runtime.
        drop(thread.join());
        let result = self.shared.checkpoint();
        *self.shared.journal.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.shared.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        result
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // What could not be made durable is in the journal still.
        drop(self.close());
    }
}

impl Shared {
    fn journal(&self) -> MutexGuard<'_, Option<Journal>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Result<Reader, Error> {
        use redb::ReadableDatabase;
        if self.broken.load(Ordering::Relaxed) {
            self.mend(&mut self.journal())?;
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(Error::Closed)?;
        Ok(Reader { transaction: database.begin_read().map_err(Error::tree("read"))? })
    }

    fn begin(&self) -> Result<redb::WriteTransaction, Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(Error::Closed)?;
        let mut transaction = database.begin_write().map_err(Error::tree("write"))?;
        transaction.set_durability(redb::Durability::None).map_err(Error::tree("write"))?;
        Ok(transaction)
    }

    pub(crate) fn mark_broken(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Opens the B-tree again after a failure of its file: all that was committed is in it or in the journal.
    fn mend(&self, journal: &mut Option<Journal>) -> Result<(), Error> {
        if journal.is_none() || !self.broken.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        *database = None;
        let (opened, replayed) = tree::open(&self.directory)?;
        *database = Some(opened);
        *journal = Some(replayed);
        self.broken.store(false, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn checkpoint(&self) -> Result<(), Error> {
        let mut guard = self.journal();
        self.mend(&mut guard)?;
        let journal = guard.as_mut().ok_or(Error::Closed)?;
        self.check_space(journal.length())?;
        let result = self.begin().and_then(|transaction| tree::make_durable(transaction, journal));
        if result.is_err() {
            self.mark_broken();
        } else {
            self.ensure_reserve();
        }
        result
    }

    /// Refuses a checkpoint that would not fit: half-way through, it would cost the open B-tree. The journal keeps
    /// what is committed.
    fn check_space(&self, journal: u64) -> Result<(), Error> {
        let failed = || Error::io("make a checkpoint of", &self.directory);
        let space = rustix::fs::statvfs(&self.directory).map_err(|e| failed()(e.into()))?;
        if space.f_bavail.saturating_mul(space.f_frsize) < 2 * journal + CHECKPOINT_SPACE {
            return Err(failed()(std::io::ErrorKind::StorageFull.into()));
        }
        Ok(())
    }

    /// What the background thread does: syncs the journal, or makes a checkpoint when it is long.
    pub(crate) fn sync_now(&self) -> Result<(), Error> {
        let (file, long) = match &*self.journal() {
            Some(journal) => (journal.file(), journal.length() > CHECKPOINT),
            None => return Ok(()),
        };
        if long && self.checkpoint().is_ok() {
            return Ok(());
        }
        self.sync_journal(&file)
    }

    pub(crate) fn sync_journal(&self, file: &File) -> Result<(), Error> {
        file.sync_data().map_err(Error::io("sync", &self.directory.join(tree::JOURNAL)))
    }

    /// Frees the reserve; false when there is none.
    pub(crate) fn give_up_reserve(&self) -> bool {
        std::fs::remove_file(self.directory.join(tree::RESERVE)).is_ok()
    }

    /// Takes the reserve when there is none. A disk too full for it is no failure: it is tried again later.
    fn ensure_reserve(&self) {
        let path = self.directory.join(tree::RESERVE);
        let Ok(file) = File::create_new(&path) else { return };
        let flags = rustix::fs::FallocateFlags::empty();
        if rustix::fs::fallocate(&file, flags, 0, RESERVE).is_err() {
            drop(std::fs::remove_file(&path));
        }
    }
}

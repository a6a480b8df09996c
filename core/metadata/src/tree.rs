//! The B-tree file: making, checking and opening it, replaying the journal into it.

use crate::Error;
use crate::journal::{Change, Journal};
use crate::read::Bytes;
use redb::{Database, ReadableDatabase, TableDefinition, WriteTransaction};
use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub(crate) const JOURNAL: &str = "metadata.journal";
pub(crate) const RESERVE: &str = "metadata.reserve";
const FILE: &str = "metadata.redb";
const UNFINISHED: &str = "metadata.redb.new";
const DAMAGED: &str = "metadata.damaged";
/// The first bytes of a redb file (redb's design.md, super-header).
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
/// Bytes of memory for pages. A thousand containers with their images are two megabytes of records.
const CACHE: usize = 2 << 20;

const FORMAT: TableDefinition<'static, &str, Bytes> = TableDefinition::new("format");
/// The format of the tables' names, keys and values. A version refuses a file of a higher one.
const VERSION: u64 = 1;
const LAST: &str = "last";

/// Opens the files in `directory`, made if missing, and replays the journal.
pub(crate) fn open(directory: &Path) -> Result<(Database, Journal), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(Error::io("create", directory))?;
    let path = directory.join(FILE);
    if !path.try_exists().map_err(Error::io("open", &path))? {
        create(directory, &path)?;
    }
    check_magic(&path)?;
    let database = match builder().open(&path) {
        Ok(database) => database,
        Err(error) => return Err(cannot_open(directory, &path, error)),
    };
    let (id, last) = match read_format(&database, &path) {
        Err(Error::Tree { source, .. }) => {
            drop(database);
            return Err(set_aside(directory, &path, &source.to_string()));
        }
        format => format?,
    };
    let mut replayed = None;
    let journal = Journal::open(&directory.join(JOURNAL), id, last, |_, changes| {
        if replayed.is_none() {
            replayed = Some(database.begin_write().map_err(Error::tree("replay"))?);
        }
        replayed.as_ref().map_or(Ok(()), |transaction| replay(transaction, changes, &path))
    })?;
    if let Some(mut transaction) = replayed {
        // Not durable: opening must work on a full disk, and the journal stays until the next checkpoint.
        transaction.set_durability(redb::Durability::None).map_err(Error::tree("replay"))?;
        set_last(&transaction, journal.last)?;
        transaction.commit().map_err(Error::tree("replay"))?;
    }
    Ok((database, journal))
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    // All checksums are compared at each open: milliseconds for the few megabytes that this ever has, and a damaged
    // page is found before anything is built on it.
    builder.set_check_integrity_on_open(true);
    builder
}

/// Makes an empty database beside its place and moves it there, so that a half-made one is never seen.
fn create(directory: &Path, path: &Path) -> Result<(), Error> {
    let kept = directory.join(DAMAGED);
    if kept.try_exists().map_err(Error::io("open", &kept))? {
        let cause = "it must be restored or removed by hand before a new one is made".to_owned();
        return Err(Error::Damaged { path: path.to_owned(), kept, cause });
    }
    let unfinished = directory.join(UNFINISHED);
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &unfinished)(error));
        }
        _ => {}
    }
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(Error::io("create", &unfinished))?;
    let backend = redb::backends::FileBackend::new(file).map_err(Error::tree("create"))?;
    let database = builder().create_with_backend(backend).map_err(Error::tree("create"))?;
    let transaction = database.begin_write().map_err(Error::tree("create"))?;
    write_format(&transaction)?;
    transaction.commit().map_err(Error::tree("create"))?;
    drop(database);
    std::fs::rename(&unfinished, path).map_err(Error::io("create", path))?;
    // So that the sync of the directory is for the journal's name too.
    let journal = directory.join(JOURNAL);
    let options = File::options().write(true).create(true).truncate(false).mode(0o600).clone();
    options.open(&journal).map_err(Error::io("create", &journal))?;
    let parent = File::open(directory).map_err(Error::io("open", directory))?;
    parent.sync_all().map_err(Error::io("sync", directory))
}

fn write_format(transaction: &WriteTransaction) -> Result<(), Error> {
    let mut id = [0; 16];
    rustix::rand::getrandom(&mut id[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::io("make an id for", Path::new(FILE))(error.into()))?;
    let mut table = transaction.open_table(FORMAT).map_err(Error::tree("create"))?;
    for (key, value) in [
        ("engine", b"coffer".as_slice()),
        ("version", &VERSION.to_le_bytes()),
        ("id", &id),
        (LAST, &0u64.to_le_bytes()),
    ] {
        table.insert(key, value).map_err(Error::tree("create"))?;
    }
    Ok(())
}

fn check_magic(path: &Path) -> Result<(), Error> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head))
        .map_err(Error::io("read", path))?;
    if head == MAGIC { Ok(()) } else { Err(Error::Foreign { path: path.to_owned() }) }
}

/// Reads the database's id and the number of the last commit in it, if it is ours and of a version that we know.
fn read_format(database: &Database, path: &Path) -> Result<([u8; 16], u64), Error> {
    let foreign = || Error::Foreign { path: path.to_owned() };
    let transaction = database.begin_read().map_err(Error::tree("open"))?;
    let table = match transaction.open_table(FORMAT) {
        Ok(table) => table,
        Err(redb::TableError::Storage(error)) => return Err(Error::tree("open")(error)),
        Err(_) => return Err(foreign()),
    };
    let value = |key: &str| -> Result<Option<Vec<u8>>, Error> {
        let value = table.get(key).map_err(Error::tree("open"))?;
        Ok(value.map(|value| value.value().to_vec()))
    };
    let number = |key: &str| -> Result<u64, Error> {
        let value = value(key)?.and_then(|value| value.try_into().ok());
        value.map(u64::from_le_bytes).ok_or_else(foreign)
    };
    if value("engine")?.as_deref() != Some(b"coffer") {
        return Err(foreign());
    }
    let found = number("version")?;
    if found != VERSION {
        let found = found.to_string();
        return Err(Error::Format { path: path.to_owned(), found, known: VERSION });
    }
    let id = value("id")?.and_then(|id| id.try_into().ok()).ok_or_else(foreign)?;
    Ok((id, number(LAST)?))
}

fn cannot_open(directory: &Path, path: &Path, error: redb::DatabaseError) -> Error {
    use redb::{DatabaseError, StorageError};
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            Error::InUse { path: path.to_owned() }
        }
        DatabaseError::UpgradeRequired(version) => {
            let found = format!("redb {version}");
            Error::Format { path: path.to_owned(), found, known: VERSION }
        }
        DatabaseError::Storage(StorageError::Corrupted(cause)) => {
            set_aside(directory, path, &cause)
        }
        DatabaseError::Storage(StorageError::Io(source)) => match source.kind() {
            // How the library reports a file that is too short or whose header is none.
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
                set_aside(directory, path, &source.to_string())
            }
            _ => Error::io("open", path)(source),
        },
        error => Error::tree("open")(error),
    }
}

/// Moves a damaged file out of the way, under a name that also keeps a new one from being made.
fn set_aside(directory: &Path, path: &Path, cause: &str) -> Error {
    let kept: PathBuf = directory.join(DAMAGED);
    if let Err(error) = std::fs::rename(path, &kept) {
        return Error::io("keep damaged", path)(error);
    }
    Error::Damaged { path: path.to_owned(), kept, cause: cause.to_owned() }
}

fn replay(transaction: &WriteTransaction, changes: &[u8], path: &Path) -> Result<(), Error> {
    let mut rest = changes;
    while !rest.is_empty() {
        // The record's checksum is right, so this can only be a change that a newer version wrote.
        let newer = |_| Error::Format {
            path: path.with_file_name(JOURNAL),
            found: "with unknown changes".into(),
            known: VERSION,
        };
        let (change, after): (Change<'_>, _) = postcard::take_from_bytes(rest).map_err(newer)?;
        rest = after;
        match change {
            Change::Put { table, key, value } => {
                let table: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new(table);
                let mut table = transaction.open_table(table).map_err(Error::tree("replay"))?;
                table.insert(key, value).map_err(Error::tree("replay"))?;
            }
            Change::Remove { table, key } => {
                let table: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new(table);
                let mut table = transaction.open_table(table).map_err(Error::tree("replay"))?;
                table.remove(key).map_err(Error::tree("replay"))?;
            }
        }
    }
    Ok(())
}

/// Commits a transaction for good, with all commits before it, and empties the journal.
pub(crate) fn make_durable(
    mut transaction: WriteTransaction,
    journal: &mut Journal,
) -> Result<(), Error> {
    transaction.set_durability(redb::Durability::Immediate).map_err(Error::tree("commit"))?;
    set_last(&transaction, journal.last)?;
    transaction.commit().map_err(Error::tree("commit"))?;
    journal.empty()
}

/// Writes the number of the last commit into the transaction.
pub(crate) fn set_last(transaction: &WriteTransaction, last: u64) -> Result<(), Error> {
    let mut table = transaction.open_table(FORMAT).map_err(Error::tree("commit"))?;
    table.insert(LAST, last.to_le_bytes().as_slice()).map_err(Error::tree("commit"))?;
    Ok(())
}

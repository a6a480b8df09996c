//! The database as its users see it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use metadata::{Error, Read, Store, Table};
use serde::{Deserialize, Serialize};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::path::Path;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Volume {
    driver: String,
}

const VOLUMES: Table<str, Volume> = Table::new("volumes");
const EVENTS: Table<u64, String> = Table::new("events");

fn volume(driver: &str) -> Volume {
    Volume { driver: driver.into() }
}

fn put(store: &Store, name: &str, driver: &str) {
    let mut writer = store.write().unwrap();
    writer.put(VOLUMES, name, &volume(driver)).unwrap();
    writer.commit().unwrap();
}

#[test]
fn transaction_is_seen_whole_after_commit_and_never_without() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let mut writer = store.write().unwrap();
    writer.put(VOLUMES, "a", &volume("local")).unwrap();
    writer.put(EVENTS, &7, &"create".to_owned()).unwrap();
    assert_eq!(writer.get(VOLUMES, "a").unwrap(), Some(volume("local")));
    let before = store.read().unwrap();
    assert_eq!(before.get(VOLUMES, "a").unwrap(), None);
    writer.commit().unwrap();
    assert_eq!(before.get(VOLUMES, "a").unwrap(), None, "a snapshot does not change");
    let after = store.read().unwrap();
    assert_eq!(after.get(VOLUMES, "a").unwrap(), Some(volume("local")));
    assert_eq!(after.get(EVENTS, &7).unwrap(), Some("create".to_owned()));

    let mut dropped = store.write().unwrap();
    assert!(dropped.remove(VOLUMES, "a").unwrap());
    drop(dropped);
    assert!(store.read().unwrap().contains(VOLUMES, "a").unwrap());
}

#[test]
fn numbers_are_listed_in_their_order_and_removed_by_range() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let mut writer = store.write().unwrap();
    for number in [300, 2, 1, 70_000] {
        writer.put(EVENTS, &number, &format!("event {number}")).unwrap();
    }
    writer.commit().unwrap();
    let reader = store.read().unwrap();
    let numbers: Vec<u64> = reader.list(EVENTS).unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(numbers, [1, 2, 300, 70_000]);
    assert_eq!(reader.first(EVENTS).unwrap().unwrap().0, 1);
    assert_eq!(reader.last(EVENTS).unwrap().unwrap().0, 70_000);
    let after = reader.range(EVENTS, Excluded(&1), Unbounded, 2).unwrap();
    assert_eq!(after.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [2, 300]);
    let mut writer = store.write().unwrap();
    assert_eq!(writer.remove_range(EVENTS, Unbounded, Included(&300)).unwrap(), 3);
    writer.commit_durable().unwrap();
    assert_eq!(store.read().unwrap().count(EVENTS).unwrap(), 1);
}

#[test]
fn prefix_lists_only_keys_that_begin_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for name in ["ab", "abc", "ac", "b"] {
        put(&store, name, "local");
    }
    let found = store.read().unwrap().prefix(VOLUMES, b"ab", 10).unwrap();
    assert_eq!(found.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), ["ab", "abc"]);
}

#[test]
fn commits_are_there_after_close_and_after_a_copy_of_the_files_without_close() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    put(&store, "a", "local");
    put(&store, "b", "nfs");
    // What another process would find if this one were killed now.
    let copy = tempfile::tempdir().unwrap();
    copy_files(directory.path(), copy.path());
    let found = Store::open(copy.path()).unwrap();
    assert_eq!(found.read().unwrap().count(VOLUMES).unwrap(), 2);
    store.close().unwrap();
    assert!(matches!(store.read().unwrap_err(), Error::Closed));
    assert!(matches!(store.write().unwrap_err(), Error::Closed));
    let again = Store::open(directory.path()).unwrap();
    assert_eq!(again.read().unwrap().get(VOLUMES, "b").unwrap(), Some(volume("nfs")));
    assert!(again.verify().unwrap());
}

#[test]
fn torn_end_of_the_journal_loses_only_the_torn_commit() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    put(&store, "a", "local");
    let whole = std::fs::metadata(directory.path().join("metadata.journal")).unwrap().len();
    put(&store, "b", "local");
    let end = std::fs::metadata(directory.path().join("metadata.journal")).unwrap().len();
    for cut in whole..end {
        let copy = tempfile::tempdir().unwrap();
        copy_files(directory.path(), copy.path());
        let journal = copy.path().join("metadata.journal");
        std::fs::File::options().write(true).open(&journal).unwrap().set_len(cut).unwrap();
        let found = Store::open(copy.path()).unwrap();
        let names = found.read().unwrap().list(VOLUMES).unwrap();
        assert_eq!(names, [("a".to_owned(), volume("local"))], "cut at {cut}");
    }
}

#[test]
fn journal_that_was_not_emptied_after_a_checkpoint_is_not_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    put(&store, "a", "old");
    put(&store, "b", "old");
    let journal = directory.path().join("metadata.journal");
    let old = std::fs::read(&journal).unwrap();
    put(&store, "a", "new");
    store.close().unwrap();
    std::fs::write(&journal, old).unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.read().unwrap().get(VOLUMES, "a").unwrap(), Some(volume("new")));
}

#[test]
fn second_open_of_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _store = Store::open(directory.path()).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
}

#[test]
fn file_of_another_engine_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metadata.redb");
    std::fs::write(&path, b"SQLite format 3\0 and more").unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    let expected =
        format!("open metadata {}: the file was not written by this engine", path.display());
    assert_eq!(error.to_string(), expected);
    assert_eq!(std::fs::read(&path).unwrap(), b"SQLite format 3\0 and more");
}

#[test]
fn redb_file_of_another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metadata.redb");
    drop(redb::Database::create(&path).unwrap());
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
}

#[test]
fn newer_format_is_refused_with_both_versions() {
    let directory = tempfile::tempdir().unwrap();
    Store::open(directory.path()).unwrap().close().unwrap();
    let path = directory.path().join("metadata.redb");
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let format: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("format");
    let version = 9u64.to_le_bytes();
    transaction.open_table(format).unwrap().insert("version", version.as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let expected = format!(
        "open metadata {}: it has format 9, this version knows 1; start the version that wrote it",
        path.display()
    );
    assert_eq!(Store::open(directory.path()).unwrap_err().to_string(), expected);
}

#[test]
fn damaged_file_is_kept_and_never_replaced_by_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    put(&store, "a", "local");
    store.close().unwrap();
    let path = directory.path().join("metadata.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    // Both commit slots of the super-header.
    bytes[64..320].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let kept = directory.path().join("metadata.damaged");
    assert_eq!(std::fs::read(&kept).unwrap()[64..320], [0xff; 256]);
    let again = Store::open(directory.path()).unwrap_err();
    assert!(again.to_string().contains("must be restored or removed by hand"), "{again}");
    assert!(!path.exists());
}

#[test]
fn damage_anywhere_in_the_pages_is_found_at_open_or_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for number in 0..200 {
        put(&store, &format!("volume-{number}"), "local");
    }
    store.close().unwrap();
    let whole = std::fs::read(directory.path().join("metadata.redb")).unwrap();
    let mut found = 0;
    for at in (320..whole.len().min(200_000)).step_by(2731) {
        let copy = tempfile::tempdir().unwrap();
        let mut bytes = whole.clone();
        bytes[at..].iter_mut().take(64).for_each(|byte| *byte ^= 0x5a);
        std::fs::write(copy.path().join("metadata.redb"), bytes).unwrap();
        match Store::open(copy.path()) {
            Ok(store) => assert_eq!(store.read().unwrap().count(VOLUMES).unwrap(), 200, "{at}"),
            Err(Error::Damaged { .. }) => found += 1,
            Err(error) => panic!("damage at {at}: {error}"),
        }
    }
    assert!(found > 0);
}

#[test]
fn record_of_another_type_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    put(&store, "a", "local");
    let wrong: Table<str, u64> = Table::new("volumes");
    let error = store.read().unwrap().get(wrong, "a").unwrap_err();
    assert_eq!(error.to_string(), "decode record a of volumes");
}

fn copy_files(from: &Path, to: &Path) {
    for name in ["metadata.redb", "metadata.journal"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

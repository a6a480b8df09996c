//! The database on a full disk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use metadata::{Error, Read, Store, Table};
use std::path::Path;

const RECORDS: Table<u64, String> = Table::new("records");
const DIRECTORY: &str = "METADATA_FULL_DIRECTORY";

fn put(store: &Store, number: u64) -> Result<(), Error> {
    let mut writer = store.write()?;
    writer.put(RECORDS, &number, &"x".repeat(3000))?;
    writer.commit()
}

fn remove(store: &Store, number: u64) -> Result<(), Error> {
    let mut writer = store.write()?;
    writer.remove(RECORDS, &number)?;
    writer.commit()
}

/// The part of the test below that runs in a mount namespace of its own.
#[test]
fn fills_the_disk() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let store = Store::open(&directory.join("meta")).unwrap();
    let mut acknowledged = 0;
    // With the disk full, writes fail sooner or later; the first ones may use the reserve.
    let error = loop {
        if acknowledged == 100 {
            fill(&directory.join("filler"));
        }
        match put(&store, acknowledged) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 100_000);
    };
    assert!(error.is_full(), "{error}");
    assert_eq!(store.read().unwrap().count(RECORDS).unwrap(), acknowledged);
    // What is acknowledged stays, with a checkpoint that fails in between, and after a failed one.
    drop(store.checkpoint());
    drop(put(&store, acknowledged));
    let before = store.read().unwrap().count(RECORDS).unwrap();
    assert!(before == acknowledged || before == acknowledged + 1, "{before}, {acknowledged}");
    drop(store);
    std::fs::remove_file(directory.join("filler")).unwrap();
    let store = Store::open(&directory.join("meta")).unwrap();
    assert_eq!(store.read().unwrap().count(RECORDS).unwrap(), before);
    put(&store, 1_000_000).unwrap();
    store.checkpoint().unwrap();

    // The reserve is there again, and is enough for removals on a full disk.
    fill(&directory.join("filler"));
    for number in 0..100 {
        remove(&store, number).unwrap();
    }
    drop(store);
    std::fs::remove_file(directory.join("filler")).unwrap();
    let store = Store::open(&directory.join("meta")).unwrap();
    assert_eq!(store.read().unwrap().count(RECORDS).unwrap(), before + 1 - 100);
    assert!(store.verify().unwrap());
    println!("nothing lost");
}

fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    for block in [64 << 10, 4096, 512, 1] {
        while file.write_all(&vec![1; block]).is_ok() {}
    }
}

#[test]
fn full_disk_loses_no_acknowledged_commit_and_allows_removals() {
    let directory = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("unshare")
        .args(["-m", "sh", "-ec"])
        .arg(
            "mount -t tmpfs -o size=12m none \"$1\" && exec \"$2\" --exact fills_the_disk \
             --nocapture",
        )
        .arg("sh")
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let (out, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("nothing lost"), "{out}\n{error}");
}

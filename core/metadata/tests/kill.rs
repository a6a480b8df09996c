//! The database after SIGKILL: every acknowledged commit is there, and nothing is half there.

use metadata::{Read, Store, Table};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const LEFT: Table<u64, String> = Table::new("left");
const RIGHT: Table<u64, String> = Table::new("right");
const DIRECTORY: &str = "METADATA_KILL_DIRECTORY";

/// The child: this test binary, started again with a directory in its environment.
#[test]
fn writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let store = Store::open(directory.as_ref()).unwrap();
    let first = store.read().unwrap().last(LEFT).unwrap().map_or(0, |(number, _)| number + 1);
    for number in first.. {
        let mut writer = store.write().unwrap();
        let text = "x".repeat((number % 997) as usize);
        writer.put(LEFT, &number, &text).unwrap();
        writer.put(RIGHT, &number, &text).unwrap();
        if number >= 200 {
            writer.remove(LEFT, &(number - 200)).unwrap();
            writer.remove(RIGHT, &(number - 200)).unwrap();
        }
        if number % 64 == 0 { writer.commit_durable() } else { writer.commit() }.unwrap();
        if number % 500 == 499 {
            store.checkpoint().unwrap();
        }
        println!("acknowledged {number}");
    }
}

#[test]
fn no_acknowledged_commit_is_lost_when_the_process_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..20u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["writes_until_it_is_killed", "--exact", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut acknowledged = None;
        let mut left = 40 + round * 37;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((_, number)) = line.split_once("acknowledged ") {
                acknowledged = Some(number.parse::<u64>().unwrap());
                left = left.saturating_sub(1);
                if left == 0 {
                    // Lines that are in the pipe still are read on, to the end.
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        let acknowledged = acknowledged.unwrap();
        let store = Store::open(directory.path()).unwrap();
        let reader = store.read().unwrap();
        let (last, _) = reader.last(LEFT).unwrap().unwrap();
        assert!(last == acknowledged || last == acknowledged + 1, "{last}, {acknowledged}");
        assert_eq!(reader.list(LEFT).unwrap(), reader.list(RIGHT).unwrap());
        assert_eq!(reader.count(LEFT).unwrap(), (last + 1).min(200));
        drop(reader);
        assert!(store.verify().unwrap());
        store.close().unwrap();
    }
}

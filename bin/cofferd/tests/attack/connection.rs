//! The connection itself: what is no message, and too many of them.

use crate::rig::{Place, Worker, cofferd, opath};
use messages::storage::{Reply, Request};
use rustix::net::{SendFlags, send};
use std::os::fd::AsFd;
use transport::{Connection, INLINE, Kind, encode};

fn worker() -> (Place, Worker<Request>) {
    let place = Place::new("");
    let worker = Worker::start(cofferd("storage", &place));
    (place, worker)
}

fn serves(worker: &mut Worker<Request>) {
    assert_eq!(worker.ask(&Request::VolumeList, &[]).unwrap().0, Reply::Volumes(vec![]));
}

/// The peer is cut off; the next one is served.
fn cut_off(worker: &mut Worker<Request>, what: &str) {
    let old = worker.reconnect();
    assert!(matches!(old.receive(), Ok(None)), "{what}");
    serves(worker);
}

#[test]
fn what_is_no_message_ends_the_connection_and_nothing_else() {
    let (_place, mut worker) = worker();
    serves(&mut worker);
    let mut lying = vec![0xFF, 0xC0, 1, 1];
    lying.extend(u32::MAX.to_le_bytes());
    lying.extend([0; 8]);
    let mut in_file = lying.clone();
    in_file[3] = 0x81;
    for (what, bytes) in [
        ("one byte", &b"x"[..]),
        ("zeros", &[0; 16]),
        ("another protocol", b"GET / HTTP/1.1\r\nHost: docker\r\n\r\n"),
        ("a length that lies", &lying),
        ("a file that did not come", &in_file),
        ("too long", &vec![0; INLINE + 64]),
    ] {
        send(worker.peer.as_fd(), bytes, SendFlags::NOSIGNAL).unwrap();
        cut_off(&mut worker, what);
    }
}

#[test]
fn answers_and_control_messages_are_not_taken_from_a_peer() {
    let (_place, mut worker) = worker();
    let payload = encode(&Request::VolumeList).unwrap();
    for kind in [Kind::Success, Kind::Failure, Kind::Oneway] {
        worker.peer.send(kind, 1, &payload, &[]).unwrap();
        cut_off(&mut worker, "a wrong kind");
    }
}

#[test]
fn a_payload_that_is_cut_or_has_a_tail_is_refused() {
    let (_place, mut worker) = worker();
    let key = spec::SnapshotKey::parse(&"ab".repeat(32)).unwrap();
    let payload = encode(&Request::Prepare { key: key.clone(), parents: vec![key] }).unwrap();
    let mut tail = payload.clone();
    tail.push(0);
    let ends = (0..payload.len()).map(|end| &payload[..end]);
    for bytes in ends.chain([&tail[..], &[0xFF; 64][..]]) {
        let failure = worker.ask_raw(bytes, &[]).unwrap_err();
        assert_eq!(failure.class, spec::Class::InvalidArgument, "{failure}");
    }
    // A list that says it has more items than there are bytes in the world.
    let huge = [&payload[..66], &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]].concat();
    assert!(worker.ask_raw(&huge, &[]).is_err());
    serves(&mut worker);
}

#[test]
fn the_largest_payload_of_nonsense_is_refused() {
    let (_place, mut worker) = worker();
    let failure = worker.ask_raw(&vec![0xA5; transport::LIMIT], &[]).unwrap_err();
    assert_eq!(failure.class, spec::Class::InvalidArgument, "{failure}");
    serves(&mut worker);
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed() {
    let (_place, mut worker) = worker();
    serves(&mut worker);
    let before = worker.descriptors();
    let root = opath("/");
    let many = vec![root.as_fd(); 253];
    for _ in 0..50 {
        let payload = encode(&Request::VolumeList).unwrap();
        assert_eq!(worker.ask_raw(&payload, &many).unwrap().0, Reply::Volumes(vec![]));
        assert!(worker.ask_raw(&[0xFF], &many).is_err());
    }
    // An answer is sent before what came with its request is closed; the next one is sent afterwards.
    serves(&mut worker);
    // A child of the start may have ended meanwhile.
    assert!(worker.descriptors() <= before);
}

#[test]
fn an_asker_that_reads_no_answers_stops_nobody_else() {
    let (_place, mut worker) = worker();
    let payload = encode(&Request::VolumeList).unwrap();
    rustix::io::ioctl_fionbio(&worker.peer, true).unwrap();
    // Until the worker reads no more because its answers are not read; it may be a little behind.
    let mut sent = 0;
    let mut full = 0;
    while full < 100 {
        match worker.peer.send(Kind::Request, sent, &payload, &[]) {
            Ok(()) => (sent, full) = (sent + 1, 0),
            Err(_) => {
                full += 1;
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
    let flooded = worker.reconnect();
    serves(&mut worker);
    // Each request that was taken is answered once its answers are read.
    rustix::io::ioctl_fionbio(&flooded, false).unwrap();
    for expected in 0..sent {
        let frame = Connection::receive(&flooded).unwrap().unwrap();
        assert_eq!((frame.kind, frame.sequence), (Kind::Success, expected));
    }
    serves(&mut worker);
}

//! One datagram of the engine's own transport, as an attacker in a worker would send it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustix::net::{SendFlags, send};
use std::os::fd::AsFd;
use transport::{Connection, INLINE};

fuzz_target!(|bytes: &[u8]| {
    if bytes.is_empty() {
        return;
    }
    let Ok((one, other)) = transport::pair() else { return };
    if send(one.as_fd(), bytes, SendFlags::NOSIGNAL).is_ok() {
        if let Ok(Some(frame)) = Connection::from(other).receive() {
            assert!(frame.payload.len() <= INLINE && frame.descriptors.is_empty());
        }
    }
});

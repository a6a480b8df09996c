//! Standard input, read by a thread of its own.

use std::io::Read as _;
use tokio::sync::mpsc::{Receiver, channel};

/// Pieces of standard input; the channel ends with it. A read that blocks forever ends with the program.
pub(crate) fn pieces() -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel(4);
    std::thread::spawn(move || {
        let mut buffer = vec![0_u8; 32 << 10];
        let mut input = std::io::stdin().lock();
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => {
                    if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    receiver
}

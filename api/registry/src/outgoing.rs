//! Sending files from the page cache to the socket, with hyper between them.
//!
//! hyper writes bytes, not files. So a body gives it slices of one blank region that nobody ever writes to, as many
//! bytes as the file has, and notes the file here. Where hyper hands such a slice to the socket, [`Socket`] knows it by
//! its address and lets the kernel send the next bytes of the noted file instead. hyper keeps head, length and order;
//! the bytes never pass through this process.
//!
//! This stands on hyper handing slices on as they are, as it does to a writer that takes several slices at once. Were
//! it ever to copy some, the notes would be out of step with the slices that come: each slice begins at another place
//! of the region, and [`Outgoing::send`] fails when it is not the one of the next note.

use bytes::Bytes;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The most bytes of one slice.
const REGION: usize = 1 << 20;
/// At how many places of the region a slice may begin, one after the other.
const PLACES: usize = 4096;

/// Never written, never read: its pages are never made.
static BLANK: LazyLock<&'static [u8]> =
    LazyLock::new(|| Box::leak(vec![0_u8; REGION + PLACES].into_boxed_slice()));

/// The files whose bytes one connection is to send, in order.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    queue: VecDeque<Note>,
    /// How many there were.
    count: usize,
}

#[derive(Debug)]
struct Note {
    file: Arc<File>,
    offset: u64,
    left: u64,
    /// Where in the region the slice of these bytes begins.
    place: usize,
}

impl Outgoing {
    /// Notes up to `left` bytes of `file` from `offset`; answers blank bytes in their place, and how many.
    pub(crate) fn promise(&self, file: &Arc<File>, offset: u64, left: u64) -> Option<(Bytes, u64)> {
        let length = left.min(REGION as u64);
        if length == 0 {
            return None;
        }
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.count = notes.count.wrapping_add(1);
        let place = notes.count % PLACES;
        notes.queue.push_back(Note { file: Arc::clone(file), offset, left: length, place });
        Some((Bytes::from_static(&BLANK[place..place + length as usize]), length))
    }

    /// Whether bytes are blank ones of [`Outgoing::promise`].
    pub(crate) fn is_promise(bytes: &[u8]) -> bool {
        let (blank, bytes) = (BLANK.as_ptr_range(), bytes.as_ptr_range());
        blank.start <= bytes.start && bytes.end <= blank.end
    }

    /// Sends bytes of the file that `promise` stands for, without waiting; at most as many as it has.
    pub(crate) fn send(&self, socket: impl AsFd, promise: &[u8]) -> io::Result<usize> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let note = notes.queue.front_mut().ok_or_else(out_of_step)?;
        if promise.as_ptr().addr() != BLANK.as_ptr().addr() + note.place {
            return Err(out_of_step());
        }
        let count = usize::try_from(note.left).unwrap_or(REGION).min(promise.len());
        let sent = loop {
            match rustix::fs::sendfile(&socket, &*note.file, Some(&mut note.offset), count) {
                Err(Errno::INTR) => {}
                sent => break sent?,
            }
        };
        if sent == 0 {
            let cause = "the file is shorter than it was";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, cause));
        }
        note.left = note.left.checked_sub(sent as u64).ok_or_else(out_of_step)?;
        note.place += sent;
        if note.left == 0 {
            notes.queue.pop_front();
        }
        Ok(sent)
    }
}

fn out_of_step() -> io::Error {
    io::Error::other("the bytes to send and the files to send are out of step")
}

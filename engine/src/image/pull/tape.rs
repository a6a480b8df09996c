//! A file that one thread appends to while others read it.

use rustix::pipe::SpliceFlags;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that a pipe holds and that are moved at once.
const PIPE: usize = 1 << 20;

/// What the writer has told.
#[derive(Debug, Default)]
struct Reel {
    file: Option<Arc<File>>,
    available: u64,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All bytes are there.
    Whole,
    /// No more will come, or what was there is no longer true.
    Broken,
}

/// The file, and how much of it is there.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    reel: Mutex<Reel>,
    changed: Condvar,
}

impl Tape {
    fn reel(&self) -> MutexGuard<'_, Reel> {
        self.reel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file is there; readers that began with an earlier one have got what is no longer true.
    pub(crate) fn begin(&self, file: Arc<File>) {
        *self.reel() = Reel { file: Some(file), available: 0, end: None };
        self.changed.notify_all();
    }

    /// So many bytes are there from the start.
    pub(crate) fn advance(&self, available: u64) {
        self.reel().available = available;
        self.changed.notify_all();
    }

    /// No more comes.
    pub(crate) fn finish(&self, whole: bool) {
        let mut reel = self.reel();
        if reel.end.is_none() {
            reel.end = Some(if whole { End::Whole } else { End::Broken });
        }
        drop(reel);
        self.changed.notify_all();
    }

    /// Waits for bytes behind `position` of `mine`: how many there are from the start, none when no more come.
    fn wait(&self, mine: &Arc<File>, position: u64) -> Option<u64> {
        let mut reel = self.reel();
        loop {
            let same = reel.file.as_ref().is_some_and(|file| Arc::ptr_eq(file, mine));
            if !same || reel.end == Some(End::Broken) {
                return None;
            }
            if reel.available > position {
                return Some(reel.available);
            }
            if reel.end == Some(End::Whole) {
                return None;
            }
            reel = self.changed.wait(reel).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A pipe that a thread fills with the file from its start on, as it grows; `None` when there is no file yet. The
    /// pipe ends early when the writer breaks off. `fed` is how many bytes went in.
    pub(crate) fn pipe(self: &Arc<Self>, fed: &Arc<AtomicU64>) -> std::io::Result<Option<OwnedFd>> {
        let Some(file) = self.reel().file.clone() else { return Ok(None) };
        let (reader, writer) = std::io::pipe()?;
        // A smaller pipe only means more switches.
        rustix::pipe::fcntl_setpipe_size(&writer, PIPE).ok();
        let (tape, fed) = (Arc::clone(self), Arc::clone(fed));
        let feed = move || tape.feed(&file, &OwnedFd::from(writer), &fed);
        std::thread::Builder::new().name("feed".into()).spawn(feed)?;
        Ok(Some(reader.into()))
    }

    /// Moves pages of the file into the pipe; nothing is copied.
    fn feed(&self, file: &Arc<File>, pipe: &OwnedFd, fed: &AtomicU64) {
        let mut position = 0;
        while let Some(available) = self.wait(file, position) {
            while position < available {
                let length = usize::try_from(available - position).unwrap_or(PIPE).min(PIPE);
                let from = Some(&mut position);
                match rustix::pipe::splice(
                    file.as_fd(),
                    from,
                    pipe,
                    None,
                    length,
                    SpliceFlags::empty(),
                ) {
                    Ok(0) => return,
                    Ok(_) => fed.store(position, Ordering::Relaxed),
                    Err(rustix::io::Errno::INTR) => {}
                    // Who reads has ended, and says why itself.
                    Err(_) => return,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn readers_get_all_that_is_written_and_an_early_end_when_it_breaks() {
        for whole in [true, false] {
            let mut writer = tempfile::tempfile().unwrap();
            let tape = Arc::new(Tape::default());
            let fed = Arc::new(AtomicU64::new(0));
            assert!(tape.pipe(&fed).unwrap().is_none());
            tape.begin(Arc::new(writer.try_clone().unwrap()));
            let mut pipe = File::from(tape.pipe(&fed).unwrap().unwrap());
            let written = vec![7; 3 << 20];
            let expected = written.clone();
            let write = std::thread::spawn(move || {
                for (number, piece) in written.chunks(100_000).enumerate() {
                    writer.write_all(piece).unwrap();
                    tape.advance(((number + 1) * 100_000).min(3 << 20) as u64);
                    if !whole && number == 9 {
                        return tape.finish(false);
                    }
                }
                tape.finish(true);
            });
            let mut read = Vec::new();
            pipe.read_to_end(&mut read).unwrap();
            write.join().unwrap();
            assert!(expected.starts_with(&read));
            assert_eq!(read.len() == expected.len(), whole);
        }
    }
}

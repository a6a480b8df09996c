//! Output cut into log messages: one per line, and one per 16 KiB of a line that is longer.

/// Bytes of the longest message; a longer line is logged in pieces of this size (Docker's `defaultBufSize`).
pub const LONGEST: usize = 16 * 1024;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// Its bytes, without the newline.
    pub bytes: &'a [u8],
    /// Whether a newline follows: the line is complete.
    pub complete: bool,
    /// Nanoseconds since 1970. All pieces of a line have the time of the first.
    pub time: i64,
}

/// Cuts one stream. At most [`LONGEST`] bytes are held back, whatever the length of a line.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    held: Vec<u8>,
    /// The time of the first piece of a line of which pieces were handed on already.
    first_piece: Option<i64>,
}

impl Splitter {
    /// Takes a chunk that arrived at `now` and hands on what is complete in it.
    pub(crate) fn feed(&mut self, chunk: &[u8], now: i64, mut log: impl FnMut(Message<'_>)) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let room = LONGEST - self.held.len();
            let window = &rest[..rest.len().min(room)];
            match memchr::memchr(b'\n', window) {
                Some(end) => {
                    self.emit(&window[..end], true, now, &mut log);
                    rest = &rest[end + 1..];
                }
                None if window.len() == room => {
                    self.emit(window, false, now, &mut log);
                    rest = &rest[room..];
                }
                None => {
                    self.held.extend_from_slice(window);
                    return;
                }
            }
        }
    }

    /// Hands on what is held back: the stream has ended.
    pub(crate) fn finish(&mut self, now: i64, mut log: impl FnMut(Message<'_>)) {
        if !self.held.is_empty() {
            self.emit(&[], false, now, &mut log);
        }
    }

    /// Gives memory back that a long line has needed.
    pub(crate) fn shrink(&mut self) {
        self.held.shrink_to_fit();
    }

    fn emit(&mut self, tail: &[u8], complete: bool, now: i64, log: &mut impl FnMut(Message<'_>)) {
        let time = self.first_piece.unwrap_or(now);
        self.first_piece = (!complete).then_some(time);
        if self.held.is_empty() {
            log(Message { bytes: tail, complete, time });
        } else {
            // Joined, since a character may lie across the border of two reads.
            self.held.extend_from_slice(tail);
            log(Message { bytes: &self.held, complete, time });
            self.held.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(input: &[u8], size: usize) -> Vec<(Vec<u8>, bool, i64)> {
        let mut splitter = Splitter::default();
        let mut out = Vec::new();
        let mut now = 0;
        for piece in input.chunks(size) {
            now += 1;
            splitter.feed(piece, now, |m| out.push((m.bytes.to_vec(), m.complete, m.time)));
        }
        splitter.finish(now + 1, |m| out.push((m.bytes.to_vec(), m.complete, m.time)));
        out
    }

    #[test]
    fn lines_are_the_same_however_the_output_is_cut() {
        for size in [1, 2, 3, 100] {
            let lines: Vec<_> =
                split(b"one\n\ntwo\nend", size).into_iter().map(|(b, c, _)| (b, c)).collect();
            let expected = [
                (b"one".to_vec(), true),
                (b"".to_vec(), true),
                (b"two".to_vec(), true),
                (b"end".to_vec(), false),
            ];
            assert_eq!(lines, expected, "{size}");
        }
    }

    #[test]
    fn a_long_line_is_cut_at_16_kib_and_its_pieces_share_the_first_time() {
        let mut input = vec![b'x'; LONGEST + 10];
        input.extend_from_slice(b"\ny\n");
        let pieces = split(&input, 1000);
        assert_eq!(pieces[0], (vec![b'x'; LONGEST], false, 17));
        assert_eq!(pieces[1], (vec![b'x'; 10], true, 17));
        assert_eq!(pieces[2], (b"y".to_vec(), true, 17));
        assert_eq!(pieces.len(), 3);
    }

    #[test]
    fn a_line_of_exactly_16_kib_is_one_piece_and_an_empty_end() {
        let mut input = vec![b'x'; LONGEST];
        input.push(b'\n');
        for size in [LONGEST + 1, LONGEST, 7] {
            let pieces: Vec<_> =
                split(&input, size).into_iter().map(|(b, c, _)| (b.len(), c)).collect();
            assert_eq!(pieces, [(LONGEST, false), (0, true)], "{size}");
        }
        let one_less = split(&input[1..], 5000);
        assert_eq!((one_less.len(), one_less[0].1), (1, true));
    }

    #[test]
    fn a_line_without_end_holds_back_no_more_than_16_kib() {
        let mut splitter = Splitter::default();
        let chunk = vec![b'x'; 60_000];
        for _ in 0..200 {
            splitter.feed(&chunk, 0, |_| ());
            assert!(splitter.held.capacity() <= 2 * LONGEST);
        }
    }
}

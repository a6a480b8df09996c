//! Multiplexed output: standard output and standard error in frames of one stream.

use crate::ClientError;
use bytes::{Buf, Bytes, BytesMut};

/// The longest text of a system error that is kept, in bytes.
const ERROR_LIMIT: usize = 64 << 10;

/// Which stream a piece belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Standard output, and what the engine still calls standard input.
    Output,
    /// Standard error.
    Error,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which stream.
    pub channel: Channel,
    /// The bytes: a whole frame or a part of one.
    pub bytes: Bytes,
}

/// Takes frames apart. Frames may come in pieces of any size; a large frame is passed on in parts.
#[derive(Debug, Default)]
pub struct Demultiplexer {
    header: BytesMut,
    /// Stream number and bytes left of the present frame.
    current: Option<(u8, usize)>,
    error: Vec<u8>,
}

impl Demultiplexer {
    /// The frames in these bytes.
    ///
    /// # Errors
    /// [`ClientError::Stream`] with the engine's text for a frame of type 3; for a type above 3 too.
    pub fn push(&mut self, mut bytes: Bytes) -> Result<Vec<Frame>, ClientError> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let Some((kind, left)) = self.current else {
                self.start(&mut bytes)?;
                continue;
            };
            let piece = bytes.split_to(left.min(bytes.len()));
            let left = left - piece.len();
            self.current = (left > 0).then_some((kind, left));
            match kind {
                0 | 1 => frames.push(Frame { channel: Channel::Output, bytes: piece }),
                2 => frames.push(Frame { channel: Channel::Error, bytes: piece }),
                _ => self.fail(&piece, left)?,
            }
        }
        Ok(frames)
    }

    fn start(&mut self, bytes: &mut Bytes) -> Result<(), ClientError> {
        let missing = 8 - self.header.len();
        self.header.extend_from_slice(&bytes.split_to(missing.min(bytes.len())));
        if self.header.len() < 8 {
            return Ok(());
        }
        let kind = self.header[0];
        self.header.advance(4);
        let length = self.header.get_u32() as usize;
        if kind > 3 {
            return Err(ClientError::Stream(format!("unrecognized stream: {kind}")));
        }
        self.current = (length > 0).then_some((kind, length));
        Ok(())
    }

    fn fail(&mut self, piece: &[u8], left: usize) -> Result<(), ClientError> {
        let room = ERROR_LIMIT - self.error.len().min(ERROR_LIMIT);
        self.error.extend_from_slice(&piece[..piece.len().min(room)]);
        if left > 0 {
            return Ok(());
        }
        Err(ClientError::Stream(String::from_utf8_lossy(&self.error).trim_end().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\x01c\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x01d";

    fn joined(pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let (mut output, mut error) = (Vec::new(), Vec::new());
        let mut demultiplexer = Demultiplexer::default();
        for piece in pieces {
            for frame in demultiplexer.push(Bytes::copy_from_slice(piece)).unwrap() {
                match frame.channel {
                    Channel::Output => output.extend_from_slice(&frame.bytes),
                    Channel::Error => error.extend_from_slice(&frame.bytes),
                }
            }
        }
        (output, error)
    }

    #[test]
    fn frames_cut_at_any_place_give_the_same_streams() {
        let expected = (b"abd".to_vec(), b"c".to_vec());
        assert_eq!(joined(&[STREAM]), expected);
        for cut in 0..STREAM.len() {
            assert_eq!(joined(&[&STREAM[..cut], &STREAM[cut..]]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_system_error_ends_the_stream_with_its_text() {
        let error = Demultiplexer::default()
            .push(Bytes::from_static(b"\x03\0\0\0\0\0\0\x04oops"))
            .unwrap_err();
        assert_eq!(error.to_string(), "error from daemon in stream: oops");
    }
}

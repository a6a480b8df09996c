//! Docker's header before each piece of output when stdout and stderr share a connection.

use crate::log::Stream;

/// `stream, 0, 0, 0, length big-endian`; stdout is 1, stderr is 2 (engine API, "Stream format" of attach).
pub(crate) fn header(stream: Stream, length: usize) -> [u8; 8] {
    let number = match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
    };
    let length = u32::try_from(length).expect("a chunk is at most as long as the read buffer");
    let [a, b, c, d] = length.to_be_bytes();
    [number, 0, 0, 0, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_the_stream_and_the_length() {
        assert_eq!(header(Stream::Stdout, 5), [1, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(header(Stream::Stderr, 0x0001_0203), [2, 0, 0, 0, 0, 1, 2, 3]);
    }
}

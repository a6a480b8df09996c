//! Decompression by content, bounded.

use std::fmt;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

/// Bytes that are enough to tell all formats apart.
const MAGIC_LENGTH: usize = 6;

/// How far back a zstd stream may refer, as a power of two: 128 MiB, what `zstd` itself accepts without being asked.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

impl Compression {
    /// Tells the format by the first bytes of a stream; what is unknown is taken as not compressed.
    pub fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            // A zstd stream may begin with a skippable frame, whose first byte has 16 values.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Self::Xz,
            _ => Self::None,
        }
    }
}

type Input<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

enum Format<R: Read> {
    None(Input<R>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Input<R>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Input<R>>>),
    Bzip2(Box<bzip2::bufread::MultiBzDecoder<Input<R>>>),
    Xz(Box<lzma_rust2::XzReader<Input<R>>>),
}

/// Reads a stream, decompressed. Several members or frames behind each other are one stream.
///
/// More output than the limit is an error, whatever the compressed size: that is what stops a bomb. Memory is bounded
/// by the format: 128 MiB for zstd, 8 MiB for bzip2, 32 KiB for gzip; an xz stream may ask for its dictionary, of
/// which only the part is touched that the output has filled.
pub struct Decoder<R: Read> {
    format: Format<R>,
    compression: Compression,
    left: u64,
    limit: u64,
}

impl<R: Read> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("compression", &self.compression)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl<R: Read> Decoder<R> {
    /// Looks at the first bytes of `input` and chooses the format.
    ///
    /// `limit` is the number of bytes that may come out.
    ///
    /// # Errors
    /// What reading the first bytes or setting up the format gives.
    pub fn new(mut input: R, limit: u64) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(MAGIC_LENGTH);
        input.by_ref().take(MAGIC_LENGTH as u64).read_to_end(&mut magic)?;
        let compression = Compression::detect(&magic);
        let input = BufReader::with_capacity(128 << 10, Cursor::new(magic).chain(input));
        let format = match compression {
            Compression::None => Format::None(input),
            Compression::Gzip => {
                Format::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(input)))
            }
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Format::Zstd(Box::new(decoder))
            }
            Compression::Bzip2 => {
                Format::Bzip2(Box::new(bzip2::bufread::MultiBzDecoder::new(input)))
            }
            Compression::Xz => Format::Xz(Box::new(lzma_rust2::XzReader::new(input, true))),
        };
        Ok(Self { format, compression, left: limit, limit })
    }

    /// The format that was found.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    fn read_format(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.format {
            Format::None(input) => input.read(buffer),
            Format::Gzip(decoder) => decoder.read(buffer),
            Format::Zstd(decoder) => decoder.read(buffer),
            Format::Bzip2(decoder) => decoder.read(buffer),
            Format::Xz(decoder) => decoder.read(buffer),
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.read_format(buffer)?;
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("the stream has more than the {} bytes that are allowed", self.limit),
            )
        })?;
        Ok(length)
    }
}

/// Reads the rest of a stream and forgets it.
///
/// # Errors
/// What reading gives.
pub(crate) fn drain(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let length = input.fill_buf()?.len();
        if length == 0 {
            return Ok(());
        }
        input.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(data: &[u8], limit: u64) -> io::Result<Vec<u8>> {
        let mut output = Vec::new();
        Decoder::new(data, limit)?.read_to_end(&mut output)?;
        Ok(output)
    }

    #[test]
    fn every_format_is_told_by_its_content() {
        let data = b"layer ".repeat(5000);
        let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bz.write_all(&data).unwrap();
        let xz = std::process::Command::new("xz")
            .arg("-c")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                child.stdin.take().map(|mut input| input.write_all(&data)).transpose()?;
                child.wait_with_output()
            });
        let mut streams = vec![
            (Compression::None, data.clone()),
            (Compression::Gzip, gzip(&data)),
            (Compression::Zstd, zstd::encode_all(&data[..], 3).unwrap()),
            (Compression::Bzip2, bz.finish().unwrap()),
        ];
        streams.extend(xz.ok().map(|output| (Compression::Xz, output.stdout)));
        for (compression, stream) in streams {
            let decoder = Decoder::new(&stream[..], data.len() as u64).unwrap();
            assert_eq!(decoder.compression(), compression);
            assert_eq!(decode(&stream, data.len() as u64).unwrap(), data, "{compression:?}");
            let cut = &stream[..stream.len() - 3];
            if compression != Compression::None {
                assert!(decode(cut, u64::MAX).is_err(), "{compression:?} cut");
            }
        }
    }

    #[test]
    fn members_and_frames_behind_each_other_are_one_stream() {
        let mut two = gzip(b"one ");
        two.extend(gzip(b"two"));
        assert_eq!(decode(&two, 100).unwrap(), b"one two");
        let mut two = zstd::encode_all(&b"one "[..], 1).unwrap();
        two.extend(zstd::encode_all(&b"two"[..], 1).unwrap());
        assert_eq!(decode(&two, 100).unwrap(), b"one two");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0; 32 << 20];
        for bomb in [gzip(&zeros), zstd::encode_all(&zeros[..], 3).unwrap()] {
            assert!(bomb.len() < 1 << 20);
            let error = decode(&bomb, 1 << 20).unwrap_err();
            assert_eq!(
                error.to_string(),
                "the stream has more than the 1048576 bytes that are allowed"
            );
        }
    }

    #[test]
    fn a_zstd_window_over_the_bound_is_refused() {
        // A frame header that declares a window of 2 GiB (exponent 21), then one raw block of one byte.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x09, 0x00, 0x00, b'x'];
        assert!(decode(&frame, 100).is_err());
    }
}

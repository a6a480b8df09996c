//! SHA-256 and a count of the bytes, taken while they pass.

use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Write};

/// Hashes and counts what is read through it.
#[derive(Debug)]
pub struct HashReader<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> HashReader<R> {
    /// Reads from `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// Bytes read so far.
    pub fn count(&self) -> u64 {
        self.bytes
    }

    /// The digest of all that was read, and what it was read from.
    pub fn finish(self) -> (spec::Digest, R) {
        (spec::Digest::from_sha256(&self.hash.finalize().into()), self.inner)
    }
}

impl<R: Read> Read for HashReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hash.update(&buffer[..length]);
        self.bytes += length as u64;
        Ok(length)
    }
}

/// Hashes and counts what is written through it.
#[derive(Debug)]
pub struct HashWriter<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> HashWriter<W> {
    /// Writes to `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// Bytes written so far.
    pub fn count(&self) -> u64 {
        self.bytes
    }

    /// The digest of all that was written, and what it was written to.
    pub fn finish(self) -> (spec::Digest, W) {
        (spec::Digest::from_sha256(&self.hash.finalize().into()), self.inner)
    }
}

impl<W: Write> Write for HashWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(buffer)?;
        self.hash.update(&buffer[..length]);
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn reader_and_writer_give_the_digest_of_what_passed() {
        let mut reader = HashReader::new(&b"abc"[..]);
        let mut writer = HashWriter::new(Vec::new());
        io::copy(&mut reader, &mut writer).unwrap();
        assert_eq!(reader.count(), 3);
        assert_eq!(reader.finish().0.as_str(), ABC);
        let (digest, written) = writer.finish();
        assert_eq!((digest.as_str(), written.as_slice()), (ABC, &b"abc"[..]));
    }
}

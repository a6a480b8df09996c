//! Compressing with gzip: the same bytes in, the same bytes out, however many threads work.
//!
//! The stream is cut into pieces of a fixed size; each is deflated by itself and ends at a byte boundary, so that the
//! pieces behind each other are one deflate stream, of one member (RFC 1951, 3.2.4; RFC 1952).

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use std::io::{self, Read, Write};
use std::sync::mpsc;

/// Bytes of one piece. Part of the format: another size gives other bytes.
const PIECE: usize = 1 << 20;
/// How hard it is tried. Part of the format.
const LEVEL: u32 = 5;
/// No time, unknown system: nothing of the moment.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The empty last block.
const END: [u8; 2] = [3, 0];

/// A piece, compressed, with the check sum of what it was.
struct Deflated {
    bytes: Vec<u8>,
    crc: Crc,
}

/// Compresses `input` to `output` with this many threads.
///
/// # Errors
/// What reading, writing or starting a thread gives.
pub fn gzip(mut input: impl Read, mut output: impl Write, threads: usize) -> io::Result<()> {
    output.write_all(&HEADER)?;
    let mut crc = Crc::new();
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for _ in 0..threads.max(1) {
            let (give, pieces) = mpsc::sync_channel::<Vec<u8>>(1);
            let (done, deflated) = mpsc::sync_channel::<Deflated>(1);
            let work = move || {
                for piece in pieces {
                    if done.send(deflate(&piece)).is_err() {
                        return;
                    }
                }
            };
            std::thread::Builder::new().name("gzip".into()).spawn_scoped(scope, work)?;
            workers.push((give, deflated));
        }
        // Pieces go around, and come back in the same order.
        let (mut given, mut taken) = (0, 0);
        let mut write = |deflated: Deflated| {
            crc.combine(&deflated.crc);
            output.write_all(&deflated.bytes)
        };
        let broke_off = || io::Error::other("compression broke off");
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            input.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            if piece.is_empty() {
                break;
            }
            if given - taken == workers.len() {
                write(workers[taken % workers.len()].1.recv().map_err(|_| broke_off())?)?;
                taken += 1;
            }
            workers[given % workers.len()].0.send(piece).map_err(|_| broke_off())?;
            given += 1;
        }
        while taken < given {
            write(workers[taken % workers.len()].1.recv().map_err(|_| broke_off())?)?;
            taken += 1;
        }
        Ok::<_, io::Error>(())
    })?;
    output.write_all(&END)?;
    output.write_all(&crc.sum().to_le_bytes())?;
    // The length is told modulo 2^32.
    output.write_all(&crc.amount().to_le_bytes())
}

fn deflate(piece: &[u8]) -> Deflated {
    let mut crc = Crc::new();
    crc.update(piece);
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    // Deflate adds five bytes for each 16 KiB at most, and the flush a few more.
    let mut bytes = Vec::with_capacity(piece.len() + piece.len() / 1000 + 128);
    let mut done = 0;
    loop {
        let before = compress.total_in();
        let status = compress.compress_vec(&piece[done..], &mut bytes, FlushCompress::Sync);
        // At most the length of the piece.
        done += (compress.total_in() - before) as usize;
        let has_room = bytes.len() < bytes.capacity();
        match status {
            Ok(Status::Ok | Status::BufError) if done == piece.len() && has_room => break,
            _ => bytes.reserve(4096),
        }
    }
    Deflated { bytes, crc }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(data: &[u8], threads: usize) -> Vec<u8> {
        let mut out = Vec::new();
        gzip(data, &mut out, threads).unwrap();
        out
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_threads_and_are_read_back() {
        let mut data = Vec::new();
        let mut state = 1u32;
        while data.len() < 3 * PIECE + 12_345 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            data.extend_from_slice(&state.to_le_bytes()[..(state >> 30) as usize + 1]);
            data.extend_from_slice(b"text that is often here");
        }
        for data in [&data[..], &data[..PIECE], b"x", b""] {
            let one = compressed(data, 1);
            assert_eq!(one, compressed(data, 3));
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&one[..]).read_to_end(&mut back).unwrap();
            assert!(back == data);
        }
    }

    #[test]
    fn data_that_cannot_be_made_smaller_is_read_back_too() {
        let mut state = 7u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let data: Vec<u8> = (0..PIECE / 4).flat_map(|_| next()).collect();
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&compressed(&data, 2)[..]).read_to_end(&mut back).unwrap();
        assert!(back == data);
    }
}

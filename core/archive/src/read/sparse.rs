//! Maps of sparse files: GNU's old form in header blocks, and its three versions in extended headers
//! (GNU tar manual, "Storing Sparse Files").

use super::flaw::Flaw;
use super::header::{BLOCK, Block};
use crate::entry::Segment;
use crate::number;

/// Most runs in one map: 4 MiB of memory. A file with more is refused.
pub(crate) const SEGMENTS_MAX: usize = 1 << 18;

/// What a block of the old form holds: its runs, and whether another block follows.
pub(crate) struct OldBlock {
    pub(crate) segments: Vec<Segment>,
    pub(crate) continued: bool,
}

/// The four runs in an old GNU header, with the file's real size.
pub(crate) fn parse_old_header(block: &Block) -> Result<(OldBlock, u64), Flaw> {
    let size = number::parse(&block[483..495]).and_then(|size| u64::try_from(size).ok());
    let size = size.ok_or(Flaw::Number("real size"))?;
    let segments = parse_old_runs(&block[386..482])?;
    Ok((OldBlock { segments, continued: block[482] != 0 }, size))
}

/// The 21 runs in a block that continues an old GNU header.
pub(crate) fn parse_old_continuation(block: &Block) -> Result<OldBlock, Flaw> {
    let segments = parse_old_runs(&block[..504])?;
    Ok(OldBlock { segments, continued: block[504] != 0 })
}

fn parse_old_runs(runs: &[u8]) -> Result<Vec<Segment>, Flaw> {
    let number = |field| {
        number::parse(field).and_then(|value| u64::try_from(value).ok()).ok_or(Flaw::SparseMap)
    };
    runs.chunks_exact(24)
        .take_while(|run| run[0] != 0)
        .map(|run| Ok(Segment { offset: number(&run[..12])?, length: number(&run[12..])? }))
        .collect()
}

/// Reads version 1.0's map at the beginning of a file's stored content: decimal numbers, each with a newline, padded
/// to a block. Fed block by block.
#[derive(Debug, Default)]
pub(crate) struct MapText {
    count: Option<usize>,
    numbers: Vec<u64>,
    digits: Vec<u8>,
}

impl MapText {
    /// Takes one block; true when the map is complete.
    pub(crate) fn feed(&mut self, block: &[u8; BLOCK]) -> Result<bool, Flaw> {
        for byte in block {
            if *byte != b'\n' {
                if self.digits.len() >= 20 {
                    return Err(Flaw::SparseMap);
                }
                self.digits.push(*byte);
                continue;
            }
            let number = number::parse_decimal(&self.digits).ok_or(Flaw::SparseMap)?;
            self.digits.clear();
            match self.count {
                None => {
                    let count = usize::try_from(number).ok().filter(|count| *count <= SEGMENTS_MAX);
                    self.count = Some(count.ok_or(Flaw::SparseMap)?);
                }
                Some(_) => self.numbers.push(number),
            }
            if self.count.is_some_and(|count| self.numbers.len() == count * 2) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The runs of the map.
    pub(crate) fn segments(self) -> Vec<Segment> {
        self.numbers
            .chunks_exact(2)
            .map(|pair| Segment { offset: pair[0], length: pair[1] })
            .collect()
    }
}

/// Checks that the runs ascend without overlap inside the file, and that together they are exactly what is stored.
pub(crate) fn check(segments: &[Segment], size: u64, stored: u64) -> Result<(), Flaw> {
    let (mut end, mut sum) = (0u64, 0u64);
    if segments.len() > SEGMENTS_MAX || i64::try_from(size).is_err() {
        return Err(Flaw::SparseMap);
    }
    for segment in segments {
        let next = segment.offset.checked_add(segment.length).ok_or(Flaw::SparseMap)?;
        if segment.offset < end || next > size {
            return Err(Flaw::SparseMap);
        }
        end = next;
        sum += segment.length;
    }
    if sum == stored { Ok(()) } else { Err(Flaw::SparseMap) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_refuses_maps_that_overlap_or_miss_what_is_stored() {
        let run = |offset, length| Segment { offset, length };
        assert_eq!(check(&[run(0, 4), run(8, 4), run(16, 0)], 16, 8), Ok(()));
        for (segments, size, stored) in [
            (vec![run(0, 4), run(2, 4)], 16, 8),
            (vec![run(8, 4), run(0, 4)], 16, 8),
            (vec![run(0, 4), run(14, 4)], 16, 8),
            (vec![run(0, 4)], 16, 8),
            (vec![run(u64::MAX, 2)], 16, 2),
            (vec![], u64::MAX, 0),
        ] {
            assert_eq!(check(&segments, size, stored), Err(Flaw::SparseMap), "{segments:?}");
        }
    }
}

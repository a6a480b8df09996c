//! Where the last lines of a log begin, found by reading backwards in blocks.

use std::io;
use std::os::unix::fs::FileExt;

const BLOCK: u64 = 64 * 1024;

/// The offset at which the last `lines` lines of the first `length` bytes begin, and how many lines lie behind it: fewer
/// than wanted when the file has fewer. A last line without end counts as a line.
pub fn tail_start(file: &std::fs::File, length: u64, lines: u64) -> io::Result<(u64, u64)> {
    if lines == 0 || length == 0 {
        return Ok((length, 0));
    }
    let mut block = vec![0u8; BLOCK as usize];
    let mut found = 0;
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let part = &mut block[..(end - start) as usize];
        file.read_exact_at(part, start)?;
        for (at, _) in part.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let next_line = start + at as u64 + 1;
            if next_line == length {
                continue;
            }
            found += 1;
            if found == lines {
                return Ok((next_line, found));
            }
        }
        end = start;
    }
    Ok((0, found + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &[u8]) -> std::fs::File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn the_last_lines_are_found_whether_or_not_the_last_has_an_end() {
        let ended = file(b"a\nbb\nccc\n");
        assert_eq!(tail_start(&ended, 9, 0).unwrap(), (9, 0));
        assert_eq!(tail_start(&ended, 9, 1).unwrap(), (5, 1));
        assert_eq!(tail_start(&ended, 9, 2).unwrap(), (2, 2));
        assert_eq!(tail_start(&ended, 9, 3).unwrap(), (0, 3));
        assert_eq!(tail_start(&ended, 9, 9).unwrap(), (0, 3));
        assert_eq!(tail_start(&file(b"a\nbb"), 4, 1).unwrap(), (2, 1));
        assert_eq!(tail_start(&file(b""), 0, 5).unwrap(), (0, 0));
    }

    #[test]
    fn lines_longer_than_a_block_are_whole() {
        let mut content = vec![b'x'; 200_000];
        content.push(b'\n');
        content.extend_from_slice(&[b'y'; 100_000]);
        content.push(b'\n');
        let length = content.len() as u64;
        let file = file(&content);
        assert_eq!(tail_start(&file, length, 1).unwrap(), (200_001, 1));
        assert_eq!(tail_start(&file, length, 2).unwrap(), (0, 2));
    }
}

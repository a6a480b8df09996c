//! The detach keys: a sequence of bytes on a client's stdin that ends its attachment and never reaches the process.

/// Finds the sequence in input that arrives in pieces.
///
/// Bytes that may still become the sequence are held back; they are handed on once the input proves that they do not.
#[derive(Debug, Clone)]
pub struct KeyScanner {
    keys: Vec<u8>,
    /// How many bytes of `keys` the latest input ends with; they are held back.
    matched: usize,
}

/// The longest sequence that is looked for; the message allows no more.
const LONGEST: usize = 16;

impl KeyScanner {
    /// A scanner for `keys`; without any it never detaches. What is over [`LONGEST`] is cut off.
    pub fn new(mut keys: Vec<u8>) -> Self {
        keys.truncate(LONGEST);
        Self { keys, matched: 0 }
    }

    /// Appends to `passed` what the process shall get of `input`. True when the sequence is complete: the bytes after
    /// it are dropped.
    pub fn scan(&mut self, input: &[u8], passed: &mut Vec<u8>) -> bool {
        if self.keys.is_empty() {
            passed.extend_from_slice(input);
            return false;
        }
        for &byte in input {
            if self.step(byte, passed) {
                return true;
            }
        }
        false
    }

    fn step(&mut self, byte: u8, passed: &mut Vec<u8>) -> bool {
        loop {
            if self.keys.get(self.matched) == Some(&byte) {
                self.matched += 1;
                break;
            }
            if self.matched == 0 {
                passed.push(byte);
                break;
            }
            let kept = self.border();
            passed.extend_from_slice(&self.keys[..self.matched - kept]);
            self.matched = kept;
        }
        if self.matched == self.keys.len() {
            self.matched = 0;
            return true;
        }
        false
    }

    /// The length of the longest proper suffix of what is held back that is a prefix of the sequence. The sequence has
    /// at most 16 bytes, so that a table would cost more than it saves.
    fn border(&self) -> usize {
        let held = &self.keys[..self.matched];
        (1..self.matched)
            .rev()
            .find(|&length| held.ends_with(&self.keys[..length]))
            .unwrap_or_default()
    }

    /// Hands on what is held back: the input has ended.
    pub fn finish(&mut self, passed: &mut Vec<u8>) {
        passed.extend_from_slice(&self.keys[..self.matched]);
        self.matched = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What passes, and whether the sequence was complete, with the input cut into pieces of `size`.
    fn scan(keys: &[u8], input: &[u8], size: usize) -> (Vec<u8>, bool) {
        let mut scanner = KeyScanner::new(keys.to_vec());
        let mut passed = Vec::new();
        for piece in input.chunks(size) {
            if scanner.scan(piece, &mut passed) {
                return (passed, true);
            }
        }
        scanner.finish(&mut passed);
        (passed, false)
    }

    #[test]
    fn keys_detach_however_the_input_is_cut_and_partial_matches_pass() {
        let keys = b"\x10\x11";
        for size in 1..6 {
            assert_eq!(scan(keys, b"ab\x10\x11cd", size), (b"ab".to_vec(), true), "{size}");
            assert_eq!(scan(keys, b"a\x10b\x10", size), (b"a\x10b\x10".to_vec(), false), "{size}");
            assert_eq!(scan(keys, b"\x10\x10\x11", size), (b"\x10".to_vec(), true), "{size}");
        }
    }

    #[test]
    fn a_sequence_that_overlaps_itself_is_found() {
        for size in 1..8 {
            assert_eq!(scan(b"aab", b"aaab", size), (b"a".to_vec(), true), "{size}");
            assert_eq!(scan(b"abab!", b"ababab!", size), (b"ab".to_vec(), true), "{size}");
        }
    }

    #[test]
    fn without_keys_everything_passes() {
        assert_eq!(scan(b"", b"\x10\x11", 1), (b"\x10\x11".to_vec(), false));
    }

    proptest::proptest! {
        #[test]
        fn what_passes_is_the_input_up_to_the_first_occurrence(
            keys in proptest::collection::vec(0u8..3, 1..5),
            input in proptest::collection::vec(0u8..3, 0..60),
            size in 1usize..7,
        ) {
            let found = input.windows(keys.len()).position(|window| window == keys);
            let expected = match found {
                Some(at) => (input[..at].to_vec(), true),
                None => (input.clone(), false),
            };
            proptest::prop_assert_eq!(scan(&keys, &input, size), expected);
        }
    }
}

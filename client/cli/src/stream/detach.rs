//! The keys that leave a container running.

/// Docker's own: control-P, then control-Q.
const DEFAULT: [u8; 2] = [16, 17];

/// Watches what is typed. Keys that turn out not to be the sequence are passed on.
#[derive(Debug)]
pub(crate) struct Keys {
    sequence: Vec<u8>,
    seen: usize,
}

impl Keys {
    /// Reads `ctrl-p,ctrl-q` or single letters; empty is docker's own sequence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut sequence = Vec::new();
        for key in text.split(',').filter(|_| !text.is_empty()) {
            sequence.push(code(key).ok_or_else(|| format!("Unknown character: '{key}'"))?);
        }
        if sequence.is_empty() {
            sequence = DEFAULT.to_vec();
        }
        Ok(Self { sequence, seen: 0 })
    }

    /// What to pass on of these bytes, and whether the sequence is complete.
    pub(crate) fn filter(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if *byte == self.sequence[self.seen] {
                self.seen += 1;
                if self.seen == self.sequence.len() {
                    self.seen = 0;
                    return (passed, true);
                }
                continue;
            }
            passed.extend_from_slice(&self.sequence[..self.seen]);
            self.seen = usize::from(*byte == self.sequence[0]);
            if self.seen == 0 {
                passed.push(*byte);
            }
        }
        (passed, false)
    }
}

fn code(key: &str) -> Option<u8> {
    if let Some(letter) = key.strip_prefix("ctrl-") {
        return match letter.to_lowercase().as_bytes() {
            [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            [b'@'] => Some(0),
            [b'['] => Some(27),
            [b'\\'] => Some(28),
            [b']'] => Some(29),
            [b'^'] => Some(30),
            [b'_'] => Some(31),
            _ => None,
        };
    }
    match key.as_bytes() {
        [byte] => Some(*byte),
        _ => (key == "DEL").then_some(127),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_found_across_reads_and_the_rest_is_passed_on() {
        let mut keys = Keys::parse("").unwrap();
        assert_eq!(keys.filter(b"a\x10b"), (b"a\x10b".to_vec(), false));
        assert_eq!(keys.filter(b"\x10"), (Vec::new(), false));
        assert_eq!(keys.filter(b"\x11x"), (Vec::new(), true));
        let mut keys = Keys::parse("ctrl-a,x").unwrap();
        assert_eq!(keys.filter(b"\x01\x01x"), (b"\x01".to_vec(), true));
        assert!(Keys::parse("ctrl-ab").is_err());
    }
}

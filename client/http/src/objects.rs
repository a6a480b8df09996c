//! A body of JSON objects, one after the other.

use crate::{ClientError, Response};
use bytes::BytesMut;
use serde::de::DeserializeOwned;

/// The largest single object, in bytes.
const OBJECT_LIMIT: usize = 64 << 20;

/// A body of JSON objects; what stands between them does not matter.
#[derive(Debug)]
pub struct Objects {
    response: Response,
    buffer: BytesMut,
    scanner: Scanner,
}

impl Objects {
    pub(crate) fn new(response: Response) -> Self {
        Self { response, buffer: BytesMut::new(), scanner: Scanner::default() }
    }

    /// The text of the next object; `None` at the end of the body.
    ///
    /// # Errors
    /// When the connection breaks, or an object is larger than 64 MiB.
    pub async fn next_text(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            if let Some((start, end)) = self.scanner.scan(&self.buffer) {
                let object = self.buffer.split_to(end).split_off(start);
                self.scanner = Scanner::default();
                return Ok(Some(object.to_vec()));
            }
            if self.buffer.len() > OBJECT_LIMIT {
                let host = self.response.host.clone();
                return Err(ClientError::Malformed {
                    host,
                    reason: "an object is larger than 64 MiB".into(),
                });
            }
            match self.response.chunk().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }

    /// The next object; `None` at the end of the body.
    ///
    /// # Errors
    /// Those of [`Objects::next_text`], and an object that is not what was expected.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        match self.next_text().await? {
            Some(text) => Ok(Some(serde_json::from_slice(&text)?)),
            None => Ok(None),
        }
    }
}

/// Finds where an object starts and ends, looking at each byte once.
#[derive(Debug, Default)]
struct Scanner {
    at: usize,
    start: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Scanner {
    fn scan(&mut self, bytes: &[u8]) -> Option<(usize, usize)> {
        while let Some(byte) = bytes.get(self.at) {
            self.at += 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => {
                    if self.depth == 0 {
                        self.start = self.at - 1;
                    }
                    self.depth += 1;
                }
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some((self.start, self.at));
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_ends_at_its_own_brace() {
        let text = b"\r\n{\"a\":\"}\\\"{\",\"b\":{}}\n{";
        let mut scanner = Scanner::default();
        assert_eq!(scanner.scan(&text[..9]), None);
        assert_eq!(scanner.scan(text), Some((2, 21)));
    }
}

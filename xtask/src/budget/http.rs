//! Just enough HTTP for a benchmark: one request per connection over a unix socket.

use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// An engine by its socket.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pub(crate) socket: PathBuf,
}

impl Engine {
    pub(crate) fn connect(&self) -> Result<UnixStream, String> {
        UnixStream::connect(&self.socket).map_err(|e| format!("{}: {e}", self.socket.display()))
    }

    /// Sends one request; the body of a good answer as JSON, or null when it is not JSON.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, String> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let request = format!(
            "{method} /v1.41{path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = self.connect()?;
        let mut answer = Vec::new();
        stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.read_to_end(&mut answer))
            .map_err(|e| format!("{method} {path}: {e}"))?;
        let (status, body) = parse(&answer).ok_or_else(|| format!("{method} {path}: no HTTP"))?;
        if !(200..400).contains(&status) {
            let text = String::from_utf8_lossy(&body).into_owned();
            return Err(format!("{}: {method} {path}: {status} {text}", self.socket.display()));
        }
        Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Reads an answer that may be long, and counts its bytes, those of its head and chunks included.
    pub(crate) fn count(&self, path: &str) -> Result<u64, String> {
        let request =
            format!("GET /v1.41{path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n");
        let mut stream = self.connect()?;
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0;
        let mut read = || -> std::io::Result<()> {
            stream.write_all(request.as_bytes())?;
            loop {
                match stream.read(&mut buffer)? {
                    0 => return Ok(()),
                    count => total += count as u64,
                }
            }
        };
        read().map_err(|e| format!("GET {path}: {e}"))?;
        Ok(total)
    }
}

/// Status and body; a chunked body is put together.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(answer.get(..end)?).to_ascii_lowercase();
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let body = answer.get(end + 4..)?;
    if !head.contains("transfer-encoding: chunked") {
        return Some((status, body.to_vec()));
    }
    let (mut whole, mut rest) = (Vec::new(), body);
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = String::from_utf8_lossy(rest.get(..line)?);
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            break;
        }
        whole.extend_from_slice(rest.get(line + 2..line + 2 + size)?);
        rest = rest.get(line + 2 + size + 2..)?;
    }
    Some((status, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_put_together() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(answer), Some((200, b"abcde".to_vec())));
    }

    #[test]
    fn a_plain_body_is_what_follows_the_head() {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(answer), Some((404, b"{}".to_vec())));
    }
}

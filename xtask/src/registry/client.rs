//! A client that costs little: one connection, no copies that it can avoid.

use sha2::Digest as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    buffer: Vec<u8>,
    port: u16,
}

/// The head of an answer.
struct Head {
    status: u16,
    length: usize,
    location: String,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Result<Self, String> {
        let stream =
            TcpStream::connect(("127.0.0.1", port)).map_err(|e| format!("connect: {e}"))?;
        stream.set_nodelay(true).map_err(|e| format!("connect: {e}"))?;
        Ok(Self { stream: BufReader::new(stream), buffer: vec![0; 1 << 20], port })
    }

    /// Reads something and answers its length.
    pub(crate) fn get(&mut self, path: &str) -> Result<usize, String> {
        let accept = "application/vnd.oci.image.manifest.v1+json";
        let head = self.send("GET", path, &format!("Accept: {accept}\r\n"), b"")?;
        match head.status {
            200 => Ok(head.length),
            status => Err(format!("GET {path}: {status}")),
        }
    }

    /// Pushes a blob as clients do: POST, then PUT.
    pub(crate) fn push(&mut self, name: &str, blob: &[u8], digest: &str) -> Result<(), String> {
        let path = format!("/v2/{name}/blobs/uploads/");
        let head = self.send("POST", &path, "Content-Length: 0\r\n", b"")?;
        let target = head.location.split("/v2/").nth(1).ok_or(format!("POST: {}", head.status))?;
        let mark = if target.contains('?') { '&' } else { '?' };
        let path = format!("/v2/{target}{mark}digest={digest}");
        let kind = "Content-Type: application/octet-stream\r\n";
        let length = format!("{kind}Content-Length: {}\r\n", blob.len());
        match self.send("PUT", &path, &length, blob)?.status {
            201 => Ok(()),
            status => Err(format!("PUT blob: {status}")),
        }
    }

    /// Pushes an image of one small layer as `latest`.
    pub(crate) fn push_manifest(&mut self, name: &str) -> Result<(), String> {
        let digest = sha256(b"{}");
        self.push(name, b"{}", &digest)?;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let part = |media: &str| {
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.{media}","digest":"{digest}","size":2}}"#
            )
        };
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{},"layers":[{}]}}"#,
            part("config.v1+json"),
            part("layer.v1.tar+gzip")
        );
        let headers = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", text.len());
        let path = format!("/v2/{name}/manifests/latest");
        match self.send("PUT", &path, &headers, text.as_bytes())?.status {
            201 => Ok(()),
            status => Err(format!("PUT manifest: {status}")),
        }
    }

    fn send(&mut self, method: &str, path: &str, more: &str, body: &[u8]) -> Result<Head, String> {
        let failed = |e: std::io::Error| format!("{method} {path}: {e}");
        let host = format!("127.0.0.1:{}", self.port);
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(request.as_bytes()).map_err(failed)?;
        stream.write_all(body).map_err(failed)?;
        let head = self.head().map_err(failed)?;
        let mut left = head.length;
        while left > 0 {
            let most = left.min(self.buffer.len());
            let count = self.stream.read(&mut self.buffer[..most]).map_err(failed)?;
            if count == 0 {
                return Err(format!("{method} {path}: cut off"));
            }
            left -= count;
        }
        Ok(head)
    }

    fn head(&mut self) -> std::io::Result<Head> {
        let mut head = Head { status: 0, length: 0, location: String::new() };
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let text = line.trim_end();
            if head.status == 0 {
                head.status = text.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
            } else if text.is_empty() {
                return Ok(head);
            } else if let Some((name, value)) = text.split_once(": ") {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => head.length = value.parse().unwrap_or(0),
                    "location" => value.clone_into(&mut head.location),
                    _ => {}
                }
            }
        }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let hex: String = sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

/// Bytes that no file system makes smaller.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

//! From bytes of the log file to the bytes that `docker logs` sends: filtered, stamped, framed.

use super::record::{self, Record};
use super::timestamp::{self, Instant};

/// A line longer than this is no record of ours: the shim writes at most 16 KiB of text, each byte escaped to six.
const LONGEST_LINE: usize = 1 << 20;

/// What is shown of each record.
#[derive(Debug, Clone, Default)]
pub struct Show {
    /// Records of stdout.
    pub stdout: bool,
    /// Records of stderr.
    pub stderr: bool,
    /// Nothing older than this.
    pub since: Option<Instant>,
    /// Nothing younger than this.
    pub until: Option<Instant>,
    /// The record's time in front.
    pub timestamps: bool,
    /// The record's attributes in front.
    pub details: bool,
    /// No frame headers: the container has a terminal.
    pub raw: bool,
}

/// Cuts a stream of bytes into lines and renders each.
#[derive(Debug, Default)]
pub struct Renderer {
    show: Show,
    rest: Vec<u8>,
    past_until: bool,
}

impl Renderer {
    /// A renderer at the beginning of a line.
    pub fn new(show: Show) -> Self {
        Self { show, rest: Vec::new(), past_until: false }
    }

    /// Whether a record was younger than `until`: nothing that follows is to be shown.
    pub fn is_past_until(&self) -> bool {
        self.past_until
    }

    /// Forgets a line that was begun; the next bytes come from another file.
    pub fn start_file(&mut self) {
        self.rest.clear();
    }

    /// Renders all lines that end in `bytes` to the end of `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            let Some(end) = memchr::memchr(b'\n', bytes) else { return self.keep(bytes) };
            let mut line = std::mem::take(&mut self.rest);
            line.extend_from_slice(&bytes[..end]);
            self.line(&line, out);
            bytes = &bytes[end + 1..];
        }
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.line(&bytes[..end], out);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.rest.len() + bytes.len() <= LONGEST_LINE {
            self.rest.extend_from_slice(bytes);
        } else {
            self.rest.clear();
        }
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        if self.past_until {
            return;
        }
        let Some(record) = record::parse(line) else { return };
        if self.show.since.is_some() || self.show.until.is_some() {
            let Some(at) = timestamp::parse(&record.time) else { return };
            if self.show.until.is_some_and(|until| at > until) {
                self.past_until = true;
                return;
            }
            if self.show.since.is_some_and(|since| at < since) {
                return;
            }
        }
        if if record.stderr { self.show.stderr } else { self.show.stdout } {
            self.render(&record, out);
        }
    }

    fn render(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let header = out.len();
        if !self.show.raw {
            out.extend_from_slice(&[if record.stderr { 2 } else { 1 }, 0, 0, 0, 0, 0, 0, 0]);
        }
        let body = out.len();
        if self.show.timestamps {
            timestamp::append_fixed(out, &record.time);
            out.push(b' ');
        }
        if self.show.details {
            out.extend_from_slice(record::details(record.attributes).as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(&record.text);
        if record.ended {
            out.push(b'\n');
        }
        if !self.show.raw {
            let length = u32::try_from(out.len() - body).unwrap_or(u32::MAX);
            out[header + 4..body].copy_from_slice(&length.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = concat!(
        "{\"log\":\"one\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:01Z\"}\n",
        "torn {\n",
        "{\"log\":\"two\\n\",\"stream\":\"stderr\",\"attrs\":{\"k\":\"v\"},\"time\":\"2026-01-01T00:00:02Z\"}\n",
        "{\"log\":\"three\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:03Z\"}\n",
    );

    fn all() -> Show {
        Show { stdout: true, stderr: true, ..Show::default() }
    }

    fn rendered(show: Show, step: usize) -> String {
        let mut renderer = Renderer::new(show);
        let mut out = Vec::new();
        for piece in LINES.as_bytes().chunks(step) {
            renderer.push(piece, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn frames_have_the_stream_and_the_length_however_the_file_is_cut() {
        let expected =
            "\u{1}\0\0\0\0\0\0\u{4}one\n\u{2}\0\0\0\0\0\0\u{4}two\n\u{1}\0\0\0\0\0\0\u{5}three";
        for step in [1, 7, 64, 10_000] {
            assert_eq!(rendered(all(), step), expected);
        }
    }

    #[test]
    fn raw_output_has_no_frames_and_shows_what_is_asked_for() {
        let show = Show { raw: true, timestamps: true, details: true, stdout: false, ..all() };
        assert_eq!(rendered(show, 50), "2026-01-01T00:00:02.000000000Z k=v two\n");
    }

    #[test]
    fn since_and_until_include_their_own_instant() {
        let at = |second: i64| timestamp::parse(&format!("2026-01-01T00:00:0{second}Z"));
        let show = Show { raw: true, since: at(2), until: at(2), ..all() };
        assert_eq!(rendered(show, 50), "two\n");
    }
}

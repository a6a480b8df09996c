//! Output as Docker's json-file driver logs it.
//!
//! One chunk of output becomes one write, however many lines it has. What cannot be written is counted and dropped: a
//! full disk never blocks a container, and logging resumes by itself.

use crate::json::{Dialect, escape, unescaped_length};
use crate::lines::{Message, Splitter};
use crate::logfile::LogFile;
use crate::stamp;

/// Encoded bytes after which lines are written although the chunk has more.
const BATCH: usize = 64 * 1024;

const BEFORE: &[u8] = b"{\"log\":\"";

/// Which stream output came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, and all output of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Writes messages into a [`LogFile`].
#[derive(Debug)]
pub struct JsonLog {
    sink: Sink,
    stdout: Splitter,
    stderr: Splitter,
}

#[derive(Debug)]
struct Sink {
    file: LogFile,
    /// `,"attrs":{...}`, or nothing.
    attributes: Vec<u8>,
    /// What follows the text of a line that came on stdout, or on stderr, and at which time.
    ends: [End; 2],
    /// Complete lines that are not written yet.
    batch: Vec<u8>,
    lost: u64,
}

/// The end of a record, which is the same for all lines that arrived together.
#[derive(Debug)]
struct End {
    time: i64,
    text: Vec<u8>,
}

impl End {
    fn new(stream: Stream, attributes: &[u8], time: i64) -> Self {
        let mut text = Vec::with_capacity(attributes.len() + 72);
        text.extend_from_slice(match stream {
            Stream::Stdout => b"\",\"stream\":\"stdout\"",
            Stream::Stderr => b"\",\"stream\":\"stderr\"",
        });
        text.extend_from_slice(attributes);
        text.extend_from_slice(b",\"time\":\"");
        stamp::append(&mut text, time);
        text.extend_from_slice(b"\"}\n");
        Self { time, text }
    }
}

impl JsonLog {
    /// A log whose every line has these attributes, sorted as Go sorts the keys of a map.
    pub fn new(file: LogFile, attributes: &[(String, String)]) -> Self {
        let attributes = encode_attributes(attributes);
        let ends = [Stream::Stdout, Stream::Stderr].map(|s| End::new(s, &attributes, 0));
        let sink = Sink { file, attributes, ends, batch: Vec::new(), lost: 0 };
        Self { sink, stdout: Splitter::default(), stderr: Splitter::default() }
    }

    /// Logs a chunk of output that arrived at `now`.
    pub fn write(&mut self, stream: Stream, chunk: &[u8], now: i64) {
        let Self { sink, stdout, stderr } = self;
        let splitter = if stream == Stream::Stdout { stdout } else { stderr };
        splitter.feed(chunk, now, |message| sink.append(stream, message));
        sink.flush();
    }

    /// Logs what is held back of the last line: the stream has ended.
    pub fn finish(&mut self, stream: Stream, now: i64) {
        let Self { sink, stdout, stderr } = self;
        let splitter = if stream == Stream::Stdout { stdout } else { stderr };
        splitter.finish(now, |message| sink.append(stream, message));
        sink.flush();
    }

    /// Bytes of output that are not in the log, since this was asked the last time.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.sink.lost)
    }

    /// Whether there is something for [`JsonLog::take_lost`].
    pub fn has_lost(&self) -> bool {
        self.sink.lost > 0
    }

    /// Gives memory back; called when there was no output for a while.
    pub(crate) fn shrink(&mut self) {
        self.sink.batch = Vec::new();
        self.stdout.shrink();
        self.stderr.shrink();
    }
}

impl Sink {
    fn append(&mut self, stream: Stream, message: Message<'_>) {
        if self.batch.len() >= BATCH || self.file.room() <= self.batch.len() as u64 {
            self.flush();
        }
        let end = &mut self.ends[usize::from(stream == Stream::Stderr)];
        if end.time != message.time {
            *end = End::new(stream, &self.attributes, message.time);
        }
        self.batch.reserve(BEFORE.len() + message.bytes.len() + 2 + end.text.len());
        self.batch.extend_from_slice(BEFORE);
        escape(&mut self.batch, message.bytes, Dialect::Log);
        if message.complete {
            self.batch.extend_from_slice(b"\\n");
        }
        self.batch.extend_from_slice(&end.text);
    }

    /// Writes the batch, into a new file if the current one is full.
    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if self.file.room() == 0 {
            // On failure the old file goes on to be written to: nothing is lost for the sake of a limit.
            self.file.rotate().ok();
        }
        if let Err((written, _)) = self.file.write(&self.batch) {
            self.lost += payload(self.batch.get(written..).unwrap_or_default());
        }
        self.batch.clear();
    }
}

/// Bytes of output in encoded lines.
fn payload(lines: &[u8]) -> u64 {
    lines
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.strip_prefix(BEFORE))
        .map(|line| unescaped_length(&line[..end_of_string(line)]))
        .sum()
}

/// The position of the quote that ends a string.
fn end_of_string(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

fn encode_attributes(attributes: &[(String, String)]) -> Vec<u8> {
    let sorted: std::collections::BTreeMap<_, _> =
        attributes.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())).collect();
    let mut out = Vec::new();
    for (key, value) in sorted {
        out.extend_from_slice(if out.is_empty() { b",\"attrs\":{\"" } else { b",\"" });
        escape(&mut out, key, Dialect::Go);
        out.extend_from_slice(b"\":\"");
        escape(&mut out, value, Dialect::Go);
        out.push(b'"');
    }
    if !out.is_empty() {
        out.push(b'}');
    }
    out.shrink_to_fit();
    out
}

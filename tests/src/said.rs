//! What a command said, with what differs from run to run masked.

use regex_lite::Regex;
use std::process::Output;
use std::sync::OnceLock;

/// Exit code and both streams of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The exit code; 128 and the number of the signal that ended the client.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status;
        Self {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Said {
    /// Standard output of a command that succeeded and said nothing on standard error.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "stdout: {}", self.out);
        self.out
    }

    /// Standard output without the line end, of a command that succeeded; warnings are allowed.
    #[track_caller]
    pub fn text(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.out, self.err);
        self.out.trim_end().to_owned()
    }

    /// Standard error of a command that failed with this code.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self.err
    }

    /// The same with ids, times, sizes and addresses replaced by words.
    #[must_use]
    pub fn masked(&self) -> Self {
        Self { code: self.code, out: mask(&self.out), err: mask(&self.err) }
    }
}

/// What differs from run to run, and the word for it; applied in this order.
const MASKS: [(&str, &str); 10] = [
    (r"\b[0-9a-f]{64}\b", "<ID64>"),
    (r"\b[0-9a-f]{12}\b", "<ID12>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| ?[+-]\d\d:?\d\d( [A-Z]+)?)?", "<TIME>"),
    (r"(About an? |Less than a )?\d*\s?(second|minute|hour)s?( ago)?\b", "<AGO>"),
    (r"\b\d+(\.\d+)?\s?([kKMGT]i?)?B\b", "<SIZE>"),
    (r"\b0x[0-9a-f]+\b", "<HEX>"),
    (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<MAC>"),
    (r"unix:///\S+\.sock", "<SOCKET>"),
    (r"\b[a-z]+_[a-z]+\b(?m)$", "<NAME>"),
    (r"[ \t]{2,}", "  "),
];

fn mask(text: &str) -> String {
    static COMPILED: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    let compiled = COMPILED.get_or_init(|| {
        MASKS.iter().map(|(pattern, word)| (Regex::new(pattern).unwrap(), *word)).collect()
    });
    compiled.iter().fold(text.to_owned(), |text, (pattern, word)| {
        pattern.replace_all(&text, *word).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_two_runs_is_masked_and_the_rest_is_kept() {
        let text = format!(
            "{}  Up 3 seconds  12.5MB  2026-11-24T08:00:00.123Z  172.17.0.2 Exited (0)",
            "ab".repeat(6)
        );
        assert_eq!(mask(&text), "<ID12>  Up <AGO>  <SIZE>  <TIME>  172.17.0.2 Exited (0)");
    }
}

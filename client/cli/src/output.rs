//! Standard output and standard error.

use std::io::{self, Write};

/// Writes a line to standard output.
pub(crate) fn line(text: impl AsRef<str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref().as_bytes())?;
    out.write_all(b"\n")
}

/// Writes to standard output at once.
pub(crate) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Writes a line to standard error; nobody is there to hear of a failure.
pub(crate) fn complain(text: impl AsRef<str>) {
    drop(writeln!(io::stderr(), "{}", text.as_ref()));
}

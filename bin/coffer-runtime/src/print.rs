//! Standard output.

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};
use std::io::{Write, stdout};
use std::process::ExitCode;

/// Prints a text; whether somebody reads it is not our affair.
pub(crate) fn text(text: &str) -> ExitCode {
    stdout().write_all(text.as_bytes()).ok();
    ExitCode::SUCCESS
}

/// JSON with this indentation.
pub(crate) fn indented(value: &impl Serialize, indentation: &[u8]) -> String {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(indentation);
    let mut serializer = Serializer::with_formatter(&mut bytes, formatter);
    // Writing values of our own into memory cannot fail.
    value.serialize(&mut serializer).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One line of JSON; false when nobody reads any more.
pub(crate) fn line(value: &Value) -> bool {
    let mut out = stdout();
    out.write_all(format!("{value}\n").as_bytes()).and_then(|()| out.flush()).is_ok()
}

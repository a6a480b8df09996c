//! The log that engines read: each line has a level and a message; the last error is the reason of a failure.

use clap::ArgMatches;
use oci::{Error, Level};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where lines go and how they look.
#[derive(Clone)]
pub(crate) struct Log {
    /// Nothing for standard error.
    file: Option<Rc<File>>,
    json: bool,
    debug: bool,
}

impl Log {
    /// The log that the global flags ask for.
    pub(crate) fn open(matches: &ArgMatches) -> Result<Self, Error> {
        let path = matches.get_one::<String>("log").filter(|path| !path.is_empty());
        let file = match path {
            None => None,
            Some(path) => {
                let opened = OpenOptions::new().append(true).create(true).open(Path::new(path));
                let failed =
                    |error: std::io::Error| Error::Usage(format!("open log {path}: {error}"));
                Some(Rc::new(opened.map_err(failed)?))
            }
        };
        let json = matches.get_one::<String>("log-format").is_some_and(|format| format == "json");
        Ok(Self { file, json, debug: matches.get_flag("debug") })
    }

    /// Plain lines on standard error.
    pub(crate) fn to_stderr() -> Self {
        Self { file: None, json: false, debug: false }
    }

    /// Says what is not an error.
    pub(crate) fn note(&self, level: Level, text: &str) {
        match level {
            Level::Warning => self.write("warning", text),
            Level::Debug if self.debug => self.write("debug", text),
            Level::Debug => {}
        }
    }

    /// Says why the program fails; on standard error too, where people look.
    pub(crate) fn error(&self, text: &str) {
        self.write("error", text);
        if self.file.is_some() {
            eprintln!("{text}");
        }
    }

    fn write(&self, level: &str, text: &str) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = oci::format_time(since.as_secs(), 0);
        let line = match self.json {
            true => {
                format!("{}\n", serde_json::json!({ "level": level, "msg": text, "time": time }))
            }
            false => format!("time=\"{time}\" level={level} msg={text:?}\n"),
        };
        // One write, so that lines of several programs do not mix. There is nowhere to say that it failed.
        match &self.file {
            Some(file) => (&**file).write_all(line.as_bytes()).ok(),
            None => std::io::stderr().write_all(line.as_bytes()).ok(),
        };
    }
}

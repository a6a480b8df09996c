//! Progress on a terminal: one line for each layer.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use std::collections::HashMap;

/// The lines of a running transfer.
#[derive(Debug)]
pub(crate) struct Bars {
    lines: MultiProgress,
    by_id: HashMap<String, ProgressBar>,
}

impl Bars {
    pub(crate) fn new() -> Self {
        Self { lines: MultiProgress::new(), by_id: HashMap::new() }
    }

    /// Shows one object of the stream.
    pub(crate) fn show(&mut self, progress: &Value) {
        let text = |name: &str| progress[name].as_str().unwrap_or_default();
        let status = text("status");
        let (id, detail) = (text("id"), &progress["progressDetail"]);
        if id.is_empty() || status.starts_with("Pulling from") {
            let line = if id.is_empty() {
                format!("{}{status}", text("stream"))
            } else {
                format!("{id}: {status}")
            };
            // A terminal that went away shows nothing; the transfer goes on.
            drop(self.lines.println(line.trim_end()));
            return;
        }
        let lines = &self.lines;
        let bar = self.by_id.entry(id.to_owned()).or_insert_with(|| {
            let bar = lines.add(ProgressBar::no_length());
            bar.set_prefix(id.to_owned());
            bar
        });
        let total = detail["total"].as_u64().unwrap_or(0);
        if total > 0 {
            bar.set_style(style("{prefix}: {msg} [{bar:40}] {bytes}/{total_bytes}"));
            bar.set_length(total);
            bar.set_position(detail["current"].as_u64().unwrap_or(0));
        } else {
            bar.set_style(style("{prefix}: {msg}"));
        }
        bar.set_message(status.to_owned());
        bar.tick();
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        for bar in self.by_id.values() {
            bar.abandon();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

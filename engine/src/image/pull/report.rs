//! What a client is told of a pull or push, in the words that clients look for.

use api_types::image::{Progress, ProgressDetail};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How often one layer's bytes are told.
const INTERVAL: Duration = Duration::from_millis(100);

/// Where a client's lines go.
#[derive(Debug, Clone)]
pub(crate) struct Report(mpsc::Sender<Progress>);

impl Report {
    pub(crate) fn new(sender: mpsc::Sender<Progress>) -> Self {
        Self(sender)
    }

    /// A line about the whole.
    pub(crate) async fn status(&self, status: impl Into<String>) {
        self.send(Progress::status(status)).await;
    }

    /// A line about the whole with an id before it.
    pub(crate) async fn titled(&self, id: &str, status: impl Into<String>) {
        self.send(Progress { id: id.to_owned(), ..Progress::status(status) }).await;
    }

    /// Any line.
    pub(crate) async fn send(&self, progress: Progress) {
        // Nobody may listen.
        self.0.send(progress).await.ok();
    }

    /// The lines of one layer.
    pub(crate) fn line(&self, id: &str) -> Line {
        Line { report: self.clone(), id: id.to_owned(), said: String::new(), told: None }
    }

    /// Resolves when nobody listens any more.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }
}

/// The line of one layer: what was said last, and when bytes were last told.
#[derive(Debug)]
pub(crate) struct Line {
    report: Report,
    id: String,
    said: String,
    told: Option<Instant>,
}

impl Line {
    /// Says what happens to the layer, once.
    pub(crate) async fn say(&mut self, status: &str) {
        if self.said != status {
            self.said = status.to_owned();
            self.told = None;
            self.put(status, ProgressDetail::default()).await;
        }
    }

    /// Says how many bytes of how many are done, not too often.
    pub(crate) async fn count(&mut self, status: &str, current: u64, total: u64) {
        let same = self.said == status;
        if same && self.told.is_some_and(|told| told.elapsed() < INTERVAL) {
            return;
        }
        self.said = status.to_owned();
        self.told = Some(Instant::now());
        let number = crate::image::show::number;
        let (current, total) = (number(current), number(total));
        self.put(status, ProgressDetail { current, total, ..ProgressDetail::default() }).await;
    }

    async fn put(&self, status: &str, detail: ProgressDetail) {
        let progress = bar(&detail);
        self.report
            .send(Progress {
                id: self.id.clone(),
                progress,
                progress_detail: Some(detail),
                ..Progress::status(status)
            })
            .await;
    }
}

/// The bar that daemons have always sent beside the numbers: fifty places, and both numbers in units of 1000.
fn bar(detail: &ProgressDetail) -> String {
    if detail.total <= 0 || detail.current <= 0 {
        return String::new();
    }
    let places = usize::try_from(detail.current.min(detail.total) * 50 / detail.total).unwrap_or(0);
    let (done, left) = ("=".repeat(places), " ".repeat(50 - places));
    let head = if places < 50 { ">" } else { "" };
    let left = left.get(head.len()..).unwrap_or_default();
    format!("[{done}{head}{left}]  {}/{}", size(detail.current), size(detail.total))
}

/// Four digits and a unit, as Go's `units.HumanSize` writes it.
fn size(bytes: i64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    let text = match value {
        v if v >= 1000.0 || v.fract() == 0.0 => format!("{v:.0}"),
        v if v >= 100.0 => format!("{v:.1}"),
        v if v >= 10.0 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    };
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_look_as_daemons_draw_them() {
        let bar =
            |current, total| bar(&ProgressDetail { current, total, ..ProgressDetail::default() });
        assert_eq!(bar(0, 10), "");
        assert_eq!(bar(32_768, 2_081_280), format!("[>{}]  32.77kB/2.081MB", " ".repeat(49)));
        assert_eq!(bar(10, 10), format!("[{}]  10B/10B", "=".repeat(50)));
        assert_eq!(size(164_200_000), "164.2MB");
    }

    #[tokio::test]
    async fn a_layer_says_each_thing_once_and_bytes_not_too_often() {
        let (sender, mut received) = mpsc::channel(16);
        let mut line = Report::new(sender).line("abc");
        line.say("Waiting").await;
        line.say("Waiting").await;
        for current in 1..100 {
            line.count("Downloading", current, 100).await;
        }
        line.say("Download complete").await;
        drop(line);
        let mut said = Vec::new();
        while let Some(progress) = received.recv().await {
            said.push(progress.status);
        }
        said.dedup();
        assert_eq!(said, ["Waiting", "Downloading", "Download complete"]);
    }
}

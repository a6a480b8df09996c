//! Numbers for Prometheus, in its text format.

use repositories::Collected;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets of request durations, in seconds.
const BUCKETS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

/// All numbers of a registry.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, &'static str, u16), Requests>>,
    pub(crate) connections: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) fetched: AtomicU64,
    collected: Mutex<(u64, Collected)>,
}

#[derive(Debug, Default)]
struct Requests {
    count: u64,
    seconds: f64,
    buckets: [u64; BUCKETS.len()],
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Metrics {
    /// A request was answered. `method` and `route` are of small closed sets.
    pub(crate) fn request(
        &self,
        method: &'static str,
        route: &'static str,
        status: u16,
        duration: Duration,
    ) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = requests.entry((method, route, status)).or_default();
        let seconds = duration.as_secs_f64();
        entry.count += 1;
        entry.seconds += seconds;
        for (bucket, bound) in entry.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(seconds <= bound);
        }
    }

    pub(crate) fn collection(&self, one: &Collected) {
        let mut collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, all) = &mut *collected;
        *count += 1;
        all.uploads += one.uploads;
        all.manifests += one.manifests;
        all.members += one.members;
        all.blobs += one.blobs;
        all.bytes += one.bytes;
    }

    /// Everything as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a string takes everything");
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        self.write_requests(text)?;
        let (count, all) = &*self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let table = [
            ("connections", "gauge", "Connections now", load(&self.connections)),
            (
                "connections_refused_total",
                "counter",
                "Connections closed at the limit",
                load(&self.refused),
            ),
            ("received_bytes_total", "counter", "Bytes of content received", load(&self.received)),
            ("sent_bytes_total", "counter", "Bytes of content sent", load(&self.sent)),
            ("cache_hits_total", "counter", "Requests answered from the cache", load(&self.hits)),
            (
                "cache_misses_total",
                "counter",
                "Requests that needed the upstream",
                load(&self.misses),
            ),
            (
                "cache_fetched_bytes_total",
                "counter",
                "Bytes fetched from the upstream",
                load(&self.fetched),
            ),
            ("collections_total", "counter", "Garbage collections", *count),
            ("collected_uploads_total", "counter", "Uploads given up", all.uploads),
            ("collected_manifests_total", "counter", "Untagged manifests removed", all.manifests),
            ("collected_blobs_total", "counter", "Blobs removed", all.blobs),
            ("collected_bytes_total", "counter", "Bytes of blobs removed", all.bytes),
        ];
        for (name, kind, help, value) in table {
            writeln!(text, "# HELP coffer_registry_{name} {help}.")?;
            writeln!(text, "# TYPE coffer_registry_{name} {kind}")?;
            writeln!(text, "coffer_registry_{name} {value}")?;
        }
        Ok(())
    }

    fn write_requests(&self, text: &mut String) -> std::fmt::Result {
        let name = "coffer_registry_request_duration_seconds";
        writeln!(text, "# HELP {name} Time to the head of the answer.")?;
        writeln!(text, "# TYPE {name} histogram")?;
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for ((method, route, status), entry) in &*requests {
            let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
            for (bucket, bound) in entry.buckets.iter().zip(BUCKETS) {
                writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {bucket}")?;
            }
            writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", entry.count)?;
            writeln!(text, "{name}_sum{{{labels}}} {}", entry.seconds)?;
            writeln!(text, "{name}_count{{{labels}}} {}", entry.count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_comment_or_a_name_and_a_number() {
        let metrics = Metrics::default();
        metrics.request("GET", "blob", 200, Duration::from_millis(3));
        metrics.collection(&Collected { blobs: 2, ..Collected::default() });
        let text = metrics.text();
        for line in text.lines().filter(|line| !line.starts_with("# ")) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("coffer_registry_"), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
        assert!(text.contains("coffer_registry_collected_blobs_total 2\n"));
        let bucket = "_bucket{method=\"GET\",route=\"blob\",status=\"200\",le=\"0.005\"} 1\n";
        assert!(text.contains(bucket), "{text}");
    }
}

//! How a container is asked: the command and the times, with Docker's defaults.

use api_types::container::{Config, HealthConfig};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u64 = 3;
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// A health check that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Between the end of one check and the begin of the next.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// How long after the start failures do not count.
    pub start_period: Duration,
    /// The interval while that lasts and none has succeeded.
    pub start_interval: Duration,
    /// Failures in a row that make a container unhealthy.
    pub retries: u64,
}

impl Check {
    /// The check of a container; none when it has none, or `NONE`, or one of a kind that does not exist.
    pub fn of(config: &Config) -> Option<Self> {
        let health = config.healthcheck.as_ref()?;
        Some(Self {
            command: command(health, &config.shell)?,
            interval: or(health.interval, INTERVAL),
            timeout: or(health.timeout, TIMEOUT),
            start_period: or(health.start_period, Duration::ZERO),
            start_interval: or(health.start_interval, START_INTERVAL),
            retries: u64::try_from(health.retries).ok().filter(|n| *n > 0).unwrap_or(RETRIES),
        })
    }

    /// How long to wait for the next check of a container that has run for `ran`.
    pub fn pause(&self, ran: Duration, is_starting: bool) -> Duration {
        if is_starting && ran < self.start_period { self.start_interval } else { self.interval }
    }
}

fn command(health: &HealthConfig, shell: &[String]) -> Option<Vec<String>> {
    let (kind, rest) = health.test.split_first()?;
    match kind.as_str() {
        "CMD" if !rest.is_empty() => Some(rest.to_vec()),
        "CMD-SHELL" if !rest.is_empty() => {
            let shell: Vec<String> =
                if shell.is_empty() { SHELL.map(str::to_owned).into() } else { shell.to_vec() };
            Some([&shell, rest].concat())
        }
        _ => None,
    }
}

fn or(nanos: i64, default: Duration) -> Duration {
    u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map_or(default, Duration::from_nanos)
}

/// A duration as Go's `%v` writes it: `1m30s`, `1.5s`, `250ms`.
pub(super) fn go_text(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |unit: u128| {
        let text = format!("{}.{:0width$}", nanos / unit, nanos % unit, width = digits(unit));
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(1_000_000)),
        _ => {
            let (hours, minutes) = (duration.as_secs() / 3600, duration.as_secs() / 60 % 60);
            let seconds = Duration::new(duration.as_secs() % 60, duration.subsec_nanos());
            let seconds = format!("{:.9}", seconds.as_secs_f64());
            let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, _) => format!("{minutes}m{seconds}s"),
                _ => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// The zeros of a power of ten.
fn digits(unit: u128) -> usize {
    usize::try_from(unit.ilog10()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Option<Check> {
        Check::of(&api_types::lenient::from_slice::<Config>(json.as_bytes()).unwrap())
    }

    #[test]
    fn each_form_says_what_is_run_and_none_says_nothing() {
        let command = |json: &str| check(json).map(|check| check.command.join("|"));
        for (json, expected) in [
            (r#"{}"#, None),
            (r#"{"Healthcheck":{"Interval":1000000000}}"#, None),
            (r#"{"Healthcheck":{"Test":["NONE"]}}"#, None),
            (r#"{"Healthcheck":{"Test":["CMD"]}}"#, None),
            (r#"{"Healthcheck":{"Test":["OTHER","x"]}}"#, None),
            (r#"{"Healthcheck":{"Test":["CMD","a","b c"]}}"#, Some("a|b c")),
            (r#"{"Healthcheck":{"Test":["CMD-SHELL","a b"]}}"#, Some("/bin/sh|-c|a b")),
            (
                r#"{"Shell":["/bin/bash","-o","pipefail","-c"],"Healthcheck":{"Test":["CMD-SHELL","a"]}}"#,
                Some("/bin/bash|-o|pipefail|-c|a"),
            ),
        ] {
            assert_eq!(command(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn times_that_are_not_given_are_dockers() {
        let plain = check(r#"{"Healthcheck":{"Test":["CMD","a"]}}"#).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(
            (plain.interval, plain.timeout, plain.start_period, plain.retries),
            (30 * second, 30 * second, Duration::ZERO, 3)
        );
        assert_eq!(plain.pause(Duration::ZERO, true), 30 * second);
        let own = r#"{"Healthcheck":{"Test":["CMD","a"],"Interval":7000000000,"StartPeriod":9000000000,"StartInterval":2000000000}}"#;
        let own = check(own).unwrap();
        assert_eq!(own.pause(second, true), 2 * second);
        assert_eq!(own.pause(second, false), 7 * second);
        assert_eq!(own.pause(9 * second, true), 7 * second);
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (nanos, text) in [
            (0, "0s"),
            (5, "5ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_000_000, "1ms"),
            (30_000_000_000, "30s"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(go_text(Duration::from_nanos(nanos)), text);
        }
    }
}

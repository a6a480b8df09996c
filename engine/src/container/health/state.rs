//! The health of a container, and what an answer makes of it.

use super::check::Check;
use crate::event::time_text;
use api_types::inspect;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Answers that are kept.
const KEPT: usize = 5;

/// How a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// No check has succeeded since it was started, and not enough have failed.
    Starting,
    /// The last checks were successes, or not yet enough failures.
    Healthy,
    /// As many checks as `retries` have failed in a row, or nobody checks.
    Unhealthy,
}

impl Status {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// When the check began: nanoseconds since 1970.
    pub start: i64,
    /// When it ended.
    pub end: i64,
    /// 0 is healthy; -1 for a check that could not be made or took too long.
    pub code: i32,
    /// What it printed.
    pub output: String,
}

/// The health of a container that has a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// How it is.
    pub status: Status,
    /// Failures in a row.
    pub failing_streak: u64,
    /// The last answers, oldest first. They outlast a restart of the container.
    pub log: Vec<Outcome>,
}

impl Health {
    /// That of a container which is being started; `before` is that of its last run.
    pub fn started(before: Option<&Self>) -> Self {
        let log = before.map(|health| health.log.clone()).unwrap_or_default();
        Self { status: Status::Starting, failing_streak: 0, log }
    }

    /// Takes an answer; `ran` is how long after the start the check began.
    pub fn take(&mut self, outcome: Outcome, ran: Duration, check: &Check) {
        let failed = outcome.code != 0;
        if self.log.len() >= KEPT {
            self.log.drain(..=self.log.len() - KEPT);
        }
        self.log.push(outcome);
        if !failed {
            (self.status, self.failing_streak) = (Status::Healthy, 0);
        } else if self.status != Status::Starting || ran >= check.start_period {
            self.failing_streak += 1;
            if self.failing_streak >= check.retries {
                self.status = Status::Unhealthy;
            }
        }
    }

    /// As `docker inspect` shows it.
    pub fn shown(&self) -> inspect::Health {
        let result = |outcome: &Outcome| inspect::HealthResult {
            start: time_text(Some(outcome.start)),
            end: time_text(Some(outcome.end)),
            exit_code: i64::from(outcome.code),
            output: outcome.output.clone(),
        };
        inspect::Health {
            status: self.status.word().into(),
            failing_streak: i64::try_from(self.failing_streak).unwrap_or(i64::MAX),
            log: self.log.iter().map(result).collect::<Vec<_>>().into(),
        }
    }

    /// As a list shows it.
    pub fn summary(&self) -> inspect::HealthSummary {
        inspect::HealthSummary {
            status: self.status.word().into(),
            failing_streak: i64::try_from(self.failing_streak).unwrap_or(i64::MAX),
        }
    }

    /// As it stands in the STATUS column.
    pub fn words(&self) -> &'static str {
        match self.status {
            Status::Starting => "health: starting",
            other => other.word(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(start_period: u64) -> Check {
        let json = format!(
            r#"{{"Healthcheck":{{"Test":["CMD","a"],"Retries":2,"StartPeriod":{}}}}}"#,
            start_period * 1_000_000_000
        );
        Check::of(&api_types::lenient::from_slice(json.as_bytes()).unwrap()).unwrap()
    }

    fn answer(code: i32) -> Outcome {
        Outcome { start: 0, end: 0, code, output: String::new() }
    }

    fn after(codes: &[i32], start_period: u64) -> (Status, u64) {
        let mut health = Health::started(None);
        for (second, code) in codes.iter().enumerate() {
            health.take(answer(*code), Duration::from_secs(second as u64), &check(start_period));
        }
        (health.status, health.failing_streak)
    }

    #[test]
    fn failures_in_a_row_make_it_unhealthy_and_one_success_healthy() {
        assert_eq!(after(&[], 0), (Status::Starting, 0));
        assert_eq!(after(&[1], 0), (Status::Starting, 1));
        assert_eq!(after(&[1, 1], 0), (Status::Unhealthy, 2));
        assert_eq!(after(&[1, 0], 0), (Status::Healthy, 0));
        assert_eq!(after(&[0, 1], 0), (Status::Healthy, 1));
        assert_eq!(after(&[0, 1, -1], 0), (Status::Unhealthy, 2));
        assert_eq!(after(&[1, 1, 1, 0], 0), (Status::Healthy, 0));
    }

    #[test]
    fn failures_in_the_start_period_do_not_count_until_one_has_succeeded() {
        assert_eq!(after(&[1, 1, 1], 3), (Status::Starting, 0));
        assert_eq!(after(&[1, 1, 1, 1, 1], 3), (Status::Unhealthy, 2));
        assert_eq!(after(&[0, 1, 1], 3), (Status::Unhealthy, 2));
    }

    #[test]
    fn five_answers_are_kept_and_outlast_a_restart() {
        let mut health = Health::started(None);
        for code in 1..=7 {
            health.take(answer(code), Duration::ZERO, &check(0));
        }
        let codes = |health: &Health| health.log.iter().map(|o| o.code).collect::<Vec<_>>();
        assert_eq!(codes(&health), [3, 4, 5, 6, 7]);
        let again = Health::started(Some(&health));
        assert_eq!((codes(&again), again.failing_streak), (vec![3, 4, 5, 6, 7], 0));
    }
}

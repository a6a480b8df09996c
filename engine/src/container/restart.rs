//! Restart policies: when a container that ended is started again, and after which pause.

use std::time::Duration;

/// The pause before the first restart.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run of this length makes the next pause the first one again.
const LONG_RUN: Duration = Duration::from_secs(10);

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Never.
    #[default]
    No,
    /// Always; after a manual stop only when the engine starts.
    Always,
    /// Always, but never after a manual stop.
    UnlessStopped,
    /// When the exit code is not zero, at most `most` times; zero for any number.
    OnFailure {
        /// The limit.
        most: u32,
    },
}

impl Policy {
    /// The policy of this name and count; `None` for an unknown name. An empty name means [`Policy::No`].
    pub fn parse(name: &str, most: i64) -> Option<Self> {
        Some(match name {
            "" | "no" => Self::No,
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            "on-failure" => {
                Self::OnFailure { most: u32::try_from(most.max(0)).unwrap_or(u32::MAX) }
            }
            _ => return None,
        })
    }
}

/// Facts about an end that the policy decides by.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// Whether somebody stopped it.
    pub by_hand: bool,
    /// How long it ran.
    pub ran: Duration,
}

/// The restarts of one container since it was last started by hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Restarts {
    /// How many there were.
    pub count: u32,
    pause: Option<Duration>,
}

impl Restarts {
    /// The state of a container that has been restarted `count` times before this engine was started.
    pub fn resumed(count: u32) -> Self {
        Self { count, pause: None }
    }

    /// The pause before the next start, or `None` when the policy wants none. A `Some` counts as a restart.
    pub fn next(&mut self, policy: Policy, ended: Ended) -> Option<Duration> {
        if ended.by_hand {
            return None;
        }
        let wanted = match policy {
            Policy::No => false,
            Policy::Always | Policy::UnlessStopped => true,
            Policy::OnFailure { most } => ended.code != 0 && (most == 0 || self.count < most),
        };
        if !wanted {
            return None;
        }
        let pause = match self.pause {
            Some(last) if ended.ran < LONG_RUN => (last * 2).min(LONGEST_PAUSE),
            _ => FIRST_PAUSE,
        };
        self.pause = Some(pause);
        self.count = self.count.saturating_add(1);
        Some(pause)
    }
}

/// Whether a container that does not run when the engine starts is to be started.
pub fn wanted_at_boot(policy: Policy, by_hand: bool, was_running: bool, code: i32) -> bool {
    match policy {
        Policy::No => false,
        Policy::Always => true,
        Policy::UnlessStopped => !by_hand,
        Policy::OnFailure { .. } => was_running && code != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32, seconds: u64) -> Ended {
        Ended { code, by_hand: false, ran: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_pause_doubles_to_a_minute_and_a_long_run_resets_it() {
        let mut restarts = Restarts::default();
        let pauses: Vec<u128> = (0..12)
            .map(|_| restarts.next(Policy::Always, ended(0, 1)).unwrap().as_millis())
            .collect();
        assert_eq!(
            pauses,
            [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]
        );
        assert_eq!(restarts.next(Policy::Always, ended(0, 10)), Some(FIRST_PAUSE));
        assert_eq!(restarts.count, 13);
    }

    #[test]
    fn on_failure_restarts_only_failures_and_only_so_often() {
        let mut restarts = Restarts::default();
        let policy = Policy::OnFailure { most: 2 };
        assert_eq!(restarts.next(policy, ended(0, 0)), None);
        assert!(restarts.next(policy, ended(1, 0)).is_some());
        assert!(restarts.next(policy, ended(1, 0)).is_some());
        assert_eq!(restarts.next(policy, ended(1, 0)), None);
        assert_eq!(restarts.count, 2);
    }

    #[test]
    fn a_manual_stop_disarms_every_policy() {
        for policy in [Policy::Always, Policy::UnlessStopped, Policy::OnFailure { most: 0 }] {
            let by_hand = Ended { by_hand: true, ..ended(1, 0) };
            assert_eq!(Restarts::default().next(policy, by_hand), None, "{policy:?}");
        }
    }

    #[test]
    fn at_boot_always_starts_what_was_stopped_and_unless_stopped_does_not() {
        assert!(wanted_at_boot(Policy::Always, true, false, 0));
        assert!(!wanted_at_boot(Policy::UnlessStopped, true, false, 0));
        assert!(wanted_at_boot(Policy::UnlessStopped, false, false, 0));
        assert!(wanted_at_boot(Policy::OnFailure { most: 3 }, false, true, 1));
        assert!(!wanted_at_boot(Policy::OnFailure { most: 3 }, false, true, 0));
        assert!(!wanted_at_boot(Policy::No, false, true, 1));
    }

    #[test]
    fn parse_knows_dockers_five_spellings() {
        assert_eq!(Policy::parse("", 0), Some(Policy::No));
        assert_eq!(Policy::parse("no", 0), Some(Policy::No));
        assert_eq!(Policy::parse("on-failure", 4), Some(Policy::OnFailure { most: 4 }));
        assert_eq!(Policy::parse("always", 0), Some(Policy::Always));
        assert_eq!(Policy::parse("unless-stopped", 0), Some(Policy::UnlessStopped));
        assert_eq!(Policy::parse("sometimes", 0), None);
    }
}

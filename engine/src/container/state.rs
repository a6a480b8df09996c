//! The states of a container and the one function that says which may follow which.
//!
//! ```text
//!              Start            Started            Paused
//!   Created ----------> Starting -------> Running <------> Paused
//!      ^                 |  ^ ^              |                |
//!      | Failed (never   |  | | Start        | Ended          | Ended
//!      |  ran before)    |  | |              v                v
//!      +-----------------+  | Restarting <---+----------------+
//!             Failed (ran)  |     | Cancel   | (no restart)
//!                v          |     v          v
//!              Exited ------+-> Exited <-----+
//!
//!   Created, Exited, Dead --Remove--> Removing --RemoveFailed--> Dead
//! ```

/// What a container is doing. Figures that go with it (pid, times, exit code) are in [`super::live::Live`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It was never started, or no start succeeded.
    Created,
    /// It is being started.
    Starting,
    /// Its first process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It has ended and will be started again after a pause.
    Restarting,
    /// It has ended.
    Exited,
    /// It is being removed; its name is free already.
    Removing,
    /// Removing it failed; removing it may be tried again.
    Dead,
}

/// What happens to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Somebody, or the restart policy, starts it.
    Start,
    /// The start succeeded.
    Started,
    /// The start failed. `ran_before` is whether an earlier start succeeded.
    StartFailed {
        /// Whether it had run before.
        ran_before: bool,
        /// Whether the restart policy wants another try.
        again: bool,
    },
    /// Its processes were frozen.
    Pause,
    /// Its processes go on.
    Unpause,
    /// Its first process ended. `again` is whether the restart policy wants it started again.
    End {
        /// Whether the restart policy wants it started again.
        again: bool,
    },
    /// A stop while it waits for its next start.
    Cancel,
    /// Its removal began.
    Remove,
    /// Its removal failed.
    RemoveFailed,
}

/// The state after `step`, or `None` when `step` may not happen in `state`.
pub fn transition(state: State, step: Step) -> Option<State> {
    use State::{Created, Dead, Exited, Paused, Removing, Restarting, Running, Starting};
    Some(match (state, step) {
        (Created | Exited | Restarting, Step::Start) => Starting,
        (Starting, Step::Started) => Running,
        (Starting, Step::StartFailed { again: true, .. }) => Restarting,
        (Starting, Step::StartFailed { ran_before: true, .. }) => Exited,
        (Starting, Step::StartFailed { ran_before: false, .. }) => Created,
        (Running, Step::Pause) => Paused,
        (Paused, Step::Unpause) => Running,
        (Running | Paused, Step::End { again: true }) => Restarting,
        (Running | Paused, Step::End { again: false }) => Exited,
        (Restarting, Step::Cancel) => Exited,
        (Created | Exited | Dead, Step::Remove) => Removing,
        (Removing, Step::RemoveFailed) => Dead,
        _ => return None,
    })
}

impl State {
    /// The word that `docker inspect` shows as `State.Status`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created | Self::Starting => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        }
    }

    /// Whether a process of it exists, or will by itself: what `docker rm` refuses without force.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }

    /// Whether a process of it exists.
    pub fn has_process(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 8] = [
        State::Created,
        State::Starting,
        State::Running,
        State::Paused,
        State::Restarting,
        State::Exited,
        State::Removing,
        State::Dead,
    ];

    /// Each legal pair, in the order of the states.
    const LEGAL: [(State, Step, State); 19] = [
        (State::Created, Step::Start, State::Starting),
        (State::Created, Step::Remove, State::Removing),
        (State::Starting, Step::Started, State::Running),
        (State::Starting, Step::StartFailed { ran_before: false, again: false }, State::Created),
        (State::Starting, Step::StartFailed { ran_before: true, again: false }, State::Exited),
        (State::Starting, Step::StartFailed { ran_before: false, again: true }, State::Restarting),
        (State::Starting, Step::StartFailed { ran_before: true, again: true }, State::Restarting),
        (State::Running, Step::Pause, State::Paused),
        (State::Running, Step::End { again: false }, State::Exited),
        (State::Running, Step::End { again: true }, State::Restarting),
        (State::Paused, Step::Unpause, State::Running),
        (State::Paused, Step::End { again: false }, State::Exited),
        (State::Paused, Step::End { again: true }, State::Restarting),
        (State::Restarting, Step::Start, State::Starting),
        (State::Restarting, Step::Cancel, State::Exited),
        (State::Exited, Step::Start, State::Starting),
        (State::Exited, Step::Remove, State::Removing),
        (State::Removing, Step::RemoveFailed, State::Dead),
        (State::Dead, Step::Remove, State::Removing),
    ];

    fn all_steps() -> Vec<Step> {
        let mut steps = vec![
            Step::Start,
            Step::Started,
            Step::Pause,
            Step::Unpause,
            Step::Cancel,
            Step::Remove,
            Step::RemoveFailed,
        ];
        for again in [false, true] {
            steps.push(Step::End { again });
            for ran_before in [false, true] {
                steps.push(Step::StartFailed { ran_before, again });
            }
        }
        steps
    }

    #[test]
    fn exactly_the_pairs_of_the_table_are_legal() {
        for state in STATES {
            for step in all_steps() {
                let expected =
                    LEGAL.iter().find(|(s, t, _)| (*s, *t) == (state, step)).map(|row| row.2);
                assert_eq!(transition(state, step), expected, "{state:?} {step:?}");
            }
        }
    }

    #[test]
    fn a_container_that_has_a_process_cannot_be_removed() {
        for state in STATES.into_iter().filter(|state| state.has_process()) {
            assert_eq!(transition(state, Step::Remove), None);
        }
    }

    #[test]
    fn the_words_are_those_of_the_api() {
        let words: Vec<_> = STATES.iter().map(|state| state.word()).collect();
        assert_eq!(
            words,
            ["created", "created", "running", "paused", "restarting", "exited", "removing", "dead"]
        );
    }
}

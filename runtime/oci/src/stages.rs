//! How long the steps of a command take, so that a slow one can be named.

use std::fmt;
use std::time::{Duration, Instant};

/// Steps in their order.
#[derive(Debug)]
pub(crate) struct Stages {
    began: Instant,
    done: Vec<(&'static str, Duration)>,
    launch: Vec<launch::StepTime>,
}

impl Stages {
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), done: Vec::with_capacity(16), launch: Vec::new() }
    }

    /// The step that is done now began when the one before was done.
    pub(crate) fn done(&mut self, name: &'static str) {
        self.done.push((name, self.began.elapsed()));
    }

    /// The steps of the launch, which are counted from its own beginning.
    pub(crate) fn launched(&mut self, times: &[launch::StepTime]) {
        self.launch = times.to_vec();
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = Duration::ZERO;
        for (name, at) in &self.done {
            writeln!(f, "{:>8} us  {name}", (*at - before).as_micros())?;
            before = *at;
        }
        let mut before = Duration::ZERO;
        for step in &self.launch {
            let who = if step.inside { "container" } else { "launch" };
            let took = step.at.saturating_sub(before);
            writeln!(f, "{:>8} us  {who}: {}", took.as_micros(), step.step)?;
            before = step.at;
        }
        writeln!(f, "{:>8} us  all", self.began.elapsed().as_micros())
    }
}

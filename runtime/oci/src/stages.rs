//! How long the steps of a command take, so that a slow one can be named.

use std::fmt;
use std::time::{Duration, Instant};

/// Steps in their order.
#[derive(Debug)]
pub(crate) struct Stages {
    began: Instant,
    done: Vec<(&'static str, Duration)>,
}

impl Stages {
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), done: Vec::with_capacity(16) }
    }

    /// The step that is done now began when the one before was done.
    pub(crate) fn done(&mut self, name: &'static str) {
        self.done.push((name, self.began.elapsed()));
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = Duration::ZERO;
        for (name, at) in &self.done {
            writeln!(f, "{:>8} us  {name}", (*at - before).as_micros())?;
            before = *at;
        }
        writeln!(f, "{:>8} us  all", self.began.elapsed().as_micros())
    }
}

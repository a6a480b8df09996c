//! When each step was done, for who asks.

use super::Job;
use ::core::prelude::rust_2024::*;
use ::core::sync::atomic::{AtomicU64, Ordering};
use ::plan::StepKind;
use ::sys::time::monotonic;

/// How many steps can be noted.
pub(crate) const MOST: usize = 250;

/// A page that the process and its starter share: the count, then step and time of each.
pub(crate) type Marks = [AtomicU64; 1 + 2 * MOST];

/// Notes that the step is done.
pub(super) fn mark(job: &Job<'_>, step: StepKind) {
    let Some(marks) = job.marks else { return };
    let at = marks[0].load(Ordering::Relaxed) as usize;
    if at < MOST {
        marks[1 + 2 * at].store(u64::from(step as u32), Ordering::Relaxed);
        marks[2 + 2 * at].store(monotonic(), Ordering::Relaxed);
        marks[0].store(at as u64 + 1, Ordering::Release);
    }
}

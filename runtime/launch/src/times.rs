//! How long each step took.

use crate::LaunchError;
use crate::child::clock::{MOST, Marks};
use plan::StepKind;
use rustix::io::Errno;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;
use std::time::Duration;
use sys::time::monotonic;

/// A step that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepTime {
    /// Whether the container's process did it, and not its parent.
    pub inside: bool,
    /// Its name: that of a [`StepKind`], or what the parent did (`prepare`, `clone`, ...).
    pub step: &'static str,
    /// When it was done, from the beginning of the launch.
    pub at: Duration,
}

/// The times of one launch.
#[derive(Debug)]
pub(crate) struct Times {
    start: u64,
    outside: Vec<(&'static str, u64)>,
    page: Page,
}

impl Times {
    /// Begins to measure, if that is wanted.
    pub(crate) fn begin(wanted: bool) -> Result<Option<Self>, LaunchError> {
        let begin = |page| Self { start: monotonic(), outside: Vec::new(), page };
        let failed = |errno: Errno| LaunchError::new("map", "page for the times of steps", errno);
        wanted.then(|| Page::map().map(begin).map_err(failed)).transpose()
    }

    /// Notes that the parent has done `step`.
    pub(crate) fn mark(&mut self, step: &'static str) {
        self.outside.push((step, monotonic()));
    }

    /// What the child writes to.
    pub(crate) fn marks(&self) -> &Marks {
        self.page.marks()
    }

    /// All steps in the order in which they were done.
    pub(crate) fn list(&self) -> Vec<StepTime> {
        let since = |at: u64| Duration::from_nanos(at.saturating_sub(self.start));
        let outside = self.outside.iter();
        let mut list: Vec<_> =
            outside.map(|(step, at)| StepTime { inside: false, step, at: since(*at) }).collect();
        let marks = self.marks();
        let count = usize::try_from(marks[0].load(Ordering::Acquire)).unwrap_or(0).min(MOST);
        for at in 0..count {
            let number = u32::try_from(marks[1 + 2 * at].load(Ordering::Relaxed)).ok();
            let step = number.and_then(StepKind::of_number).map_or("", StepKind::name);
            let done = since(marks[2 + 2 * at].load(Ordering::Relaxed));
            list.push(StepTime { inside: true, step, at: done });
        }
        list.sort_by_key(|step| step.at);
        list
    }
}

/// A page that stays shared with children.
#[derive(Debug)]
struct Page(NonNull<Marks>);

// SAFETY: what the mapping holds are atomic words, and it belongs to no thread.
unsafe impl Send for Page {}

impl Page {
    fn map() -> Result<Self, Errno> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else is touched.
        let page =
            unsafe { libc::mmap(ptr::null_mut(), size_of::<Marks>(), protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(Errno::NOMEM);
        }
        match NonNull::new(page.cast::<Marks>()) {
            Some(page) => Ok(Self(page)),
            None => Err(Errno::NOMEM),
        }
    }

    fn marks(&self) -> &Marks {
        // SAFETY: the mapping is as long as this value, page-aligned, zeroed by the kernel, and every bit pattern is
        // valid for its atomic words, which are all that anybody writes.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and nothing borrows it any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Marks>()) };
    }
}

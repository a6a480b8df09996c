//! What a container uses, and that it ran out of memory: `events`.

use crate::figures::data;
use crate::pause::existing;
use crate::runtime::Runtime;
use crate::{Error, Id, Status};
use cgroups::{Group, OomWatch};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// On version 1 the kernel announces exhaustion before it has counted the process that it ends.
const COUNTED: Duration = Duration::from_millis(50);

impl Runtime {
    /// The figures of a container that runs, in runc's form.
    pub fn statistics(&self, id: &Id) -> Result<Value, Error> {
        let container = self.container(id)?;
        if container.status()? == Status::Stopped {
            return Err(Error::NotRunning);
        }
        let stats = existing(container.group()?)?.stats()?;
        Ok(json!({ "type": "stats", "id": id.as_str(), "data": data(&stats) }))
    }

    /// Says the figures each `interval` and every exhaustion of memory, until the container ends.
    pub fn events(
        &self,
        id: &Id,
        interval: Duration,
        say: &mut dyn FnMut(&Value) -> bool,
    ) -> Result<(), Error> {
        let container = self.container(id)?;
        let init = container.init().ok_or(Error::NotRunning)?;
        let group = existing(container.group()?)?;
        let watch = group.watch_oom().ok();
        let mut next = Instant::now() + interval;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            let time = Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut fds = vec![PollFd::new(&init, PollFlags::IN)];
            fds.extend(watch.as_ref().map(|watch| PollFd::new(watch, PollFlags::IN)));
            match poll(&mut fds, Some(&time)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Error::system("watch", id.as_str(), errno)),
            }
            let ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
            let reported = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
            drop(fds);
            let exhausted = reported && was_killed(&group, watch.as_ref());
            if exhausted && !say(&json!({ "type": "oom", "id": id.as_str() })) {
                return Ok(());
            }
            if ended {
                return Ok(());
            }
            if Instant::now() >= next {
                next += interval;
                let stats = group.stats()?;
                let value = json!({ "type": "stats", "id": id.as_str(), "data": data(&stats) });
                if !say(&value) {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether a process was ended for memory, after the watch was readable.
fn was_killed(group: &Group, watch: Option<&OomWatch>) -> bool {
    if let Some(watch) = watch {
        watch.drain();
    }
    let end = Instant::now() + COUNTED;
    loop {
        match group.oom_kills() {
            Ok(0) if Instant::now() < end => std::thread::sleep(Duration::from_millis(1)),
            Ok(count) => return count > 0,
            Err(_) => return false,
        }
    }
}

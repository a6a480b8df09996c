//! What the worker must do.

use crate::engine::{Engine, Item, key, tar};
use messages::Fd;
use messages::storage::{Reply, Request, Root};
use rustix::fs::{Mode, OFlags};
use spec::{Class, Failure};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::{children, copies, layers};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("a_container_is_made_changed_diffed_and_made_a_layer", layers::round_trip),
    ("a_layer_with_another_digest_is_refused", layers::wrong_digest),
    ("hostile_layers_are_refused_with_a_sentence_and_leave_nothing", layers::hostile_layers),
    ("a_bomb_is_stopped_at_its_limit", layers::bombs),
    ("the_child_that_unpacks_holds_nothing_else", children::enclosed_child),
    ("a_killed_child_leaves_nothing_visible", children::killed_child),
    ("a_killed_job_is_answered_for_and_cleared_away", children::killed_job),
    ("a_request_over_its_deadline_is_stopped", children::deadline),
    ("other_requests_are_answered_while_one_waits", children::in_flight),
    ("paths_of_a_stopped_container_are_looked_up_inside_it", copies::stopped_paths),
    ("files_are_opened_only_if_they_are_small_and_regular", copies::open_files),
    ("copies_go_into_directories_and_volumes", copies::copies),
    ("a_running_container_is_seen_as_its_process_sees_it", copies::running),
    ("volumes_are_made_filled_once_and_removed", copies::volumes),
    ("a_removed_snapshot_frees_its_name_and_its_files", layers::removal),
    ("requests_without_their_descriptors_are_refused", layers::missing_descriptors),
    ("what_a_crash_left_is_cleared_at_the_next_start", children::restart),
];

pub(crate) fn base() -> Vec<u8> {
    tar(&[
        ("bin/", Item::Dir),
        ("bin/tool", Item::File("tool")),
        ("sh", Item::Link("/bin/tool")),
        ("etc/", Item::Dir),
        ("etc/passwd", Item::File("root:x:0:0::/:/bin/sh\n")),
        ("etc/pipe", Item::Fifo),
        ("old", Item::File("old")),
        ("dir/", Item::Dir),
        ("dir/low", Item::File("low")),
    ])
}

pub(crate) fn with_container(engine: &mut Engine) {
    engine.unpack(&key("a"), &base()).unwrap();
    let request = Request::Prepare { key: key("c"), parents: vec![key("a")] };
    assert_eq!(engine.ask(&request).unwrap().0, Reply::Done);
}

pub(crate) fn mount(engine: &mut Engine, name: &str) -> OwnedFd {
    let (reply, mut fds) = engine.ask(&Request::Mount { key: key(name) }).unwrap();
    assert_eq!(reply, Reply::Mount { mount: Fd(0) });
    fds.pop().unwrap()
}

pub(crate) fn write(at: &OwnedFd, path: &str, text: &str) {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::openat(at, path, flags, Mode::from_raw_mode(0o644)).unwrap();
    std::fs::File::from(file).write_all(text.as_bytes()).unwrap();
}

pub(crate) fn stopped() -> Root {
    Root::Stopped { key: key("c"), mounts: vec![] }
}

pub(crate) fn class(answer: Result<(Reply, Vec<OwnedFd>), Failure>) -> Class {
    answer.unwrap_err().class
}

pub(crate) fn until<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < end, "{what} never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

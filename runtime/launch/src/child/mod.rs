//! All that runs between clone and execve.
//!
//! The process has a copy of its parent's memory, but locks that other threads held are held for ever, and so the
//! allocator must not be used. The prelude of `std` is missing here on purpose: only what `core` has can be named.
//! Every step answers a [`Record`] when it fails; nothing here makes text. All descriptors of the parent are borrowed;
//! those that are opened here are closed by execve.

#![no_implicit_prelude]

mod attributes;
pub(crate) mod clock;
mod console;
mod devices;
mod entry;
mod gate;
pub(crate) mod hook;
mod identity;
mod inherited;
mod layout;
pub(crate) mod origin;
mod program;
mod protect;
mod report;
pub(crate) mod supervisor;
mod time;
mod tree;
mod typed;

use ::core::prelude::rust_2024::*;

use ::plan::{CapsPlan, Plan, ProcessPlan};
use ::std::os::fd::BorrowedFd;
use ::sys::clone::Namespaces;

pub(crate) use entry::{first, intermediate};
pub(crate) use origin::{Origin, Place};

/// The exit code of a child that failed; its parent reads the record.
pub(crate) const FAILED: u8 = 127;

/// What the child does, as borrowed slices.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    /// The process.
    pub(crate) process: &'a ProcessPlan,
    /// The container to set up; nothing for a process that joins one.
    pub(crate) layout: Option<&'a Layout<'a>>,
    /// The capabilities that the starter can give.
    pub(crate) caps: CapsPlan,
    /// The child's end of the channel.
    pub(crate) channel: BorrowedFd<'a>,
    /// The starter's end, of which the child must not keep a copy: it would never see the starter's death.
    pub(crate) starter: BorrowedFd<'a>,
    /// Namespaces to join.
    pub(crate) joins: &'a [(Namespaces, BorrowedFd<'a>)],
    /// `tasks` files of cgroups to join.
    pub(crate) tasks: &'a [BorrowedFd<'a>],
    /// Standard streams; nothing for a terminal.
    pub(crate) stdio: Option<[BorrowedFd<'a>; 3]>,
    /// Arguments, ended by null.
    pub(crate) argv: &'a [*const ::libc::c_char],
    /// Environment, ended by null.
    pub(crate) env: &'a [*const ::libc::c_char],
    /// Whether it waits for a byte before anything else.
    pub(crate) waits_for_go: bool,
    /// Whether an intermediate process has joined cgroup and namespaces already.
    pub(crate) joined_outside: bool,
    /// Whether the intermediate process makes the user namespace, since a new time namespace belongs to it.
    pub(crate) user_first: bool,
    /// Whether it becomes root of another user namespace.
    pub(crate) becomes_root: bool,
    /// The listening socket at which it waits for a start by another process than the starter.
    pub(crate) gate: Option<BorrowedFd<'a>>,
    /// Whether it goes on when its starter ends.
    pub(crate) outlives: bool,
    /// Programs that are called on the way.
    pub(crate) hooks: Option<&'a hook::Hooks<'a>>,
    /// Who gets the listener of the filter.
    pub(crate) supervisor: Option<supervisor::Supervisor<'a>>,
    /// Where the times of steps are noted.
    pub(crate) marks: Option<&'a clock::Marks>,
    /// What the program gets as descriptors 3, 4, ...; all other numbers that are used are above.
    pub(crate) preserved: &'a [BorrowedFd<'a>],
}

/// The container that the first process sets up.
#[derive(Clone, Copy)]
pub(crate) struct Layout<'a> {
    /// The whole plan.
    pub(crate) plan: &'a Plan,
    /// The root.
    pub(crate) rootfs: Origin<'a>,
    /// Where the root is attached, if hooks expect it where it is on the host; otherwise over the host's root.
    pub(crate) root_place: Option<Place<'a>>,
    /// Whether the root is changed by chroot(2): where the host's root is a ramfs, which pivot_root refuses.
    pub(crate) no_pivot: bool,
    /// For each mount, the bind source.
    pub(crate) sources: &'a [Option<Origin<'a>>],
    /// For each device, the host's node.
    pub(crate) devices: &'a [Option<Origin<'a>>],
    /// The null device, read-only if it was copied by the starter.
    pub(crate) null: Origin<'a>,
    /// The starter's cgroup namespace.
    pub(crate) cgroup_namespace: BorrowedFd<'a>,
    /// Whether the kernel has mount_setattr (5.12), and so whether the sources have their attributes already.
    pub(crate) sets_attributes: bool,
}

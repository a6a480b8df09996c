//! Seccomp: from a profile in Docker's JSON format to the bytes of a filter that the kernel loads.
//!
//! This crate is pure: it reads no file, makes no system call and never loads what it compiles; the launch code does.
//! Everything comes out of the four values that go in (profile, host architecture, capabilities, kernel version), so a
//! compiled program may be cached under [`Filter::key`] for as long as the compiler's [`VERSION`](program::VERSION)
//! stays the same.
//!
//! In reading order: [`Profile`] (what an administrator writes; Docker's format and the runtime specification's are
//! both read), [`Profile::resolve`] to a flat [`Filter`] (no more conditions on capabilities or kernels; it
//! can be carried in a bundle, [`Filter::to_oci`]),
//! [`Filter::compile`] to a [`Program`] (classic BPF and the flags of `seccomp(2)`). [`action`] has the words of both,
//! [`arch`] the architectures, [`syscalls`] the numbers.
//!
//! ```text
//! JSON ── Profile ──resolve(arch, caps, kernel)──▶ Filter ──compile(arch)──▶ Program ──bytes()──▶ seccomp(2)
//! ```
//!
//! What one system call gets is decided in this order, as runC with libseccomp decides it:
//! 1. a call of an architecture that the filter does not list kills the thread;
//! 2. a number above every one that the filter names answers `ENOSYS` (see [`program`]);
//! 3. a rule without conditions for the call decides, whatever stands beside it;
//! 4. else the first rule of which all conditions hold;
//! 5. else the default action.

#![forbid(unsafe_code)]

pub mod action;
pub mod arch;
mod condition;
pub mod filter;
mod oci;
pub mod profile;
pub mod program;
mod read;
pub mod syscalls;
mod table;
mod tree;

pub use action::{Action, Condition, Operator};
pub use arch::Arch;
pub use filter::{Filter, Flag, Rule};
pub use profile::{Profile, ProfileError};
pub use program::{CompileError, Instruction, Program};

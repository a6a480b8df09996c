//! The command line: what users type, as Docker's own client takes it and answers it.
//!
//! This crate never decides what an engine does, never touches containers itself, and keeps no state but the client's
//! files under `~/.docker` (`config.json`, `contexts/`, `manifests/`). Called as `docker` it names itself so.
//!
//! Reading order: `program` (from arguments to an exit status), `command` (the table of all commands, one file per
//! family), `plugin` (commands that are programs of their own), `session` (which engine, which configuration),
//! `credentials` (for registries), `failure` (exit statuses and texts), `arg` (flags), `parse` (texts of flags into
//! bodies of the API), `manifest` (lists of images, put together without an engine), `stream` (terminals, attaching),
//! `format` (tables, templates, units).
//!
//! Tasks and locks: one thread runs everything; only standard input is read by a thread of its own, because a blocking
//! read cannot be cancelled. There are no locks.

#![forbid(unsafe_code)]

mod arg;
mod command;
mod config;
mod credentials;
mod failure;
mod format;
mod host;
mod manifest;
mod output;
mod parse;
mod plugin;
mod program;
mod session;
mod stream;
mod tree;
mod words;

pub use program::main;

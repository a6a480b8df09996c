//! The OCI runtime specification 1.3, paragraph by paragraph (config.md, config-linux.md, runtime.md): bundles run by the
//! real `coffer-runtime`, and the effect is looked at from the inside: a shell reads /proc and tries what is forbidden.
//!
//! Each table has a row for each property; a row's name is the document and the property. Rows that need what a host does
//! not have say so with a condition and are passed over there.

#![expect(clippy::unwrap_used, reason = "tests")]

mod cgroups;
mod devices;
mod hooks;
mod lifecycle;
mod limits;
mod mounts;
mod namespaces;
mod process;
mod refused;
mod rig;
mod seccomp;
mod systemd;

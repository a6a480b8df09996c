//! The commands of an OCI runtime.
#![forbid(unsafe_code)]

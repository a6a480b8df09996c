//! `coffer-runtime`: an OCI runtime.
#![forbid(unsafe_code)]
fn main() {}

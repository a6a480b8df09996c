//! The registry client.

#![forbid(unsafe_code)]

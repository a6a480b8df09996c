//! coffer-hello
fn main() {}

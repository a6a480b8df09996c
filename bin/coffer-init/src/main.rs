//! coffer-init
fn main() {}

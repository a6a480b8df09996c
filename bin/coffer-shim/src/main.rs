//! coffer-shim
fn main() {}

//! coffer
fn main() {}

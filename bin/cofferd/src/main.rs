//! cofferd
fn main() {}

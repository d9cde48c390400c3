//! igmpd.
fn main() {}
